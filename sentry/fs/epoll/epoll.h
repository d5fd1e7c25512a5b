#ifndef SENTRY_FS_EPOLL_EPOLL_H_
#define SENTRY_FS_EPOLL_EPOLL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/types.h"
#include "sentry/vfs/file.h"
#include "sentry/wait/wait.h"

namespace runsc {

// One event that epoll_wait(2) reports.
struct EpollReport {
  uint32_t events;
  uint64_t data;
};

// epoll(7). Interest is by descriptor and open file description; a description that dies leaves
// by itself. Lock order: FileReleaseLock(), then mu_ (a nested instance's after its watcher's), then
// whatever Poll of a watched file takes, then ready_mu_.
class Epoll final : public File, public FileReleaseHook {
 public:
  explicit Epoll(const Ref<const Credentials>& creds);
  ~Epoll() override;

  // epoll_ctl(2). EEXIST, ENOENT, EINVAL (itself, bad EPOLLEXCLUSIVE), ELOOP (cycle or too deep).
  Status Add(FdNum fd, File& file, uint32_t events, uint64_t data);
  Status Modify(FdNum fd, File& file, uint32_t events, uint64_t data);
  Status Remove(FdNum fd, File& file);
  // Up to `max` ready events; kWouldBlock if there are none.
  ErrnoOr<std::vector<EpollReport>> Harvest(size_t max);

  bool seekable() const override { return false; }
  EventMask Poll(EventMask mask) override;
  void AddWaiter(Waiter* w, EventMask mask, bool exclusive) override {
    queue_.Add(w, mask, exclusive);
  }
  void RemoveWaiter(Waiter* w) override { queue_.Remove(w); }
  std::string FdInfo() override;
  void OnFileRelease(File& file) override;

 private:
  class Entry;
  using Key = std::pair<File*, int32_t>;

  void Enqueue(Entry* entry);
  // Notes that this one watches `inner`. ELOOP, EINVAL if events would have too far to go.
  Status Link(Epoll& inner);
  void Unlink(Epoll& inner);
  struct Below;
  void LookBelow(int depth, Below* out);
  int LevelsAbove() const;
  size_t WakesAbove(std::map<const Epoll*, size_t>* known) const;
  void Arm(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Disarm(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Unready(Entry& entry);
  Entry* FirstReady();
  Entry* LastReady();
  // Ready events of the entry now; 0 if none.
  uint32_t PollEntry(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void HarvestLocked(size_t max, std::vector<EpollReport>* out)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  WaitQueue queue_;
  // Guarded by FileReleaseLock(): instances that this one watches, with counts, and that watch it.
  std::map<Epoll*, int> inner_, outer_;
  Mutex<LockRank::kEpoll> mu_;
  std::map<Key, std::unique_ptr<Entry>> entries_ ABSL_GUARDED_BY(mu_);
  Mutex<LockRank::kEpollReady> ready_mu_;
  // Ready list, intrusive.
  Entry* ready_head_ ABSL_GUARDED_BY(ready_mu_) = nullptr;
  Entry* ready_tail_ ABSL_GUARDED_BY(ready_mu_) = nullptr;
};

}  // namespace runsc

#endif  // SENTRY_FS_EPOLL_EPOLL_H_
