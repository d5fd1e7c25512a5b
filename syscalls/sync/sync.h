#ifndef SYSCALLS_SYNC_SYNC_H_
#define SYSCALLS_SYNC_SYNC_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/kernel/task.h"

namespace runsc {

// futex.cc: futex(2).
ErrnoOr<int32_t> Futex(Task& t, UserAddr addr, int32_t op, uint32_t value, UserAddr timeout,
                       UserAddr addr2, uint32_t value3);
// futex2.cc: the calls of Linux 5.16 and 6.7.
ErrnoOr<int32_t> FutexWaitv(Task& t, UserAddr waiters, uint32_t count, uint32_t flags,
                            UserAddr timeout, int32_t clock);
ErrnoOr<int32_t> FutexWakeCall(Task& t, UserAddr addr, uint64_t mask, int32_t n, uint32_t flags);
ErrnoOr<int32_t> FutexWaitCall(Task& t, UserAddr addr, uint64_t value, uint64_t mask,
                               uint32_t flags, UserAddr timeout, int32_t clock);
ErrnoOr<int32_t> FutexRequeueCall(Task& t, UserAddr waiters, uint32_t flags, int32_t wake,
                                  int32_t requeue);

// robust.cc: get_robust_list(2).
ErrnoOr<void> SetRobustList(Task& t, UserAddr head, uint64_t length);
ErrnoOr<void> GetRobustList(Task& t, Tid pid, UserAddr head, UserAddr length);

// membarrier_host.cc: membarrier(2).
ErrnoOr<int32_t> Membarrier(Task& t, int32_t command, uint32_t flags, int32_t cpu);

}  // namespace runsc

#endif  // SYSCALLS_SYNC_SYNC_H_
