#ifndef SENTRY_VFS_INOTIFY_H_
#define SENTRY_VFS_INOTIFY_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"

namespace runsc {

class Inotify;

namespace inotify {
// /proc/sys/fs/inotify.
inline constexpr size_t kMaxQueued = 16384;   // max_queued_events, of an instance
inline constexpr size_t kMaxInstances = 128;  // max_user_instances
inline constexpr size_t kMaxWatches = 65536;  // max_user_watches

void Unmounted(const Filesystem& fs);
}  // namespace inotify

// One watch of one instance on one inode.
class InotifyWatch : public RefCounted {
 public:
  InotifyWatch(Inotify* owner, Ref<Inode> inode, int32_t wd, uint32_t mask)
      : owner(owner), inode(std::move(inode)), wd(wd), mask(mask) {}
  Inotify* const owner;  // outlives its watches' place in InodeWatches
  const Ref<Inode> inode;
  const int32_t wd;
  std::atomic<uint32_t> mask;
};

// Watches on one inode. Lock order: InodeWatches before Inotify.
class InodeWatches {
 public:
  // Tells every watch whose mask meets `event`. `unlinked`: the name is gone (IN_EXCL_UNLINK).
  void Notify(uint32_t event, uint32_t cookie, std::string_view name, bool unlinked);
  // The inode has no name any more: IN_DELETE_SELF and IN_IGNORED.
  void Removed();
  void InodeGone() {}

 private:
  friend class Inotify;
  Mutex<LockRank::kInodeWatches> mu_;
  std::vector<Ref<InotifyWatch>> watches_ ABSL_GUARDED_BY(mu_);
};

// An inotify instance (inotify(7)).
class Inotify : public File {
 public:
  // EMFILE if its user has as many as one may.
  static ErrnoOr<Ref<Inotify>> New(uint32_t flags, Ref<const Credentials> creds);
  ~Inotify() override;

  // inotify_add_watch(2): EEXIST with IN_MASK_CREATE; ENOSPC above the user's limit.
  ErrnoOr<int32_t> AddWatch(Ref<Inode> inode, uint32_t mask);
  // inotify_rm_watch(2): EINVAL.
  Status RemoveWatch(int32_t wd);

  ErrnoOr<size_t> Read(IoContext& io, UserOut& dst) override;
  ErrnoOr<int64_t> Ioctl(IoContext& io, const IoctlRequest& request) override;
  bool seekable() const override { return false; }
  EventMask Poll(EventMask mask) override;
  void AddWaiter(Waiter* w, EventMask mask, bool exclusive) override;
  void RemoveWaiter(Waiter* w) override;
  ErrnoOr<AsyncLists> async_lists() override { return AsyncLists{.in = &async_}; }
  std::string Description() override { return "anon_inode:inotify"; }
  std::string FdInfo() override;

 private:
  friend class InodeWatches;
  friend void inotify::Unmounted(const Filesystem& fs);
  struct Event {
    int32_t wd;
    uint32_t mask;
    uint32_t cookie;
    std::string name;
    bool operator==(const Event&) const = default;
  };
  Inotify(Path path, uint32_t flags, Ref<const Credentials> creds);
  static size_t SizeOf(const Event& e);
  void Queue(Event e);
  // Forgets a watch and says IN_IGNORED.
  void Forget(int32_t wd);
  // Its watches on `fs` end with IN_UNMOUNT.
  void ForgetFilesystem(const Filesystem& fs);

  Mutex<LockRank::kInotify> mu_;
  std::deque<Event> events_ ABSL_GUARDED_BY(mu_);
  std::map<int32_t, Ref<InotifyWatch>> watches_ ABSL_GUARDED_BY(mu_);
  int32_t last_wd_ ABSL_GUARDED_BY(mu_) = 0;
  WaitQueue queue_;
  AsyncList async_;
};

namespace inotify {

// Whether any watch exists: the test every hook makes first.
inline std::atomic<uint32_t> g_watch_count{0};
inline bool Active() { return g_watch_count.load(std::memory_order_relaxed) != 0; }

// An entry of directory `dir` changed: IN_CREATE, IN_DELETE, IN_MOVED_*.
void DirEvent(Inode& dir, uint32_t event, std::string_view name, bool is_dir, uint32_t cookie = 0);
// Something happened to `inode` itself.
void SelfEvent(Inode& inode, uint32_t event);
uint32_t NextCookie();
// The last name of `inode` went away.
void InodeRemoved(Inode& inode);
// The last mount of `fs` is gone.
void Unmounted(const Filesystem& fs);

}  // namespace inotify
}  // namespace runsc

#endif  // SENTRY_VFS_INOTIFY_H_
