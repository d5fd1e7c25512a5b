#include <linux/capability.h>
#include <sys/resource.h>

#include "platform/abi/task.h"
#include "platform/abi/time.h"
#include "sentry/kernel/group_state.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_exit.h"
#include "sentry/kernel/task_tree.h"
#include "sentry/time/clock.h"
#include "syscalls/task/rusage.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

Status ChangeLimit(Task& t, ThreadGroup& g, int resource, const abi::Rlimit64& limit) {
  if (limit.cur > limit.max) return Errno::kInval;
  if (resource == RLIMIT_NOFILE && limit.max > FdTable::kMaxFiles) return Errno::kPerm;
  ResourceLimit old = g.GetLimit(resource);
  if (limit.max > old.hard && !t.creds().HasCap(CAP_SYS_RESOURCE)) return Errno::kPerm;
  g.SetLimit(resource, ResourceLimit{limit.cur, limit.max});
  return Ok();
}

// prlimit(2): the caller's real ids must match all of the target's, or CAP_SYS_RESOURCE.
ErrnoOr<Ref<ThreadGroup>> LimitTarget(Task& t, Tid pid) {
  if (pid == 0) return Ref<ThreadGroup>(&t.group());
  Ref<Task> target = t.kernel().FindTask(t.pid_ns(), pid);
  if (!target) return Errno::kSrch;
  if (&target->group() != &t.group()) {
    const Credentials& c = t.creds();
    Ref<const Credentials> o = target->SharedCreds();
    bool same = c.ruid == o->ruid && c.ruid == o->euid && c.ruid == o->suid &&
                c.rgid == o->rgid && c.rgid == o->egid && c.rgid == o->sgid;
    if (!same && !c.HasCapIn(CAP_SYS_RESOURCE, o->user_ns.get())) return Errno::kPerm;
  }
  return Ref<ThreadGroup>(&target->group());
}

}  // namespace

ErrnoOr<void> Getrlimit(Task& t, uint32_t resource, UserAddr limit) {
  if (resource >= kLimitCount) return Errno::kInval;
  ResourceLimit l = t.group().GetLimit(static_cast<int>(resource));
  return t.mem().Put(limit, abi::Rlimit64{l.soft, l.hard});
}

ErrnoOr<void> Setrlimit(Task& t, uint32_t resource, UserAddr limit) {
  auto l = TRY(t.mem().Get<abi::Rlimit64>(limit));
  if (resource >= kLimitCount) return Errno::kInval;
  return ChangeLimit(t, t.group(), static_cast<int>(resource), l);
}

ErrnoOr<void> Prlimit64(Task& t, Tid pid, uint32_t resource, UserAddr new_limit,
                        UserAddr old_limit) {
  abi::Rlimit64 wanted{};
  if (!new_limit.IsNull()) wanted = TRY(t.mem().Get<abi::Rlimit64>(new_limit));
  Ref<ThreadGroup> g = TRY(LimitTarget(t, pid));
  if (resource >= kLimitCount) return Errno::kInval;
  int which = static_cast<int>(resource);
  ResourceLimit old = g->GetLimit(which);
  if (!new_limit.IsNull()) TRY(ChangeLimit(t, *g, which, wanted));
  if (old_limit.IsNull()) return Ok();
  return t.mem().Put(old_limit, abi::Rlimit64{old.soft, old.hard});
}

ErrnoOr<void> Getrusage(Task& t, int32_t who, UserAddr usage) {
  TaskTree& tree = t.kernel().tree();
  ThreadGroup& g = t.group();
  ResourceUse use;
  uint64_t peak = t.mem().Usage().peak_resident;
  switch (who) {
    case RUSAGE_SELF: {
      MutexLock l(tree.mu);
      use = TaskExit::UseOf(tree, g);
      break;
    }
    case RUSAGE_THREAD:
      use = TaskExit::UseOf(t);
      break;
    case RUSAGE_CHILDREN: {
      MutexLock l(tree.mu);
      use = g.state().dead_children;
      peak = 0;
      break;
    }
    default:
      return Errno::kInval;
  }
  if (peak > use.max_resident) use.max_resident = peak;
  return t.mem().Put(usage, ToRusage(use));
}

ErrnoOr<int64_t> Times(Task& t, UserAddr buf) {
  constexpr int64_t kTick = abi::kNanosPerSecond / abi::kClockTicksPerSecond;
  if (!buf.IsNull()) {
    TaskTree& tree = t.kernel().tree();
    ResourceUse self, children;
    {
      MutexLock l(tree.mu);
      self = TaskExit::UseOf(tree, t.group());
      children = t.group().state().dead_children;
    }
    auto ticks = [](uint64_t nanos) { return static_cast<int64_t>(nanos) / kTick; };
    TRY(t.mem().Put(buf, abi::Tms{ticks(self.user_ns), ticks(self.system_ns),
                                  ticks(children.user_ns), ticks(children.system_ns)}));
  }
  return MonotonicNanos() / kTick;
}

}  // namespace runsc
