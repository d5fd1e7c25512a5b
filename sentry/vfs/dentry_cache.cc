#include <cstring>
#include <memory>
#include <vector>

#include "sentry/vfs/dentry.h"

namespace runsc {
namespace {

constexpr uint32_t kShards = 64;
constexpr size_t kFirstBuckets = 16;
constexpr size_t kDefaultLimit = 1 << 16;

std::atomic<uint64_t> g_rename_sequence{0};
// Dentries whose last reference went while another is being destroyed on this thread: a chain of
// parents is taken down in a loop, not by recursion as deep as the guest's tree.
thread_local std::vector<const Dentry*>* t_doomed = nullptr;

}  // namespace

struct alignas(64) DentryCache::Shard {
  Mutex<LockRank::kDentryCache> mu;
  std::vector<Dentry*> buckets ABSL_GUARDED_BY(mu);
  size_t count ABSL_GUARDED_BY(mu) = 0;

  // The link that points at the chain's first dentry for `hash`.
  Dentry*& Head(uint32_t hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    return buckets[(hash / kShards) & (buckets.size() - 1)];
  }
  void GrowLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    std::vector<Dentry*> old(buckets.empty() ? kFirstBuckets : buckets.size() * 2);
    old.swap(buckets);
    for (Dentry* d : old) {
      while (d != nullptr) {
        Dentry* next = d->hash_next_;
        Dentry*& head = Head(d->hash_);
        d->hash_next_ = head;
        head = d;
        d = next;
      }
    }
  }
};

// A circular list; the hand moves over it giving dentries used since its last pass another round.
struct DentryCache::Lru {
  Mutex<LockRank::kDentryLru> mu;
  Dentry* hand ABSL_GUARDED_BY(mu) = nullptr;
  size_t count ABSL_GUARDED_BY(mu) = 0;
  size_t limit ABSL_GUARDED_BY(mu) = kDefaultLimit;

  void LinkLocked(Dentry* d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (hand == nullptr) {
      hand = d->lru_next_ = d->lru_prev_ = d;
    } else {  // behind the hand: reached last
      d->lru_next_ = hand;
      d->lru_prev_ = hand->lru_prev_;
      d->lru_prev_->lru_next_ = d;
      hand->lru_prev_ = d;
    }
    d->in_lru_.store(true, std::memory_order_relaxed);
    ++count;
  }
  void UnlinkLocked(Dentry* d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (d->lru_next_ == d) {
      hand = nullptr;
    } else {
      if (hand == d) hand = d->lru_next_;
      d->lru_prev_->lru_next_ = d->lru_next_;
      d->lru_next_->lru_prev_ = d->lru_prev_;
    }
    d->lru_prev_ = d->lru_next_ = nullptr;
    d->in_lru_.store(false, std::memory_order_relaxed);
    --count;
  }
  // The dentry to let go of next.
  Dentry* VictimLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    for (size_t i = 0; i < 64; ++i) {
      if (!hand->used_.exchange(false, std::memory_order_relaxed)) break;
      hand = hand->lru_next_;
    }
    return hand;
  }
};

DentryCache::Shard& DentryCache::ShardOf(uint32_t hash) {
  static Shard* shards = new Shard[kShards];
  return shards[hash % kShards];
}

DentryCache::Lru& DentryCache::lru() {
  static Lru* lru = new Lru;
  return *lru;
}

uint32_t DentryCache::Hash(const Dentry* parent, std::string_view name) {
  constexpr uint64_t kMul = 0x9e3779b97f4a7c15u;
  uint64_t h = (reinterpret_cast<uintptr_t>(parent) ^ name.size()) * kMul;
  while (name.size() >= 8) {
    uint64_t word;
    memcpy(&word, name.data(), 8);
    h = (h ^ word) * kMul;
    h ^= h >> 29;
    name.remove_prefix(8);
  }
  uint64_t tail = 0;
  for (char c : name) tail = tail << 8 | static_cast<uint8_t>(c);
  h = (h ^ tail) * kMul;
  return static_cast<uint32_t>(h >> 32);
}

bool DentryCache::Matches(const Dentry* d, uint32_t hash, const Dentry* parent,
                          std::string_view name) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  // Names and parents of hashed dentries do not change (see Rename).
  return d->hash_ == hash && d->parent_.get() == parent && d->name_ == name;
}

Ref<Dentry> DentryCache::Find(const Dentry* parent, std::string_view name) {
  uint32_t hash = Hash(parent, name);
  Shard& shard = ShardOf(hash);
  Ref<Dentry> found;
  {
    MutexLock l(shard.mu);
    if (shard.buckets.empty()) return nullptr;
    for (Dentry* d = shard.Head(hash); d != nullptr; d = d->hash_next_) {
      if (Matches(d, hash, parent, name) && d->TryIncRef()) {
        found = Ref<Dentry>::Adopt(d);
        break;
      }
    }
  }
  if (found && !found->used_.load(std::memory_order_relaxed)) {
    found->used_.store(true, std::memory_order_relaxed);
    if (!found->in_lru_.load(std::memory_order_relaxed) && found->fs_ != nullptr &&
        (found->fs_->flags() & Filesystem::kNoCache) == 0) {
      Keep(found.get());
    }
  }
  return found;
}

void DentryCache::InsertLocked(Shard& shard, Dentry* d) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (shard.count >= shard.buckets.size()) shard.GrowLocked();
  Dentry*& head = shard.Head(d->hash_);
  d->hash_next_ = head;
  head = d;
  d->hashed_ = true;
  ++shard.count;
}

