#include "sentry/kernel/timers.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <algorithm>

#include "sentry/kernel/group_state.h"
#include "sentry/kernel/task_state.h"

namespace runsc {
namespace {

constexpr int64_t kSecond = 1000000000;
constexpr int64_t kMinCpuLook = 1000000;

}  // namespace

TimerSetting Remaining(const Timer::State& state, int64_t now) {
  if (state.when == kNever) return {0, state.interval};
  int64_t left = state.when - now;
  if (left <= 0 && state.interval > 0) left += (-left / state.interval + 1) * state.interval;
  // An armed timer never reads as zero.
  return {std::max<int64_t>(left, 1), state.interval};
}

int64_t ProcessCpuClock::Now() {
  return static_cast<int64_t>(group_.UserNanos() + (user_only_ ? 0 : group_.SystemNanos()));
}

int64_t ProcessCpuClock::EarliestMonotonic(int64_t when) {
  if (when == kNever) return kNever;
  int64_t running = 0;
  for (const Ref<Task>& t : group_.tasks()) {
    char state = t->state().run_state.load(std::memory_order_relaxed);
    if (state == 'R') ++running;
  }
  int64_t left = std::max<int64_t>(when - Now(), 0);
  int64_t pause = running == 0 ? std::max(left, kSecond) : std::max(left / running, kMinCpuLook);
  int64_t now = MonotonicNanos();
  return pause > kNever - now ? kNever : now + pause;
}

// One of setitimer(2).
class ProcessTimers::Interval : public TimerListener {
 public:
  Interval(ThreadGroup& group, int which)
      : group_(group),
        signal_(which == ITIMER_REAL ? SIGALRM : which == ITIMER_VIRTUAL ? SIGVTALRM : SIGPROF),
        cpu_(group, which == ITIMER_VIRTUAL),
        timer_(TimerQueue::Get(),
               which == ITIMER_REAL ? SystemTimerClock(ClockId::kMonotonic) : cpu_, *this) {}
  ~Interval() override { timer_.Cancel(); }

  TimerSetting Get() { return Remaining(timer_.Get(), timer_.clock().Now()); }
  void Set(const TimerSetting& s) {
    int64_t now = timer_.clock().Now();
    int64_t when = s.value == 0 ? kNever : s.value > kNever - now ? kNever : now + s.value;
    timer_.Set(when, s.interval);
    timer_.ExpireIfDue();
  }
  void OnExpire(uint64_t, uint64_t) override { group_.SendSignal(KernelSignalInfo(signal_)); }
  void Recheck() { timer_.Recheck(); }

 private:
  ThreadGroup& group_;
  const Signal signal_;
  ProcessCpuClock cpu_;
  Timer timer_;
};

// RLIMIT_CPU: SIGXCPU at the soft limit and every second after, SIGKILL at the hard limit.
class ProcessTimers::CpuLimit : public TimerListener {
 public:
  explicit CpuLimit(ThreadGroup& group)
      : group_(group), cpu_(group, false), timer_(TimerQueue::Get(), cpu_, *this) {}
  ~CpuLimit() override { timer_.Cancel(); }

  void Watch() {
    ResourceLimit l = group_.GetLimit(RLIMIT_CPU);
    uint64_t first = std::min(l.soft, l.hard);
    constexpr uint64_t kMost = INT64_MAX / kSecond;
    timer_.Set(first > kMost ? kNever : static_cast<int64_t>(first) * kSecond, 0);
  }
  void OnExpire(uint64_t, uint64_t) override {
    ResourceLimit l = group_.GetLimit(RLIMIT_CPU);
    int64_t used = cpu_.Now();
    if (static_cast<uint64_t>(used / kSecond) >= l.hard) {
      group_.Exit(ExitStatus{.signal = SIGKILL});
      return;
    }
    group_.SendSignal(KernelSignalInfo(Signal(SIGXCPU)));
    timer_.Set((used / kSecond + 1) * kSecond, 0);
  }
  void Recheck() { timer_.Recheck(); }

