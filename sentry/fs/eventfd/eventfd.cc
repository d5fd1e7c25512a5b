#include "sentry/fs/eventfd/eventfd.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include "platform/base/strings.h"
#include "sentry/vfs/anon.h"

namespace runsc {
namespace {

constexpr uint64_t kMaxCount = UINT64_MAX - 1;

}  // namespace

EventFd::EventFd(const Ref<const Credentials>& creds, uint32_t flags, uint64_t initial,
                 bool semaphore)
    : File(AnonFilePath("eventfd"), O_RDWR | flags, creds),
      semaphore_(semaphore),
      count_(initial) {}

ErrnoOr<uint64_t> EventFd::TakeCount() {
  MutexLock l(mu_);
  if (count_ == 0) return Errno::kWouldBlock;
  uint64_t taken = semaphore_ ? 1 : count_;
  count_ -= taken;
  return taken;
}

ErrnoOr<size_t> EventFd::Read(IoContext&, UserOut& dst) {
  if (dst.remaining() < sizeof(uint64_t)) return Errno::kInval;
  uint64_t taken = TRY(TakeCount());
  queue_.Notify(EPOLLOUT | EPOLLWRNORM);
  return dst.Put(taken);
}

ErrnoOr<size_t> EventFd::Write(IoContext&, UserIn& src) {
  if (src.remaining() < sizeof(uint64_t)) return Errno::kInval;
  UserIn peek = src;  // a write that must wait reads its value again
  uint64_t add = TRY(peek.Get<uint64_t>());
  if (add == UINT64_MAX) return Errno::kInval;
  {
    MutexLock l(mu_);
    if (add > kMaxCount - count_) return Errno::kWouldBlock;
    count_ += add;
  }
  src.Skip(sizeof(uint64_t));
  queue_.Notify(EPOLLIN | EPOLLRDNORM);
  return sizeof(uint64_t);
}

EventMask EventFd::Poll(EventMask mask) {
  MutexLock l(mu_);
  EventMask ready = 0;
  if (count_ > 0) ready |= EPOLLIN | EPOLLRDNORM;
  if (count_ < kMaxCount) ready |= EPOLLOUT | EPOLLWRNORM;
  return ready & (mask | EPOLLERR | EPOLLHUP);
}

std::string EventFd::FdInfo() {
  MutexLock l(mu_);
  return StrPrintf("eventfd-count: %16llx\n", static_cast<unsigned long long>(count_));
}

}  // namespace runsc
