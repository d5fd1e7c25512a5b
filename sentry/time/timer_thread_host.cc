#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include <atomic>

#include "platform/base/log.h"
#include "platform/host/thread.h"
#include "sentry/time/timer.h"
#include "sentry/wait/wait.h"

namespace runsc {
struct TimerQueue::Thread {
  Blocker blocker;
  std::atomic<bool> stop{false};
  // Until when the thread sleeps, or -1 while it runs: an earlier deadline must wake it.
  std::atomic<int64_t> sleeps_until{-1};
  host::Thread thread;

  void Main(TimerQueue& queue) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    pthread_setname_np(pthread_self(), "timers");
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    while (!stop.load()) {
      // Seen by WakeThread before the heap is looked at, so a new deadline is not missed.
      sleeps_until.store(kNever);
      const int64_t until = queue.RunDue();
      sleeps_until.store(until);
      blocker.Wait(until);
    }
  }
};

TimerQueue& TimerQueue::Get() {
  static auto* queue = new TimerQueue(SystemTimerClock(ClockId::kMonotonic));
  return *queue;
}

TimerQueue::TimerQueue(TimerClock& monotonic, bool threaded)
    : monotonic_(monotonic), threaded_(threaded) {}

TimerQueue::~TimerQueue() {
  Thread* thread = nullptr;
  {
    MutexLock l(mu_);
    thread = thread_.get();
  }
  if (thread == nullptr) return;
  thread->stop.store(true);
  thread->blocker.Wake();
  thread->thread.Join();
}

Status TimerQueue::Start() {
  MutexLock l(mu_);
  return thread_ == nullptr ? StartLocked() : Ok();
}

Status TimerQueue::StartLocked() {
  auto thread = std::make_unique<Thread>();
  TRY(thread->thread.Start([this, t = thread.get()] { t->Main(*this); }));
  thread_ = std::move(thread);
  return Ok();
}

void TimerQueue::WakeThread(int64_t deadline) {
  if (!threaded_) return;
  Thread* thread = nullptr;
  {
    MutexLock l(mu_);
    if (thread_ == nullptr) {
      CHECK_OR_PANIC(StartLocked().ok());
      return;
    }
    thread = thread_.get();
  }
  if (!OnTimerThread() && deadline < thread->sleeps_until.load()) thread->blocker.Wake();
}

}  // namespace runsc
