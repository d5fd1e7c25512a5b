#include <fcntl.h>
#include <sys/stat.h>

#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

Status DoSync(Task& t, FdNum fd, bool data_only) {
  Ref<File> file = TRY(t.fds().GetIo(fd));
  return file->Sync(data_only);
}

}  // namespace

ErrnoOr<void> Fsync(Task& t, FdNum fd) { return DoSync(t, fd, false); }
ErrnoOr<void> Fdatasync(Task& t, FdNum fd) { return DoSync(t, fd, true); }

ErrnoOr<void> SyncCall(Task& t) {
  for (const Ref<Filesystem>& fs : t.fs().mount_namespace()->Filesystems()) {
    (void)fs->Sync();  // sync(2) cannot fail
  }
  return Ok();
}

ErrnoOr<void> Syncfs(Task& t, FdNum fd) {
  Ref<File> file = TRY(t.fds().GetIo(fd));
  return file->inode().fs().Sync();
}

ErrnoOr<void> SyncFileRange(Task& t, FdNum fd, int64_t offset, int64_t length, uint32_t flags) {
  constexpr uint32_t kKnown =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  Ref<File> file = TRY(t.fds().GetIo(fd));
  int64_t end;
  if ((flags & ~kKnown) != 0 || offset < 0 || length < 0 ||
      __builtin_add_overflow(offset, length, &end)) {
    return Errno::kInval;
  }
  uint32_t type = file->inode().type();
  if (type != S_IFREG && type != S_IFBLK && type != S_IFDIR && type != S_IFLNK) {
    return Errno::kSpipe;
  }
  if ((flags & SYNC_FILE_RANGE_WAIT_AFTER) == 0) return Ok();  // only waiting can be observed
  return file->SyncRange(static_cast<uint64_t>(offset), static_cast<uint64_t>(length));
}

ErrnoOr<void> Readahead(Task& t, FdNum fd, int64_t offset, uint64_t count) {
  Ref<File> file = TRY(t.fds().GetReadable(fd));
  if (!file->inode().IsRegular()) return Errno::kInval;
  return Ok();  // a hint: the host reads ahead by itself
}

ErrnoOr<void> Fadvise64(Task& t, FdNum fd, int64_t offset, int64_t length, int32_t advice) {
  Ref<File> file = TRY(t.fds().GetIo(fd));
  if (file->inode().type() == S_IFIFO) return Errno::kSpipe;
  if (length < 0) return Errno::kInval;
  if (advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE) return Errno::kInval;
  return Ok();  // hints
}

}  // namespace runsc
