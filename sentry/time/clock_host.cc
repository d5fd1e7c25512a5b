#include <time.h>

#include "sentry/time/clock.h"

namespace runsc {
namespace {

int64_t Read(clockid_t clock) {
  timespec ts{};
  clock_gettime(clock, &ts);
  return static_cast<int64_t>(ts.tv_sec) * 1000000000 + ts.tv_nsec;
}

}  // namespace

int64_t MonotonicNanos() { return Read(CLOCK_MONOTONIC); }
int64_t RealtimeNanos() { return Read(CLOCK_REALTIME); }
int64_t BoottimeNanos() { return Read(CLOCK_BOOTTIME); }
int64_t CoarseRealtimeNanos() { return Read(CLOCK_REALTIME_COARSE); }

}  // namespace runsc
