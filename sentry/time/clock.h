#ifndef SENTRY_TIME_CLOCK_H_
#define SENTRY_TIME_CLOCK_H_

#include <cstdint>

namespace runsc {

// The sentry's clocks, ns. Reading them costs no host call where the host's vDSO works.
int64_t MonotonicNanos();   // CLOCK_MONOTONIC
int64_t RealtimeNanos();    // CLOCK_REALTIME: since the epoch
int64_t BoottimeNanos();    // CLOCK_BOOTTIME
// CLOCK_REALTIME at the last tick: good enough for file timestamps, cheaper.
int64_t CoarseRealtimeNanos();

}  // namespace runsc

#endif  // SENTRY_TIME_CLOCK_H_
