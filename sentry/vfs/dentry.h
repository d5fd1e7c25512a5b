#ifndef SENTRY_VFS_DENTRY_H_
#define SENTRY_VFS_DENTRY_H_

#include <atomic>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/vfs/inode.h"

namespace runsc {

// A name in a directory and what it names; the cache of lookups and the shape of the tree. A
// child holds a reference on its parent; a parent finds children by name without owning them,
// except those that the cache's LRU keeps. A negative dentry has no inode.
class Dentry : public RefCounted {
 public:
  static Ref<Dentry> NewRoot(Ref<Inode> inode);

  // Null if negative. Set once when a negative dentry becomes positive (create).
  Ref<Inode> inode() const;
  Ref<Dentry> parent() const;         // itself for a root
  std::string name() const;           // "/" for a root
  bool IsRoot() const;
  bool IsUnlinked() const { return unlinked_.load(std::memory_order_acquire); }
  // Number of mounts on this dentry (in any namespace): a fast "nothing mounted here" test.
  std::atomic<uint32_t> mounted{0};

 private:
  friend class DentryCache;
  explicit Dentry(Ref<Inode> inode);
  ~Dentry() override;
  void OnLastRef() const override;

  mutable Mutex<LockRank::kDentry> mu_;
  Ref<Inode> inode_ ABSL_GUARDED_BY(mu_);
  Ref<Dentry> parent_ ABSL_GUARDED_BY(mu_);
  std::string name_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<std::string, Dentry*> children_ ABSL_GUARDED_BY(mu_);
  std::atomic<bool> unlinked_{false};
};

}  // namespace runsc

#endif  // SENTRY_VFS_DENTRY_H_
