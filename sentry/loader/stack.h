#ifndef SENTRY_LOADER_STACK_H_
#define SENTRY_LOADER_STACK_H_

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sentry/mm/memory_manager.h"

namespace runsc {

// Strings that go to a new program's stack.
struct ProgramStrings {
  std::string filename;  // AT_EXECFN
  std::vector<std::string> argv, envv;
};

// E2BIG as execve(2) does it: one string of more than 128 KiB, or all strings and pointers over a
// quarter of the stack limit (at least 128 KiB, at most 6 MiB).
Status CheckStrings(const ProgramStrings& strings, uint64_t stack_limit);

// A new program's stack being built from the top down.
class StackBuilder {
 public:
  // The random choices that are made once per program.
  struct Random {
    uint64_t shift = 0;                 // bytes the stack pointer is moved down, < 8192
    std::array<uint8_t, 16> bytes{};    // AT_RANDOM
  };

  // Maps the stack below `top` and stores the strings.
  static ErrnoOr<StackBuilder> Create(MemoryManager& mm, const ProgramStrings& strings,
                                      UserAddr top, bool executable, const MemoryLimits& limits);

  using AuxVector = std::vector<std::pair<uint64_t, uint64_t>>;
  // Stores random bytes, platform name, auxiliary vector and pointers. `aux` lacks AT_RANDOM,
  // AT_EXECFN, AT_PLATFORM and AT_NULL, which are put where Linux has them (at the entries with
  // value 0 of the first three). Answers the stack pointer and fills `layout`'s stack fields.
  ErrnoOr<UserAddr> Finish(MemoryManager& mm, AuxVector aux, const Random& random,
                           ImageLayout& layout);

 private:
  uint64_t p_ = 0;  // lowest address in use
  uint64_t filename_ = 0;
  uint64_t arg_start_ = 0, arg_end_ = 0, env_start_ = 0, env_end_ = 0;
  std::vector<uint64_t> argv_, envv_;
};

}  // namespace runsc

#endif  // SENTRY_LOADER_STACK_H_
