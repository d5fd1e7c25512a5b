#ifndef SENTRY_KERNEL_PROCESS_ACCESS_H_
#define SENTRY_KERNEL_PROCESS_ACCESS_H_

#include "platform/base/errno.h"
#include "sentry/kernel/task.h"

namespace runsc {

// Which of the caller's ids ptrace(2)'s rule looks at: PTRACE_MODE_FSCREDS for what /proc opens,
// PTRACE_MODE_REALCREDS for calls that name a process.
enum class AccessIds { kFs, kReal };

// "Ptrace access mode checking" (ptrace(2)): may a process of `mine`, one of whose threads is
// `caller` (null: the kernel), look into `target`? EPERM, ESRCH if it has ended.
Status CheckProcessAccess(const Credentials& mine, const Task* caller, Task& target,
                          AccessIds ids);

}  // namespace runsc

#endif  // SENTRY_KERNEL_PROCESS_ACCESS_H_
