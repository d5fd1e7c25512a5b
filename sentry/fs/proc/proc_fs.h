#ifndef SENTRY_FS_PROC_PROC_FS_H_
#define SENTRY_FS_PROC_PROC_FS_H_

#include "sentry/fs/synthetic/synthetic.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"

namespace runsc {

// proc(5) as processes of one pid namespace see it. `kernel` outlives it.
class ProcFs final : public Filesystem {
 public:
  static Ref<ProcFs> New(Kernel& kernel, Ref<PidNamespace> ns);

  Kernel& kernel() const { return kernel_; }
  PidNamespace& ns() const { return *ns_; }
  Ref<Inode> root() override;
  ErrnoOr<FsStat> StatFs() override { return FsStat{.type = 0x9fa0}; }
  std::string source() override { return "proc"; }

 private:
  ProcFs(Kernel& kernel, Ref<PidNamespace> ns)
      : Filesystem("proc", kNoCache), kernel_(kernel), ns_(std::move(ns)) {}

  Kernel& kernel_;
  const Ref<PidNamespace> ns_;
};

// --- Parts, one file each ---

// The fixed entries of /proc itself (system.cc) and /proc/sys (sysctl.cc).
void AddSystemFiles(StaticDir& root, const Ref<ProcFs>& fs);
Ref<SyntheticInode> NewSysctlDir(const Ref<ProcFs>& fs);

// /proc/PID of a process, or /proc/PID/task/TID (`thread`) (pid_dir.cc).
Ref<SyntheticInode> NewTaskDir(const Ref<ProcFs>& fs, Ref<Task> task, bool thread);

// fd, fdinfo (pid_fd.cc).
Ref<SyntheticInode> NewFdDir(const Ref<ProcFs>& fs, Ref<Task> task);
Ref<SyntheticInode> NewFdInfoDir(const Ref<ProcFs>& fs, Ref<Task> task);
// mem (pid_mem.cc).
Ref<SyntheticInode> NewMemFile(const Ref<ProcFs>& fs, Ref<Task> task);
// comm, oom_score_adj; of a process also timerslack_ns, coredump_filter (pid_values.cc). Null if
// `name` is something else.
Ref<SyntheticInode> NewTaskValue(const Ref<ProcFs>& fs, const Ref<Task>& task,
                                 std::string_view name, bool thread);
// net (pid_net.cc).
Ref<SyntheticInode> NewNetDir(const Ref<ProcFs>& fs);
// ns (pid_ns.cc).
Ref<SyntheticInode> NewNamespaceDir(const Ref<ProcFs>& fs, Ref<Task> task);
// uid_map or gid_map, and setgroups, of its user namespace.
Ref<SyntheticInode> NewIdMapFile(const Ref<ProcFs>& fs, Ref<Task> task, bool gid);
Ref<SyntheticInode> NewSetgroupsFile(const Ref<ProcFs>& fs, Ref<Task> task);

// Texts of /proc/PID files; `task` may have exited (ESRCH, or empty as Linux does).
using TaskTextFunction = ErrnoOr<std::string> (*)(const OpContext& ctx, ProcFs& fs, Task& task);
ErrnoOr<std::string> StatusText(const OpContext& ctx, ProcFs& fs, Task& task);
ErrnoOr<std::string> StatText(const OpContext& ctx, ProcFs& fs, Task& task);
ErrnoOr<std::string> ThreadStatText(const OpContext& ctx, ProcFs& fs, Task& task);
ErrnoOr<std::string> StatmText(const OpContext& ctx, ProcFs& fs, Task& task);
ErrnoOr<std::string> MapsText(const OpContext& ctx, ProcFs& fs, Task& task);
ErrnoOr<std::string> SmapsText(const OpContext& ctx, ProcFs& fs, Task& task);
ErrnoOr<std::string> SmapsRollupText(const OpContext& ctx, ProcFs& fs, Task& task);

// ptrace(2)'s read check (PTRACE_MODE_READ_FSCREDS): EACCES.
Status CheckTaskAccess(const OpContext& ctx, Task& task);

// Attributes of an entry that belongs to `task`: its effective ids, or root if it is not dumpable.
Attr OwnedBy(Task& task, Attr attr);

// A text file that belongs to a task, which may have exited.
class TaskTextInode : public TextInode {
 public:
  TaskTextInode(Ref<ProcFs> fs, Ref<Task> task, uint32_t permissions)
      : TextInode(std::move(fs), permissions), task_(std::move(task)) {}
  ErrnoOr<Attr> GetAttr() override { return OwnedBy(*task_, TRY(TextInode::GetAttr())); }

 protected:
  const Ref<Task> task_;
};

}  // namespace runsc

#endif  // SENTRY_FS_PROC_PROC_FS_H_
