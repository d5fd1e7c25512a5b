#ifndef SENTRY_VFS_MOUNT_TREE_H_
#define SENTRY_VFS_MOUNT_TREE_H_

#include <vector>

#include "sentry/vfs/mount.h"

namespace runsc {

// The shape of all mount trees: one lock and one table (mount, dentry) -> what is mounted there.
// Private to sentry/vfs. Functions named Locked need mu() held exclusively, unless they say
// otherwise. References that a change frees are pushed to `dropped`, to be let go after unlocking.
class MountTree {
 public:
  using Dropped = std::vector<Ref<Mount>>;

  static RwMutex<LockRank::kMountTable>& mu();
  // Needs mu() shared.
  static Mount* FindLocked(const Mount* parent, const Dentry* at);
  static void AttachLocked(Ref<Mount> mount, Mount* parent, Ref<Dentry> at, MountNamespace* ns);
  // Takes `mount` out of its parent; its children stay on it.
  static Ref<Mount> DetachLocked(Mount* mount);
  // Takes the whole tree below and with `mount` apart.
  static void DissolveLocked(Ref<Mount> mount, Dropped& dropped);
  static void SetNamespaceLocked(Mount* mount, MountNamespace* ns);
  // `mount` and all below it, in the order of /proc/mounts: each before what is on it.
  static std::vector<Mount*> SubtreeLocked(Mount* mount);
  // Copy of the tree at `mount`, with `root` as the copy's root; `map` gets (old, new) pairs.
  static Ref<Mount> CopyLocked(Mount* mount, const Ref<Dentry>& root, bool recursive,
                               std::vector<std::pair<Mount*, Mount*>>* map);
  static bool IsBelowOrSameLocked(const Mount* mount, const Mount* ancestor);
};

}  // namespace runsc

#endif  // SENTRY_VFS_MOUNT_TREE_H_
