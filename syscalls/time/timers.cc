#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#include "platform/abi/signal.h"
#include "sentry/kernel/group_state.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/timerfd.h"
#include "sentry/kernel/timers.h"
#include "syscalls/time/convert.h"
#include "syscalls/time/time.h"

namespace runsc {
namespace {

ProcessTimers& TimersOf(Task& t) { return *t.group().state().timers; }

abi::Itimerspec ToItimerspec(const TimerSetting& s) {
  return {ToTimespec(s.interval), ToTimespec(s.value)};
}
abi::Itimerval ToItimerval(const TimerSetting& s) {
  return {ToTimeval(s.interval), ToTimevalUp(s.value)};
}

ErrnoOr<TimerSetting> ReadItimerspec(Task& t, UserAddr addr) {
  auto spec = TRY(t.mem().Get<abi::Itimerspec>(addr));
  return TimerSetting{TRY(ToNanos(spec.value)), TRY(ToNanos(spec.interval))};
}

ErrnoOr<PosixTimer::Notice> ReadNotice(Task& t, UserAddr event) {
  PosixTimer::Notice n;
  n.signal = Signal(SIGALRM);
  n.value_is_id = true;
  if (event.IsNull()) return n;
  auto e = TRY(t.mem().Get<abi::SigEvent>(event));
  n.value_is_id = false;
  n.value = e.value;
  n.signal = Signal(e.signo);
  switch (e.notify) {
    case SIGEV_NONE:
      n.kind = PosixTimer::Notice::Kind::kNone;
      return n;
    case SIGEV_SIGNAL:
    case SIGEV_THREAD:  // the C library's business: a signal to us
      break;
    case SIGEV_THREAD_ID | SIGEV_SIGNAL: {
      n.kind = PosixTimer::Notice::Kind::kThread;
      n.thread = t.kernel().FindTask(t.pid_ns(), e.tid);
      if (!n.thread || &n.thread->group() != &t.group()) return Errno::kInval;
      break;
    }
    default:
      return Errno::kInval;
  }
  if (!n.signal.IsValid()) return Errno::kInval;
  return n;
}

bool IsAlarm(ClockId c) { return c == ClockId::kRealtimeAlarm || c == ClockId::kBoottimeAlarm; }

ErrnoOr<TimerFd*> AsTimerFd(const Ref<File>& file) {
  auto* fd = dynamic_cast<TimerFd*>(file.get());
  if (fd == nullptr) return Errno::kInval;
  return fd;
}

}  // namespace

ErrnoOr<void> TimerCreate(Task& t, int32_t id, UserAddr event, UserAddr out) {
  GuestClock clock = TRY(FindClock(t, id));
  if (!clock.IsCpu()) {
    ClockId c = clock.system;
    if (c == ClockId::kMonotonicRaw || c == ClockId::kRealtimeCoarse ||
        c == ClockId::kMonotonicCoarse) {
      return Errno::kOpnotsupp;
    }
    if (IsAlarm(c) && !t.creds().HasCap(CAP_WAKE_ALARM)) return Errno::kPerm;
  }
  PosixTimer::Notice notice = TRY(ReadNotice(t, event));
  int32_t timer = TRY(TimersOf(t).Create(std::move(clock), notice, t.state().account));
  Status put = t.mem().Put(out, timer);
  if (!put.ok()) (void)TimersOf(t).Delete(timer);
  return put;
}

ErrnoOr<void> TimerSettime(Task& t, int32_t id, int32_t flags, UserAddr new_value, UserAddr old) {
  if (new_value.IsNull()) return Errno::kInval;
  TimerSetting setting = TRY(ReadItimerspec(t, new_value));
  Ref<PosixTimer> timer = TRY(TimersOf(t).Find(id));
  TimerSetting before = timer->Set(setting, (flags & TIMER_ABSTIME) != 0);
  return old.IsNull() ? Ok() : t.mem().Put(old, ToItimerspec(before));
}

ErrnoOr<void> TimerGettime(Task& t, int32_t id, UserAddr value) {
  Ref<PosixTimer> timer = TRY(TimersOf(t).Find(id));
  return t.mem().Put(value, ToItimerspec(timer->Get()));
}

ErrnoOr<int32_t> TimerGetoverrun(Task& t, int32_t id) {
  return TRY(TimersOf(t).Find(id))->overrun();
}

ErrnoOr<void> TimerDelete(Task& t, int32_t id) { return TimersOf(t).Delete(id); }

ErrnoOr<void> GetitimerCall(Task& t, int32_t which, UserAddr value) {
  if (which < ITIMER_REAL || which > ITIMER_PROF) return Errno::kInval;
  return t.mem().Put(value, ToItimerval(TimersOf(t).GetInterval(which)));
}

ErrnoOr<void> SetitimerCall(Task& t, int32_t which, UserAddr new_value, UserAddr old) {
  TimerSetting setting;
  if (!new_value.IsNull()) {
    auto v = TRY(t.mem().Get<abi::Itimerval>(new_value));
    setting = TimerSetting{TRY(ToNanos(v.value)), TRY(ToNanos(v.interval))};
  }
  if (which < ITIMER_REAL || which > ITIMER_PROF) return Errno::kInval;
  TimerSetting before = TimersOf(t).SetInterval(which, setting);
  return old.IsNull() ? Ok() : t.mem().Put(old, ToItimerval(before));
}

ErrnoOr<uint32_t> Alarm(Task& t, uint32_t seconds) {
  int64_t value = int64_t{seconds} * abi::kNanosPerSecond;
  TimerSetting before = TimersOf(t).SetInterval(ITIMER_REAL, TimerSetting{value, 0});
  // To the nearest second, but never to "no alarm".
  int64_t left = (before.value + abi::kNanosPerSecond / 2) / abi::kNanosPerSecond;
  return static_cast<uint32_t>(left == 0 && before.value != 0 ? 1 : left);
}

ErrnoOr<FdNum> TimerfdCreate(Task& t, int32_t clock, uint32_t flags) {
  if ((flags & ~uint32_t{TFD_CLOEXEC | TFD_NONBLOCK}) != 0) return Errno::kInval;
  auto id = static_cast<ClockId>(clock);
  bool served = id == ClockId::kRealtime || id == ClockId::kMonotonic || id == ClockId::kBoottime ||
                IsAlarm(id);
  if (!served) return Errno::kInval;
  if (IsAlarm(id) && !t.creds().HasCap(CAP_WAKE_ALARM)) return Errno::kPerm;
  auto file = MakeRef<TimerFd>(id, flags & O_NONBLOCK, t.creds_ref());
  return t.fds().Install(std::move(file), (flags & TFD_CLOEXEC) != 0, t.Limit(RLIMIT_NOFILE));
}

// TFD_TIMER_CANCEL_ON_SET is accepted: no guest can set the clock.
ErrnoOr<void> TimerfdSettime(Task& t, FdNum fd, int32_t flags, UserAddr new_value, UserAddr old) {
  TimerSetting setting = TRY(ReadItimerspec(t, new_value));
  if ((flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) != 0) return Errno::kInval;
  Ref<File> file = TRY(t.fds().Get(fd));
  TimerSetting before = TRY(AsTimerFd(file))->Set(setting, (flags & TFD_TIMER_ABSTIME) != 0);
  return old.IsNull() ? Ok() : t.mem().Put(old, ToItimerspec(before));
}

ErrnoOr<void> TimerfdGettime(Task& t, FdNum fd, UserAddr value) {
  Ref<File> file = TRY(t.fds().Get(fd));
  return t.mem().Put(value, ToItimerspec(TRY(AsTimerFd(file))->Get()));
}

}  // namespace runsc
