#include "sentry/kernel/pidfd.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/process_access.h"
#include "syscalls/signal/permission.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

ErrnoOr<Ref<ThreadGroup>> GetProcess(Task& t, FdNum fd) {
  Ref<ThreadGroup> g = ProcessOfPidFd(*TRY(t.fds().Get(fd)));
  if (!g) return Errno::kBadf;
  return g;
}

// pidfd_send_signal(2) takes a directory /proc/PID too, as before there were pidfds.
ErrnoOr<Ref<ThreadGroup>> GetSignalTarget(Task& t, FdNum fd) {
  Ref<File> file = TRY(t.fds().GetIo(fd));
  Ref<ThreadGroup> g = ProcessOfPidFd(*file);
  if (g) return g;
  auto* named = dynamic_cast<NamesProcess*>(&file->inode());
  if (named != nullptr) g = named->Process();
  if (!g) return Errno::kBadf;
  return g;
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
  Ref<ThreadGroup> g = TRY(GetSignalTarget(t, fd));
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
  TRY(CheckProcessAccess(t.creds(), &t, *leader, AccessIds::kReal));
  Ref<FdTable> fds = leader->SharedFds();
  if (!fds) return Errno::kSrch;
  Ref<File> file = TRY(fds->Get(fd));
  // Again: the process may have become another program since.
  TRY(CheckProcessAccess(t.creds(), &t, *leader, AccessIds::kReal));
  return t.fds().Install(std::move(file), true, t.Limit(RLIMIT_NOFILE));
}

}  // namespace runsc
