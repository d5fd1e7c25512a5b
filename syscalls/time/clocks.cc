#include <sys/timex.h>

#include "sentry/kernel/guest_clock.h"
#include "syscalls/time/convert.h"
#include "syscalls/time/time.h"

namespace runsc {

ErrnoOr<void> ClockGettime(Task& t, int32_t clock, UserAddr tp) {
  GuestClock c = TRY(FindClock(t, clock));
  return t.mem().Put(tp, ToTimespec(c.Now()));
}

ErrnoOr<void> ClockGetres(Task& t, int32_t clock, UserAddr tp) {
  GuestClock c = TRY(FindClock(t, clock));
  if (tp.IsNull()) return Ok();
  return t.mem().Put(tp, ToTimespec(c.IsCpu() ? 1 : ClockResolution(c.system)));
}

ErrnoOr<void> ClockSettime(Task& t, int32_t clock, UserAddr tp) {
  GuestClock c = TRY(FindClock(t, clock));
  // Clocks of other processes can be set in principle.
  if (clock != CLOCK_REALTIME && clock >= 0) return Errno::kInval;
  TRY(ToNanos(TRY(t.mem().Get<abi::Timespec>(tp))));
  return t.Unimplemented("clock_settime", Errno::kPerm);  // the clock is the host's
}

ErrnoOr<void> Gettimeofday(Task& t, UserAddr tv, UserAddr tz) {
  if (!tv.IsNull()) TRY(t.mem().Put(tv, ToTimeval(RealtimeNanos())));
  if (!tz.IsNull()) TRY(t.mem().Put(tz, abi::Timezone{}));
  return Ok();
}

ErrnoOr<int64_t> TimeCall(Task& t, UserAddr out) {
  int64_t seconds = CoarseRealtimeNanos() / abi::kNanosPerSecond;
  if (!out.IsNull()) TRY(t.mem().Put(out, seconds));
  return seconds;
}

// Read only: the clock is disciplined by the host, which a sandbox may not see into.
ErrnoOr<int32_t> Adjtimex(Task& t, UserAddr buf) {
  auto timex = TRY(t.mem().Get<abi::Timex>(buf));
  constexpr uint32_t kReadOnlyModes = ADJ_OFFSET_SS_READ;
  if (timex.modes != 0 && timex.modes != kReadOnlyModes) return Errno::kPerm;
  uint32_t modes = timex.modes;
  timex = abi::Timex{};
  timex.modes = modes;
  timex.maxerror = timex.esterror = 16000000;  // NTP_PHASE_LIMIT: not known to be synchronized
  timex.status = STA_UNSYNC;
  timex.constant = 2;
  timex.precision = 1;
  timex.tolerance = 32768000;
  timex.tick = 10000;
  timex.time = ToTimeval(RealtimeNanos());
  TRY(t.mem().Put(buf, timex));
  return TIME_ERROR;
}

ErrnoOr<int32_t> ClockAdjtime(Task& t, int32_t clock, UserAddr buf) {
  (void)TRY(t.mem().Get<abi::Timex>(buf));
  GuestClock c = TRY(FindClock(t, clock));
  if (c.IsCpu() || c.system != ClockId::kRealtime) return Errno::kOpnotsupp;
  return Adjtimex(t, buf);
}

}  // namespace runsc
