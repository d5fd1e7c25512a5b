#ifndef SENTRY_VFS_MOUNT_H_
#define SENTRY_VFS_MOUNT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/path.h"
#include "sentry/wait/wait.h"

namespace runsc {

class MountNamespace;

// A file system (or a subtree of it: bind) attached at a place. Flags are MS_RDONLY, MS_NOSUID,
// MS_NODEV, MS_NOEXEC, MS_NOATIME, MS_RELATIME, ….
class Mount : public RefCounted {
 public:
  Mount(Ref<Filesystem> fs, Ref<Dentry> root, uint32_t flags, std::string source);
  ~Mount() override;
  // Of a whole file system, with a dentry tree of its own.
  static Ref<Mount> New(Ref<Filesystem> fs, uint32_t flags, std::string source);

  Filesystem& fs() const { return *fs_; }
  const Ref<Dentry>& root() const { return root_; }
  uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }
  bool read_only() const { return (flags() & 1) != 0; }
  int id() const { return id_; }
  const std::string& source() const { return source_; }

 private:
  friend class MountNamespace;
  friend class MountTree;
  const Ref<Filesystem> fs_;
  const Ref<Dentry> root_;
  const int id_;
  const std::string source_;
  std::atomic<uint32_t> flags_;
  // Guarded by the mount table's lock: where it is mounted, what is mounted on it. A mount owns its
  // children; parent and namespace outlive it while it is attached.
  Mount* parent_ = nullptr;
  MountNamespace* ns_ = nullptr;
  Ref<Dentry> mountpoint_;
  std::vector<Ref<Mount>> children_;
};

// One row of /proc/pid/mountinfo.
struct MountInfo {
  int id = 0, parent_id = 0;
  uint64_t dev = 0;
  std::string root, mount_point, options, super_options, type, source;
};

// The tree of mounts a set of processes sees. Thread-safe. Every mount is private: MS_SHARED,
// MS_SLAVE and MS_UNBINDABLE are not modelled (mount(2) says so loudly).
class MountNamespace : public RefCounted {
 public:
  // With `root` mounted as "/".
  static Ref<MountNamespace> New(Ref<Mount> root);
  // unshare(CLONE_NEWNS): a copy of the whole tree; `translate` maps the paths of the caller's cwd
  // and root into it.
  Ref<MountNamespace> Clone(std::vector<Path*> translate);

  Path Root();
  // Attaches `mount` (with what is mounted below it) at `at` (mount(2)). EBUSY, EINVAL, ENOTDIR,
  // ENOENT, ENOSPC.
  Status Attach(Ref<Mount> mount, const Path& at);
  // umount2(2): flags MNT_DETACH, MNT_FORCE, MNT_EXPIRE; UMOUNT_NOFOLLOW served by the caller. EBUSY if
  // anything but `at` refers to the mount (without MNT_DETACH), EINVAL if `at` is no mount's root.
  Status Detach(const Path& at, int flags);
  // mount --move, MS_REMOUNT|MS_BIND flags change, pivot_root(2).
  Status Move(const Path& from, const Path& to);
  Status SetFlags(const Path& at, uint32_t flags);
  Status PivotRoot(const Path& new_root, const Path& put_old);
  // A new mount of the subtree at `from`, not attached; `recursive`: with copies of the mounts
  // below it (mount --bind, --rbind).
  ErrnoOr<Ref<Mount>> Bind(const Path& from, bool recursive);
  // The topmost mount at `at`, repeatedly; `at` itself if nothing is mounted there.
  static Path Traverse(Path at);
  // The place a mount's root is mounted on; empty at the namespace's root.
  static Path MountPointOf(const Mount& mount);
  std::vector<MountInfo> List(const Path& root);
  // Each file system mounted here, once.
  std::vector<Ref<Filesystem>> Filesystems();
  uint64_t inode() const { return inode_; }
  // Whether `path` is on a mount of this namespace.
  bool Contains(const Path& path);
  // Changes of the tree (for poll on /proc/mounts); the queue is notified (EPOLLERR|EPOLLPRI).
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  WaitQueue& changes() { return changes_; }

 private:
  friend class MountTree;
  MountNamespace();
  ~MountNamespace() override;
  void Changed();
  // With the mount table's lock.
  Status CheckAttachLocked(Mount& mount, const Path& at);

  const uint64_t inode_;
  std::atomic<uint64_t> generation_{1};
  WaitQueue changes_;
  // Guarded by the mount table's lock.
  Ref<Mount> root_;
  size_t count_ = 0;
};

// Options as /proc/mounts shows them for a mount's flags: "rw,nosuid,relatime".
std::string MountOptions(uint32_t flags);

}  // namespace runsc

#endif  // SENTRY_VFS_MOUNT_H_