 private:
  ThreadGroup& group_;
  ProcessCpuClock cpu_;
  Timer timer_;
};

ProcessTimers::ProcessTimers(ThreadGroup& group) : group_(group) {}
ProcessTimers::~ProcessTimers() { Close(); }

ProcessTimers::Interval* ProcessTimers::GetOrMake(int which) {
  if (closed_) return nullptr;
  std::unique_ptr<Interval>& i = intervals_[which];
  if (i == nullptr) i = std::make_unique<Interval>(group_, which);
  return i.get();
}

// The lock only guards the table: only the process's own threads set, and nothing is taken out
// while they run.
TimerSetting ProcessTimers::SetInterval(int which, const TimerSetting& setting) {
  Interval* i;
  {
    MutexLock l(mu_);
    i = GetOrMake(which);
  }
  if (i == nullptr) return {};
  TimerSetting old = i->Get();
  if (which != ITIMER_REAL) on_cpu_.store(true, std::memory_order_relaxed);
  i->Set(setting);
  return old;
}

TimerSetting ProcessTimers::GetInterval(int which) {
  Interval* i;
  {
    MutexLock l(mu_);
    i = intervals_[which].get();
  }
  return i == nullptr ? TimerSetting{} : i->Get();
}

ErrnoOr<int32_t> ProcessTimers::Create(GuestClock clock, const PosixTimer::Notice& notice,
                                       Ref<UserAccount> account) {
  bool cpu = clock.IsCpu();
  MutexLock l(mu_);
  uint64_t held = account->pending_signals.load(std::memory_order_relaxed);
  if (closed_ || held >= group_.SoftLimit(RLIMIT_SIGPENDING)) return Errno::kAgain;
  while (posix_.count(next_id_) != 0) next_id_ = next_id_ == INT32_MAX ? 0 : next_id_ + 1;
  int32_t id = next_id_++;
  if (next_id_ < 0) next_id_ = 0;
  posix_.emplace(id, MakeRef<PosixTimer>(group_, id, std::move(clock), notice, std::move(account)));
  if (cpu) on_cpu_.store(true, std::memory_order_relaxed);
  return id;
}

ErrnoOr<Ref<PosixTimer>> ProcessTimers::Find(int32_t id) {
  MutexLock l(mu_);
  auto it = posix_.find(id);
  if (it == posix_.end()) return Errno::kInval;
  return it->second;
}

Status ProcessTimers::Delete(int32_t id) {
  Ref<PosixTimer> timer;
  {
    MutexLock l(mu_);
    auto it = posix_.find(id);
    if (it == posix_.end()) return Errno::kInval;
    timer = std::move(it->second);
    posix_.erase(it);
  }
  timer->Cancel();
  return Ok();
}

void ProcessTimers::DeleteAll() {
  std::map<int32_t, Ref<PosixTimer>> dropped;
  {
    MutexLock l(mu_);
    dropped.swap(posix_);
    next_id_ = 0;
  }
  for (const auto& [id, timer] : dropped) timer->Cancel();
}

void ProcessTimers::WatchCpuLimit() {
  CpuLimit* limit;
  {
    MutexLock l(mu_);
    if (closed_) return;
    bool limited = group_.SoftLimit(RLIMIT_CPU) != UINT64_MAX;
    if (limit_ == nullptr && !limited) return;
    if (limit_ == nullptr) limit_ = std::make_unique<CpuLimit>(group_);
    limit = limit_.get();
  }
  on_cpu_.store(true, std::memory_order_relaxed);
  limit->Watch();
}

void ProcessTimers::OnThreadRuns() {
  std::vector<Ref<PosixTimer>> posix;
  std::array<Interval*, 3> intervals;
  CpuLimit* limit;
  {
    MutexLock l(mu_);
    for (const auto& [id, timer] : posix_) posix.push_back(timer);
    for (int i = 0; i < 3; ++i) intervals[i] = intervals_[i].get();
    limit = limit_.get();
  }
  for (const Ref<PosixTimer>& timer : posix) timer->Recheck();
  if (intervals[ITIMER_VIRTUAL] != nullptr) intervals[ITIMER_VIRTUAL]->Recheck();
  if (intervals[ITIMER_PROF] != nullptr) intervals[ITIMER_PROF]->Recheck();
  if (limit != nullptr) limit->Recheck();
}

void ProcessTimers::Close() {
  DeleteAll();
  std::array<std::unique_ptr<Interval>, 3> intervals;
  std::unique_ptr<CpuLimit> limit;
  MutexLock l(mu_);
  closed_ = true;
  intervals.swap(intervals_);
  limit = std::move(limit_);
  // They die after the lock: their destructors wait for a listener that may be running.
}

}  // namespace runsc
