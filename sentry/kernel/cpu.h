#ifndef SENTRY_KERNEL_CPU_H_
#define SENTRY_KERNEL_CPU_H_

#include <cstdint>

#include "sentry/kernel/task.h"

namespace runsc {

// The CPU that the task runs on, as guests number them: 0 up to KernelOptions::cpus. Own thread.
uint32_t CurrentCpu(Task& t);
// Lets other threads of the host run (sched_yield(2)).
void YieldCpu();

}  // namespace runsc

#endif  // SENTRY_KERNEL_CPU_H_
