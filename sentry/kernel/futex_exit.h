#ifndef SENTRY_KERNEL_FUTEX_EXIT_H_
#define SENTRY_KERNEL_FUTEX_EXIT_H_

#include "sentry/kernel/task.h"

namespace runsc {

// The task leaves its address space (exit(2), execve(2)), which it still has: walks its robust
// list, then stores 0 at clear_child_tid and wakes one futex waiter there (set_tid_address(2)).
// Forgets both. Own thread.
void FutexExit(Task& t);

}  // namespace runsc

#endif  // SENTRY_KERNEL_FUTEX_EXIT_H_
