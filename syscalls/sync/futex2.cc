#include <linux/futex.h>
#include <time.h>

#include <vector>

#include "sentry/kernel/futex.h"
#include "syscalls/sync/futex_wait.h"
#include "syscalls/sync/sync.h"

namespace runsc {
namespace {

// FUTEX2_* of Linux's include/uapi/linux/futex.h, which Debian's headers do not have all of.
constexpr uint32_t kSizeMask = 0x03;
constexpr uint32_t kSizeU32 = 0x02;
constexpr uint32_t kPrivate = 0x80;
constexpr uint32_t kMaxWaiters = 128;

// struct futex_waitv.
struct WaitvEntry {
  uint64_t value;
  uint64_t addr;
  uint32_t flags;
  uint32_t reserved;
};

Status CheckFlags(uint32_t flags) {
  if ((flags & ~(kSizeMask | kPrivate)) != 0) return Errno::kInval;
  return (flags & kSizeMask) == kSizeU32 ? Ok() : Status(Errno::kInval);
}

ErrnoOr<FutexDeadline> Deadline(Task& t, UserAddr timeout, int32_t clock) {
  if (timeout.IsNull()) return FutexDeadline{};
  if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME) return Errno::kInval;
  return ReadFutexDeadline(t, timeout, true, clock == CLOCK_REALTIME);
}

ErrnoOr<FutexTarget> Target(const WaitvEntry& e) {
  if (e.reserved != 0 || e.value > UINT32_MAX) return Errno::kInval;
  TRY(CheckFlags(e.flags));
  return FutexTarget{UserAddr(e.addr), static_cast<uint32_t>(e.value), UINT32_MAX,
                     (e.flags & kPrivate) != 0};
}

}  // namespace

ErrnoOr<int32_t> FutexWaitv(Task& t, UserAddr waiters, uint32_t count, uint32_t flags,
                            UserAddr timeout, int32_t clock) {
  if (flags != 0 || count == 0 || count > kMaxWaiters || waiters.IsNull()) return Errno::kInval;
  FutexDeadline deadline = TRY(Deadline(t, timeout, clock));
  std::vector<WaitvEntry> entries = TRY(t.mem().GetArray<WaitvEntry>(waiters, count));
  std::vector<FutexTarget> targets;
  for (const WaitvEntry& e : entries) targets.push_back(TRY(Target(e)));
  return WaitForFutexes(t, targets, deadline);
}

ErrnoOr<int32_t> FutexWakeCall(Task& t, UserAddr addr, uint64_t mask, int32_t n, uint32_t flags) {
  TRY(CheckFlags(flags));
  if (mask == 0 || mask > UINT32_MAX) return Errno::kInval;
  FutexWord word{t.mem(), addr, (flags & kPrivate) != 0};
  if (n <= 0) {
    // Unlike FUTEX_WAKE, none means none; the address is checked all the same.
    (void)TRY(t.mem().GetFutexKey(addr, word.process_private));
    return 0;
  }
  return FutexTable::Get().Wake(word, n, static_cast<uint32_t>(mask));
}

ErrnoOr<int32_t> FutexWaitCall(Task& t, UserAddr addr, uint64_t value, uint64_t mask,
                               uint32_t flags, UserAddr timeout, int32_t clock) {
  TRY(CheckFlags(flags));
  if (mask > UINT32_MAX || value > UINT32_MAX) return Errno::kInval;
  FutexDeadline deadline = TRY(Deadline(t, timeout, clock));
  FutexTarget target{addr, static_cast<uint32_t>(value), static_cast<uint32_t>(mask),
                     (flags & kPrivate) != 0};
  return WaitForFutex(t, target, deadline);
}

ErrnoOr<int32_t> FutexRequeueCall(Task& t, UserAddr waiters, uint32_t flags, int32_t wake,
                                  int32_t requeue) {
  if (flags != 0 || waiters.IsNull() || wake < 0 || requeue < 0) return Errno::kInval;
  std::vector<WaitvEntry> entries = TRY(t.mem().GetArray<WaitvEntry>(waiters, 2));
  FutexTarget from = TRY(Target(entries[0]));
  FutexTarget to = TRY(Target(entries[1]));
  return FutexTable::Get().Requeue({t.mem(), from.addr, from.process_private},
                                   {t.mem(), to.addr, to.process_private}, wake, requeue,
                                   &from.value);
}

}  // namespace runsc
