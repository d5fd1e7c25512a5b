#ifndef SENTRY_KERNEL_TASK_THREADS_H_
#define SENTRY_KERNEL_TASK_THREADS_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "platform/api/platform.h"
#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"

namespace runsc {

class Task;

// Sentry threads that run tasks, each with the platform context it last used. Creating either
// costs tens of microseconds, so a few are kept idle for the next task.
class TaskThreads {
 public:
  using Body = void (*)(Task&);
  // `body` runs a task from its start to its end.
  explicit TaskThreads(Body body) : body_(body) {}
  // Threads that are idle end; none may run a task.
  ~TaskThreads();

  // A context for a task to come: a recycled one or a new one.
  ErrnoOr<std::unique_ptr<platform::Context>> NewContext(platform::Platform& platform);
  void RecycleContext(std::unique_ptr<platform::Context> context);

  // Runs `task` on a thread of its own. EAGAIN if the host refuses a thread.
  Status Start(Ref<Task> task);

 private:
  struct Thread;
  static void* Main(void* thread);
  bool Park(Thread& self);
  Thread* TakeIdleLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  static constexpr size_t kIdleLimit = 8;
  static constexpr size_t kContextLimit = 8;
  const Body body_;
  Mutex<LockRank::kTaskThreads> mu_;
  std::vector<Thread*> idle_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<platform::Context>> contexts_ ABSL_GUARDED_BY(mu_);
  bool closing_ ABSL_GUARDED_BY(mu_) = false;
  size_t count_ ABSL_GUARDED_BY(mu_) = 0;
  CondVar ended_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TASK_THREADS_H_
