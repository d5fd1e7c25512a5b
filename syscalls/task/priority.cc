#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_state.h"
#include "syscalls/task/sched_target.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

// include/uapi/linux/ioprio.h, which C++ cannot read.
constexpr int32_t kIoWhoProcess = 1, kIoWhoGroup = 2, kIoWhoUser = 3;
constexpr int32_t kIoClassNone = 0, kIoClassRt = 1, kIoClassBe = 2, kIoClassIdle = 3;
constexpr int32_t IoClass(int32_t p) { return p >> 13; }
constexpr int32_t IoData(int32_t p) { return p & 0x1fff; }

enum class Scope { kThread, kGroup, kUser };

// The tasks that `who` names: a thread, the threads of a process group, or all of a user.
ErrnoOr<std::vector<Ref<Task>>> FindTasks(Task& t, Scope scope, int32_t who) {
  std::vector<Ref<Task>> out;
  switch (scope) {
    case Scope::kThread:
      out.push_back(who == 0 ? Ref<Task>(&t) : t.kernel().FindTask(t.pid_ns(), who));
      if (!out.back()) return Errno::kSrch;
      return out;
    case Scope::kGroup: {
      Ref<ProcessGroup> pg = who == 0 ? t.group().process_group()
                                      : t.kernel().FindProcessGroup(t.pid_ns(), who);
      if (!pg) return Errno::kSrch;
      for (const Ref<ThreadGroup>& g : pg->Members()) {
        for (Ref<Task>& x : g->tasks()) out.push_back(std::move(x));
      }
      break;
    }
    case Scope::kUser: {
      Uid uid = who == 0 ? t.creds().ruid
                         : t.creds().user_ns->UidToKernel(static_cast<uint32_t>(who));
      for (const Ref<ThreadGroup>& g : t.kernel().Processes(t.pid_ns())) {
        for (Ref<Task>& x : g->tasks()) {
          if (x->SharedCreds()->ruid == uid) out.push_back(std::move(x));
        }
      }
      break;
    }
  }
  if (out.empty()) return Errno::kSrch;
  return out;
}

ErrnoOr<std::vector<Ref<Task>>> FindPriorityTasks(Task& t, int32_t which, int32_t who) {
  switch (which) {
    case PRIO_PROCESS:
      return FindTasks(t, Scope::kThread, who);
    case PRIO_PGRP:
      return FindTasks(t, Scope::kGroup, who);
    case PRIO_USER:
      return FindTasks(t, Scope::kUser, who);
    default:
      return Errno::kInval;
  }
}

ErrnoOr<std::vector<Ref<Task>>> FindIoTasks(Task& t, int32_t which, int32_t who) {
  switch (which) {
    case kIoWhoProcess:
      return FindTasks(t, Scope::kThread, who);
    case kIoWhoGroup:
      return FindTasks(t, Scope::kGroup, who);
    case kIoWhoUser:
      return FindTasks(t, Scope::kUser, who);
    default:
      return Errno::kInval;
  }
}

// A thread's own setting; of several, each one's as it works out: by its nice value if it has none.
int32_t PriorityOf(Task& task, int32_t which) {
  const SchedState& s = task.state().sched;
  int32_t set = s.ioprio.load(std::memory_order_relaxed);
  if (which == kIoWhoProcess || IoClass(set) != kIoClassNone) return set;
  int32_t policy = s.policy.load(std::memory_order_relaxed);
  int32_t io_class = policy == SCHED_IDLE                         ? kIoClassIdle
                     : policy == SCHED_FIFO || policy == SCHED_RR ? kIoClassRt
                                                                  : kIoClassBe;
  return io_class << 13 | (s.nice.load(std::memory_order_relaxed) + 20) / 5;
}

}  // namespace

Status SetNice(Task& t, Task& target, int32_t nice) {
  TRY(CheckMaySchedule(t, target));
  std::atomic<int32_t>& now = target.state().sched.nice;
  if (nice < now.load(std::memory_order_relaxed) && !t.creds().HasCap(CAP_SYS_NICE)) {
    // RLIMIT_NICE is 20 minus the lowest nice value allowed.
    uint64_t limit = target.Limit(RLIMIT_NICE);
    if (static_cast<uint64_t>(20 - nice) > limit) return Errno::kAcces;
  }
  now.store(nice, std::memory_order_relaxed);
  return Ok();
}

// The raw call answers 20 - nice, so that it is never negative.
ErrnoOr<int32_t> GetpriorityCall(Task& t, int32_t which, int32_t who) {
  int32_t best = 1;
  for (const Ref<Task>& x : TRY(FindPriorityTasks(t, which, who))) {
    best = std::max(best, 20 - x->state().sched.nice.load(std::memory_order_relaxed));
  }
  return best;
}

ErrnoOr<void> SetpriorityCall(Task& t, int32_t which, int32_t who, int32_t priority) {
  int32_t nice = std::clamp(priority, -20, 19);
  Status result;
  for (const Ref<Task>& x : TRY(FindPriorityTasks(t, which, who))) {
    Status one = SetNice(t, *x, nice);
    if (!one.ok()) result = one;
  }
  return result;
}

ErrnoOr<int32_t> IoprioGet(Task& t, int32_t which, int32_t who) {
  int32_t best = 0;
  for (const Ref<Task>& x : TRY(FindIoTasks(t, which, who))) {
    best = best == 0 ? PriorityOf(*x, which) : std::min(best, PriorityOf(*x, which));
  }
  return best;
}

ErrnoOr<void> IoprioSet(Task& t, int32_t which, int32_t who, int32_t priority) {
  switch (IoClass(priority)) {
    case kIoClassRt:
      if (!t.creds().HasCap(CAP_SYS_ADMIN) && !t.creds().HasCap(CAP_SYS_NICE)) return Errno::kPerm;
      break;
    case kIoClassBe:
    case kIoClassIdle:
      break;
    case kIoClassNone:
      if (IoData(priority) != 0) return Errno::kInval;
      break;
    default:
      return Errno::kInval;
  }
  for (const Ref<Task>& x : TRY(FindIoTasks(t, which, who))) {
    TRY(CheckMaySchedule(t, *x));
    x->state().sched.ioprio.store(priority, std::memory_order_relaxed);
  }
  return Ok();
}

}  // namespace runsc
