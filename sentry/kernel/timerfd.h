#ifndef SENTRY_KERNEL_TIMERFD_H_
#define SENTRY_KERNEL_TIMERFD_H_

#include "sentry/kernel/timers.h"
#include "sentry/time/timer.h"
#include "sentry/vfs/file.h"
#include "sentry/wait/wait.h"

namespace runsc {

// timerfd_create(2): reads answer how often the timer expired since the last read.
class TimerFd : public File, private TimerListener {
 public:
  // `clock`: CLOCK_REALTIME, _MONOTONIC, _BOOTTIME or an alarm clock. `flags`: O_NONBLOCK or 0.
  TimerFd(ClockId clock, uint32_t flags, Ref<const Credentials> creds);

  // timerfd_settime(2): ns; 0 disarms. Answers the setting before.
  TimerSetting Set(const TimerSetting& setting, bool absolute);
  TimerSetting Get();

  ErrnoOr<size_t> Read(IoContext& io, UserOut& dst) override;
  ErrnoOr<size_t> Write(IoContext&, UserIn&) override { return Errno::kInval; }
  bool seekable() const override { return false; }
  EventMask Poll(EventMask mask) override;
  void AddWaiter(Waiter* w, EventMask mask, bool exclusive) override;
  void RemoveWaiter(Waiter* w) override;
  std::string FdInfo() override;

 private:
  ~TimerFd() override;
  void OnExpire(uint64_t count, uint64_t setting) override;
  ErrnoOr<uint64_t> TakeTicks();

  const ClockId clock_;
  WaitQueue queue_;
  Mutex<LockRank::kTimerFd> mu_;
  uint64_t ticks_ ABSL_GUARDED_BY(mu_) = 0;
  bool absolute_ ABSL_GUARDED_BY(mu_) = false;
  Timer timer_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TIMERFD_H_
