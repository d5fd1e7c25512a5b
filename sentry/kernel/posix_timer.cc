#include "sentry/kernel/posix_timer.h"

#include <algorithm>

#include "sentry/kernel/group_state.h"
#include "sentry/kernel/signal_delivery.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/timers.h"

namespace runsc {

int64_t PosixTimer::CpuClock::EarliestMonotonic(int64_t when) {
  if (when == kNever) return kNever;
  if (clock_.kind == GuestClock::Kind::kProcessCpu) {
    return ProcessCpuClock(*clock_.process, clock_.user_only).EarliestMonotonic(when);
  }
  constexpr int64_t kMinLook = 1000000, kSleepingLook = 1000000000;
  bool runs = clock_.thread->state().run_state.load(std::memory_order_relaxed) == 'R';
  int64_t left = std::max(when - Now(), runs ? kMinLook : kSleepingLook);
  int64_t now = MonotonicNanos();
  return left > kNever - now ? kNever : now + left;
}

TimerClock& PosixTimer::ChooseClock() {
  if (clock_.IsCpu()) return cpu_clock_;
  return SystemTimerClock(clock_.system);
}

PosixTimer::PosixTimer(ThreadGroup& group, int32_t id, GuestClock clock, Notice notice,
                       Ref<UserAccount> account)
    : group_(group),
      id_(id),
      clock_(std::move(clock)),
      notice_(std::move(notice)),
      account_(std::move(account)),
      cpu_clock_(clock_),
      timer_(TimerQueue::Get(), ChooseClock(), *this,
             clock_.IsCpu() ? Timer::Repeat::kSelf : Timer::Repeat::kHeld) {
  account_->pending_signals.fetch_add(1, std::memory_order_relaxed);
}

PosixTimer::~PosixTimer() {
  timer_.Cancel();
  account_->pending_signals.fetch_sub(1, std::memory_order_relaxed);
}

void PosixTimer::OnExpire(uint64_t count, uint64_t setting) {
  {
    MutexLock l(mu_);
    if (queued_) {
      pending_overrun_ += count;
      return;
    }
    queued_ = true;
    pending_overrun_ = count - 1;
  }
  uint64_t value = notice_.value_is_id ? static_cast<uint64_t>(id_) : notice_.value;
  SignalInfo info = FromAbi(abi::TimerInfo(notice_.signal, id_, 0, value));
  SendOptions options{.target = notice_.thread.get(), .forced = true};
  options.source = Ref<SignalSource>(this);
  bool queued = false;
  options.queued = &queued;
  (void)SignalDelivery::Send(group_, info, std::move(options));
  if (queued) return;
  {
    MutexLock l(mu_);
    queued_ = false;
  }
  // Ignored: the timer goes on, in case that changes.
  if (holds()) timer_.CatchUp();
}

bool PosixTimer::OnDequeue(SignalInfo* info) {
  MutexLock l(mu_);
  queued_ = false;
  uint64_t overrun = std::exchange(pending_overrun_, 0);
  if (holds()) overrun += timer_.CatchUp();
  last_overrun_ = static_cast<int32_t>(std::min<uint64_t>(overrun, INT32_MAX));
  abi::SigInfo abi_info = ToAbi(*info);
  abi_info.timer.overrun = last_overrun_;
  *info = FromAbi(abi_info);
  return true;
}

void PosixTimer::OnDiscard() {
  MutexLock l(mu_);
  queued_ = false;
  if (holds()) timer_.CatchUp();
}

TimerSetting PosixTimer::Get() {
  int64_t now = clock_.Now();
  if (notice_.kind != Notice::Kind::kNone) return Remaining(timer_.Get(), now);
  MutexLock l(mu_);
  bool over = unwatched_.interval == 0 && unwatched_.when <= now;
  return over ? TimerSetting{} : Remaining(unwatched_, now);
}

TimerSetting PosixTimer::Set(const TimerSetting& s, bool absolute) {
  TimerSetting old = Get();
  // No expiry of the old setting is told after this.
  timer_.Cancel();
  int64_t now = clock_.Now();
  int64_t when = s.value;
  if (s.value == 0) {
    when = kNever;
  } else if (!absolute) {
    when = s.value > kNever - now ? kNever : now + s.value;
  }
  {
    MutexLock l(mu_);
    pending_overrun_ = 0;
    last_overrun_ = 0;
    unwatched_ = {when, s.interval};
  }
  if (notice_.kind == Notice::Kind::kNone) return old;
  timer_.Set(when, s.interval);
  timer_.ExpireIfDue();
  return old;
}

int32_t PosixTimer::overrun() {
  MutexLock l(mu_);
  return last_overrun_;
}

void PosixTimer::Cancel() { timer_.Cancel(); }

void PosixTimer::Recheck() {
  if (clock_.IsCpu()) timer_.Recheck();
}

}  // namespace runsc
