#include <linux/capability.h>
#include <linux/kcmp.h>

#include "platform/abi/task.h"
#include "platform/base/random.h"
#include "sentry/kernel/job_control.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/process_access.h"
#include "sentry/kernel/task_state.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

// The process of `pid` as the caller names it; 0 is its own.
ErrnoOr<Ref<ThreadGroup>> FindGroup(Task& t, Tid pid) {
  if (pid == 0) return Ref<ThreadGroup>(&t.group());
  Ref<Task> task = t.kernel().FindTask(t.pid_ns(), pid);
  if (!task) return Errno::kSrch;
  return Ref<ThreadGroup>(&task->group());
}

// A stable order of objects that tells nothing of where they are in the sentry's memory.
uint64_t OrderOf(const void* object) {
  static const uint64_t mask = HostRandom64(), factor = HostRandom64() | 1;
  return (reinterpret_cast<uint64_t>(object) ^ mask) * factor;
}

int32_t Compare(const void* a, const void* b) {
  return a == b ? 0 : OrderOf(a) < OrderOf(b) ? 1 : 2;
}

}  // namespace

ErrnoOr<Tid> Getpid(Task& t) { return t.group().PidIn(t.pid_ns()); }
ErrnoOr<Tid> Gettid(Task& t) { return t.own_tid(); }

ErrnoOr<Tid> Getppid(Task& t) {
  Ref<ThreadGroup> parent = t.group().parent();
  return parent ? parent->PidIn(t.pid_ns()) : 0;
}

ErrnoOr<Tid> Getpgid(Task& t, Tid pid) {
  Ref<ThreadGroup> g = TRY(FindGroup(t, pid));
  Ref<ProcessGroup> pg = g->process_group();
  if (!pg) return Errno::kSrch;
  return pg->IdIn(t.pid_ns());
}

ErrnoOr<Tid> Getpgrp(Task& t) { return Getpgid(t, 0); }

ErrnoOr<Tid> Getsid(Task& t, Tid pid) {
  Ref<ThreadGroup> g = TRY(FindGroup(t, pid));
  Ref<Session> session = g->session();
  if (!session) return Errno::kSrch;
  return session->IdIn(t.pid_ns());
}

ErrnoOr<Tid> Setsid(Task& t) { return JobControl::SetSid(t); }

ErrnoOr<void> Vhangup(Task& t) {
  if (!t.creds().HasCap(CAP_SYS_TTY_CONFIG)) return Errno::kPerm;
  Ref<Session> session = t.group().session();
  Ref<ControllingTty> tty = session ? session->tty() : nullptr;
  if (tty) tty->HangUp();
  return Ok();
}

ErrnoOr<void> Setpgid(Task& t, Tid pid, Tid pgid) { return JobControl::SetPgid(t, pid, pgid); }

ErrnoOr<Tid> SetTidAddress(Task& t, UserAddr addr) {
  t.clear_child_tid = addr;
  return t.own_tid();
}

// The area would have to be kept current at every preemption of guest code, which the host does
// where no sentry sees it; so none can be had, and C libraries do without.
ErrnoOr<void> Rseq(Task& t, UserAddr addr, uint32_t length, int32_t flags, uint32_t signature) {
  return t.Unimplemented("rseq", Errno::kNosys);
}

ErrnoOr<int32_t> Kcmp(Task& t, Tid pid1, Tid pid2, int32_t type, uint64_t index1,
                      uint64_t index2) {
  Ref<Task> a = t.kernel().FindTask(t.pid_ns(), pid1);
  Ref<Task> b = t.kernel().FindTask(t.pid_ns(), pid2);
  if (!a || !b) return Errno::kSrch;
  TRY(CheckProcessAccess(t.creds(), &t, *a, AccessIds::kReal));
  TRY(CheckProcessAccess(t.creds(), &t, *b, AccessIds::kReal));
  Ref<FdTable> fds_a = a->SharedFds(), fds_b = b->SharedFds();
  switch (type) {
    case KCMP_FILE: {
      if (!fds_a || !fds_b) return Errno::kBadf;
      Ref<File> fa = TRY(fds_a->Get(FdNum(static_cast<int32_t>(index1))));
      Ref<File> fb = TRY(fds_b->Get(FdNum(static_cast<int32_t>(index2))));
      return Compare(fa.get(), fb.get());
    }
    case KCMP_VM:
      return Compare(a->SharedMm().get(), b->SharedMm().get());
    case KCMP_FILES:
      return Compare(fds_a.get(), fds_b.get());
    case KCMP_FS:
      return Compare(a->SharedFs().get(), b->SharedFs().get());
    case KCMP_SIGHAND:
      return Compare(&a->group().handlers(), &b->group().handlers());
    case KCMP_IO:
    case KCMP_SYSVSEM: return 0;  // no task has an I/O context or a list of semaphores to undo
    case KCMP_EPOLL_TFD:
      return t.Unimplemented("kcmp of this type", Errno::kOpnotsupp);
    default:
      return Errno::kInval;
  }
}

}  // namespace runsc
