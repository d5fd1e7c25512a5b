#include <sched.h>

#include "sentry/kernel/cpu.h"
#include "sentry/kernel/kernel.h"

namespace runsc {

uint32_t CurrentCpu(Task& t) {
  int cpu = sched_getcpu();
  return cpu < 0 ? 0 : static_cast<uint32_t>(cpu) % static_cast<uint32_t>(t.kernel().options().cpus);
}

void YieldCpu() { sched_yield(); }

}  // namespace runsc
