#ifndef SYSCALLS_FS_FILE_COMMON_H_
#define SYSCALLS_FS_FILE_COMMON_H_

#include <cstdint>
#include <string_view>

#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"
#include "syscalls/fs/file/file_calls.h"

namespace runsc {

// A path argument of a guest, copied in without allocating.
class PathArg {
 public:
  // ENAMETOOLONG at 4096 bytes with the NUL, EFAULT.
  Status Load(Task& t, UserAddr path);
  std::string_view text() const { return {buffer_, size_}; }
  bool empty() const { return size_ == 0; }

 private:
  static constexpr size_t kMax = 4096;
  size_t size_ = 0;
  char buffer_[kMax];
};

// A (dirfd, path) pair of an *at call, ready to be walked.
class AtPath {
 public:
  explicit AtPath(Task& t) : t_(t), op_(t.op()), ctx_{op_, t.fs(), Path(), 0} {}
  // Copies the path and finds where it starts: ENOTDIR, EBADF as for openat(2).
  Status Load(FdNum dirfd, UserAddr path, uint64_t resolve = 0);
  // AT_EMPTY_PATH was given: a null or empty path means dirfd itself.
  Status LoadMaybeEmpty(FdNum dirfd, UserAddr path, bool allow_empty);

  const OpContext& op() const { return op_; }
  const LookupContext& ctx() const { return ctx_; }
  std::string_view text() const { return arg_.text(); }
  // An empty path that is allowed: the place is dirfd's own.
  bool is_dirfd() const { return self_; }
  // The place named. With an empty path that is allowed: dirfd's own.
  ErrnoOr<Path> Resolve(bool follow);
  // For an umount: lets go of the starting place.
  void DropStart() { ctx_.start = Path(); }

 private:
  Status SetStart(FdNum dirfd);

  Task& t_;
  const OpContext op_;
  LookupContext ctx_;
  PathArg arg_;
  bool self_ = false;
};

// Ids as the caller's user namespace sees them, as kernel ids; -1 stays. EINVAL if unmapped.
ErrnoOr<Uid> KernelUid(Task& t, uint32_t uid);
ErrnoOr<Gid> KernelGid(Task& t, uint32_t gid);

// read(2) and write(2) of any form, after the arguments were checked. `flags` are RWF_*;
// `offset` < 0: the file's own. Blocks, raises SIGPIPE and SIGXFSZ, tells inotify.
ErrnoOr<size_t> DoRead(Task& t, File& file, UserOut& dst, int64_t offset, uint32_t flags);
ErrnoOr<size_t> DoWrite(Task& t, File& file, UserIn& src, int64_t offset, uint32_t flags);
// Limits a write or truncation to RLIMIT_FSIZE: bytes allowed of [offset, offset+size). EFBIG
// with SIGXFSZ if none.
ErrnoOr<uint64_t> ClampToFileLimit(Task& t, uint64_t offset, uint64_t size);
// Argument check of lengths without a buffer: EINVAL above SSIZE_MAX, else clamped.
ErrnoOr<size_t> CheckLength(size_t count);

// Puts a new file into the caller's table.
ErrnoOr<FdNum> InstallFile(Task& t, Ref<File> file, bool cloexec);

// fcntl(2) record locks: F_SETLK and the like for `file`.
ErrnoOr<int64_t> RecordLock(Task& t, File& file, int32_t command, UserAddr arg);

}  // namespace runsc

#endif  // SYSCALLS_FS_FILE_COMMON_H_
