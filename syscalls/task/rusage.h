#ifndef SYSCALLS_TASK_RUSAGE_H_
#define SYSCALLS_TASK_RUSAGE_H_

#include "platform/abi/task.h"
#include "sentry/kernel/group_state.h"

namespace runsc {

abi::Rusage ToRusage(const ResourceUse& use);

}  // namespace runsc

#endif  // SYSCALLS_TASK_RUSAGE_H_
