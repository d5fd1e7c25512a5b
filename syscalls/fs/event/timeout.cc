#include "syscalls/fs/event/timeout.h"

#include <sys/time.h>
#include <time.h>

#include <algorithm>

#include "sentry/time/clock.h"

namespace runsc {
namespace {

constexpr int64_t kSecond = 1000000000;

// Saturates; a deadline is never 0 unless the wait is.
int64_t DeadlineAfter(int64_t seconds, int64_t nanos) {
  if (seconds == 0 && nanos == 0) return 0;
  if (seconds >= Blocker::kForever / kSecond - 1) return Blocker::kForever;
  int64_t span = seconds * kSecond + nanos;
  int64_t now = MonotonicNanos();
  return span >= Blocker::kForever - now ? Blocker::kForever : now + span;
}

}  // namespace

int64_t DeadlineAfterMillis(int32_t timeout_ms) {
  if (timeout_ms < 0) return Blocker::kForever;
  return DeadlineAfter(timeout_ms / 1000, static_cast<int64_t>(timeout_ms % 1000) * 1000000);
}

int64_t DeadlineAfterNanos(int64_t nanos) { return DeadlineAfter(nanos / kSecond, nanos % kSecond); }

ErrnoOr<int64_t> DeadlineFromTimespec(Task& t, UserAddr timeout) {
  if (timeout.IsNull()) return Blocker::kForever;
  timespec ts = TRY(t.mem().Get<timespec>(timeout));
  if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= kSecond) return Errno::kInval;
  return DeadlineAfter(ts.tv_sec, ts.tv_nsec);
}

ErrnoOr<int64_t> DeadlineFromTimeval(Task& t, UserAddr timeout) {
  if (timeout.IsNull()) return Blocker::kForever;
  timeval tv = TRY(t.mem().Get<timeval>(timeout));
  if (tv.tv_sec < 0 || tv.tv_usec < 0) return Errno::kInval;
  int64_t carry = tv.tv_usec / 1000000;
  if (tv.tv_sec > INT64_MAX - carry) return Blocker::kForever;
  return DeadlineAfter(tv.tv_sec + carry, tv.tv_usec % 1000000 * 1000);
}

void PutRemainingTimespec(Task& t, UserAddr timeout, int64_t deadline) {
  if (timeout.IsNull() || deadline == Blocker::kForever) return;
  int64_t left = deadline == 0 ? 0 : std::max<int64_t>(0, deadline - MonotonicNanos());
  timespec ts{static_cast<time_t>(left / kSecond), static_cast<long>(left % kSecond)};
  (void)t.mem().Put(timeout, ts);
}

void PutRemainingTimeval(Task& t, UserAddr timeout, int64_t deadline) {
  if (timeout.IsNull() || deadline == Blocker::kForever) return;
  int64_t left = deadline == 0 ? 0 : std::max<int64_t>(0, deadline - MonotonicNanos());
  timeval tv{static_cast<time_t>(left / kSecond), static_cast<suseconds_t>(left % kSecond / 1000)};
  (void)t.mem().Put(timeout, tv);
}

Status ApplyTemporaryMask(Task& t, UserAddr mask, uint64_t size) {
  if (mask.IsNull()) return Ok();
  if (size != sizeof(uint64_t)) return Errno::kInval;
  t.SetTemporaryMask(SignalSet{TRY(t.mem().Get<uint64_t>(mask))});
  return Ok();
}

}  // namespace runsc
