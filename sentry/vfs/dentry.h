#ifndef SENTRY_VFS_DENTRY_H_
#define SENTRY_VFS_DENTRY_H_

#include <atomic>
#include <string>
#include <string_view>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/vfs/inode.h"

namespace runsc {

// A name in a directory and what it names; the cache of lookups and the shape of the tree. A
// child holds a reference on its parent; DentryCache finds children by (parent, name) without
// owning them, except those that its LRU keeps. A negative dentry has no inode.
class Dentry : public RefCounted {
 public:
  static Ref<Dentry> NewRoot(Ref<Inode> inode);
  // A place without a directory: pipes, sockets, O_TMPFILE. `name` is for display.
  static Ref<Dentry> NewDisconnected(Ref<Inode> inode, std::string name);

  // An O_TMPFILE's place: in `dir` by name only, counted as unlinked.
  // `linkable`: link(2) may give it a name.
  static Ref<Dentry> NewUnlinked(Dentry& dir, Ref<Inode> inode, std::string name, bool linkable);

  // Null if negative. Set once when a negative dentry becomes positive (create).
  Ref<Inode> inode() const { return Ref<Inode>(get_inode()); }
  // The same without a reference: valid while the dentry is held.
  Inode* get_inode() const { return inode_.load(std::memory_order_acquire); }
  bool IsNegative() const { return get_inode() == nullptr; }
  Ref<Dentry> parent() const;         // itself for a root
  std::string name() const;           // "/" for a root
  bool IsRoot() const { return root_; }
  bool IsUnlinked() const { return unlinked_.load(std::memory_order_acquire); }
  // Made by O_TMPFILE and without a name so far: link(2) may give it one, which it refuses to other
  // files that have none (Linux I_LINKABLE).
  bool linkable() const { return linkable_.load(std::memory_order_relaxed); }
  void ClearLinkable() { linkable_.store(false, std::memory_order_relaxed); }
  // Whether `ancestor` is this or above it in the same file system.
  bool IsBelowOrSame(const Dentry* ancestor) const;
  // Number of mounts on this dentry (in any namespace): a fast "nothing mounted here" test.
  std::atomic<uint32_t> mounted{0};

 private:
  friend class DentryCache;
  Dentry(Ref<Inode> inode, Ref<Dentry> parent, std::string_view name, bool root);
  ~Dentry() override;
  void OnLastRef() const override;

  mutable Mutex<LockRank::kDentry> mu_;
  std::atomic<Inode*> inode_;  // owns a reference
  const Filesystem* const fs_;  // identity only
  // Written with mu_ held and while not in the hash table; the table reads them under its lock.
  Ref<Dentry> parent_ ABSL_GUARDED_BY(mu_);
  std::string name_ ABSL_GUARDED_BY(mu_);
  const bool root_;
  std::atomic<bool> linkable_{false};
  std::atomic<bool> unlinked_{false};
  std::atomic<bool> used_{false};     // since the LRU's hand last passed
  std::atomic<bool> in_lru_{false};
  // Guarded by the shard's lock.
  bool hashed_ = false;
  uint32_t hash_ = 0;
  Dentry* hash_next_ = nullptr;
  // Guarded by the LRU's lock.
  Dentry* lru_prev_ = nullptr;
  Dentry* lru_next_ = nullptr;
};

// The one table of dentries by (parent, name), and the LRU that keeps recently used ones alive.
// Callers that add, move or drop entries hold the directory's dir_mutex exclusively (Add: at
// least shared).
class DentryCache {
 public:
  // The cached child, positive or negative; null if none is cached. Does not ask StillValid.
  static Ref<Dentry> Find(const Dentry* parent, std::string_view name);
  // Adds a child (negative if `inode` is null), or answers the one that is there already. `keep`:
  // let the LRU keep it.
  static Ref<Dentry> Add(Dentry* parent, std::string_view name, Ref<Inode> inode, bool keep);
  // A negative dentry becomes positive.
  static void Instantiate(Dentry* d, Ref<Inode> inode);
  // Forgets the name (it is then found anew); `unlinked`: it was removed.
  static void Drop(Dentry* d, bool unlinked);
  // rename(2): `d` is `name` in `parent` now; what was there has been dropped by the caller.
  static void Move(Dentry* d, Dentry* parent, std::string_view name);
  // RENAME_EXCHANGE.
  static void Exchange(Dentry* a, Dentry* b);
  // Lets go of everything that the LRU keeps of `fs` (null: of all).
  static void Purge(const Filesystem* fs);
  // Most dentries that the LRU keeps.
  static void SetLimit(size_t limit);
  static size_t KeptForTest();
  // Odd while a rename is under way, changed by each: readers of several names retry.
  static uint64_t RenameSequence();

 private:
  friend class Dentry;
  struct Shard;
  struct Lru;
  static uint32_t Hash(const Dentry* parent, std::string_view name);
  static Shard& ShardOf(uint32_t hash);
  static Lru& lru();
  static bool Matches(const Dentry* d, uint32_t hash, const Dentry* parent,
                      std::string_view name);
  static void InsertLocked(Shard& shard, Dentry* d);
  static void Unhash(Dentry* d);
  static void Rehash(Dentry* d);
  static void Rename(Dentry* d, Ref<Dentry> parent, std::string name);
  static void Keep(Dentry* d);
  static void Unkeep(Dentry* d);
  static void Destroy(const Dentry* d);
};

}  // namespace runsc

#endif  // SENTRY_VFS_DENTRY_H_
