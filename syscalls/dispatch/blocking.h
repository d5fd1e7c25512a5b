#ifndef SYSCALLS_DISPATCH_BLOCKING_H_
#define SYSCALLS_DISPATCH_BLOCKING_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "sentry/kernel/task.h"
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

}  // namespace runsc

#endif  // SYSCALLS_DISPATCH_BLOCKING_H_
