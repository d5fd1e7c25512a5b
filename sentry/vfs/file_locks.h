#ifndef SENTRY_VFS_FILE_LOCKS_H_
#define SENTRY_VFS_FILE_LOCKS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "sentry/wait/wait.h"

namespace runsc {

// Who holds a byte-range lock: a descriptor table (POSIX locks, fcntl(2)) or an open file
// description (OFD locks).
struct LockOwner {
  enum Kind : uint8_t { kPosix, kOfd } kind = kPosix;
  uint64_t id = 0;   // FdTable::id() or File::id()
  int32_t pid = 0;   // shown by F_GETLK; -1 for OFD
  bool Same(const LockOwner& o) const { return kind == o.kind && id == o.id; }
};

// Bytes [start, end); end kLockEnd means to the end of the file however long.
inline constexpr uint64_t kLockEnd = uint64_t{1} << 63;
struct ByteRangeLock {
  LockOwner owner;
  bool exclusive = false;
  uint64_t start = 0, end = kLockEnd;
};

// What an owner waits for while its F_SETLKW sleeps: an edge of the graph in which cycles are
// deadlocks. Removes itself.
class LockWait {
 public:
  LockWait() = default;
  ~LockWait() { Clear(); }
  LockWait(const LockWait&) = delete;
  // Says that `waiter` waits for `holder`; EDEADLK if that closes a cycle.
  Status Set(const LockOwner& waiter, const LockOwner& holder);
  void Clear();

 private:
  bool set_ = false;
  LockOwner waiter_, holder_;
};

// Advisory locks of one inode (fcntl(2), flock(2)). Nothing here sleeps: kWouldBlock, and
// released() is notified (EPOLLOUT) when a lock goes.
class FileLocks {
 public:
  // Locks or converts. `wait`: the caller is going to wait, so look for deadlocks (POSIX only).
  // ENOLCK if there are too many.
  Status Lock(const ByteRangeLock& want, LockWait* wait);
  void Unlock(const LockOwner& owner, uint64_t start, uint64_t end);
  // The first lock that stands in the way of `want`.
  std::optional<ByteRangeLock> Conflict(const ByteRangeLock& want);
  // Drops all byte ranges of an owner.
  void Release(const LockOwner& owner);

  // flock(2) by the open file description `file_id`. A conversion gives the old lock up first.
  Status Flock(uint64_t file_id, bool exclusive);
  void Funlock(uint64_t file_id);

  WaitQueue& released() { return released_; }
  bool Empty();
  // For /proc/locks and fdinfo.
  std::vector<ByteRangeLock> List();

 private:
  struct FlockEntry {
    uint64_t file_id;
    bool exclusive;
  };
  const ByteRangeLock* ConflictLocked(const ByteRangeLock& want) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Removes the owner's locks from [start, end), splitting what sticks out.
  bool CarveLocked(const LockOwner& owner, uint64_t start, uint64_t end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AddLocked(ByteRangeLock lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Mutex<LockRank::kFileLocks> mu_;
  std::vector<ByteRangeLock> ranges_ ABSL_GUARDED_BY(mu_);  // by start
  std::vector<FlockEntry> flocks_ ABSL_GUARDED_BY(mu_);
  WaitQueue released_;
};

}  // namespace runsc

#endif  // SENTRY_VFS_FILE_LOCKS_H_
