#include "sentry/kernel/timers.h"

namespace runsc {

void CheckCpuTimers(Task& t) {}
void ArmCpuLimit(ThreadGroup& g) {}
void DropProcessTimers(ThreadGroup& g) {}
void DropPosixTimers(ThreadGroup& g) {}
void DropThreadTimers(Task& t) {}

}  // namespace runsc
