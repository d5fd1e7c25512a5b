#include <linux/capability.h>
#include <time.h>

#include <algorithm>

#include "sentry/kernel/guest_clock.h"
#include "syscalls/dispatch/blocking.h"
#include "syscalls/time/convert.h"
#include "syscalls/time/time.h"

namespace runsc {
namespace {

// CPU clocks cannot be slept on directly: they advance at most as fast as all CPUs together.
constexpr int64_t kMinCpuSleep = 1000000;

bool CanSleepOn(const GuestClock& clock) {
  return clock.IsCpu() ||
         (clock.system != ClockId::kMonotonicRaw && clock.system != ClockId::kRealtimeCoarse &&
          clock.system != ClockId::kMonotonicCoarse);
}

bool IsAlarmClock(const GuestClock& clock) {
  return !clock.IsCpu() &&
         (clock.system == ClockId::kRealtimeAlarm || clock.system == ClockId::kBoottimeAlarm);
}

// Sleeps until `clock` shows `target`; kRestartSys if interrupted.
Status SleepUntil(Task& t, const GuestClock& clock, int64_t target) {
  for (;;) {
    int64_t left = target - clock.Now();
    if (left <= 0) return Ok();
    int64_t deadline = clock.IsCpu()
                           ? SaturatingAdd(MonotonicNanos(), std::max(left / 4, kMinCpuSleep))
                           : MonotonicDeadline(clock.system, target);
    t.blocker().ClearWake();
    Status slept = WaitOnce(t, deadline);
    if (!slept.ok() && slept.error() != Errno::kTimedout) return slept;
  }
}

class SleepRestart final : public RestartBlock {
 public:
  SleepRestart(GuestClock clock, int64_t target, UserAddr remaining)
      : clock_(std::move(clock)), target_(target), remaining_(remaining) {}
  ErrnoOr<int64_t> Restart(Task& t) override;

 private:
  const GuestClock clock_;
  const int64_t target_;
  const UserAddr remaining_;
};

ErrnoOr<int64_t> RelativeSleep(Task& t, const GuestClock& clock, int64_t target,
                               UserAddr remaining) {
  if (SleepUntil(t, clock, target).ok()) return int64_t{0};
  int64_t left = target - clock.Now();
  if (left <= 0) return int64_t{0};
  if (!remaining.IsNull()) TRY(t.mem().Put(remaining, ToTimespec(left)));
  return t.Restart(std::make_unique<SleepRestart>(clock, target, remaining));
}

ErrnoOr<int64_t> SleepRestart::Restart(Task& t) {
  return RelativeSleep(t, clock_, target_, remaining_);
}

}  // namespace

ErrnoOr<int64_t> Nanosleep(Task& t, UserAddr request, UserAddr remaining) {
  return ClockNanosleep(t, CLOCK_MONOTONIC, 0, request, remaining);
}

ErrnoOr<int64_t> ClockNanosleep(Task& t, int32_t id, int32_t flags, UserAddr request,
                                UserAddr remaining) {
  GuestClock clock = TRY(FindClock(t, id));
  if (id == CLOCK_THREAD_CPUTIME_ID || !CanSleepOn(clock)) return Errno::kOpnotsupp;
  int64_t nanos = TRY(ToNanos(TRY(t.mem().Get<abi::Timespec>(request))));
  if (clock.kind == GuestClock::Kind::kThreadCpu && clock.thread.get() == &t) return Errno::kInval;
  if (IsAlarmClock(clock) && !t.creds().HasCap(CAP_WAKE_ALARM)) return Errno::kPerm;
  if ((flags & TIMER_ABSTIME) != 0) {
    Status slept = SleepUntil(t, clock, nanos);
    return slept.ok() ? ErrnoOr<int64_t>(int64_t{0}) : Errno::kRestartNoHand;
  }
  // A relative sleep on the realtime clock is not moved when that is set (POSIX).
  if (!clock.IsCpu()) clock.system = ClockId::kMonotonic;
  return RelativeSleep(t, clock, SaturatingAdd(clock.Now(), nanos), remaining);
}

}  // namespace runsc