Ref<Dentry> DentryCache::Add(Dentry* parent, std::string_view name, Ref<Inode> inode, bool keep) {
  uint32_t hash = Hash(parent, name);
  Ref<Dentry> fresh = Ref<Dentry>::Adopt(
      new Dentry(std::move(inode), Ref<Dentry>(parent), name, false));
  fresh->hash_ = hash;
  Shard& shard = ShardOf(hash);
  {
    MutexLock l(shard.mu);
    if (!shard.buckets.empty()) {
      for (Dentry* d = shard.Head(hash); d != nullptr; d = d->hash_next_) {
        // Another lookup of the same name was faster.
        if (Matches(d, hash, parent, name) && d->TryIncRef()) return Ref<Dentry>::Adopt(d);
      }
    }
    InsertLocked(shard, fresh.get());
  }
  if (keep) Keep(fresh.get());
  return fresh;
}

void DentryCache::Instantiate(Dentry* d, Ref<Inode> inode) {
  Inode* none = nullptr;
  if (d->inode_.compare_exchange_strong(none, inode.get(), std::memory_order_acq_rel)) {
    inode.release();
  }
}

void DentryCache::Unhash(Dentry* d) {
  Shard& shard = ShardOf(d->hash_);
  MutexLock l(shard.mu);
  if (!d->hashed_) return;
  Dentry** link = &shard.Head(d->hash_);
  while (*link != d) link = &(*link)->hash_next_;
  *link = d->hash_next_;
  d->hash_next_ = nullptr;
  d->hashed_ = false;
  --shard.count;
}

void DentryCache::Rehash(Dentry* d) {
  Shard& shard = ShardOf(d->hash_);
  MutexLock l(shard.mu);
  InsertLocked(shard, d);
}

void DentryCache::Drop(Dentry* d, bool unlinked) {
  if (unlinked) d->unlinked_.store(true, std::memory_order_release);
  Unhash(d);
  Unkeep(d);
}

// `d` is unhashed: no reader of the table looks at what changes here.
void DentryCache::Rename(Dentry* d, Ref<Dentry> parent, std::string name) {
  uint32_t hash = Hash(parent.get(), name);
  MutexLock l(d->mu_);
  std::swap(d->parent_, parent);  // the old parent is let go after the lock
  d->name_ = std::move(name);
  d->hash_ = hash;
}

void DentryCache::Move(Dentry* d, Dentry* parent, std::string_view name) {
  g_rename_sequence.fetch_add(1, std::memory_order_acq_rel);
  Ref<Dentry> old_parent = d->parent();
  Unhash(d);
  Rename(d, Ref<Dentry>(parent), std::string(name));
  Rehash(d);
  g_rename_sequence.fetch_add(1, std::memory_order_acq_rel);
}

void DentryCache::Exchange(Dentry* a, Dentry* b) {
  g_rename_sequence.fetch_add(1, std::memory_order_acq_rel);
  Ref<Dentry> a_parent = a->parent(), b_parent = b->parent();
  std::string a_name = a->name(), b_name = b->name();
  Unhash(a);
  Unhash(b);
  Rename(a, b_parent, std::move(b_name));
  Rename(b, a_parent, std::move(a_name));
  Rehash(a);
  Rehash(b);
  g_rename_sequence.fetch_add(1, std::memory_order_acq_rel);
}

uint64_t DentryCache::RenameSequence() {
  return g_rename_sequence.load(std::memory_order_acquire);
}

void DentryCache::Keep(Dentry* d) {
  Lru& lru = DentryCache::lru();
  Dentry* victims[4];
  int victim_count = 0;
  {
    MutexLock l(lru.mu);
    if (d->in_lru_.load(std::memory_order_relaxed) || d->IsUnlinked()) return;
    d->IncRef();
    lru.LinkLocked(d);
    while (lru.count > lru.limit && victim_count < 4) {
      Dentry* victim = lru.VictimLocked();
      lru.UnlinkLocked(victim);
      victims[victim_count++] = victim;
    }
  }
  for (int i = 0; i < victim_count; ++i) victims[i]->DecRef();
}

void DentryCache::Unkeep(Dentry* d) {
  Lru& lru = DentryCache::lru();
  {
    MutexLock l(lru.mu);
    if (!d->in_lru_.load(std::memory_order_relaxed)) return;
    lru.UnlinkLocked(d);
  }
  d->DecRef();
}

void DentryCache::Purge(const Filesystem* fs) {
  Lru& lru = DentryCache::lru();
  std::vector<Dentry*> out;
  {
    MutexLock l(lru.mu);
    Dentry* d = lru.hand;
    for (size_t n = lru.count; n > 0; --n) {
      Dentry* next = d->lru_next_;
      if (fs == nullptr || d->fs_ == fs) {
        lru.UnlinkLocked(d);
        out.push_back(d);
      }
      d = next;
    }
  }
  for (Dentry* d : out) d->DecRef();
}

void DentryCache::SetLimit(size_t limit) {
  Lru& lru = DentryCache::lru();
  std::vector<Dentry*> out;
  {
    MutexLock l(lru.mu);
    lru.limit = limit;
    while (lru.count > limit) {
      Dentry* victim = lru.VictimLocked();
      lru.UnlinkLocked(victim);
      out.push_back(victim);
    }
  }
  for (Dentry* d : out) d->DecRef();
}

size_t DentryCache::KeptForTest() {
  MutexLock l(lru().mu);
  return lru().count;
}

void DentryCache::Destroy(const Dentry* d) {
  if (t_doomed != nullptr) {
    t_doomed->push_back(d);
    return;
  }
  std::vector<const Dentry*> doomed{d};
  t_doomed = &doomed;
  while (!doomed.empty()) {
    const Dentry* next = doomed.back();
    doomed.pop_back();
    Unhash(const_cast<Dentry*>(next));
    delete next;  // may push its parent
  }
  t_doomed = nullptr;
}

}  // namespace runsc
