#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "platform/base/log.h"
#include "platform/base/random.h"

namespace runsc {

void HostRandom(void* out, size_t size) {
  char* p = static_cast<char*>(out);
  while (size != 0) {
    ssize_t n = getrandom(p, size, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) Panic("getrandom: %s", strerror(errno));
    p += n;
    size -= static_cast<size_t>(n);
  }
}

uint64_t HostRandom64() {
  uint64_t value;
  HostRandom(&value, sizeof(value));
  return value;
}

}  // namespace runsc
