#ifndef SENTRY_VFS_FD_TABLE_H_
#define SENTRY_VFS_FD_TABLE_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/types.h"
#include "sentry/vfs/file.h"

namespace runsc {

// File descriptors of a process (CLONE_FILES shares one). Thread-safe.
class FdTable : public RefCounted {
 public:
  static Ref<FdTable> New();
  // fork(2): a copy that shares the descriptions. `end`: descriptors from that on are left out
  // (close_range(2) CLOSE_RANGE_UNSHARE).
  Ref<FdTable> Fork(uint32_t end = UINT32_MAX);

  // EBADF if not open.
  ErrnoOr<Ref<File>> Get(FdNum fd);
  // As Get; EBADF too for O_PATH descriptions (fdget semantics).
  ErrnoOr<Ref<File>> GetIo(FdNum fd);
  // As GetIo, and open for reading (writing): EBADF otherwise.
  ErrnoOr<Ref<File>> GetReadable(FdNum fd);
  ErrnoOr<Ref<File>> GetWritable(FdNum fd);

  // fs.nr_open: RLIMIT_NOFILE goes no higher.
  static constexpr uint64_t kMaxFiles = 1 << 20;

  // Lowest free descriptor at or above `min` and below `limit` (RLIMIT_NOFILE): EMFILE.
  ErrnoOr<FdNum> Install(Ref<File> file, bool cloexec, uint64_t limit, int32_t min = 0);
  // EMFILE if Install would: for calls that must not begin what they cannot finish.
  Status CheckRoom(uint64_t limit);
  // Two at once or none.
  Status InstallPair(Ref<File> a, Ref<File> b, bool cloexec, uint64_t limit, FdNum out[2]);
  // dup2/dup3: puts `file` at `fd`; answers what was there (the caller closes it: Closed). EBADF
  // if fd >= limit.
  ErrnoOr<Ref<File>> Replace(FdNum fd, Ref<File> file, bool cloexec, uint64_t limit);
  // Takes the descriptor out; the caller runs the close (Closed). EBADF.
  ErrnoOr<Ref<File>> Remove(FdNum fd);
  // Takes out all in [first, last] (all with cloexec set, if only_cloexec).
  std::vector<Ref<File>> RemoveRange(uint32_t first, uint32_t last, bool only_cloexec);
  // What closing a descriptor that was taken out does: POSIX locks go, OnDescriptorClose.
  Status Closed(const OpContext& ctx, File& file);
  ErrnoOr<bool> CloseOnExec(FdNum fd);
  Status SetCloseOnExec(FdNum fd, bool on);
  void SetCloseOnExecRange(uint32_t first, uint32_t last);
  // Open descriptors in order (for /proc/pid/fd).
  std::vector<int32_t> List();
  size_t Count();
  // No descriptor at or above this is open.
  size_t Reach();
  // A number that dies with this table: owner of POSIX locks.
  uint64_t id() const { return id_; }

 private:
  FdTable();
  ~FdTable() override;
  struct Slot {
    Ref<File> file;
    bool cloexec = false;
  };
  int32_t LowestFreeLocked(int32_t min) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PutLocked(int32_t fd, Ref<File> file, bool cloexec) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Ref<File> TakeLocked(int32_t fd) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const uint64_t id_;
  RwMutex<LockRank::kFdTable> mu_;
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mu_);
  // One bit a descriptor in use; words below first_free_word_ are full.
  std::vector<uint64_t> used_ ABSL_GUARDED_BY(mu_);
  size_t first_free_word_ ABSL_GUARDED_BY(mu_) = 0;
  size_t count_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace runsc

#endif  // SENTRY_VFS_FD_TABLE_H_
