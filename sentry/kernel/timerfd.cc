#include "sentry/kernel/timerfd.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <time.h>

#include "platform/base/strings.h"
#include "sentry/vfs/anon.h"

namespace runsc {

TimerFd::TimerFd(ClockId clock, uint32_t flags, Ref<const Credentials> creds)
    : File(AnonFilePath("timerfd"), O_RDWR | flags, std::move(creds)),
      clock_(clock),
      timer_(TimerQueue::Get(), SystemTimerClock(clock), *this, Timer::Repeat::kHeld) {}

TimerFd::~TimerFd() { timer_.Cancel(); }

void TimerFd::OnExpire(uint64_t count, uint64_t) {
  {
    MutexLock l(mu_);
    ticks_ += count;
  }
  queue_.Notify(EPOLLIN | EPOLLRDNORM);
}

ErrnoOr<uint64_t> TimerFd::TakeTicks() {
  MutexLock l(mu_);
  if (ticks_ == 0) return Errno::kWouldBlock;
  // Expiries since the one that was told.
  uint64_t ticks = ticks_ + timer_.CatchUp();
  ticks_ = 0;
  return ticks;
}

ErrnoOr<size_t> TimerFd::Read(IoContext&, UserOut& dst) {
  if (dst.remaining() < sizeof(uint64_t)) return Errno::kInval;
  uint64_t ticks = TRY(TakeTicks());
  return dst.Put(ticks);
}

TimerSetting TimerFd::Get() { return Remaining(timer_.Get(), ClockNanos(clock_)); }

TimerSetting TimerFd::Set(const TimerSetting& s, bool absolute) {
  TimerSetting old = Get();
  // No expiry of the old setting is told after this.
  timer_.Cancel();
  int64_t now = ClockNanos(clock_);
  int64_t when = s.value;
  if (s.value == 0) {
    when = kNever;
  } else if (!absolute) {
    when = s.value > kNever - now ? kNever : now + s.value;
  }
  {
    MutexLock l(mu_);
    ticks_ = 0;
    absolute_ = absolute;
    timer_.Set(when, s.interval);
  }
  timer_.ExpireIfDue();
  return old;
}

EventMask TimerFd::Poll(EventMask mask) {
  MutexLock l(mu_);
  return ticks_ > 0 ? (EPOLLIN | EPOLLRDNORM) & mask : 0;
}

void TimerFd::AddWaiter(Waiter* w, EventMask mask, bool exclusive) {
  queue_.Add(w, mask, exclusive);
}
void TimerFd::RemoveWaiter(Waiter* w) { queue_.Remove(w); }

std::string TimerFd::FdInfo() {
  TimerSetting now = Get();
  MutexLock l(mu_);
  auto seconds = [](int64_t nanos) { return static_cast<long>(nanos / 1000000000); };
  auto rest = [](int64_t nanos) { return static_cast<long>(nanos % 1000000000); };
  return StrPrintf(
      "clockid: %d\nticks: %lu\nsettime flags: 0%o\nit_value: (%ld, %ld)\nit_interval: (%ld, "
      "%ld)\n",
      static_cast<int>(clock_), static_cast<unsigned long>(ticks_), absolute_ ? TIMER_ABSTIME : 0,
      seconds(now.value), rest(now.value), seconds(now.interval), rest(now.interval));
}

}  // namespace runsc
