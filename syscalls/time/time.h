#ifndef SYSCALLS_TIME_TIME_H_
#define SYSCALLS_TIME_TIME_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/kernel/task.h"

namespace runsc {

// clocks.cc: clock_gettime(2), gettimeofday(2), adjtimex(2).
ErrnoOr<void> ClockGettime(Task& t, int32_t clock, UserAddr tp);
ErrnoOr<void> ClockGetres(Task& t, int32_t clock, UserAddr tp);
ErrnoOr<void> ClockSettime(Task& t, int32_t clock, UserAddr tp);
ErrnoOr<void> Gettimeofday(Task& t, UserAddr tv, UserAddr tz);
ErrnoOr<int64_t> TimeCall(Task& t, UserAddr out);
ErrnoOr<int32_t> Adjtimex(Task& t, UserAddr buf);
ErrnoOr<int32_t> ClockAdjtime(Task& t, int32_t clock, UserAddr buf);

// sleep.cc: nanosleep(2), clock_nanosleep(2).
ErrnoOr<int64_t> Nanosleep(Task& t, UserAddr request, UserAddr remaining);
ErrnoOr<int64_t> ClockNanosleep(Task& t, int32_t clock, int32_t flags, UserAddr request,
                                UserAddr remaining);

// timers.cc: POSIX timers, setitimer(2), timerfd_create(2).
ErrnoOr<void> TimerCreate(Task& t, int32_t clock, UserAddr event, UserAddr out);
ErrnoOr<void> TimerSettime(Task& t, int32_t id, int32_t flags, UserAddr new_value, UserAddr old);
ErrnoOr<void> TimerGettime(Task& t, int32_t id, UserAddr value);
ErrnoOr<int32_t> TimerGetoverrun(Task& t, int32_t id);
ErrnoOr<void> TimerDelete(Task& t, int32_t id);
ErrnoOr<void> GetitimerCall(Task& t, int32_t which, UserAddr value);
ErrnoOr<void> SetitimerCall(Task& t, int32_t which, UserAddr new_value, UserAddr old);
ErrnoOr<uint32_t> Alarm(Task& t, uint32_t seconds);
ErrnoOr<FdNum> TimerfdCreate(Task& t, int32_t clock, uint32_t flags);
ErrnoOr<void> TimerfdSettime(Task& t, FdNum fd, int32_t flags, UserAddr new_value, UserAddr old);
ErrnoOr<void> TimerfdGettime(Task& t, FdNum fd, UserAddr value);

}  // namespace runsc

#endif  // SYSCALLS_TIME_TIME_H_
