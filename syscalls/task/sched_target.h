#ifndef SYSCALLS_TASK_SCHED_TARGET_H_
#define SYSCALLS_TASK_SCHED_TARGET_H_

#include "sentry/kernel/task.h"

namespace runsc {

// The task that a scheduling call names; 0 is the caller. ESRCH; calls that refuse negative
// ids with EINVAL do so themselves.
ErrnoOr<Ref<Task>> FindSchedTarget(Task& t, Tid pid);
// EPERM unless the caller owns the target or has CAP_SYS_NICE.
Status CheckMaySchedule(Task& t, Task& target);
// setpriority(2) of one task. EACCES if a lower value needs a privilege.
Status SetNice(Task& t, Task& target, int32_t nice);

}  // namespace runsc

#endif  // SYSCALLS_TASK_SCHED_TARGET_H_
