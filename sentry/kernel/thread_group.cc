#include "sentry/kernel/thread_group.h"

#include <sys/resource.h>

#include "sentry/kernel/group_state.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/signal_delivery.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/task_tree.h"
#include "sentry/kernel/timers.h"

namespace runsc {
namespace {

constexpr uint64_t kInfinity = UINT64_MAX;
constexpr uint64_t kMiB = 1 << 20;

// What a process starts with when nobody says otherwise: Linux's for init, with Debian's
// RLIMIT_MEMLOCK.
ResourceLimit DefaultLimit(int resource) {
  switch (resource) {
    case RLIMIT_STACK:
      return {8 * kMiB, kInfinity};
    case RLIMIT_CORE:
      return {0, kInfinity};
    case RLIMIT_NOFILE:
      return {1024, FdTable::kMaxFiles};
    case RLIMIT_MEMLOCK:
      return {8 * kMiB, 8 * kMiB};
    case RLIMIT_SIGPENDING:
    case RLIMIT_NPROC:
      return {31337, 31337};
    case RLIMIT_MSGQUEUE:
      return {819200, 819200};
    case RLIMIT_NICE:
    case RLIMIT_RTPRIO:
      return {0, 0};
    default:
      return {kInfinity, kInfinity};
  }
}

}  // namespace

void ResourceUse::Add(const ResourceUse& o) {
  user_ns += o.user_ns;
  system_ns += o.system_ns;
  minor_faults += o.minor_faults;
  voluntary_switches += o.voluntary_switches;
  if (o.max_resident > max_resident) max_resident = o.max_resident;
  io.Add(o.io);
}

void IoUse::Add(const IoUse& o) {
  read_bytes += o.read_bytes;
  written_bytes += o.written_bytes;
  reads += o.reads;
  writes += o.writes;
}

GroupState::GroupState(ThreadGroup& group) : timers(std::make_unique<ProcessTimers>(group)) {
  for (int i = 0; i < kLimitCount; ++i) {
    ResourceLimit limit = DefaultLimit(i);
    soft[i].store(limit.soft, std::memory_order_relaxed);
    hard[i].store(limit.hard, std::memory_order_relaxed);
  }
}
GroupState::~GroupState() = default;

ThreadGroup::ThreadGroup(Kernel& kernel, Ref<SignalHandlers> handlers, std::string container_id)
    : kernel_(kernel),
      container_id_(std::move(container_id)),
      handlers_(std::move(handlers)),
      state_(std::make_unique<GroupState>(*this)) {}

ThreadGroup::~ThreadGroup() = default;

Tid ThreadGroup::PidIn(const PidNamespace& ns) const {
  return ns.IsAncestorOfOrSame(*state_->pid_ns) ? state_->pids[ns.depth()] : 0;
}

Ref<Task> ThreadGroup::leader() {
  MutexLock l(kernel_.tree().mu);
  return state_->leader;
}

std::vector<Ref<Task>> ThreadGroup::tasks() {
  MutexLock l(state_->mu);
  return state_->tasks;
}

Ref<ThreadGroup> ThreadGroup::parent() {
  MutexLock l(kernel_.tree().mu);
  return Ref<ThreadGroup>(state_->parent);
}

Ref<ProcessGroup> ThreadGroup::process_group() {
  MutexLock l(kernel_.tree().mu);
  return state_->process_group;
}

Ref<Session> ThreadGroup::session() {
  MutexLock l(kernel_.tree().mu);
  return state_->process_group ? state_->process_group->session() : Ref<Session>();
}

SignalSet ThreadGroup::PendingSet() {
  MutexLock l(state_->mu);
  return state_->pending.set();
}

void ThreadGroup::Exit(ExitStatus status) {
  MutexLock l(state_->mu);
  SignalDelivery::ExitLocked(*state_, status);
}

bool ThreadGroup::exiting() { return state_->exiting.load(std::memory_order_acquire); }

ResourceLimit ThreadGroup::GetLimit(int resource) {
  return {state_->soft[resource].load(std::memory_order_relaxed),
          state_->hard[resource].load(std::memory_order_relaxed)};
}

void ThreadGroup::SetLimit(int resource, const ResourceLimit& limit) {
  state_->soft[resource].store(limit.soft, std::memory_order_relaxed);
  state_->hard[resource].store(limit.hard, std::memory_order_relaxed);
  if (resource == RLIMIT_CPU) state_->timers->WatchCpuLimit();
}

uint64_t ThreadGroup::SoftLimit(int resource) const {
  return state_->soft[resource].load(std::memory_order_relaxed);
}

uint64_t ThreadGroup::UserNanos() {
  MutexLock tree(kernel_.tree().mu);
  uint64_t sum = state_->dead_threads.user_ns;
  MutexLock l(state_->mu);
  for (const Ref<Task>& t : state_->tasks) sum += t->UserNanos();
  return sum;
}

uint64_t ThreadGroup::SystemNanos() {
  MutexLock tree(kernel_.tree().mu);
  uint64_t sum = state_->dead_threads.system_ns;
  MutexLock l(state_->mu);
  for (const Ref<Task>& t : state_->tasks) sum += t->SystemNanos();
  return sum;
}

ResourceUse ThreadGroup::ChildrenUse() {
  MutexLock tree(kernel_.tree().mu);
  return state_->dead_children;
}

bool ThreadGroup::HasExited() {
  MutexLock l(kernel_.tree().mu);
  return state_->zombie;
}

}  // namespace runsc
