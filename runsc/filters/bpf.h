#ifndef RUNSC_FILTERS_BPF_H_
#define RUNSC_FILTERS_BPF_H_

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <vector>

namespace runsc::filters {

// A condition on one argument of a system call: (arg & mask) == value. `wide`: all 64 bits count;
// else the argument is an int and the kernel looks at the low half only.
struct Check {
  uint8_t arg = 0;
  bool wide = false;
  uint64_t mask = 0;
  uint64_t value = 0;
};
constexpr Check Is(uint8_t arg, uint32_t value) { return {arg, false, UINT32_MAX, value}; }
// Only bits of `allowed` may be set.
constexpr Check Within(uint8_t arg, uint32_t allowed) { return {arg, false, ~allowed, 0}; }
constexpr Check Wide(uint8_t arg, uint64_t value) { return {arg, true, UINT64_MAX, value}; }

// One thing that is allowed: a system call, and what its arguments must be. Several rules for one
// call are alternatives.
struct Rule {
  uint32_t number = 0;
  const char* reason = "";
  Check checks[3] = {};  // mask 0: unused
  uint16_t error = 0;    // not allowed after all: answered with this errno, nothing dies
};

// A seccomp program that allows what `rules` say and answers `deny` (SECCOMP_RET_*) to all else,
// other architectures included. Calls are found by binary search.
std::vector<sock_filter> Compile(std::span<const Rule> rules, uint32_t deny);

}  // namespace runsc::filters

#endif  // RUNSC_FILTERS_BPF_H_
