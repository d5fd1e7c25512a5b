#include "sentry/kernel/guest_clock.h"

#include <time.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"

namespace runsc {
namespace {

// Dynamic ids (Linux include/linux/posix-timers.h): ~pid in the upper bits, kind below.
constexpr int32_t kThreadBit = 4, kKindMask = 3;
constexpr int32_t kProf = 0, kVirt = 1, kSched = 2;

ErrnoOr<GuestClock> FindCpuClock(Task& t, int32_t id) {
  int32_t kind = id & kKindMask;
  if (kind != kProf && kind != kVirt && kind != kSched) return Errno::kInval;  // 3: a file's
  GuestClock c;
  c.user_only = kind == kVirt;
  Tid pid = ~(id >> 3);
  Ref<Task> target = pid == 0 ? Ref<Task>(&t) : t.kernel().FindTask(t.pid_ns(), pid);
  if (!target) return Errno::kInval;
  if ((id & kThreadBit) != 0) {
    if (&target->group() != &t.group()) return Errno::kInval;
    c.kind = GuestClock::Kind::kThreadCpu;
    c.thread = std::move(target);
    return c;
  }
  if (pid != 0 && target->group().PidIn(t.pid_ns()) != pid) return Errno::kInval;
  c.kind = GuestClock::Kind::kProcessCpu;
  c.process = Ref<ThreadGroup>(&target->group());
  return c;
}

}  // namespace

int64_t GuestClock::Now() const {
  switch (kind) {
    case Kind::kSystem:
      return ClockNanos(system);
    case Kind::kProcessCpu:
      return static_cast<int64_t>(process->UserNanos() + (user_only ? 0 : process->SystemNanos()));
    case Kind::kThreadCpu:
      return static_cast<int64_t>(thread->UserNanos() + (user_only ? 0 : thread->SystemNanos()));
  }
  __builtin_unreachable();
}

ErrnoOr<GuestClock> FindClock(Task& t, int32_t id) {
  GuestClock c;
  if (id < 0) return FindCpuClock(t, id);
  if (id == CLOCK_PROCESS_CPUTIME_ID) {
    c.kind = GuestClock::Kind::kProcessCpu;
    c.process = Ref<ThreadGroup>(&t.group());
    return c;
  }
  if (id == CLOCK_THREAD_CPUTIME_ID) {
    c.kind = GuestClock::Kind::kThreadCpu;
    c.thread = Ref<Task>(&t);
    return c;
  }
  if (!IsSystemClock(id)) return Errno::kInval;
  c.system = static_cast<ClockId>(id);
  return c;
}

int64_t MonotonicDeadline(ClockId clock, int64_t nanos) {
  if (nanos == INT64_MAX) return nanos;
  if (clock == ClockId::kMonotonic) return nanos;
  int64_t ahead = nanos - ClockNanos(clock);
  int64_t now = MonotonicNanos();
  return ahead > INT64_MAX - now ? INT64_MAX : now + ahead;
}

}  // namespace runsc
