#ifndef SENTRY_TIME_CLOCK_H_
#define SENTRY_TIME_CLOCK_H_

#include <cstdint>

namespace runsc {

// The sentry's clocks, ns: the same lines that the guests' vDSO reads (time_keeper.h), so that a
// guest never sees time go back between a system call and the vDSO. Reading them costs no host
// call, but for a refresh about once a second.
int64_t MonotonicNanos();   // CLOCK_MONOTONIC; differs from the host's by less than a microsecond
int64_t RealtimeNanos();    // CLOCK_REALTIME: since the epoch
int64_t BoottimeNanos();    // CLOCK_BOOTTIME
// CLOCK_REALTIME_COARSE: stands still for kCoarseNanos; what file timestamps use.
int64_t CoarseRealtimeNanos();

inline constexpr int64_t kCoarseNanos = 4000000;

// CLOCK_* of clock_gettime(2) that are the same for all processes. The CPU clocks and dynamic
// clocks are the kernel's business.
enum class ClockId : int32_t {
  kRealtime = 0,
  kMonotonic = 1,
  kMonotonicRaw = 4,
  kRealtimeCoarse = 5,
  kMonotonicCoarse = 6,
  kBoottime = 7,
  kRealtimeAlarm = 8,
  kBoottimeAlarm = 9,
  kTai = 11,
};

// Whether `id` (as a guest passed it) is one of ClockId.
bool IsSystemClock(int32_t id);
int64_t ClockNanos(ClockId id);
// Resolution in ns, as clock_getres(2) and the vDSO tell.
int64_t ClockResolution(ClockId id);

}  // namespace runsc

#endif  // SENTRY_TIME_CLOCK_H_
