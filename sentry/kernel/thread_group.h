#ifndef SENTRY_KERNEL_THREAD_GROUP_H_
#define SENTRY_KERNEL_THREAD_GROUP_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/kernel/task.h"

namespace runsc {

class ProcessGroup;
class Session;

// The terminal that controls a session (tty_ioctl(4)); implemented by fs/tty. The kernel tells it
// of job-control events.
class ControllingTty : public RefCounted {
 public:
  // The session leader exited or gave the terminal up: hang up.
  virtual void OnDisassociate() = 0;
  virtual DeviceId device() = 0;
};

// setsid(2).
class Session : public RefCounted {
 public:
  explicit Session(Tid id) : id_(id) {}
  Tid id() const { return id_; }  // root pid namespace
  Ref<ControllingTty> tty();
  // Null: gives it up.
  void SetTty(Ref<ControllingTty> tty);
  Ref<ProcessGroup> foreground();
  void SetForeground(Ref<ProcessGroup> group);

 private:
  const Tid id_;
  Mutex<LockRank::kTask> mu_;
  Ref<ControllingTty> tty_ ABSL_GUARDED_BY(mu_);
  Ref<ProcessGroup> foreground_ ABSL_GUARDED_BY(mu_);
};

// setpgid(2). Members are listed by the kernel's process tree.
class ProcessGroup : public RefCounted {
 public:
  ProcessGroup(Kernel& kernel, Tid id, Ref<Session> session)
      : kernel_(kernel), id_(id), session_(std::move(session)) {}
  Tid id() const { return id_; }
  const Ref<Session>& session() const { return session_; }
  // Sends to every member (no permission check: terminals).
  void SendSignal(const SignalInfo& info);
  // No member has a parent in another group of the same session.
  bool IsOrphaned();

 private:
  Kernel& kernel_;
  const Tid id_;
  const Ref<Session> session_;
};

// Resource limits of a process; soft and hard per RLIMIT_*.
struct ResourceLimit {
  uint64_t soft = UINT64_MAX;
  uint64_t hard = UINT64_MAX;
};
inline constexpr int kLimitCount = 16;

// Told when a process that the kernel's user started ends (runsc/boot).
class ExitListener {
 public:
  virtual ~ExitListener() = default;
  virtual void OnExit(ThreadGroup& group, ExitStatus status) = 0;
};

// A guest process. Any thread may call everything here.
class ThreadGroup : public RefCounted {
 public:
  Kernel& kernel() const { return kernel_; }
  Tid pid() const { return pid_; }  // root pid namespace
  Tid PidIn(const PidNamespace& ns) const;
  Ref<Task> leader();
  std::vector<Ref<Task>> tasks();
  Ref<ThreadGroup> parent();
  Ref<ProcessGroup> process_group();
  Ref<Session> session();
  const std::string& container_id() const { return container_id_; }

  SignalHandlers& handlers() { return *handlers_; }
  // Process-directed signal (kill(2), sigqueue(3)); permission was checked by the caller.
  void SendSignal(const SignalInfo& info);
  SignalSet PendingSet();
  // exit_group(2) or a fatal signal: all threads leave; the first status wins.
  void Exit(ExitStatus status);
  bool exiting();

  ResourceLimit GetLimit(int resource);
  void SetLimit(int resource, const ResourceLimit& limit);

  // Woken when a child changes state (wait4), and when this process exits (pidfd).
  WaitQueue& child_events() { return child_events_; }
  WaitQueue& exit_events() { return exit_events_; }
  bool HasExited();

 private:
  friend class Kernel;
  friend class Task;
  friend class TaskRunner;
  friend class TaskBuilder;
  struct Extra;
  ThreadGroup(Kernel& kernel, Ref<SignalHandlers> handlers, std::string container_id);
  ~ThreadGroup() override;

  Kernel& kernel_;
  Tid pid_ = 0;
  const std::string container_id_;
  Ref<SignalHandlers> handlers_;
  WaitQueue child_events_;
  WaitQueue exit_events_;
  std::unique_ptr<Extra> extra_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_THREAD_GROUP_H_
