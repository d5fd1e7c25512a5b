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

namespace runsc {

class MountNamespace;

// A file system (or a subtree of it: bind) attached at a place. Flags are MS_RDONLY, MS_NOSUID,
// MS_NODEV, MS_NOEXEC, MS_NOATIME, MS_RELATIME, ….
class Mount : public RefCounted {
 public:
  Mount(Ref<Filesystem> fs, Ref<Dentry> root, uint32_t flags, std::string source);
  ~Mount() override;

  Filesystem& fs() const { return *fs_; }
  const Ref<Dentry>& root() const { return root_; }
  uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }
  bool read_only() const { return (flags() & 1) != 0; }
  int id() const { return id_; }
  const std::string& source() const { return source_; }

 private:
  friend class MountNamespace;
  const Ref<Filesystem> fs_;
  const Ref<Dentry> root_;
  const int id_;
  const std::string source_;
  std::atomic<uint32_t> flags_;
  // Guarded by the namespace's lock: where it is mounted.
  Mount* parent_ = nullptr;
  Ref<Dentry> mountpoint_;
};

// One row of /proc/pid/mountinfo.
struct MountInfo {
  int id = 0, parent_id = 0;
  uint64_t dev = 0;
  std::string root, mount_point, options, super_options, type, source;
};

// The tree of mounts a set of processes sees. Thread-safe.
class MountNamespace : public RefCounted {
 public:
  // With `root` mounted as "/".
  static Ref<MountNamespace> New(Ref<Mount> root);
  // unshare(CLONE_NEWNS): a copy of the whole tree; `translate` maps the paths of the caller's cwd
  // and root into it.
  Ref<MountNamespace> Clone(std::vector<Path*> translate);

  Path Root();
  // Attaches `mount` at `at` (mount(2)). EBUSY, EINVAL, ENOTDIR.
  Status Attach(Ref<Mount> mount, const Path& at);
  // umount2(2): flags MNT_DETACH, MNT_FORCE, UMOUNT_NOFOLLOW served by the caller.
  Status Detach(const Path& at, int flags);
  // mount --move, MS_REMOUNT|MS_BIND flags change, pivot_root(2).
  Status Move(const Path& from, const Path& to);
  Status SetFlags(const Path& at, uint32_t flags);
  Status PivotRoot(const Path& new_root, const Path& put_old);
  // The topmost mount at `at`, repeatedly; `at` itself if nothing is mounted there.
  Path Traverse(Path at);
  // The place a mount's root is mounted on; empty at the namespace's root.
  Path MountPointOf(const Mount& mount);
  std::vector<MountInfo> List(const Path& root);
  uint64_t inode() const { return inode_; }
  // Changes of the tree (for poll on /proc/mounts).
  uint64_t generation() const;

 private:
  MountNamespace();
  ~MountNamespace() override;
  struct Tree;
  Tree* tree_;
  const uint64_t inode_;
};

}  // namespace runsc

#endif  // SENTRY_VFS_MOUNT_H_
