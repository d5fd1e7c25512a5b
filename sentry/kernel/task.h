#ifndef SENTRY_KERNEL_TASK_H_
#define SENTRY_KERNEL_TASK_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "platform/api/platform.h"
#include "platform/arch/registers.h"
#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/types.h"
#include "sentry/auth/credentials.h"
#include "sentry/kernel/signal.h"
#include "sentry/mm/memory_manager.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/vfs.h"
#include "sentry/wait/wait.h"

namespace runsc {

class Kernel;
class PidNamespace;
class Task;
class ThreadGroup;
class UtsNamespace;
class IpcNamespace;
struct TaskState;

// What restart_syscall(2) runs for a call that cannot just be run again (nanosleep, futex, poll
// with a relative time-out).
class RestartBlock {
 public:
  virtual ~RestartBlock() = default;
  virtual ErrnoOr<int64_t> Restart(Task& t) = 0;
};

// Exit status of a task or process as wait(2) encodes it: an exit code or a fatal signal.
struct ExitStatus {
  int32_t code = 0;     // 0..255
  int32_t signal = 0;   // 0: exited
  bool core = false;
  int32_t WaitStatus() const { return signal != 0 ? signal | (core ? 0x80 : 0) : code << 8; }
};

// A thread of a guest process and the sentry thread that runs it. Everything not said to be
// callable from any thread is for its own sentry thread only.
class Task : public RefCounted {
 public:
  // --- Identity; any thread ---
  Kernel& kernel() const { return kernel_; }
  ThreadGroup& group() const { return *group_; }
  // The task that the calling sentry thread runs; null on other threads.
  static Task* Current();
  // The kernel's own part (task_state.h).
  TaskState& state() const { return *state_; }
  // Thread id in the root pid namespace, and as seen from `ns` (0 if not visible).
  Tid tid() const { return tid_.load(std::memory_order_relaxed); }
  Tid TidIn(const PidNamespace& ns) const;
  // As the task itself sees it: gettid(2).
  Tid own_tid() const;
  std::string name();                    // comm, at most 15 bytes
  int64_t StartNanos() const;            // when it began, CLOCK_BOOTTIME
  void SetName(std::string_view name);

  // --- What it uses. References change only on its own thread. ---
  MemoryManager& mem() { return *mm_; }
  FdTable& fds() { return *fds_; }
  FsContext& fs() { return *fs_; }
  const Credentials& creds() { return *creds_; }
  Ref<const Credentials> creds_ref() { return creds_; }
  // Installs changed credentials (after Fork and edit).
  void SetCreds(Ref<Credentials> creds);
  UtsNamespace& uts() { return *uts_; }
  IpcNamespace& ipc() { return *ipc_; }
  PidNamespace& pid_ns() const { return *pid_ns_; }
  // For other threads (procfs, ptrace, signals): null when the task has exited.
  Ref<MemoryManager> SharedMm();
  Ref<FdTable> SharedFds();
  Ref<FsContext> SharedFs();
  Ref<const Credentials> SharedCreds();
  // Who does a file operation.
  OpContext op() { return OpContext{*creds_, this}; }
  IoContext io(File& file) { return IoContext{*creds_, this, file.nonblock(), false}; }
  LookupContext Lookup(const OpContext& op, Path start) { return {op, *fs_, std::move(start), 0}; }
  MemoryLimits memory_limits();
  // Current soft limit, RLIMIT_*.
  uint64_t Limit(int resource);

  // --- Guest state ---
  arch::Registers& regs() { return regs_; }
  // Own thread, while the task runs.
  platform::Context& context() { return *context_; }
  // Number of the system call being served, for restarts and traces.
  uint64_t syscall_number() const { return syscall_number_; }
  // The handler changed registers itself (sigreturn, execve): dispatch leaves them alone.
  void KeepRegisters() { keep_registers_ = true; }
  // Answers kRestartBlock after storing what restart_syscall(2) shall run.
  Errno Restart(std::unique_ptr<RestartBlock> block);
  RestartBlock* restart_block() { return restart_block_.get(); }
  // Takes the block out (restart_syscall(2)); null if there is none.
  std::unique_ptr<RestartBlock> TakeRestartBlock() { return std::move(restart_block_); }

