#ifndef SYSCALLS_SYNC_FUTEX_WAIT_H_
#define SYSCALLS_SYNC_FUTEX_WAIT_H_

#include <cstdint>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/kernel/task.h"

namespace runsc {

// One word to wait for.
struct FutexTarget {
  UserAddr addr;
  uint32_t value = 0;
  uint32_t bitset = UINT32_MAX;
  bool process_private = false;
};

// When a wait ends: never, or at a time of one clock.
struct FutexDeadline {
  bool set = false;
  bool realtime = false;
  int64_t at = 0;  // ns
};

// Reads a timespec: relative to now on CLOCK_MONOTONIC, or absolute on the named clock. EINVAL if
// not normalised. Null `timeout`: none.
ErrnoOr<FutexDeadline> ReadFutexDeadline(Task& t, UserAddr timeout, bool absolute, bool realtime);

// Sleeps until one of `targets` is woken and answers its index. EAGAIN if a word does not hold
// its value, ETIMEDOUT; restarts after signals as Linux: with the same deadline.
ErrnoOr<int32_t> WaitForFutexes(Task& t, const std::vector<FutexTarget>& targets,
                                const FutexDeadline& deadline);
ErrnoOr<int32_t> WaitForFutex(Task& t, const FutexTarget& target, const FutexDeadline& deadline);

}  // namespace runsc

#endif  // SYSCALLS_SYNC_FUTEX_WAIT_H_
