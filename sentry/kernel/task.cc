#include "sentry/kernel/task.h"

#include <sys/resource.h>

#include "platform/base/log.h"
#include "sentry/kernel/group_state.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/signal_delivery.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/task_tree.h"
#include "sentry/kernel/timers.h"

namespace runsc {

namespace {
constexpr int kCapIpcLock = 14;
}  // namespace

Task::Task(Kernel& kernel, Ref<ThreadGroup> group)
    : kernel_(kernel), group_(std::move(group)), state_(std::make_unique<TaskState>()) {}

Task::~Task() = default;

Tid Task::TidIn(const PidNamespace& ns) const {
  if (!ns.IsAncestorOfOrSame(*pid_ns_)) return 0;
  return state_->ids[ns.depth()].load(std::memory_order_relaxed);
}

Tid Task::own_tid() const {
  return state_->ids[pid_ns_->depth()].load(std::memory_order_relaxed);
}

int64_t Task::StartNanos() const {
  return static_cast<int64_t>(state().start_time.load(std::memory_order_relaxed));
}

std::string Task::name() {
  MutexLock l(mu_);
  return name_;
}

void Task::SetName(std::string_view name) {
  MutexLock l(mu_);
  name_ = std::string(name.substr(0, 15));
}

void Task::SetCreds(Ref<Credentials> creds) {
  const Credentials& old = *creds_;
  bool less_open = creds->euid != old.euid || creds->egid != old.egid ||
                   creds->fsuid != old.fsuid || creds->fsgid != old.fsgid ||
                   (creds->permitted.bits & ~old.permitted.bits) != 0;
  if (less_open) {
    mm_->SetDumpable(0);
    state_->parent_death_signal = Signal();
  }
  if (creds->ruid != old.ruid) {
    Ref<UserAccount> account = kernel_.AccountOf(creds->ruid);
    account->tasks.fetch_add(1, std::memory_order_relaxed);
    state_->account->tasks.fetch_sub(1, std::memory_order_relaxed);
    MutexLock l(group_->state().mu);
    state_->account = std::move(account);
  }
  Ref<const Credentials> dropped = std::move(creds);
  MutexLock l(mu_);
  std::swap(creds_, dropped);
}

Ref<MemoryManager> Task::SharedMm() {
  MutexLock l(mu_);
  return mm_;
}
Ref<FdTable> Task::SharedFds() {
  MutexLock l(mu_);
  return fds_;
}
Ref<FsContext> Task::SharedFs() {
  MutexLock l(mu_);
  return fs_;
}
Ref<const Credentials> Task::SharedCreds() {
  MutexLock l(mu_);
  return creds_;
}

MemoryLimits Task::memory_limits() {
  const ThreadGroup& g = *group_;
  return MemoryLimits{.as = g.SoftLimit(RLIMIT_AS),
                      .data = g.SoftLimit(RLIMIT_DATA),
                      .stack = g.SoftLimit(RLIMIT_STACK),
                      .memlock = g.SoftLimit(RLIMIT_MEMLOCK),
                      .can_lock_any = creds_->HasCap(kCapIpcLock)};
}

uint64_t Task::Limit(int resource) { return group_->SoftLimit(resource); }

Errno Task::Restart(std::unique_ptr<RestartBlock> block) {
  restart_block_ = std::move(block);
  return Errno::kRestartBlock;
}

Blocker::Result Task::Block(int64_t deadline) {
  LoadAverage& load = kernel_.tree().load;
  std::atomic<uint64_t>& switches = state_->voluntary_switches;
  switches.store(switches.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  load.Change(-1);
  state_->run_state.store('S', std::memory_order_relaxed);
  context_->BeforeBlock();
  Blocker::Result result = blocker_.Wait(deadline);
  context_->AfterBlock();
  state_->run_state.store('R', std::memory_order_relaxed);
  load.Change(1);
  ProcessTimers& timers = *group_->state().timers;
  if (timers.on_cpu()) timers.OnThreadRuns();
  return result;
}

Blocker::Result Task::BlockKillable(int64_t deadline) {
  for (;;) {
    blocker_.ClearInterrupt();
    if (exiting()) {
      blocker_.Interrupt();
      return Blocker::Result::kInterrupted;
    }
    Blocker::Result result = Block(deadline);
    if (result == Blocker::Result::kInterrupted) continue;
    // Whatever was cleared above is looked at before the guest runs again.
    blocker_.Interrupt();
    return result;
  }
}

void Task::Interrupt() {
  blocker_.Interrupt();
  if (Current() != this) state_->cpu.InterruptContext();
}

void Task::Exit(ExitStatus status) {
  {
    MutexLock l(group_->state().mu);
    if (!state_->exit_requested.load(std::memory_order_relaxed)) {
      state_->exit_status = status;
      state_->exit_requested.store(true, std::memory_order_release);
    }
  }
  blocker_.Interrupt();
}

bool Task::exiting() const {
  return state_->exit_requested.load(std::memory_order_acquire) ||
         group_->state().exiting.load(std::memory_order_acquire);
}

Errno Task::Unimplemented(const char* what, Errno e) {
  kernel_.CountUnimplemented(*this, what);
  return e;
}

uint64_t Task::UserNanos() { return state_->cpu.UserNanos(); }
uint64_t Task::SystemNanos() { return state_->cpu.SystemNanos(); }

}  // namespace runsc
