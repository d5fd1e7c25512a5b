#include "syscalls/fs/event/poll_set.h"

#include "syscalls/dispatch/blocking.h"

namespace runsc {
namespace {

int32_t Scan(std::vector<PollItem>& items) {
  int32_t ready = 0;
  for (PollItem& item : items) {
    if (item.file) item.ready = item.file->Poll(item.events);
    if (item.ready != 0) ++ready;
  }
  return ready;
}

}  // namespace

ErrnoOr<int32_t> WaitForItems(Task& t, std::vector<PollItem>& items, int64_t deadline) {
  int32_t ready = Scan(items);
  if (ready != 0 || deadline == 0) return ready;
  t.blocker().ClearWake();
  std::deque<PollScope> scopes;
  for (PollItem& item : items) {
    if (item.file) scopes.emplace_back(t, *item.file, item.events);
  }
  for (;;) {
    ready = Scan(items);
    if (ready != 0) return ready;
    Status woken = WaitOnce(t, deadline);
    if (woken.ok()) continue;
    if (woken.error() == Errno::kTimedout) return Scan(items);
    return Errno::kRestartNoHand;
  }
}

}  // namespace runsc
