#ifndef SYSCALLS_SIGNAL_PERMISSION_H_
#define SYSCALLS_SIGNAL_PERMISSION_H_

#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"

namespace runsc {

// kill(2)'s rules: ESRCH if `target` is gone, EPERM, EINVAL for a bad number; signal 0 only asks.
Status CheckMaySignal(Task& t, ThreadGroup& target, Signal sig);

// SI_USER or SI_TKILL from `t` as `target` sees the sender.
SignalInfo SenderInfo(Task& t, ThreadGroup& target, Signal sig, int32_t code);

// siginfo_t that a guest gave for `sig` (rt_sigqueueinfo(2), pidfd_send_signal(2)). EPERM if it
// claims to be the kernel's or kill(2)'s and the target is another process.
ErrnoOr<SignalInfo> ReadGuestInfo(Task& t, UserAddr addr, Signal sig, bool to_self);

}  // namespace runsc

#endif  // SYSCALLS_SIGNAL_PERMISSION_H_
