#ifndef SENTRY_KERNEL_JOB_CONTROL_H_
#define SENTRY_KERNEL_JOB_CONTROL_H_

#include <vector>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_tree.h"

namespace runsc {

// Sessions and process groups (credentials(7), setsid(2), setpgid(2)).
class JobControl {
 public:
  // Moves `g` to `to` (null: to none, when it is reaped).
  static void Join(TaskTree& tree, ThreadGroup& g, Ref<ProcessGroup> to)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  // A new session and group with `g`, whose leader is `leader`, as only member.
  static void NewSession(TaskTree& tree, ThreadGroup& g, Task& leader)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  // Members' parents in other groups of the session: none left? `without` is taken as gone.
  static bool IsOrphaned(TaskTree& tree, const ProcessGroup& group, const ThreadGroup* without)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  // `g` exits or `g`'s child `child` loses it as parent: sends SIGHUP and SIGCONT to a group that
  // becomes orphaned by it and has stopped members (Linux kill_orphaned_pgrp).
  static void HangUpOrphans(TaskTree& tree, ThreadGroup& g, ThreadGroup* child)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  static const std::vector<ThreadGroup*>& Members(const ProcessGroup& group) {
    return group.members_;
  }

  // setsid(2): answers the id in the caller's namespace. EPERM for a group leader.
  static ErrnoOr<Tid> SetSid(Task& t);
  // setpgid(2): ids in the caller's namespace, 0 for its own. EACCES, EINVAL, EPERM, ESRCH.
  static Status SetPgid(Task& t, Tid pid, Tid pgid);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_JOB_CONTROL_H_
