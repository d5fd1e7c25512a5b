// main() of every guest test binary.
#include <gtest/gtest.h>
#include <stdio.h>

#include <string_view>

int main(int argc, char** argv) {
  // Child modes of tests that execute themselves: `test --child-exit N`, `--child-args ...`.
  if (argc >= 3 && std::string_view(argv[1]) == "--child-exit") return atoi(argv[2]);
  if (argc >= 2 && std::string_view(argv[1]).substr(0, 12) == "--child-args") {
    for (int i = 0; i < argc; i++) printf("%s\n", argv[i]);
    return 0;
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
