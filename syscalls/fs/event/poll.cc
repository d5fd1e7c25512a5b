#include <poll.h>
#include <sys/resource.h>

#include "syscalls/fs/event/event.h"
#include "syscalls/fs/event/poll_set.h"
#include "syscalls/fs/event/timeout.h"

namespace runsc {
namespace {

ErrnoOr<int32_t> PollUntil(Task& t, UserAddr fds, uint32_t count, int64_t deadline) {
  if (count > t.Limit(RLIMIT_NOFILE)) return Errno::kInval;
  std::vector<pollfd> set = TRY(t.mem().GetArray<pollfd>(fds, count));
  std::vector<PollItem> items(count);
  for (uint32_t i = 0; i < count; ++i) {
    if (set[i].fd < 0) continue;
    items[i].events = static_cast<uint16_t>(set[i].events);
    ErrnoOr<Ref<File>> file = t.fds().GetIo(FdNum(set[i].fd));
    if (file.ok()) {
      items[i].file = *file;
    } else {
      items[i].ready = POLLNVAL;
    }
  }
  int32_t ready = TRY(WaitForItems(t, items, deadline));
  for (uint32_t i = 0; i < count; ++i) {
    set[i].revents = static_cast<int16_t>(items[i].ready);
    // Only the answers are written, as Linux does: the guest may share the array.
    UserAddr at = fds + i * sizeof(pollfd) + offsetof(pollfd, revents);
    TRY(t.mem().Put(at, set[i].revents));
  }
  return ready;
}

// poll(2) goes on after a stop with the deadline it had.
class PollRestart final : public RestartBlock {
 public:
  PollRestart(UserAddr fds, uint32_t count, int64_t deadline)
      : fds_(fds), count_(count), deadline_(deadline) {}
  ErrnoOr<int64_t> Restart(Task& t) override;

 private:
  const UserAddr fds_;
  const uint32_t count_;
  const int64_t deadline_;
};

ErrnoOr<int64_t> PollRestartably(Task& t, UserAddr fds, uint32_t count, int64_t deadline) {
  ErrnoOr<int32_t> ready = PollUntil(t, fds, count, deadline);
  if (ready.ok()) return int64_t{*ready};
  if (ready.error() != Errno::kRestartNoHand) return ready.error();
  return t.Restart(std::make_unique<PollRestart>(fds, count, deadline));
}

ErrnoOr<int64_t> PollRestart::Restart(Task& t) {
  return PollRestartably(t, fds_, count_, deadline_);
}

}  // namespace

ErrnoOr<int32_t> Poll(Task& t, UserAddr fds, uint32_t count, int32_t timeout_ms) {
  int64_t n = TRY(PollRestartably(t, fds, count, DeadlineAfterMillis(timeout_ms)));
  return static_cast<int32_t>(n);
}

ErrnoOr<int32_t> Ppoll(Task& t, UserAddr fds, uint32_t count, UserAddr timeout, UserAddr mask,
                       uint64_t mask_size) {
  int64_t deadline = TRY(DeadlineFromTimespec(t, timeout));
  TRY(ApplyTemporaryMask(t, mask, mask_size));
  ErrnoOr<int32_t> ready = PollUntil(t, fds, count, deadline);
  PutRemainingTimespec(t, timeout, deadline);
  return ready;
}

}  // namespace runsc
