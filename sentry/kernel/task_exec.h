#ifndef SENTRY_KERNEL_TASK_EXEC_H_
#define SENTRY_KERNEL_TASK_EXEC_H_

#include "sentry/kernel/group_state.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_tree.h"

namespace runsc {

// execve(2) once its arguments are read.
class TaskExec {
 public:
  // Fills what the task knows (op, limits, personality) into `request` and loads it; ends the
  // other threads; becomes the new program. After an error past loading the task exits.
  static Status Run(Task& t, LoadRequest request);

 private:
  // Ends all other threads and makes `t` the leader.
  static Status BecomeOnlyThread(Task& t);
  static void TakeLeaderId(TaskTree& tree, Task& t, std::vector<Ref<RefCounted>>& garbage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  static void DropOldProgram(Task& t);
  static void Install(Task& t, LoadedProgram program);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TASK_EXEC_H_
