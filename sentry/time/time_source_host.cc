#include <cpuid.h>
#include <time.h>

#include "sentry/time/time_keeper.h"

namespace runsc {
namespace {

class RealHost final : public TimeSourceHost {
 public:
  uint64_t Cycles() override {
    uint32_t lo = 0;
    uint32_t hi = 0;
    __asm__ volatile("lfence\n\trdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return uint64_t{hi} << 32 | lo;
  }

  bool CyclesAreReliable() override {
    // Invariant TSC: the same rate in all power states.
    uint32_t a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1U << 8)) != 0;
  }

  int64_t Nanos(Clock clock) override {
    constexpr clockid_t kIds[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_MONOTONIC_RAW,
                                  CLOCK_BOOTTIME, CLOCK_TAI};
    timespec ts{};
    clock_gettime(kIds[static_cast<int>(clock)], &ts);
    return static_cast<int64_t>(ts.tv_sec) * 1'000'000'000 + ts.tv_nsec;
  }

  // Linux sets TSC_AUX to the CPU number wherever one of the two instructions exists.
  uint32_t CpuMethod() override {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c & (1U << 22)) != 0) {
      return kVdsoCpuRdpid;
    }
    if (__get_cpuid(0x80000001, &a, &b, &c, &d) != 0 && (d & (1U << 27)) != 0) {
      return kVdsoCpuRdtscp;
    }
    return kVdsoCpuNone;
  }
};

}  // namespace

TimeKeeper& TimeKeeper::Get() {
  static RealHost host;
  static TimeKeeper keeper(host);
  return keeper;
}

}  // namespace runsc
