#ifndef SYSCALLS_TASK_TASK_H_
#define SYSCALLS_TASK_TASK_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/kernel/task.h"

namespace runsc {

// clone.cc: clone(2), unshare(2), setns(2).
ErrnoOr<Tid> Clone(Task& t, uint64_t flags, UserAddr stack, UserAddr parent_tid,
                   UserAddr child_tid, uint64_t tls);
ErrnoOr<Tid> Clone3(Task& t, UserAddr args, uint64_t size);
ErrnoOr<Tid> ForkCall(Task& t);
ErrnoOr<Tid> VforkCall(Task& t);
ErrnoOr<void> UnshareCall(Task& t, uint64_t flags);
ErrnoOr<void> Setns(Task& t, FdNum fd, int32_t type);

// exec.cc: execve(2), execveat(2).
ErrnoOr<void> Execve(Task& t, UserAddr path, UserAddr argv, UserAddr envp);
ErrnoOr<void> Execveat(Task& t, FdNum dir, UserAddr path, UserAddr argv, UserAddr envp,
                       int32_t flags);

// exit_wait.cc: _exit(2), wait(2).
ErrnoOr<void> ExitCall(Task& t, int32_t status);
ErrnoOr<void> ExitGroup(Task& t, int32_t status);
ErrnoOr<Tid> Wait4(Task& t, Tid pid, UserAddr status, int32_t options, UserAddr rusage);
ErrnoOr<void> Waitid(Task& t, int32_t type, int32_t id, UserAddr info, int32_t options,
                     UserAddr rusage);

// ids.cc: getpid(2), setsid(2), setpgid(2) and relatives.
ErrnoOr<Tid> Getpid(Task& t);
ErrnoOr<Tid> Gettid(Task& t);
ErrnoOr<Tid> Getppid(Task& t);
ErrnoOr<Tid> Getpgrp(Task& t);
ErrnoOr<Tid> Getpgid(Task& t, Tid pid);
ErrnoOr<Tid> Getsid(Task& t, Tid pid);
ErrnoOr<Tid> Setsid(Task& t);
ErrnoOr<void> Vhangup(Task& t);
ErrnoOr<void> Setpgid(Task& t, Tid pid, Tid pgid);
ErrnoOr<Tid> SetTidAddress(Task& t, UserAddr addr);
ErrnoOr<void> Rseq(Task& t, UserAddr addr, uint32_t length, int32_t flags, uint32_t signature);
ErrnoOr<int32_t> Kcmp(Task& t, Tid pid1, Tid pid2, int32_t type, uint64_t index1,
                      uint64_t index2);

// credentials.cc: credentials(7).
ErrnoOr<uint32_t> Getuid(Task& t);
ErrnoOr<uint32_t> Geteuid(Task& t);
ErrnoOr<uint32_t> Getgid(Task& t);
ErrnoOr<uint32_t> Getegid(Task& t);
ErrnoOr<void> Getresuid(Task& t, UserAddr ruid, UserAddr euid, UserAddr suid);
ErrnoOr<void> Getresgid(Task& t, UserAddr rgid, UserAddr egid, UserAddr sgid);
ErrnoOr<int32_t> Getgroups(Task& t, int32_t size, UserAddr list);
ErrnoOr<void> Setgroups(Task& t, int32_t size, UserAddr list);
ErrnoOr<void> Setuid(Task& t, uint32_t uid);
ErrnoOr<void> Setgid(Task& t, uint32_t gid);
ErrnoOr<void> Setreuid(Task& t, uint32_t ruid, uint32_t euid);
ErrnoOr<void> Setregid(Task& t, uint32_t rgid, uint32_t egid);
ErrnoOr<void> Setresuid(Task& t, uint32_t ruid, uint32_t euid, uint32_t suid);
ErrnoOr<void> Setresgid(Task& t, uint32_t rgid, uint32_t egid, uint32_t sgid);
ErrnoOr<uint32_t> Setfsuid(Task& t, uint32_t uid);
ErrnoOr<uint32_t> Setfsgid(Task& t, uint32_t gid);
ErrnoOr<void> Capget(Task& t, UserAddr header, UserAddr data);
ErrnoOr<void> Capset(Task& t, UserAddr header, UserAddr data);

// prctl.cc: prctl(2), arch_prctl(2), personality(2).
ErrnoOr<int64_t> Prctl(Task& t, int32_t option, uint64_t a2, uint64_t a3, uint64_t a4,
                       uint64_t a5);
ErrnoOr<int64_t> ArchPrctl(Task& t, int32_t code, UserAddr addr);
ErrnoOr<uint32_t> PersonalityCall(Task& t, uint32_t persona);

// limits.cc: getrlimit(2), getrusage(2), times(2).
ErrnoOr<void> Getrlimit(Task& t, uint32_t resource, UserAddr limit);
ErrnoOr<void> Setrlimit(Task& t, uint32_t resource, UserAddr limit);
ErrnoOr<void> Prlimit64(Task& t, Tid pid, uint32_t resource, UserAddr new_limit,
                        UserAddr old_limit);
ErrnoOr<void> Getrusage(Task& t, int32_t who, UserAddr usage);
ErrnoOr<int64_t> Times(Task& t, UserAddr buf);

// sched.cc: sched(7).
ErrnoOr<void> SchedYield(Task& t);
ErrnoOr<void> SchedSetaffinity(Task& t, Tid pid, uint32_t length, UserAddr mask);
ErrnoOr<int32_t> SchedGetaffinity(Task& t, Tid pid, uint32_t length, UserAddr mask);
ErrnoOr<void> SchedSetparam(Task& t, Tid pid, UserAddr param);
ErrnoOr<void> SchedGetparam(Task& t, Tid pid, UserAddr param);
ErrnoOr<void> SchedSetscheduler(Task& t, Tid pid, int32_t policy, UserAddr param);
ErrnoOr<int32_t> SchedGetscheduler(Task& t, Tid pid);
ErrnoOr<int32_t> SchedGetPriorityMax(Task& t, int32_t policy);
ErrnoOr<int32_t> SchedGetPriorityMin(Task& t, int32_t policy);
ErrnoOr<void> SchedRrGetInterval(Task& t, Tid pid, UserAddr interval);
ErrnoOr<void> SchedSetattr(Task& t, Tid pid, UserAddr attr, uint32_t flags);
ErrnoOr<void> SchedGetattr(Task& t, Tid pid, UserAddr attr, uint32_t size, uint32_t flags);
ErrnoOr<int32_t> GetpriorityCall(Task& t, int32_t which, int32_t who);
ErrnoOr<void> SetpriorityCall(Task& t, int32_t which, int32_t who, int32_t priority);
ErrnoOr<int32_t> IoprioGet(Task& t, int32_t which, int32_t who);
ErrnoOr<void> IoprioSet(Task& t, int32_t which, int32_t who, int32_t priority);

// process_vm.cc: other processes' memory.
ErrnoOr<size_t> ProcessVmReadv(Task& t, Tid pid, UserAddr local, uint64_t local_count,
                               UserAddr remote, uint64_t remote_count, uint64_t flags);
ErrnoOr<size_t> ProcessVmWritev(Task& t, Tid pid, UserAddr local, uint64_t local_count,
                                UserAddr remote, uint64_t remote_count, uint64_t flags);

// pidfd.cc: pidfd_open(2) and relatives.
ErrnoOr<FdNum> PidfdOpen(Task& t, Tid pid, uint32_t flags);
ErrnoOr<void> PidfdSendSignal(Task& t, FdNum fd, Signal sig, UserAddr info, uint32_t flags);
ErrnoOr<FdNum> PidfdGetfd(Task& t, FdNum pidfd, FdNum fd, uint32_t flags);

}  // namespace runsc

#endif  // SYSCALLS_TASK_TASK_H_
