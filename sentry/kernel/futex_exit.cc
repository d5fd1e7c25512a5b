#include "sentry/kernel/futex_exit.h"

#include <linux/futex.h>

#include <utility>

#include "sentry/kernel/futex.h"

namespace runsc {
namespace {

// struct robust_list_head of <linux/futex.h>, with guest pointers.
struct RobustHead {
  uint64_t next;
  int64_t futex_offset;
  uint64_t pending;
};

constexpr uint64_t kPiBit = 1;

void WakeOne(Task& t, UserAddr addr) {
  (void)FutexTable::Get().Wake({t.mem(), addr, false}, 1, FUTEX_BITSET_MATCH_ANY);
}

// handle_futex_death of Linux kernel/futex/core.c. Answers false if the list is not to be trusted.
bool OwnerDied(Task& t, UserAddr addr, bool pi, bool pending) {
  if ((addr.value & 3) != 0) return false;
  ErrnoOr<uint32_t> read = t.mem().Load32(addr);
  if (!read.ok()) return false;
  uint32_t value = *read;
  for (;;) {
    uint32_t owner = value & FUTEX_TID_MASK;
    // It died between releasing the lock and waking: wake for it.
    if (pending && !pi && owner == 0) {
      WakeOne(t, addr);
      return true;
    }
    if (owner != static_cast<uint32_t>(t.own_tid())) return true;
    uint32_t dead = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    ErrnoOr<uint32_t> found = t.mem().CompareExchange32(addr, value, dead);
    if (!found.ok()) return false;
    if (*found == value) break;
    value = *found;
  }
  if (!pi && (value & FUTEX_WAITERS) != 0) WakeOne(t, addr);
  return true;
}

void WalkRobustList(Task& t, UserAddr head_addr) {
  ErrnoOr<RobustHead> head = t.mem().Get<RobustHead>(head_addr);
  if (!head.ok()) return;
  auto word = [&](uint64_t entry) {
    return UserAddr((entry & ~kPiBit) + static_cast<uint64_t>(head->futex_offset));
  };
  const uint64_t pending = head->pending & ~kPiBit;
  uint64_t entry = head->next;
  for (int left = ROBUST_LIST_LIMIT; left > 0 && (entry & ~kPiBit) != head_addr.value; --left) {
    // The next one first: waking may let another thread free this one.
    ErrnoOr<uint64_t> next = t.mem().Get<uint64_t>(UserAddr(entry & ~kPiBit));
    if ((entry & ~kPiBit) != pending && !OwnerDied(t, word(entry), (entry & kPiBit) != 0, false)) {
      return;
    }
    if (!next.ok()) return;
    entry = *next;
  }
  if (pending != 0) {
    (void)OwnerDied(t, word(head->pending), (head->pending & kPiBit) != 0, true);
  }
}

}  // namespace

void FutexExit(Task& t) {
  UserAddr list = std::exchange(t.robust_list, UserAddr());
  if (!list.IsNull()) WalkRobustList(t, list);
  UserAddr addr = std::exchange(t.clear_child_tid, UserAddr());
  if (addr.IsNull()) return;
  if (t.mem().Put<int32_t>(addr, 0).ok()) WakeOne(t, addr);
}

}  // namespace runsc
