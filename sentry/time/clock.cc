#include "sentry/time/clock.h"

#include "sentry/time/time_keeper.h"
#include "sentry/time/vdso/vdso_data.h"

namespace runsc {

static_assert(kCoarseNanos == VDSO_COARSE_NANOS);

int64_t MonotonicNanos() { return TimeKeeper::Get().Read(kVdsoMonotonic); }
int64_t RealtimeNanos() { return TimeKeeper::Get().Read(kVdsoRealtime); }
int64_t BoottimeNanos() { return TimeKeeper::Get().ReadBoottime(); }

int64_t CoarseRealtimeNanos() {
  const int64_t now = RealtimeNanos();
  return now - now % kCoarseNanos;
}

bool IsSystemClock(int32_t id) { return id >= 0 && id <= 11 && id != 2 && id != 3 && id != 10; }

int64_t ClockNanos(ClockId id) {
  switch (id) {
    case ClockId::kRealtime:
    case ClockId::kRealtimeAlarm:
      return RealtimeNanos();
    case ClockId::kMonotonic:
      return MonotonicNanos();
    case ClockId::kMonotonicRaw:
      return TimeKeeper::Get().Read(kVdsoRaw);
    case ClockId::kRealtimeCoarse:
      return CoarseRealtimeNanos();
    case ClockId::kMonotonicCoarse: {
      const int64_t now = MonotonicNanos();
      return now - now % kCoarseNanos;
    }
    case ClockId::kBoottime:
    case ClockId::kBoottimeAlarm:
      return BoottimeNanos();
    case ClockId::kTai:
      return TimeKeeper::Get().ReadTai();
  }
  return 0;
}

int64_t ClockResolution(ClockId id) {
  return id == ClockId::kRealtimeCoarse || id == ClockId::kMonotonicCoarse ? kCoarseNanos : 1;
}

}  // namespace runsc
