#ifndef SENTRY_KERNEL_TIMERS_H_
#define SENTRY_KERNEL_TIMERS_H_

#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"

namespace runsc {

// Own thread: a CPU-time limit or timer of the process may have been reached.
void CheckCpuTimers(Task& t);
// RLIMIT_CPU changed or was inherited: watches it from now on.
void ArmCpuLimit(ThreadGroup& g);
// The process ends: its timers stop.
void DropProcessTimers(ThreadGroup& g);
// execve(2): POSIX timers go, interval timers stay.
void DropPosixTimers(ThreadGroup& g);
// The thread ends: timers on its CPU clock stop.
void DropThreadTimers(Task& t);

}  // namespace runsc

#endif  // SENTRY_KERNEL_TIMERS_H_
