#include <sys/epoll.h>
#include <sys/resource.h>

#include "sentry/fs/epoll/epoll.h"
#include "syscalls/dispatch/blocking.h"
#include "syscalls/fs/event/event.h"
#include "syscalls/fs/event/timeout.h"

namespace runsc {
namespace {

ErrnoOr<Ref<Epoll>> GetEpoll(Task& t, FdNum fd) {
  Ref<File> file = TRY(t.fds().GetIo(fd));
  auto* epoll = dynamic_cast<Epoll*>(file.get());
  if (epoll == nullptr) return Errno::kInval;
  return Ref<Epoll>(epoll);
}

// Regular files and directories are always ready, which epoll(7) refuses to watch.
bool IsWatchable(File& file) {
  uint32_t type = file.inode().type();
  return type != 0100000 && type != 0040000;
}

ErrnoOr<int32_t> DoEpollWait(Task& t, FdNum epfd, UserAddr events, int32_t max, int64_t deadline) {
  constexpr int32_t kMaxEvents = INT32_MAX / static_cast<int32_t>(sizeof(epoll_event));
  if (max <= 0 || max > kMaxEvents) return Errno::kInval;
  Ref<Epoll> epoll = TRY(GetEpoll(t, epfd));
  auto harvest = [&]() -> ErrnoOr<std::vector<EpollReport>> {
    return epoll->Harvest(static_cast<size_t>(max));
  };
  ErrnoOr<std::vector<EpollReport>> ready =
      deadline == 0 ? harvest() : BlockOn<PollScope>(t, *epoll, EPOLLIN, deadline, harvest);
  if (!ready.ok()) {
    Errno e = ready.error();
    if (e == Errno::kTimedout || e == Errno::kWouldBlock) return int32_t{0};
    return e == Errno::kRestartSys ? Errno::kIntr : e;
  }
  std::vector<epoll_event> out(ready->size());
  for (size_t i = 0; i < out.size(); ++i) {
    out[i].events = (*ready)[i].events;
    out[i].data.u64 = (*ready)[i].data;
  }
  TRY(t.mem().CopyOut(events, out.data(), out.size() * sizeof(epoll_event)));
  return static_cast<int32_t>(out.size());
}

}  // namespace

ErrnoOr<FdNum> EpollCreate(Task& t, int32_t size) {
  if (size <= 0) return Errno::kInval;
  return EpollCreate1(t, 0);
}

ErrnoOr<FdNum> EpollCreate1(Task& t, uint32_t flags) {
  if ((flags & ~static_cast<uint32_t>(EPOLL_CLOEXEC)) != 0) return Errno::kInval;
  Ref<File> file = MakeRef<Epoll>(t.creds_ref());
  return t.fds().Install(std::move(file), (flags & EPOLL_CLOEXEC) != 0, t.Limit(RLIMIT_NOFILE));
}

ErrnoOr<void> EpollCtl(Task& t, FdNum epfd, int32_t op, FdNum fd, UserAddr event) {
  epoll_event e{};
  if (op != EPOLL_CTL_DEL) e = TRY(t.mem().Get<epoll_event>(event));
  Ref<File> any = TRY(t.fds().GetIo(epfd));
  Ref<File> target = TRY(t.fds().GetIo(fd));
  if (!IsWatchable(*target)) return Errno::kPerm;
  Ref<Epoll> epoll = TRY(GetEpoll(t, epfd));
  if (target == epoll.get()) return Errno::kInval;
  switch (op) {
    case EPOLL_CTL_ADD: return epoll->Add(fd, *target, e.events, e.data.u64);
    case EPOLL_CTL_MOD: return epoll->Modify(fd, *target, e.events, e.data.u64);
    case EPOLL_CTL_DEL: return epoll->Remove(fd, *target);
    default: return Errno::kInval;
  }
}

ErrnoOr<int32_t> EpollWait(Task& t, FdNum epfd, UserAddr events, int32_t max, int32_t timeout_ms) {
  return DoEpollWait(t, epfd, events, max, DeadlineAfterMillis(timeout_ms));
}

ErrnoOr<int32_t> EpollPwait(Task& t, FdNum epfd, UserAddr events, int32_t max, int32_t timeout_ms,
                            UserAddr mask, uint64_t mask_size) {
  TRY(ApplyTemporaryMask(t, mask, mask_size));
  return DoEpollWait(t, epfd, events, max, DeadlineAfterMillis(timeout_ms));
}

ErrnoOr<int32_t> EpollPwait2(Task& t, FdNum epfd, UserAddr events, int32_t max, UserAddr timeout,
                             UserAddr mask, uint64_t mask_size) {
  int64_t deadline = TRY(DeadlineFromTimespec(t, timeout));
  TRY(ApplyTemporaryMask(t, mask, mask_size));
  return DoEpollWait(t, epfd, events, max, deadline);
}

}  // namespace runsc
