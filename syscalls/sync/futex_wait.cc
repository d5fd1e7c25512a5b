#include "syscalls/sync/futex_wait.h"

#include <time.h>

#include <deque>
#include <memory>

#include "sentry/kernel/futex.h"
#include "sentry/time/clock.h"
#include "syscalls/dispatch/blocking.h"

namespace runsc {
namespace {

constexpr int64_t kSecond = 1000000000;

class FutexRestart : public RestartBlock {
 public:
  FutexRestart(const FutexTarget& target, const FutexDeadline& deadline)
      : target_(target), deadline_(deadline) {}
  ErrnoOr<int64_t> Restart(Task& t) override {
    return static_cast<int64_t>(TRY(WaitForFutex(t, target_, deadline_)));
  }

 private:
  const FutexTarget target_;
  const FutexDeadline deadline_;
};

// The deadline on the clock that the blocker sleeps by.
int64_t MonotonicDeadline(const FutexDeadline& d) {
  if (!d.set) return Blocker::kForever;
  if (!d.realtime) return d.at;
  int64_t now = MonotonicNanos();
  int64_t left = d.at - RealtimeNanos();
  if (left <= 0) return 0;
  return left >= Blocker::kForever - now ? Blocker::kForever : now + left;
}

FutexWord WordOf(Task& t, const FutexTarget& target) {
  return {t.mem(), target.addr, target.process_private};
}

// Sleeps until `done()`, which looks at woken flags.
template <typename Done>
Status SleepUntil(Task& t, const FutexDeadline& deadline, Done done) {
  for (;;) {
    if (done()) return Ok();
    Status s = WaitOnce(t, MonotonicDeadline(deadline));
    if (s.ok()) continue;
    // The real-time clock may have been set back meanwhile.
    if (s.error() == Errno::kTimedout && deadline.realtime && deadline.at > RealtimeNanos()) {
      continue;
    }
    return s;
  }
}

}  // namespace

ErrnoOr<FutexDeadline> ReadFutexDeadline(Task& t, UserAddr timeout, bool absolute,
                                         bool realtime) {
  FutexDeadline d;
  if (timeout.IsNull()) return d;
  timespec ts = TRY(t.mem().Get<timespec>(timeout));
  if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= kSecond) return Errno::kInval;
  d.set = true;
  d.realtime = absolute && realtime;
  constexpr int64_t kMax = Blocker::kForever - 1;
  d.at = ts.tv_sec >= kMax / kSecond ? kMax : ts.tv_sec * kSecond + ts.tv_nsec;
  if (!absolute) {
    int64_t now = MonotonicNanos();
    d.at = d.at >= kMax - now ? kMax : now + d.at;
  }
  return d;
}

ErrnoOr<int32_t> WaitForFutex(Task& t, const FutexTarget& target, const FutexDeadline& deadline) {
  if (target.bitset == 0) return Errno::kInval;
  FutexTable& table = FutexTable::Get();
  FutexWaiter waiter(&t.blocker(), &t);
  t.blocker().ClearWake();
  TRY(table.Enqueue(WordOf(t, target), target.value, target.bitset, &waiter));
  Status s = SleepUntil(t, deadline, [&waiter] { return waiter.woken(); });
  if (s.ok() || table.Dequeue(&waiter)) return 0;
  if (s.error() == Errno::kRestartSys && deadline.set) {
    return t.Restart(std::make_unique<FutexRestart>(target, deadline));
  }
  return s.error();
}

ErrnoOr<int32_t> WaitForFutexes(Task& t, const std::vector<FutexTarget>& targets,
                                const FutexDeadline& deadline) {
  FutexTable& table = FutexTable::Get();
  std::deque<FutexWaiter> waiters;
  t.blocker().ClearWake();
  Status status = Ok();
  for (const FutexTarget& target : targets) {
    FutexWaiter& w = waiters.emplace_back(&t.blocker(), &t);
    status = table.Enqueue(WordOf(t, target), target.value, target.bitset, &w);
    if (!status.ok()) {
      waiters.pop_back();
      break;
    }
  }
  if (status.ok()) {
    status = SleepUntil(t, deadline, [&waiters] {
      for (FutexWaiter& w : waiters) {
        if (w.woken()) return true;
      }
      return false;
    });
  }
  int32_t woken = -1;
  for (size_t i = 0; i < waiters.size(); ++i) {
    if (table.Dequeue(&waiters[i])) woken = static_cast<int32_t>(i);
  }
  // A wake that came counts, even if the call is to fail.
  if (woken >= 0) return woken;
  return status.error();
}

}  // namespace runsc
