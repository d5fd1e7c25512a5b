#ifndef SENTRY_KERNEL_TIMERS_H_
#define SENTRY_KERNEL_TIMERS_H_

#include <array>
#include <map>
#include <memory>

#include "platform/base/mutex.h"
#include "sentry/kernel/guest_clock.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/time/timer.h"

namespace runsc {

// What a timer is set to, as the guest reads it: ns until the next expiry (0: disarmed).
struct TimerSetting {
  int64_t value = 0;
  int64_t interval = 0;
};
// `state` of a timer as a guest sees it at `now`: past expiries of a periodic timer are skipped.
TimerSetting Remaining(const Timer::State& state, int64_t now);

// CPU time of a process as a clock for timers. A timer on it looks again whenever the process
// could have used up what is left, and not at all (but once a second) while all threads sleep.
class ProcessCpuClock : public TimerClock {
 public:
  ProcessCpuClock(ThreadGroup& group, bool user_only) : group_(group), user_only_(user_only) {}
  int64_t Now() override;
  int64_t EarliestMonotonic(int64_t when) override;

 private:
  ThreadGroup& group_;
  const bool user_only_;
};

// The timers of a process: POSIX timers, the three of setitimer(2), and RLIMIT_CPU's.
class ProcessTimers {
 public:
  explicit ProcessTimers(ThreadGroup& group);
  ~ProcessTimers();

  // setitimer(2): ITIMER_REAL, _VIRTUAL, _PROF. Value and interval in ns from now; answers the
  // setting before.
  TimerSetting SetInterval(int which, const TimerSetting& setting);
  TimerSetting GetInterval(int which);

  // timer_create(2). EAGAIN beyond RLIMIT_SIGPENDING.
  ErrnoOr<int32_t> Create(GuestClock clock, const PosixTimer::Notice& notice,
                          Ref<UserAccount> account);
  // EINVAL if there is none.
  ErrnoOr<Ref<PosixTimer>> Find(int32_t id);
  Status Delete(int32_t id);
  void DeleteAll();

  // RLIMIT_CPU changed.
  void WatchCpuLimit();
  // A thread goes on after sleeping: CPU clocks run.
  void OnThreadRuns();
  bool on_cpu() const { return on_cpu_.load(std::memory_order_relaxed); }
  // Ends them all; no new ones.
  void Close();

 private:
  class Interval;
  class CpuLimit;
  Interval* GetOrMake(int which) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  ThreadGroup& group_;
  std::atomic<bool> on_cpu_{false};  // some timer counts CPU time
  Mutex<LockRank::kItimer> mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  int32_t next_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<int32_t, Ref<PosixTimer>> posix_ ABSL_GUARDED_BY(mu_);
  std::array<std::unique_ptr<Interval>, 3> intervals_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<CpuLimit> limit_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TIMERS_H_
