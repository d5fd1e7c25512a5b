#ifndef SENTRY_KERNEL_POSIX_TIMER_H_
#define SENTRY_KERNEL_POSIX_TIMER_H_

#include "sentry/kernel/guest_clock.h"
#include "sentry/kernel/signal.h"
#include "sentry/time/timer.h"

namespace runsc {

struct TimerSetting;

// timer_create(2). At most one signal of a timer is queued; further expiries are its overruns.
class PosixTimer : public SignalSource, private TimerListener {
 public:
  struct Notice {
    enum class Kind { kNone, kProcess, kThread } kind = Kind::kProcess;
    Signal signal;
    uint64_t value = 0;
    bool value_is_id = false;  // no sigevent given: the value is the timer's id
    Ref<Task> thread;          // kThread
  };
  PosixTimer(ThreadGroup& group, int32_t id, GuestClock clock, Notice notice,
             Ref<UserAccount> account);

  // timer_settime(2): value in ns, on the clock itself if `absolute`, 0 to disarm.
  TimerSetting Set(const TimerSetting& setting, bool absolute);
  TimerSetting Get();
  int32_t overrun();
  void Cancel();
  void Recheck();

  // SignalSource.
  bool OnDequeue(SignalInfo* info) override;
  void OnDiscard() override;

 private:
  // A clock that timers can run on for what is no system clock.
  class CpuClock : public TimerClock {
   public:
    explicit CpuClock(const GuestClock& clock) : clock_(clock) {}
    int64_t Now() override { return clock_.Now(); }
    int64_t EarliestMonotonic(int64_t when) override;

   private:
    const GuestClock& clock_;
  };
  ~PosixTimer() override;
  void OnExpire(uint64_t count, uint64_t setting) override;
  TimerClock& ChooseClock();
  // Periodic timers on system clocks wait until their signal was taken; CPU clocks cannot be read
  // with the signal lock held, and only run while the process does anyway.
  bool holds() const { return !clock_.IsCpu(); }

  ThreadGroup& group_;
  const int32_t id_;
  const GuestClock clock_;
  const Notice notice_;
  const Ref<UserAccount> account_;  // charged for the one signal that may be queued
  CpuClock cpu_clock_;
  Mutex<LockRank::kPosixTimer> mu_;
  bool queued_ ABSL_GUARDED_BY(mu_) = false;
  Timer::State unwatched_ ABSL_GUARDED_BY(mu_);  // kNone: nothing runs, the time is just told
  uint64_t pending_overrun_ ABSL_GUARDED_BY(mu_) = 0;
  int32_t last_overrun_ ABSL_GUARDED_BY(mu_) = 0;
  Timer timer_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_POSIX_TIMER_H_
