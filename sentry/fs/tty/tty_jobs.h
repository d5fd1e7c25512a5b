#ifndef SENTRY_FS_TTY_TTY_JOBS_H_
#define SENTRY_FS_TTY_TTY_JOBS_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/vfs/file.h"

namespace runsc {

// What makes a terminal control a session: the part of tty_ioctl(4) and the background checks
// that pty slaves and host terminals share. Thread-safe.
class TtyJobs {
 public:
  // `tty` owns this and is what sessions refer to.
  explicit TtyJobs(ControllingTty* tty) : tty_(tty) {}

  // open(2) without O_NOCTTY by a session leader that has no terminal: takes this one.
  void AdoptOnOpen(Task& t);
  // TIOCSCTTY (`steal` by CAP_SYS_ADMIN), TIOCNOTTY.
  Status Acquire(Task& t, bool steal);
  Status GiveUp(Task& t);
  // TIOCGPGRP, TIOCSPGRP, TIOCGSID as the task's pid namespace sees them. ENOTTY if it is not the
  // caller's terminal.
  ErrnoOr<Tid> ForegroundId(Task& t);
  Status SetForeground(Task& t, Tid pgid);
  ErrnoOr<Tid> SessionId(Task& t);

  // A read (SIGTTIN) or a write or change (SIGTTOU) by `t`: Ok if it may go on. A background
  // process gets the signal and kRestartSys, or EIO.
  Status CheckBackground(Task& t, Signal signal);
  Ref<ProcessGroup> Foreground();
  // To the foreground process group.
  void SignalForeground(Signal signal);
  // The terminal hung up: SIGHUP and SIGCONT to the session leader; the session loses it.
  void Hangup();
  // The kernel made it the terminal of `session`.
  void Associate(Session& session);
  // The session is gone or gave it up.
  void Forget();

  // The job-control commands of ioctl(2); ENOTTY for others.
  ErrnoOr<int64_t> Ioctl(Task& t, const IoctlRequest& request);

 private:
  Ref<Session> session();

  ControllingTty* const tty_;
  Mutex<LockRank::kJobControl> mu_;
  Ref<Session> session_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FS_TTY_TTY_JOBS_H_
