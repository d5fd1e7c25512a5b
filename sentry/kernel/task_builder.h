#ifndef SENTRY_KERNEL_TASK_BUILDER_H_
#define SENTRY_KERNEL_TASK_BUILDER_H_

#include <vector>

#include "sentry/kernel/group_state.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_tree.h"

namespace runsc {

// clone(2) and clone3(2), decoded.
struct CloneRequest {
  uint64_t flags = 0;          // CLONE_*, without the exit signal
  uint64_t stack = 0;          // top of the child's stack; 0: the parent's sp
  uint64_t tls = 0;
  UserAddr parent_tid, child_tid, pidfd;
  int32_t exit_signal = 0;
  std::vector<Tid> set_tid;    // innermost namespace first
};

// Makes tasks and processes.
class TaskBuilder {
 public:
  // clone(2): the new task's id as the caller sees it; with CLONE_VFORK once the child let go of
  // the memory. `*vfork_child` unless null gets the id for a restart-free return.
  static ErrnoOr<Tid> Clone(Task& parent, const CloneRequest& request);
  // unshare(2) with CLONE_* flags.
  static Status Unshare(Task& t, uint64_t flags);

 private:
  friend class Kernel;
  // What a clone shares or copies, ready before the tree is touched.
  struct Parts {
    Ref<MemoryManager> mm;
    Ref<FdTable> fds;
    Ref<FsContext> fs;
    Ref<const Credentials> creds;
    Ref<UtsNamespace> uts;
    Ref<IpcNamespace> ipc;
    Ref<PidNamespace> pid_ns;
    Ref<SignalHandlers> handlers;
  };
  static Status CheckFlags(const CloneRequest& r);
  static Status CheckLimits(Task& parent, const Credentials& creds);
  static ErrnoOr<Parts> MakeParts(Task& parent, const CloneRequest& r);
  static Status MakeNamespaces(Task& parent, uint64_t flags, Parts& p);
  static ErrnoOr<Ref<Task>> MakeTask(Task& parent, const CloneRequest& r, Parts parts);
  static void CopyThreadState(Task& parent, Task& child, const CloneRequest& r);
  static Ref<ThreadGroup> MakeGroup(Task& parent, Parts& parts);
  // Makes `t` the first task of a process that nobody cloned.
  static Status LinkFirst(Task& t, bool mortal_init);
  // Names the group after `leader`, which has its ids.
  static void SetLeader(ThreadGroup& g, Task& leader);
  static Status Link(Task& parent, Task& child, const CloneRequest& r);
  static Status LinkLocked(TaskTree& tree, Task& parent, Task& child, const CloneRequest& r)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  static Status PublishTids(Task& parent, Task& child, const CloneRequest& r);
  static void WaitForVfork(Task& parent, Task& child);

 public:
  // Gives `t` ids in its pid namespace and all above. `wanted`: ids asked for, innermost first.
  static Status TakeIds(TaskTree& tree, Task& t, const std::vector<Tid>& wanted)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  // Puts a task with ids among its group's threads.
  static void Enlist(TaskTree& tree, Task& t) ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TASK_BUILDER_H_
