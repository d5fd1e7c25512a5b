#ifndef SENTRY_KERNEL_KERNEL_H_
#define SENTRY_KERNEL_KERNEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "platform/api/platform.h"
#include "platform/base/errno.h"
#include "platform/base/ref.h"
#include "platform/memory/memory_file.h"
#include "sentry/kernel/program_loader.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"

namespace runsc {

struct TaskTree;

// Serves one system call of a task: reads the registers, sets the result or the restart code.
// Implemented by syscalls/dispatch and handed to the kernel at boot.
class SyscallServer {
 public:
  virtual ~SyscallServer() = default;
  // Answers the raw result: >= 0, or -errno, or -restart code (Errno above 511).
  virtual int64_t Serve(Task& t, uint64_t number) = 0;
};

struct KernelOptions {
  platform::Platform* platform = nullptr;  // outlives the kernel
  MemoryFile* memory = nullptr;            // outlives the kernel
  SyscallServer* syscalls = nullptr;       // outlives the kernel
  ProgramLoader* loader = nullptr;         // outlives the kernel
  bool allow_suid = false;                 // --allow-suid: execve(2) honours set-id bits
  int cpus = 1;                            // what the guest is told
  uint64_t total_memory = 0;               // bytes, what the guest is told
  std::string hostname = "runsc";
};

// What to run as a new process from outside: a container's init or an exec.
struct ProcessArgs {
  std::string filename;              // looked up in PATH of envv if it has no '/'
  std::vector<std::string> argv, envv;
  Ref<Credentials> creds;
  Ref<FsContext> fs;
  Ref<FdTable> fds;
  std::vector<std::pair<int, ResourceLimit>> limits;
  std::string container_id;
  Ref<PidNamespace> pid_ns;          // null: the container's own
  Ref<UtsNamespace> uts;
  Ref<IpcNamespace> ipc;
  Ref<File> controlling_tty;         // null: none
  ExitListener* listener = nullptr;  // outlives the process
  bool new_pid_namespace = false;    // it becomes pid 1 of a new one
  // As init of its pid namespace it still dies of unhandled signals (runsc do), unlike Linux's.
  bool mortal_init = false;
  int32_t oom_score_adj = 0;
};

// The sentry's kernel: the process tree and what all processes share. One a sandbox.
class Kernel {
 public:
  static std::unique_ptr<Kernel> Create(const KernelOptions& options);
  ~Kernel();

  const KernelOptions& options() const { return options_; }
  platform::Platform& platform() { return *options_.platform; }
  MemoryFile& memory() { return *options_.memory; }

  // Loads the program and creates its first task, which does not run before StartProcess. Errors are
  // execve(2)'s.
  ErrnoOr<Ref<ThreadGroup>> CreateProcess(ProcessArgs args);
  // EAGAIN if the host refuses a thread: the process is then as if it had never been.
  Status StartProcess(ThreadGroup& group);
  // SIGKILL to all; returns when every task is gone.
  void KillAll();

  Ref<PidNamespace> root_pid_namespace();
  Ref<UserNamespace> root_user_namespace();
  Ref<UtsNamespace> root_uts_namespace();
  Ref<IpcNamespace> root_ipc_namespace();

  // Lookups by id in `ns`; null if there is none.
  Ref<Task> FindTask(const PidNamespace& ns, Tid tid);
  Ref<ThreadGroup> FindProcess(const PidNamespace& ns, Tid pid);
  Ref<ProcessGroup> FindProcessGroup(const PidNamespace& ns, Tid pgid);
  // A process's pid in the root namespace as `ns` sees it: also of one that ended since, unless `ns`
  // is another than the root's; 0 if it cannot be seen.
  Tid PidAsSeen(const PidNamespace& ns, Tid pid);
  // All processes visible in `ns`, in pid order.
  std::vector<Ref<ThreadGroup>> Processes(const PidNamespace& ns);
  // Tasks alive.
  size_t task_count();

  // What user `uid` holds; made on first use, lives while referenced.
  Ref<UserAccount> AccountOf(Uid uid);
  // Counted by Task::Unimplemented: "what" -> times.
  std::vector<std::pair<std::string, uint64_t>> UnimplementedCounts();
  void CountUnimplemented(Task& t, const char* what);

  // When CLOCK_BOOTTIME was 0, on the realtime clock, ns; uptime is since then.
  int64_t boot_time() const;
  int64_t UptimeNanos() const;
  // What dmesg(1) shows: short, and says which kernel this is.
  std::string BootMessages() const;
  // Load averages as getloadavg(3), fixed point with 16 fractional bits.
  void LoadAverages(uint64_t out[3]);

  // The kernel's own part (task_tree.h).
  TaskTree& tree() { return *tree_; }

 private:
  explicit Kernel(const KernelOptions& options);

  const KernelOptions options_;
  const std::unique_ptr<TaskTree> tree_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_KERNEL_H_
