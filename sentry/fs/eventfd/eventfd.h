#ifndef SENTRY_FS_EVENTFD_EVENTFD_H_
#define SENTRY_FS_EVENTFD_EVENTFD_H_

#include <cstdint>
#include <string>

#include "platform/base/mutex.h"
#include "sentry/vfs/file.h"

namespace runsc {

// eventfd(2).
class EventFd final : public File {
 public:
  // `flags`: O_NONBLOCK. `semaphore`: EFD_SEMAPHORE.
  EventFd(const Ref<const Credentials>& creds, uint32_t flags, uint64_t initial, bool semaphore);

  ErrnoOr<size_t> Read(IoContext& io, UserOut& dst) override;
  ErrnoOr<size_t> Write(IoContext& io, UserIn& src) override;
  bool seekable() const override { return false; }
  EventMask Poll(EventMask mask) override;
  void AddWaiter(Waiter* w, EventMask mask, bool exclusive) override {
    queue_.Add(w, mask, exclusive);
  }
  void RemoveWaiter(Waiter* w) override { queue_.Remove(w); }
  std::string FdInfo() override;

 private:
  ErrnoOr<uint64_t> TakeCount();

  const bool semaphore_;
  WaitQueue queue_;
  Mutex<LockRank::kEventFd> mu_;
  uint64_t count_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FS_EVENTFD_EVENTFD_H_