  // --- Waiting ---
  // Sleeps until blocker().Wake(), an interrupt (signal to handle, stop, exit) or the monotonic
  // `deadline` in ns (Blocker::kForever). Only syscalls/dispatch calls it.
  Blocker::Result Block(int64_t deadline);
  Blocker& blocker() { return blocker_; }
  // Whether a blocked call must be backed out now.
  bool Interrupted() const { return blocker_.interrupted(); }
  // Any thread: makes the task look at its signals, stop and exit state soon.
  void Interrupt();
  // Sleeps as Block does but only a fatal signal or exit ends it (kInterrupted); other interrupts
  // are seen after the call. For vfork(2) and the like.
  Blocker::Result BlockKillable(int64_t deadline);

  // --- Signals (any thread unless noted) ---
  SignalSet signal_mask();
  // Own thread. SIGKILL and SIGSTOP are removed from `mask`.
  void SetSignalMask(SignalSet mask);
  // sigsuspend(2), ppoll(2), pselect(2), epoll_pwait(2): a mask until the call ends; the mask
  // before is put back when the call returns without a handler, or by the handler's sigreturn.
  void SetTemporaryMask(SignalSet mask);
  bool HasDeliverableSignal();
  // Sends to this thread (tgkill). Permission was checked. Ignored signals vanish as Linux says.
  void SendSignal(const SignalInfo& info);
  // The same; EAGAIN if RLIMIT_SIGPENDING is reached and the signal would lose its information.
  Status TrySendSignal(const SignalInfo& info);
  // SI_USER or SI_TKILL from this process, as `receiver` sees the sender.
  SignalInfo SenderInfo(Task& receiver, Signal sig, int32_t code);
  // SIGPIPE, SIGXFSZ: to this thread, as if its process had sent it.
  void RaiseSelf(Signal sig);
  // A fault of the task's own making: cannot be blocked or ignored (force_sig).
  void ForceSignal(const SignalInfo& info);
  AltStack alt_stack() const { return alt_stack_; }
  void SetAltStack(const AltStack& s) { alt_stack_ = s; }
  // rt_sigreturn(2): restores registers, mask and FPU state from the frame at sp; a bad frame
  // forces SIGSEGV.
  void SignalReturn();

  // --- Ends ---
  // exit(2) of this thread; exit_group(2) is group().Exit(status). The task unwinds to its loop.
  void Exit(ExitStatus status);
  bool exiting() const;

  // A call, flag or command we do not serve: counts and logs it, answers `e`.
  Errno Unimplemented(const char* what, Errno e);

  // Thread pointers registered by the guest.
  UserAddr clear_child_tid;     // set_tid_address(2)
  UserAddr robust_list;         // set_robust_list(2)
  uint64_t robust_list_len = 0;
  UserAddr rseq;                // rseq(2)
  uint32_t rseq_len = 0, rseq_sig = 0;

  // CPU time of this thread in ns: guest code, and sentry work on its behalf.
  uint64_t UserNanos();
  uint64_t SystemNanos();

 private:
  friend class Kernel;
  friend class ThreadGroup;
  friend class TaskRunner;
  friend class TaskBuilder;
  friend class TaskExec;
  friend class TaskExit;
  friend class SignalDelivery;

  Task(Kernel& kernel, Ref<ThreadGroup> group);
  ~Task() override;

  Kernel& kernel_;
  const Ref<ThreadGroup> group_;
  std::atomic<Tid> tid_{0};  // changes at execve(2) by a thread that is not the leader

  platform::Context* context_ = nullptr;  // own thread's view of the one in state_
  arch::Registers regs_{};
  uint64_t syscall_number_ = 0;
  bool keep_registers_ = false;
  bool has_saved_mask_ = false;           // of SetTemporaryMask
  Errno restart_code_ = Errno::kOk;
  std::unique_ptr<RestartBlock> restart_block_;
  Blocker blocker_;
  AltStack alt_stack_;

  Ref<MemoryManager> mm_;
  Ref<FdTable> fds_;
  Ref<FsContext> fs_;
  Ref<const Credentials> creds_;
  Ref<UtsNamespace> uts_;
  Ref<IpcNamespace> ipc_;
  Ref<PidNamespace> pid_ns_;
  const std::unique_ptr<TaskState> state_;
  // Guards what other threads read: name, and the references above when they are swapped.
  Mutex<LockRank::kTask> mu_;
  std::string name_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TASK_H_
