#ifndef SYSCALLS_FS_EVENT_TIMEOUT_H_
#define SYSCALLS_FS_EVENT_TIMEOUT_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/kernel/task.h"

namespace runsc {

// Monotonic deadlines of relative time-outs; Blocker::kForever for none, 0 for "do not wait".
int64_t DeadlineAfterMillis(int32_t timeout_ms);
int64_t DeadlineAfterNanos(int64_t nanos);
// A timespec or timeval at `timeout` (none if null): EINVAL if negative or not normalised.
ErrnoOr<int64_t> DeadlineFromTimespec(Task& t, UserAddr timeout);
// select(2) accepts microseconds above a second, as Linux does.
ErrnoOr<int64_t> DeadlineFromTimeval(Task& t, UserAddr timeout);
// Writes what is left until `deadline` back; errors are ignored, as Linux does.
void PutRemainingTimespec(Task& t, UserAddr timeout, int64_t deadline);
void PutRemainingTimeval(Task& t, UserAddr timeout, int64_t deadline);

// ppoll(2) and friends: applies the signal mask at `mask` (none if null) for this call. EINVAL for
// a wrong size.
Status ApplyTemporaryMask(Task& t, UserAddr mask, uint64_t size);

}  // namespace runsc

#endif  // SYSCALLS_FS_EVENT_TIMEOUT_H_
