#include "sentry/vfs/file_locks.h"

#include <sys/epoll.h>

#include <algorithm>
#include <map>

#include "sentry/vfs/inode.h"

namespace runsc {
namespace {

constexpr size_t kMaxRanges = 65536;

struct Graph {
  Mutex<LockRank::kLockGraph> mu;
  // Waiting owner id -> owner id it waits for. POSIX owners only.
  std::multimap<uint64_t, uint64_t> edges ABSL_GUARDED_BY(mu);
};

Graph& WaitsFor() {
  static Graph* graph = new Graph;
  return *graph;
}

}  // namespace

Status LockWait::Set(const LockOwner& waiter, const LockOwner& holder) {
  Clear();
  // As Linux: OFD locks take no part in deadlock detection.
  if (waiter.kind != LockOwner::kPosix || holder.kind != LockOwner::kPosix) return Ok();
  Graph& g = WaitsFor();
  MutexLock l(g.mu);
  uint64_t at = holder.id;
  for (size_t steps = 0; steps <= g.edges.size(); ++steps) {
    if (at == waiter.id) return Errno::kDeadlk;
    auto it = g.edges.find(at);
    if (it == g.edges.end()) break;
    at = it->second;
  }
  g.edges.emplace(waiter.id, holder.id);
  waiter_ = waiter;
  holder_ = holder;
  set_ = true;
  return Ok();
}

LockWait::~LockWait() {
  Clear();
  if (at_ != nullptr) at_->EndWait(*this);
}

void LockWait::Clear() {
  if (!set_) return;
  set_ = false;
  Graph& g = WaitsFor();
  MutexLock l(g.mu);
  auto [first, last] = g.edges.equal_range(waiter_.id);
  for (auto it = first; it != last; ++it) {
    if (it->second == holder_.id) {
      g.edges.erase(it);
      return;
    }
  }
}

const ByteRangeLock* FileLocks::ConflictLocked(const ByteRangeLock& want) {
  for (const ByteRangeLock& have : ranges_) {
    if (have.start >= want.end) break;
    if (have.end <= want.start || have.owner.Same(want.owner)) continue;
    if (have.exclusive || want.exclusive) return &have;
  }
  return nullptr;
}

bool FileLocks::CarveLocked(const LockOwner& owner, uint64_t start, uint64_t end) {
  std::vector<ByteRangeLock> rest;
  bool changed = false;
  auto cut = [&](ByteRangeLock& have) {
    if (!have.owner.Same(owner) || have.end <= start || have.start >= end) return false;
    changed = true;
    if (have.start < start) {
      rest.push_back(have);
      rest.back().end = start;
    }
    if (have.end > end) {
      rest.push_back(have);
      rest.back().start = end;
    }
    return true;
  };
  ranges_.erase(std::remove_if(ranges_.begin(), ranges_.end(), cut), ranges_.end());
  for (const ByteRangeLock& r : rest) AddLocked(r);
  return changed;
}

void FileLocks::AddLocked(ByteRangeLock lock) {
  // Neighbours of the same owner and kind become one.
  auto joins = [&](const ByteRangeLock& have) {
    return have.owner.Same(lock.owner) && have.exclusive == lock.exclusive &&
           have.start <= lock.end && lock.start <= have.end;
  };
  for (auto it = ranges_.begin(); it != ranges_.end();) {
    if (joins(*it)) {
      lock.start = std::min(lock.start, it->start);
      lock.end = std::max(lock.end, it->end);
      it = ranges_.erase(it);
    } else {
      ++it;
    }
  }
  auto at = std::upper_bound(
      ranges_.begin(), ranges_.end(), lock,
      [](const ByteRangeLock& a, const ByteRangeLock& b) { return a.start < b.start; });
  ranges_.insert(at, lock);
}

Status FileLocks::Lock(const ByteRangeLock& want, LockWait* wait) {
  bool changed;
  {
    MutexLock l(mu_);
    const ByteRangeLock* conflict = ConflictLocked(want);
    if (conflict != nullptr) {
      if (wait == nullptr) return Errno::kWouldBlock;
      TRY(wait->Set(want.owner, conflict->owner));
      StartWaitLocked(*wait, RowOf(want));
      return Errno::kWouldBlock;
    }
    if (wait != nullptr) EndWaitLocked(*wait);
    if (ranges_.size() >= kMaxRanges) return Errno::kNolck;
    changed = CarveLocked(want.owner, want.start, want.end);  // a downgrade may wake others
    AddLocked(want);
  }
  if (changed) released_.Notify(EPOLLOUT);
  return Ok();
}

void FileLocks::Unlock(const LockOwner& owner, uint64_t start, uint64_t end) {
  bool changed;
  {
    MutexLock l(mu_);
    changed = CarveLocked(owner, start, end);
  }
  if (changed) released_.Notify(EPOLLOUT);
}

void FileLocks::Release(const LockOwner& owner) { Unlock(owner, 0, kLockEnd); }

std::optional<ByteRangeLock> FileLocks::Conflict(const ByteRangeLock& want) {
  MutexLock l(mu_);
  const ByteRangeLock* c = ConflictLocked(want);
  if (c == nullptr) return std::nullopt;
  return *c;
}

Status FileLocks::Flock(uint64_t file_id, int32_t pid, bool exclusive, LockWait* wait) {
  bool gave_up = false, conflict = false;
  {
    MutexLock l(mu_);
    for (size_t i = 0; i < flocks_.size(); ++i) {
      if (flocks_[i].file_id != file_id) continue;
      if (flocks_[i].exclusive == exclusive) return Ok();
      flocks_.erase(flocks_.begin() + static_cast<ptrdiff_t>(i));
      gave_up = true;
      break;
    }
    for (const FlockEntry& e : flocks_) conflict |= e.exclusive || exclusive;
    if (!conflict) flocks_.push_back({file_id, pid, exclusive});
    if (wait != nullptr && conflict) StartWaitLocked(*wait, RowOf(FlockEntry{file_id, pid, exclusive}));
    if (wait != nullptr && !conflict) EndWaitLocked(*wait);
  }
  if (gave_up) released_.Notify(EPOLLOUT);
  return conflict ? Status(Errno::kWouldBlock) : Ok();
}

void FileLocks::Funlock(uint64_t file_id) {
  size_t gone;
  {
    MutexLock l(mu_);
    gone = std::erase_if(flocks_, [&](const FlockEntry& e) { return e.file_id == file_id; });
  }
  if (gone != 0) released_.Notify(EPOLLOUT);
}

void Inode::ReleaseFileLocks(uint64_t file_id) {
  FileLocks* l = locks_.load(std::memory_order_acquire);
  if (l == nullptr) return;
  l->Funlock(file_id);
  l->Release(LockOwner{LockOwner::kOfd, file_id, -1});
}

void Inode::ReleasePosixLocks(uint64_t table_id) {
  FileLocks* l = locks_.load(std::memory_order_acquire);
  if (l != nullptr) l->Release(LockOwner{LockOwner::kPosix, table_id, 0});
}

}  // namespace runsc
