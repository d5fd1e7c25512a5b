#include "sentry/time/timer.h"

#include <algorithm>

namespace runsc {
namespace {

// How long a timer on a clock that may be set sleeps before it looks again.
constexpr int64_t kStepCheck = 60'000'000'000;
// Expiries of a self-repeating timer closer than this are told together.
constexpr int64_t kMinSpacing = 100'000;
// A shorter wait is not worth waking the timer thread for.
constexpr int64_t kSoon = 5'000;

// The queue whose timers this thread is running.
thread_local const TimerQueue* t_queue = nullptr;

// `a + b` for b >= 0, at most kNever.
int64_t AddTime(int64_t a, int64_t b) { return a > kNever - b ? kNever : a + b; }

class SystemClock final : public TimerClock {
 public:
  explicit SystemClock(ClockId id) : id_(id) {}
  int64_t Now() override { return ClockNanos(id_); }
  int64_t EarliestMonotonic(int64_t when) override {
    if (when == kNever) return kNever;
    if (id_ == ClockId::kMonotonic) return when;
    const int64_t left = std::max<int64_t>(0, when - std::min(when, Now()));
    return AddTime(MonotonicNanos(), std::min(left, kStepCheck));
  }

 private:
  const ClockId id_;
};

}  // namespace

TimerClock& SystemTimerClock(ClockId id) {
  static SystemClock monotonic(ClockId::kMonotonic);
  static SystemClock realtime(ClockId::kRealtime);
  static SystemClock boottime(ClockId::kBoottime);
  static SystemClock tai(ClockId::kTai);
  switch (id) {
    case ClockId::kRealtime:
    case ClockId::kRealtimeCoarse:
    case ClockId::kRealtimeAlarm:
      return realtime;
    case ClockId::kBoottime:
    case ClockId::kBoottimeAlarm:
      return boottime;
    case ClockId::kTai:
      return tai;
    case ClockId::kMonotonic:
    case ClockId::kMonotonicRaw:
    case ClockId::kMonotonicCoarse:
      break;
  }
  return monotonic;
}

void TimerQueue::InsertLocked(Timer& t, int64_t deadline) {
  t.queue_.mu_.AssertHeld();  // mu_, under the name the analysis knows it by
  RemoveLocked(t);
  if (deadline == kNever) return;
  t.deadline_ = deadline;
  t.queued_ = true;
  heap_.emplace(deadline, &t);
}

void TimerQueue::RemoveLocked(Timer& t) {
  t.queue_.mu_.AssertHeld();
  if (!t.queued_) return;
  heap_.erase({t.deadline_, &t});
  t.queued_ = false;
}

// Called for a timer whose deadline has come, with running_ or telling_ set, so that it stays alive
// until the listener is called.
int64_t TimerQueue::RunOne(Timer& t) {
  const int64_t now = t.clock_.Now();
  int64_t when = kNever;
  int64_t deadline = kNever;
  uint64_t count = 0;
  uint64_t setting = 0;
  int64_t base = kNever;
  {
    MutexLock l(mu_);
    t.queue_.mu_.AssertHeld();
    setting = t.setting_;
    if (!t.held_ && t.when_ <= now) {
      count = t.TakeExpiriesLocked(now);
      t.held_ = t.repeat_ == Timer::Repeat::kHeld;
    }
    if (!t.held_) when = t.when_;
    base = count == 0 ? 0 : monotonic_.Now();
  }
  if (when != kNever) {
    deadline = t.clock_.EarliestMonotonic(when);
    // At least a little later than now, whatever a clock answers.
    deadline = std::max(deadline, AddTime(base, count != 0 ? kMinSpacing : 1000));
    MutexLock l(mu_);
    t.queue_.mu_.AssertHeld();
    if (t.setting_ == setting && !t.queued_) InsertLocked(t, deadline);
  }
  if (count != 0) t.listener_.OnExpire(count, setting);
  return deadline;
}

bool TimerQueue::OnTimerThread() const { return t_queue == this; }

int64_t TimerQueue::RunDue() {
  t_queue = this;
  const int64_t next = RunAllDue();
  t_queue = nullptr;
  return next;
}

int64_t TimerQueue::RunAllDue() {
  while (true) {
    const int64_t now = monotonic_.Now();
    Timer* due = nullptr;
    {
      MutexLock l(mu_);
      if (heap_.empty()) return kNever;
      if (heap_.begin()->first > now) return heap_.begin()->first;
      due = heap_.begin()->second;
      RemoveLocked(*due);
      running_ = due;
    }
    RunOne(*due);
    // The listener may have destroyed the timer: it is not touched any more.
    MutexLock l(mu_);
    running_ = nullptr;
    idle_.NotifyAll();
  }
}

Timer::Timer(TimerQueue& queue, TimerClock& clock, TimerListener& listener, Repeat repeat)
    : queue_(queue), clock_(clock), listener_(listener), repeat_(repeat) {}

Timer::~Timer() { Cancel(); }

uint64_t Timer::TakeExpiriesLocked(int64_t now) {
  if (when_ > now) return 0;
  uint64_t count = 1;
  if (interval_ > 0) {
    const uint64_t late = static_cast<uint64_t>(now) - static_cast<uint64_t>(when_);
    count += late / static_cast<uint64_t>(interval_);
    when_ = AddTime(when_ + static_cast<int64_t>((count - 1) * static_cast<uint64_t>(interval_)),
                    interval_);
  } else {
    when_ = kNever;
  }
  return count;
}

uint64_t Timer::Set(int64_t when, int64_t interval) {
  const int64_t deadline = clock_.EarliestMonotonic(when);
  uint64_t setting = 0;
  {
    MutexLock l(queue_.mu_);
    when_ = when;
    interval_ = std::max<int64_t>(0, interval);
    held_ = false;
    setting = ++setting_;
    queue_.InsertLocked(*this, deadline);
  }
  if (deadline != kNever) queue_.WakeThread(deadline);
  return setting;
}

void Timer::Cancel() {
  const bool own = queue_.OnTimerThread();
  MutexLock l(queue_.mu_);
  when_ = kNever;
  interval_ = 0;
  ++setting_;
  queue_.RemoveLocked(*this);
  while ((queue_.running_ == this || telling_ != 0) && !own) queue_.idle_.Wait(queue_.mu_);
}

bool Timer::AwaitDue() {
  const int64_t when = Get().when;
  if (when == kNever) return true;
  const int64_t give_up = MonotonicNanos() + kSoon;
  int64_t now = clock_.Now();
  while (now < when && when - now <= kSoon && MonotonicNanos() < give_up) now = clock_.Now();
  return now >= when;
}

void Timer::ExpireIfDue() {
  const bool due = AwaitDue();
  {
    MutexLock l(queue_.mu_);
    // The timer thread may have been first, and is telling: a periodic one is not due then.
    while (queue_.running_ == this) queue_.idle_.Wait(queue_.mu_);
    if (!due) return;
    queue_.RemoveLocked(*this);
    ++telling_;
  }
  const int64_t deadline = queue_.RunOne(*this);
  if (deadline != kNever) queue_.WakeThread(deadline);
  MutexLock l(queue_.mu_);
  if (--telling_ == 0) queue_.idle_.NotifyAll();
}

uint64_t Timer::CatchUp() {
  const int64_t now = clock_.Now();
  uint64_t count = 0;
  uint64_t setting = 0;
  int64_t when = kNever;
  {
    MutexLock l(queue_.mu_);
    if (!held_) return 0;
    count = TakeExpiriesLocked(now);
    held_ = false;
    setting = setting_;
    when = when_;
  }
  if (when == kNever) return count;
  const int64_t deadline = clock_.EarliestMonotonic(when);
  {
    MutexLock l(queue_.mu_);
    if (setting_ != setting || held_) return count;
    queue_.InsertLocked(*this, deadline);
  }
  if (deadline != kNever) queue_.WakeThread(deadline);
  return count;
}

void Timer::Recheck() {
  int64_t when = kNever;
  uint64_t setting = 0;
  {
    MutexLock l(queue_.mu_);
    if (held_ || when_ == kNever) return;
    when = when_;
    setting = setting_;
  }
  const int64_t deadline = clock_.EarliestMonotonic(when);
  {
    MutexLock l(queue_.mu_);
    if (setting_ != setting || held_) return;
    queue_.InsertLocked(*this, deadline);
  }
  if (deadline != kNever) queue_.WakeThread(deadline);
}

Timer::State Timer::Get() {
  MutexLock l(queue_.mu_);
  return {when_, interval_};
}

}  // namespace runsc
