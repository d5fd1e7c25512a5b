#ifndef SENTRY_KERNEL_TASK_RUNNER_H_
#define SENTRY_KERNEL_TASK_RUNNER_H_

#include "platform/api/platform.h"
#include "sentry/kernel/task.h"

namespace runsc {

// The loop of a task's sentry thread: guest code, trap, service, again.
class TaskRunner {
 public:
  // From the first instruction to the last; the thread is free afterwards.
  static void Run(Task& t);

 private:
  static void Syscall(Task& t);
  static void HandleStop(Task& t, const platform::Stop& stop);
  static void HandleFault(Task& t, const platform::Stop& stop);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TASK_RUNNER_H_
