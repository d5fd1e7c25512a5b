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

struct ResourceUse;  // group_state.h
class PidNamespace;
class ProcessGroup;
class Session;
struct GroupState;

// The terminal that controls a session (tty_ioctl(4)); implemented by fs/tty. The kernel tells it
// of job-control events.
class ControllingTty : public RefCounted {
 public:
  // The session leader exited or gave the terminal up: hang up.
  virtual void OnDisassociate() = 0;
  // vhangup(2): the session loses the terminal, its leader is told, and open files of it are dead.
  virtual void HangUp() = 0;
  virtual DeviceId device() = 0;
  // Null if it controls no session.
  virtual Ref<ProcessGroup> Foreground() = 0;
  // open(2) of /dev/tty by a member of the session: a new description of this terminal at `path`.
  virtual ErrnoOr<Ref<File>> OpenAgain(const OpContext& ctx, const Path& path, uint32_t flags) = 0;
  // Became the controlling terminal of `session` at the start of its first process.
  virtual void OnAssociate(Session& session) {}
};

// A File that can be a controlling terminal says so by this base, too.
class TerminalFile {
 public:
  virtual Ref<ControllingTty> terminal() = 0;

 protected:
  ~TerminalFile() = default;
};

// An id that a process group or session takes from its first member, in each pid namespace that
// sees it; reserved there while the object lives. Made and ended under the task-tree lock.
class NamespacedId {
 public:
  explicit NamespacedId(const Task& leader);
  Tid root() const { return ids_[0]; }
  // 0 if not visible in `ns`.
  Tid In(const PidNamespace& ns) const;
  const Ref<PidNamespace>& ns() const { return ns_; }
  int depth() const { return static_cast<int>(ids_.size()) - 1; }
  Tid at(int depth) const { return ids_[depth]; }

 private:
  Ref<PidNamespace> ns_;
  std::vector<Tid> ids_;
};

// setsid(2).
class Session : public RefCounted {
 public:
  explicit Session(const Task& leader);
  Tid id() const { return id_.root(); }  // root pid namespace
  Tid IdIn(const PidNamespace& ns) const { return id_.In(ns); }
  Ref<ControllingTty> tty();
  // Null: gives it up.
  void SetTty(Ref<ControllingTty> tty);
  Ref<ProcessGroup> foreground();
  void SetForeground(Ref<ProcessGroup> group);

 private:
  friend class ProcessGroup;
  // Its last process group ended: the id is free again. Task-tree lock.
  void EndId();

  const NamespacedId id_;
  size_t groups_ = 0;  // process groups with members; task-tree lock
  Mutex<LockRank::kSession> mu_;
  Ref<ControllingTty> tty_ ABSL_GUARDED_BY(mu_);
  Ref<ProcessGroup> foreground_ ABSL_GUARDED_BY(mu_);
};

// setpgid(2).
class ProcessGroup : public RefCounted {
 public:
  ProcessGroup(Kernel& kernel, const Task& leader, Ref<Session> session);
  Tid id() const { return id_.root(); }
  Tid IdIn(const PidNamespace& ns) const { return id_.In(ns); }
  Kernel& kernel() const { return kernel_; }
  const Ref<Session>& session() const { return session_; }
  // Sends to every member (no permission check: terminals).
  void SendSignal(const SignalInfo& info);
  // No member has a parent in another group of the same session.
  bool IsOrphaned();
  std::vector<Ref<ThreadGroup>> Members();

 private:
  friend class JobControl;
  // Its last member left: the id is free again. Task-tree lock.
  void EndId();

  Kernel& kernel_;
  const NamespacedId id_;
  const Ref<Session> session_;
  std::vector<ThreadGroup*> members_;  // task-tree lock
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
  // The kernel's own part (group_state.h).
  GroupState& state() const { return *state_; }
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
  // The same; EAGAIN if RLIMIT_SIGPENDING is reached and the signal would lose its information.
  Status TrySendSignal(const SignalInfo& info);
  SignalSet PendingSet();
  // exit_group(2) or a fatal signal: all threads leave; the first status wins.
  void Exit(ExitStatus status);
  bool exiting();

  ResourceLimit GetLimit(int resource);
  void SetLimit(int resource, const ResourceLimit& limit);
  // Soft limit without a lock.
  uint64_t SoftLimit(int resource) const;

  // CPU time of all threads, living and gone, ns.
  uint64_t UserNanos();
  uint64_t SystemNanos();
  // Of the children that were waited for, and of theirs.
  ResourceUse ChildrenUse();

  // Woken when a child changes state (wait4), and when this process exits (pidfd).
  WaitQueue& child_events() { return child_events_; }
  WaitQueue& exit_events() { return exit_events_; }
  // Woken when a signal arrives (signalfd).
  WaitQueue& signal_events() { return signal_events_; }
  bool HasExited();

 private:
  friend class Kernel;
  friend class Task;
  friend class TaskRunner;
  friend class TaskBuilder;
  friend class TaskExec;
  friend class TaskExit;
  ThreadGroup(Kernel& kernel, Ref<SignalHandlers> handlers, std::string container_id);
  ~ThreadGroup() override;

  Kernel& kernel_;
  Tid pid_ = 0;
  const std::string container_id_;
  Ref<SignalHandlers> handlers_;
  WaitQueue child_events_;
  WaitQueue exit_events_;
  WaitQueue signal_events_;
  const std::unique_ptr<GroupState> state_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_THREAD_GROUP_H_
