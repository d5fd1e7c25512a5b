#ifndef SENTRY_KERNEL_GUEST_CLOCK_H_
#define SENTRY_KERNEL_GUEST_CLOCK_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/ref.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/time/clock.h"

namespace runsc {

// A clock id of clock_gettime(2), resolved: a system clock, or the CPU time of a process or thread.
struct GuestClock {
  enum class Kind { kSystem, kProcessCpu, kThreadCpu } kind = Kind::kSystem;
  ClockId system = ClockId::kRealtime;
  bool user_only = false;     // CPUCLOCK_VIRT: user time alone
  Ref<ThreadGroup> process;   // kProcessCpu
  Ref<Task> thread;           // kThreadCpu

  int64_t Now() const;
  bool IsCpu() const { return kind != Kind::kSystem; }
};

// EINVAL for unknown ids, and for CPU clocks of processes that `t` cannot see.
ErrnoOr<GuestClock> FindClock(Task& t, int32_t id);

// The monotonic time at which `clock`, a system clock, will show `nanos` if nobody sets it.
int64_t MonotonicDeadline(ClockId clock, int64_t nanos);

}  // namespace runsc

#endif  // SENTRY_KERNEL_GUEST_CLOCK_H_
