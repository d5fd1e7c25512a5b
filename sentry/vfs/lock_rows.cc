#include <algorithm>
#include <map>

#include "sentry/vfs/file_locks.h"
#include "sentry/vfs/inode.h"

namespace runsc {
namespace {

struct Registry {
  Mutex<LockRank::kLockList> mu;  // innermost: inodes end under many a lock
  uint64_t last ABSL_GUARDED_BY(mu) = 0;
  std::map<uint64_t, std::pair<FileLocks*, Inode*>> all ABSL_GUARDED_BY(mu);
};

Registry& TheRegistry() {
  static auto* const registry = new Registry;
  return *registry;
}

uint64_t Register(FileLocks* locks, Inode* inode) {
  Registry& r = TheRegistry();
  MutexLock l(r.mu);
  r.all.emplace(++r.last, std::pair(locks, inode));
  return r.last;
}

// A lock and what waits for it, or a wait and what waits behind it.
struct Node {
  LockRow row;
  std::vector<Node> behind;
};

// As Linux a wait stands behind the first wait that it conflicts with, else behind the lock.
void PutBehind(Node& node, const LockRow& wanted) {
  Node* at = &node;
  for (;;) {
    auto next = std::find_if(at->behind.begin(), at->behind.end(),
                             [&](const Node& n) { return n.row.ConflictsWith(wanted); });
    if (next == at->behind.end()) break;
    at = &*next;
  }
  at->behind.push_back({wanted, {}});
}

void Flatten(const Node& node, int level, std::vector<LockRow>* out) {
  out->push_back(node.row);
  out->back().level = level;
  for (const Node& n : node.behind) Flatten(n, level + 1, out);
}

}  // namespace

bool LockRow::ConflictsWith(const LockRow& o) const {
  if ((kind == kFlock) != (o.kind == kFlock)) return false;
  if (kind == o.kind && owner == o.owner) return false;
  return (exclusive || o.exclusive) && start < o.end && o.start < end;
}

LockRow FileLocks::RowOf(const ByteRangeLock& lock) {
  return {.kind = lock.owner.kind == LockOwner::kOfd ? LockRow::kOfd : LockRow::kPosix,
          .exclusive = lock.exclusive,
          .pid = lock.owner.pid,
          .owner = lock.owner.id,
          .file_id = lock.file_id,
          .start = lock.start,
          .end = lock.end};
}

LockRow FileLocks::RowOf(const FlockEntry& entry) {
  return {.kind = LockRow::kFlock,
          .exclusive = entry.exclusive,
          .pid = entry.pid,
          .owner = entry.file_id,
          .file_id = entry.file_id};
}

FileLocks::FileLocks(Inode& inode) : sequence_(Register(this, &inode)) {}

FileLocks::~FileLocks() {
  Registry& r = TheRegistry();
  MutexLock l(r.mu);
  r.all.erase(sequence_);
}

void FileLocks::StartWaitLocked(LockWait& wait, const LockRow& wanted) {
  wait.wanted_ = wanted;
  if (wait.at_ == this) return;
  wait.at_ = this;
  waits_.push_back(&wait);
}

void FileLocks::EndWaitLocked(LockWait& wait) {
  if (wait.at_ != this) return;
  wait.at_ = nullptr;
  std::erase(waits_, &wait);
}

void FileLocks::EndWait(LockWait& wait) {
  MutexLock l(mu_);
  EndWaitLocked(wait);
}

std::vector<LockRow> FileLocks::Rows() {
  std::vector<Node> nodes;
  {
    MutexLock l(mu_);
    for (const FlockEntry& f : flocks_) nodes.push_back({RowOf(f), {}});
    for (const ByteRangeLock& r : ranges_) nodes.push_back({RowOf(r), {}});
    for (const LockWait* wait : waits_) {
      const LockRow& wanted = wait->wanted_;
      auto holder = std::find_if(nodes.begin(), nodes.end(),
                                 [&](const Node& n) { return n.row.ConflictsWith(wanted); });
      // None: it was released, and the wait ends now.
      if (holder != nodes.end()) PutBehind(*holder, wanted);
    }
  }
  std::vector<LockRow> out;
  for (const Node& n : nodes) Flatten(n, 0, &out);
  return out;
}

std::vector<FileLocks::OfInode> FileLocks::All() {
  std::vector<std::pair<FileLocks*, Ref<Inode>>> held;  // the inodes keep their locks alive
  {
    Registry& r = TheRegistry();
    MutexLock l(r.mu);
    for (const auto& [sequence, entry] : r.all) {
      auto [locks, inode] = entry;
      if (inode->TryIncRef()) held.emplace_back(locks, Ref<Inode>::Adopt(inode));
    }
  }
  std::vector<OfInode> out;
  for (auto& [locks, inode] : held) {
    std::vector<LockRow> rows = locks->Rows();
    if (!rows.empty()) out.push_back({std::move(inode), std::move(rows)});
  }
  return out;
}

}  // namespace runsc
