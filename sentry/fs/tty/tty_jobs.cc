#include "sentry/fs/tty/tty_jobs.h"

#include <linux/capability.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"

namespace runsc {
namespace {

bool IsSessionLeader(Task& t) {
  Ref<Session> s = t.group().session();
  return s && s->id() == t.group().pid();
}

bool IgnoresOrBlocks(Task& t, Signal signal) {
  return t.signal_mask().Has(signal) || t.group().handlers().Get(signal).handler == 1;
}

}  // namespace

Ref<Session> TtyJobs::session() {
  MutexLock l(mu_);
  return session_;
}

void TtyJobs::AdoptOnOpen(Task& t) {
  Ref<Session> s = t.group().session();
  if (!IsSessionLeader(t) || s->tty()) return;
  (void)Acquire(t, false);
}

Status TtyJobs::Acquire(Task& t, bool steal) {
  Ref<Session> mine = t.group().session();
  Ref<Session> before;
  {
    MutexLock l(mu_);
    if (session_ && session_ == mine) return Ok();
    if (!IsSessionLeader(t) || mine->tty()) return Errno::kPerm;
    if (session_ && !(steal && t.creds().HasCap(CAP_SYS_ADMIN))) return Errno::kPerm;
    before = session_;
    session_ = mine;
  }
  if (before) before->SetTty(nullptr);
  mine->SetTty(Ref<ControllingTty>(tty_));
  mine->SetForeground(t.group().process_group());
  return Ok();
}

Status TtyJobs::GiveUp(Task& t) {
  Ref<Session> mine = t.group().session();
  if (!mine || mine != session() || !(mine->tty() == tty_)) return Errno::kNotty;
  if (!IsSessionLeader(t)) return Ok();
  SignalForeground(Signal(SIGHUP));
  SignalForeground(Signal(SIGCONT));
  mine->SetTty(nullptr);
  Forget();
  return Ok();
}

void TtyJobs::Associate(Session& session) {
  MutexLock l(mu_);
  session_ = Ref<Session>(&session);
}

void TtyJobs::Forget() {
  Ref<Session> dropped;
  MutexLock l(mu_);
  std::swap(dropped, session_);
}

ErrnoOr<Tid> TtyJobs::ForegroundId(Task& t) {
  Ref<Session> s = session();
  if (!s || t.group().session() != s) return Errno::kNotty;
  Ref<ProcessGroup> group = s->foreground();
  if (!group) return Tid{0};
  return group->IdIn(t.pid_ns());
}

Status TtyJobs::SetForeground(Task& t, Tid pgid) {
  TRY(CheckBackground(t, Signal(SIGTTOU)));
  Ref<Session> s = session();
  if (!s || t.group().session() != s) return Errno::kNotty;
  if (pgid < 0) return Errno::kInval;
  Ref<ProcessGroup> group = t.kernel().FindProcessGroup(t.pid_ns(), pgid);
  if (!group) return Errno::kSrch;
  if (!(group->session() == s)) return Errno::kPerm;
  s->SetForeground(std::move(group));
  return Ok();
}

ErrnoOr<Tid> TtyJobs::SessionId(Task& t) {
  Ref<Session> s = session();
  if (!s || t.group().session() != s) return Errno::kNotty;
  return s->IdIn(t.pid_ns());
}

Status TtyJobs::CheckBackground(Task& t, Signal signal) {
  Ref<Session> s = session();
  if (!s || t.group().session() != s) return Ok();
  Ref<ProcessGroup> mine = t.group().process_group();
  Ref<ProcessGroup> foreground = s->foreground();
  if (!foreground || foreground == mine) return Ok();
  bool reading = signal.value == SIGTTIN;
  if (IgnoresOrBlocks(t, signal)) return reading ? Status(Errno::kIo) : Ok();
  if (mine->IsOrphaned()) return Errno::kIo;
  mine->SendSignal(KernelSignalInfo(signal));
  return Errno::kRestartSys;
}

Ref<ProcessGroup> TtyJobs::Foreground() {
  Ref<Session> s = session();
  return s ? s->foreground() : nullptr;
}

void TtyJobs::SignalForeground(Signal signal) {
  Ref<ProcessGroup> group = Foreground();
  if (group) group->SendSignal(KernelSignalInfo(signal));
}

void TtyJobs::Hangup() {
  Ref<Session> s = session();
  if (!s) return;
  if (Ref<ProcessGroup> group = s->foreground()) {
    Kernel& kernel = group->kernel();
    Ref<ThreadGroup> leader = kernel.FindProcess(*kernel.root_pid_namespace(), s->id());
    for (int signal : {SIGHUP, SIGCONT}) {
      if (leader) leader->SendSignal(KernelSignalInfo(Signal(signal)));
    }
  }
  s->SetTty(nullptr);
  Forget();
}

ErrnoOr<int64_t> TtyJobs::Ioctl(Task& t, const IoctlRequest& request) {
  UserAddr arg(request.arg);
  switch (request.command) {
    case TIOCSCTTY: TRY(Acquire(t, request.arg == 1)); return int64_t{0};
    case TIOCNOTTY: TRY(GiveUp(t)); return int64_t{0};
    case TIOCGPGRP: TRY(request.mem.Put(arg, TRY(ForegroundId(t)))); return int64_t{0};
    case TIOCSPGRP: TRY(SetForeground(t, TRY(request.mem.Get<Tid>(arg)))); return int64_t{0};
    case TIOCGSID: TRY(request.mem.Put(arg, TRY(SessionId(t)))); return int64_t{0};
    default: return Errno::kNotty;
  }
}

}  // namespace runsc
