#ifndef SYSCALLS_DISPATCH_BLOCKING_H_
#define SYSCALLS_DISPATCH_BLOCKING_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/time/clock.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/types.h"
#include "sentry/wait/wait.h"

namespace runsc {

// Keeps a task's waiter registered with one Pollable while in scope.
class PollScope {
 public:
  PollScope(Task& t, Pollable& p, EventMask mask, bool exclusive = false)
      : pollable_(p), waiter_(&t.blocker()) {
    t.blocker().ClearWake();
    pollable_.AddWaiter(&waiter_, mask, exclusive);
  }
  ~PollScope() { pollable_.RemoveWaiter(&waiter_); }
  PollScope(const PollScope&) = delete;

 private:
  Pollable& pollable_;
  BlockerWaiter waiter_;
};

// The same for a bare queue.
class QueueScope {
 public:
  QueueScope(Task& t, WaitQueue& q, EventMask mask, bool exclusive = false)
      : queue_(q), waiter_(&t.blocker()) {
    t.blocker().ClearWake();
    queue_.Add(&waiter_, mask, exclusive);
  }
  ~QueueScope() { queue_.Remove(&waiter_); }
  QueueScope(const QueueScope&) = delete;

 private:
  WaitQueue& queue_;
  BlockerWaiter waiter_;
};

// One sleep of the wait loop: Ok if woken, kTimedout at `deadline` (monotonic ns,
// Blocker::kForever), kRestartSys if a signal, stop or exit wants the task.
Status WaitOnce(Task& t, int64_t deadline);

// Runs `op()` (which answers ErrnoOr<R>) until it answers something other than kWouldBlock,
// waiting for `scope`'s events in between. `Scope` is PollScope or QueueScope: registered only
// once the first try would block. kRestartSys if interrupted, kTimedout at the deadline.
template <typename Scope, typename Source, typename Op>
auto BlockOn(Task& t, Source& source, EventMask mask, int64_t deadline, Op op) -> decltype(op()) {
  auto first = op();
  if (first.ok() || first.error() != Errno::kWouldBlock) return first;
  Scope scope(t, source, mask);
  for (;;) {
    auto result = op();
    if (result.ok() || result.error() != Errno::kWouldBlock) return result;
    TRY(WaitOnce(t, deadline));
  }
}

// The wait loop for file operations: as above on `file`, but kWouldBlock goes to the caller if
// the file is non-blocking.
template <typename Op>
auto BlockOnFile(Task& t, File& file, EventMask mask, Op op, int64_t deadline = Blocker::kForever)
    -> decltype(op()) {
  if (file.nonblock()) return op();
  return BlockOn<PollScope>(t, file, mask, deadline, op);
}

// The wait loop for reads: the file may limit the wait by itself (File::ReadDeadline).
template <typename Op>
auto BlockOnRead(Task& t, File& file, EventMask mask, IoContext& io, Op op) -> decltype(op()) {
  auto first = op();
  if (first.ok() || first.error() != Errno::kWouldBlock || file.nonblock()) return first;
  const int64_t began = MonotonicNanos();
  PollScope scope(t, file, mask);
  for (;;) {
    auto result = op();
    if (result.ok() || result.error() != Errno::kWouldBlock) return result;
    Status slept = WaitOnce(t, file.ReadDeadline(began));
    io.expired = !slept.ok() && slept.error() == Errno::kTimedout;
    if (!io.expired) TRY(slept);
  }
}

// Monotonic deadline for a wait that may last `timeout` ns from now (SO_RCVTIMEO, SO_SNDTIMEO); 0:
// no limit.
inline int64_t DeadlineAfter(int64_t timeout) {
  return timeout == 0 ? Blocker::kForever : MonotonicNanos() + timeout;
}
// What a call with such a deadline answers if its wait failed: EAGAIN at the end of the time, and
// EINTR for a signal, as it is not restarted (signal(7)).
inline Errno AfterDeadline(Errno e, int64_t deadline) {
  if (deadline == Blocker::kForever) return e;
  return e == Errno::kTimedout ? Errno::kAgain : e == Errno::kRestartSys ? Errno::kIntr : e;
}

}  // namespace runsc

#endif  // SYSCALLS_DISPATCH_BLOCKING_H_
