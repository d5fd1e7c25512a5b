#ifndef SENTRY_FS_HOST_POLLER_H_
#define SENTRY_FS_HOST_POLLER_H_

#include <atomic>
#include <cstdint>
#include <map>

#include "platform/base/fd.h"
#include "platform/base/mutex.h"
#include "sentry/fs/host/descriptor.h"

namespace runsc::host_fs {

// One thread asleep in epoll_wait(2) over all host descriptors that somebody waits for. Edge
// triggered: a waiter looks again after adding itself, so only changes matter.
class Poller {
 public:
  // The one there is, made with its thread on first use; null if the host refuses that now.
  static Poller* Get();

  // An id for Arm; 0 if the host cannot poll the descriptor.
  uint64_t Add(Descriptor* d);
  void Remove(Descriptor* d);
  void Arm(Descriptor* d, bool on);

 private:
  Poller() = default;
  Status Start();
  void Loop();
  void Deliver(uint64_t id, EventMask events);

  std::atomic<bool> started_{false};
  Fd epoll_;  // set before started_
  Mutex<LockRank::kHostPoller> mu_;
  uint64_t next_id_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<uint64_t, Descriptor*> watched_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc::host_fs

#endif  // SENTRY_FS_HOST_POLLER_H_
