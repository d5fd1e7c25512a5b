#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char** argv) {
  printf("%d args, last %s, pi %.6f, %s\n", argc, argc > 1 ? argv[argc - 1] : "-", 4 * atan(1), strerror(ENOENT));
  return argc;
}
