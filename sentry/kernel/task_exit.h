#ifndef SENTRY_KERNEL_TASK_EXIT_H_
#define SENTRY_KERNEL_TASK_EXIT_H_

#include <vector>

#include "sentry/kernel/group_state.h"
#include "sentry/kernel/task_tree.h"

namespace runsc {

// How tasks and processes end (_exit(2), wait(2)): what they hold is let go of, children go to a
// reaper, the parent is told, and the last trace vanishes when it waits.
class TaskExit {
 public:
  // The end of the own thread's task.
  static void Run(Task& t);
  // Ends a task that never ran, as if it had never been.
  static void Abandon(Task& t);
  // Objects that a function under the tree lock let go of; they die when this does, unlocked.
  struct Garbage {
    std::vector<Ref<RefCounted>> objects;
    std::vector<std::pair<Ref<ThreadGroup>, ExitStatus>> ended;  // with listeners to tell
  };
  // Removes a zombie for good and charges its use to the parent.
  static void Reap(TaskTree& tree, ThreadGroup& g, Garbage& garbage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  // Gives back a task's ids.
  static void ReleaseIds(TaskTree& tree, Task& t) ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  // exec(2), exit(2): keeps how large `mm`, which the task leaves, has been.
  static void NotePeak(Task& t, MemoryManager& mm);
  // exec(2), exit(2): a vfork(2) parent may go on.
  static void ReleaseVforkParent(Task& t);
  // What the processes of `g` used, dead threads and living.
  static ResourceUse UseOf(TaskTree& tree, ThreadGroup& g) ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  static ResourceUse UseOf(Task& t);

 private:
  static bool IsLastThread(Task& t);
  static void HangUpTerminal(ThreadGroup& g);
  static void CloseNamespace(Task& t);
  static void LeaveStop(Task& t);
  static void Disown(ThreadGroup& g);
  static void LetGo(Task& t);
  static void Unlink(Task& t);
  static void LeaveGroup(TaskTree& tree, Task& t, Garbage& garbage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  static void GroupGone(TaskTree& tree, ThreadGroup& g, Garbage& garbage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  static void GiveAwayChildren(TaskTree& tree, ThreadGroup& g, Garbage& garbage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  static void HandOverChildren(TaskTree& tree, Task& from) ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  static ThreadGroup* FindReaper(TaskTree& tree, ThreadGroup& g)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
  // Answers whether the parent wants no zombie.
  static bool TellParent(TaskTree& tree, ThreadGroup& g) ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TASK_EXIT_H_
