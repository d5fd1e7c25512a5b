#ifndef SYSCALLS_FS_EVENT_POLL_SET_H_
#define SYSCALLS_FS_EVENT_POLL_SET_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "sentry/kernel/task.h"
#include "sentry/wait/wait.h"

namespace runsc {

// One file that poll(2) or select(2) asks about.
struct PollItem {
  Ref<File> file;       // null: not open (poll reports POLLNVAL) or to be skipped
  EventMask events = 0;
  EventMask ready = 0;  // after Wait
};

// Waits until an item is ready, the deadline passes, or a signal comes. Answers how many are
// ready: 0 at the deadline; kRestartNoHand if interrupted. Items with `ready` already set count.
ErrnoOr<int32_t> WaitForItems(Task& t, std::vector<PollItem>& items, int64_t deadline);

}  // namespace runsc

#endif  // SYSCALLS_FS_EVENT_POLL_SET_H_
