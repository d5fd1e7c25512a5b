#include "sentry/kernel/pidfd.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "syscalls/signal/permission.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

ErrnoOr<Ref<ThreadGroup>> GetProcess(Task& t, FdNum fd) {
  Ref<ThreadGroup> g = ProcessOfPidFd(*TRY(t.fds().Get(fd)));
  if (!g) return Errno::kBadf;
  return g;
}

// ptrace(2)'s PTRACE_MODE_ATTACH_REALCREDS check.
Status CheckMayAttach(Task& t, Task& target) {
  if (&target.group() == &t.group()) return Ok();
  const Credentials& c = t.creds();
  Ref<const Credentials> o = target.SharedCreds();
  bool same = c.ruid == o->ruid && c.ruid == o->euid && c.ruid == o->suid && c.rgid == o->rgid &&
              c.rgid == o->egid && c.rgid == o->sgid;
  bool cap = c.HasCapIn(CAP_SYS_PTRACE, o->user_ns.get());
  if (!same && !cap) return Errno::kPerm;
  Ref<MemoryManager> mm = target.SharedMm();
  if (mm && mm->dumpable() != 1 && !cap) return Errno::kPerm;
  if ((o->permitted.bits & ~c.permitted.bits) != 0 && !cap) return Errno::kPerm;
  return Ok();
}

}  // namespace

ErrnoOr<FdNum> PidfdOpen(Task& t, Tid pid, uint32_t flags) {
  if ((flags & ~uint32_t{O_NONBLOCK}) != 0 || pid <= 0) return Errno::kInval;
  Ref<ThreadGroup> g = t.kernel().FindProcess(t.pid_ns(), pid);
  if (!g) return t.kernel().FindTask(t.pid_ns(), pid) ? Errno::kInval : Errno::kSrch;
  Ref<File> file = NewPidFd(*g, flags & O_NONBLOCK, t.creds_ref());
  return t.fds().Install(std::move(file), true, t.Limit(RLIMIT_NOFILE));
}

ErrnoOr<void> PidfdSendSignal(Task& t, FdNum fd, Signal sig, UserAddr info_addr, uint32_t flags) {
  if (flags != 0) return Errno::kInval;
  Ref<ThreadGroup> g = TRY(GetProcess(t, fd));
  if (sig.value < 0 || sig.value > 64) return Errno::kInval;
  if (g->PidIn(t.pid_ns()) == 0) return Errno::kInval;
  if (!g->leader()) return Errno::kSrch;  // reaped
  SignalInfo info;
  if (info_addr.IsNull()) {
    info = SenderInfo(t, *g, sig, abi::kSiUser);
  } else {
    info = TRY(t.mem().Get<SignalInfo>(info_addr));
    if (info.signo != sig.value) return Errno::kInval;
    bool to_self = g.get() == &t.group();
    if ((info.code >= 0 || info.code == abi::kSiTkill) && !to_self) return Errno::kPerm;
  }
  TRY(CheckMaySignal(t, *g, sig));
  return sig.value == 0 ? Ok() : g->TrySendSignal(info);
}

ErrnoOr<FdNum> PidfdGetfd(Task& t, FdNum pidfd, FdNum fd, uint32_t flags) {
  if (flags != 0) return Errno::kInval;
  Ref<ThreadGroup> g = TRY(GetProcess(t, pidfd));
  Ref<Task> leader = g->leader();
  if (!leader || g->HasExited()) return Errno::kSrch;
  TRY(CheckMayAttach(t, *leader));
  Ref<FdTable> fds = leader->SharedFds();
  if (!fds) return Errno::kSrch;
  Ref<File> file = TRY(fds->Get(fd));
  return t.fds().Install(std::move(file), true, t.Limit(RLIMIT_NOFILE));
}

}  // namespace runsc
