#ifndef SENTRY_TIME_TIMER_H_
#define SENTRY_TIME_TIMER_H_

#include <cstdint>
#include <memory>
#include <set>
#include <utility>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "sentry/time/clock.h"

namespace runsc {

// "Not at any time": a disarmed timer, or a clock that stands still.
inline constexpr int64_t kNever = INT64_MAX;

// A clock that timers run against. Called with no lock of the timers held.
class TimerClock {
 public:
  virtual ~TimerClock() = default;
  virtual int64_t Now() = 0;
  // The earliest monotonic time at which Now() may reach `when`. For a clock that does not run
  // evenly: asked again then. kNever: not before someone calls Recheck on the timer.
  virtual int64_t EarliestMonotonic(int64_t when) = 0;
};

// CLOCK_MONOTONIC, CLOCK_REALTIME (follows steps within a minute), CLOCK_BOOTTIME, and the alarm
// and TAI clocks. They live for ever.
TimerClock& SystemTimerClock(ClockId id);

class TimerListener {
 public:
  virtual ~TimerListener() = default;
  // The timer expired `count` (>= 1) times since it was last told. `setting` is what Set answered:
  // an expiry of an older setting may still arrive after a Set, and is told by it. Called on the
  // timer thread, or by ExpireIfDue, with no lock held.
  virtual void OnExpire(uint64_t count, uint64_t setting) = 0;
};

class Timer;

// All timers of the sandbox, and the thread that runs them while any is armed.
class TimerQueue {
 public:
  // The sandbox's queue; lives for ever.
  static TimerQueue& Get();

  // For tests: `threaded` false leaves it to RunDue.
  explicit TimerQueue(TimerClock& monotonic, bool threaded = true);
  // All timers are gone by then.
  ~TimerQueue();
  TimerQueue(const TimerQueue&) = delete;

  // Starts the thread. Boot does, while the guest cannot be the reason for the host to refuse it
  // (EAGAIN): setitimer(2) and its like have no error for that. Else the first timer does.
  Status Start();
  // Runs what is due now; answers the monotonic time to come back at.
  int64_t RunDue();

 private:
  friend class Timer;
  struct Thread;  // timer_thread_host.cc

  void InsertLocked(Timer& t, int64_t deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RemoveLocked(Timer& t) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  int64_t RunAllDue();
  // Answers the deadline at which to come back for it.
  int64_t RunOne(Timer& t);
  bool OnTimerThread() const;
  Status StartLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WakeThread(int64_t deadline);

  TimerClock& monotonic_;
  const bool threaded_;
  Mutex<LockRank::kTimer> mu_;
  std::set<std::pair<int64_t, Timer*>> heap_ ABSL_GUARDED_BY(mu_);
  Timer* running_ ABSL_GUARDED_BY(mu_) = nullptr;  // its clock or listener is being called
  CondVar idle_;                                   // running_ became null
  std::unique_ptr<Thread> thread_ ABSL_GUARDED_BY(mu_);
};

// One timer. Thread-safe, except that it must not be destroyed while another thread uses it.
class Timer {
 public:
  enum class Repeat {
    kSelf,  // a periodic timer tells of every expiry
    kHeld,  // a periodic timer tells once, and goes on counting when CatchUp is called: nothing
            // runs for expiries that nobody has taken yet, however short the interval
  };
  struct State {
    int64_t when = kNever;  // next expiry on the timer's clock
    int64_t interval = 0;
  };

  Timer(TimerQueue& queue, TimerClock& clock, TimerListener& listener,
        Repeat repeat = Repeat::kSelf);
  // Cancels.
  ~Timer();
  Timer(const Timer&) = delete;

  // Arms it for the time `when` of its clock and every `interval` ns after (0: once); kNever
  // disarms. Answers the number of this setting.
  uint64_t Set(int64_t when, int64_t interval);
  // For whoever has just set it: if it is due, or so soon that waking the timer thread would take
  // longer, tells the listener before it returns. The caller holds no lock that OnExpire takes.
  void ExpireIfDue();
  // Disarms; after it returns the listener is not running and will not be called for earlier
  // settings. From within OnExpire it does not wait for itself. The caller holds no lock that
  // OnExpire takes.
  void Cancel();
  // For kHeld: expiries since the last count told, which the caller takes; arms the next one.
  uint64_t CatchUp();
  // The timer's clock has begun to run, or faster.
  void Recheck();

  State Get();
  TimerClock& clock() { return clock_; }

 private:
  friend class TimerQueue;

  // Whether there is nothing left to wait for; waits if that is about to be.
  bool AwaitDue();
  // Expiries up to `now`, moving when_ on.
  uint64_t TakeExpiriesLocked(int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(queue_.mu_);

  TimerQueue& queue_;
  TimerClock& clock_;
  TimerListener& listener_;
  const Repeat repeat_;
  int64_t when_ ABSL_GUARDED_BY(queue_.mu_) = kNever;
  int64_t interval_ ABSL_GUARDED_BY(queue_.mu_) = 0;
  uint64_t setting_ ABSL_GUARDED_BY(queue_.mu_) = 0;
  bool held_ ABSL_GUARDED_BY(queue_.mu_) = false;  // kHeld: told, waits for CatchUp
  int telling_ ABSL_GUARDED_BY(queue_.mu_) = 0;    // threads in ExpireIfDue
  bool queued_ ABSL_GUARDED_BY(queue_.mu_) = false;
  int64_t deadline_ ABSL_GUARDED_BY(queue_.mu_) = 0;  // in the heap
};

}  // namespace runsc

#endif  // SENTRY_TIME_TIMER_H_
