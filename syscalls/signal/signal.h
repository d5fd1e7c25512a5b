#ifndef SYSCALLS_SIGNAL_SIGNAL_H_
#define SYSCALLS_SIGNAL_SIGNAL_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/kernel/task.h"

namespace runsc {

// actions.cc: signal(7), what a process does with signals.
ErrnoOr<void> RtSigaction(Task& t, Signal sig, UserAddr action, UserAddr old, uint64_t size);
ErrnoOr<void> RtSigprocmask(Task& t, int32_t how, UserAddr set, UserAddr old, uint64_t size);
ErrnoOr<void> RtSigreturn(Task& t);
ErrnoOr<void> RtSigpending(Task& t, UserAddr set, uint64_t size);
ErrnoOr<void> Sigaltstack(Task& t, UserAddr stack, UserAddr old);
ErrnoOr<int64_t> RestartSyscall(Task& t);

// wait.cc: taking signals synchronously.
ErrnoOr<void> RtSigsuspend(Task& t, UserAddr mask, uint64_t size);
ErrnoOr<int32_t> RtSigtimedwait(Task& t, UserAddr set, UserAddr info, UserAddr timeout,
                                uint64_t size);
ErrnoOr<void> Pause(Task& t);
ErrnoOr<FdNum> Signalfd(Task& t, FdNum fd, UserAddr mask, uint64_t size);
ErrnoOr<FdNum> Signalfd4(Task& t, FdNum fd, UserAddr mask, uint64_t size, uint32_t flags);

// send.cc: kill(2), tgkill(2), rt_sigqueueinfo(2).
ErrnoOr<void> Kill(Task& t, Tid pid, Signal sig);
ErrnoOr<void> Tkill(Task& t, Tid tid, Signal sig);
ErrnoOr<void> Tgkill(Task& t, Tid tgid, Tid tid, Signal sig);
ErrnoOr<void> RtSigqueueinfo(Task& t, Tid pid, Signal sig, UserAddr info);
ErrnoOr<void> RtTgsigqueueinfo(Task& t, Tid tgid, Tid tid, Signal sig, UserAddr info);

}  // namespace runsc

#endif  // SYSCALLS_SIGNAL_SIGNAL_H_
