#ifndef SENTRY_VFS_FILE_LOCKS_H_
#define SENTRY_VFS_FILE_LOCKS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/wait/wait.h"

namespace runsc {

// Who holds a byte-range lock: a descriptor table (POSIX locks, fcntl(2)) or an open file
// description (OFD locks).
struct LockOwner {
  enum Kind : uint8_t { kPosix, kOfd } kind = kPosix;
  uint64_t id = 0;   // FdTable::id() or File::id()
  int32_t pid = 0;   // who locked, root pid namespace; -1 for OFD
  bool Same(const LockOwner& o) const { return kind == o.kind && id == o.id; }
};

// Bytes [start, end); end kLockEnd means to the end of the file however long.
inline constexpr uint64_t kLockEnd = uint64_t{1} << 63;
struct ByteRangeLock {
  LockOwner owner;
  bool exclusive = false;
  uint64_t start = 0, end = kLockEnd;
  uint64_t file_id = 0;  // the description by which it was locked
};

// A lock, or a wait for one, as /proc/locks and fdinfo show it.
struct LockRow {
  enum Kind : uint8_t { kPosix, kOfd, kFlock } kind = kPosix;
  bool exclusive = false;
  int32_t pid = 0;         // as in LockOwner
  uint64_t owner = 0;      // LockOwner::id; of a flock its description
  uint64_t file_id = 0;
  uint64_t start = 0, end = kLockEnd;
  int level = 0;           // above 0: waits for the nearest row before it of one level less
  bool ConflictsWith(const LockRow& o) const;
};

class FileLocks;
class Inode;

// A call that sleeps for a lock: shown in /proc/locks, and with POSIX locks an edge of the graph
// in which cycles are deadlocks. Removes itself; the inode outlives it.
class LockWait {
 public:
  LockWait() = default;
  ~LockWait();
  LockWait(const LockWait&) = delete;
  // Says that `waiter` waits for `holder`; EDEADLK if that closes a cycle.
  Status Set(const LockOwner& waiter, const LockOwner& holder);
  void Clear();

 private:
  friend class FileLocks;
  bool set_ = false;
  LockOwner waiter_, holder_;
  FileLocks* at_ = nullptr;
  LockRow wanted_;  // lock of *at_, while it stands there
};

// Advisory locks of one inode (fcntl(2), flock(2)). Nothing here sleeps: kWouldBlock, and
// released() is notified (EPOLLOUT) when a lock goes.
class FileLocks {
 public:
  explicit FileLocks(Inode& inode);
  ~FileLocks();
  // Locks or converts. `wait`: the caller is going to wait, so look for deadlocks (POSIX only).
  // ENOLCK if there are too many.
  Status Lock(const ByteRangeLock& want, LockWait* wait);
  void Unlock(const LockOwner& owner, uint64_t start, uint64_t end);
  // The first lock that stands in the way of `want`.
  std::optional<ByteRangeLock> Conflict(const ByteRangeLock& want);
  // Drops all byte ranges of an owner.
  void Release(const LockOwner& owner);

  // flock(2) by the open file description `file_id`. A conversion gives the old lock up first.
  // `pid` as in LockOwner; `wait`: the caller is going to wait.
  Status Flock(uint64_t file_id, int32_t pid, bool exclusive, LockWait* wait);
  void Funlock(uint64_t file_id);

  WaitQueue& released() { return released_; }
  // Each lock followed by what waits for it.
  std::vector<LockRow> Rows();
  // Of all inodes that have locks, oldest first.
  struct OfInode;
  static std::vector<OfInode> All();

 private:
  friend class LockWait;
  struct FlockEntry {
    uint64_t file_id;
    int32_t pid;
    bool exclusive;
  };
  static LockRow RowOf(const ByteRangeLock& lock);
  static LockRow RowOf(const FlockEntry& entry);
  void StartWaitLocked(LockWait& wait, const LockRow& wanted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndWaitLocked(LockWait& wait) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndWait(LockWait& wait);
  const ByteRangeLock* ConflictLocked(const ByteRangeLock& want) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Removes the owner's locks from [start, end), splitting what sticks out.
  bool CarveLocked(const LockOwner& owner, uint64_t start, uint64_t end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AddLocked(ByteRangeLock lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Mutex<LockRank::kFileLocks> mu_;
  std::vector<ByteRangeLock> ranges_ ABSL_GUARDED_BY(mu_);  // by start
  std::vector<FlockEntry> flocks_ ABSL_GUARDED_BY(mu_);
  std::vector<LockWait*> waits_ ABSL_GUARDED_BY(mu_);  // in the order they came
  WaitQueue released_;
  const uint64_t sequence_;
};

struct FileLocks::OfInode {
  Ref<Inode> inode;
  std::vector<LockRow> rows;
};

}  // namespace runsc

#endif  // SENTRY_VFS_FILE_LOCKS_H_
