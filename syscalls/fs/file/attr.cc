#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <utime.h>

#include "sentry/vfs/file_time.h"
#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

constexpr int64_t kNanos = 1000000000;

ErrnoOr<vfs::TimeChange> FromTimespec(const timespec& ts) {
  if (ts.tv_nsec == UTIME_NOW) return vfs::TimeChange{vfs::TimeChange::kNow, 0};
  if (ts.tv_nsec == UTIME_OMIT) return vfs::TimeChange{vfs::TimeChange::kOmit, 0};
  if (ts.tv_nsec < 0 || ts.tv_nsec >= kNanos) return Errno::kInval;
  return vfs::TimeChange{vfs::TimeChange::kSet, ClampedFileTime(ts.tv_sec, ts.tv_nsec)};
}

ErrnoOr<vfs::TimeChange> FromTimeval(const timeval& tv) {
  if (tv.tv_usec < 0 || tv.tv_usec >= 1000000) return Errno::kInval;
  return FromTimespec(timespec{tv.tv_sec, tv.tv_usec * 1000});
}

// Sets times at (dirfd, path); a null path means dirfd itself. `valid` false: EINVAL once the file
// is found.
Status DoSetTimes(Task& t, FdNum dirfd, UserAddr path, const vfs::TimeChange times[2],
                  uint32_t flags, bool valid = true) {
  AtPath at(t);
  if (path.IsNull() && dirfd.value != AT_FDCWD) {
    Ref<File> file = TRY(t.fds().GetIo(dirfd));
    if (!valid) return Errno::kInval;
    return vfs::SetTimes(at.op(), file->path(), times[0], times[1]);
  }
  TRY(at.LoadMaybeEmpty(dirfd, path, (flags & AT_EMPTY_PATH) != 0 && !path.IsNull()));
  Path place = TRY(at.Resolve((flags & AT_SYMLINK_NOFOLLOW) == 0));
  if (!valid) return Errno::kInval;
  return vfs::SetTimes(at.op(), place, times[0], times[1]);
}

Status DoUtimes(Task& t, FdNum dirfd, UserAddr path, UserAddr times) {
  vfs::TimeChange change[2];
  if (!times.IsNull()) {
    auto tv = TRY(t.mem().GetArray<timeval>(times, 2));
    for (size_t i = 0; i < 2; ++i) change[i] = TRY(FromTimeval(tv[i]));
  }
  return DoSetTimes(t, dirfd, path, change, 0);
}

// RLIMIT_FSIZE, which only bounds growth.
Status CheckNewSize(Task& t, Inode& inode, uint64_t size) {
  if (size <= t.Limit(RLIMIT_FSIZE) || size <= TRY(inode.GetAttr()).size) return Ok();
  TRY(ClampToFileLimit(t, size - 1, 1));
  return Ok();
}

Status DoChown(Task& t, const OpContext& op, const Path& path, uint32_t uid, uint32_t gid) {
  return vfs::Chown(op, path, TRY(KernelUid(t, uid)), TRY(KernelGid(t, gid)));
}

}  // namespace

ErrnoOr<void> TruncateCall(Task& t, UserAddr path, int64_t length) {
  if (length < 0) return Errno::kInval;
  AtPath at(t);
  TRY(at.Load(FdNum(AT_FDCWD), path));
  Path place = TRY(at.Resolve(true));
  Inode& inode = *place.dentry->get_inode();
  if (inode.IsRegular()) TRY(CheckNewSize(t, inode, static_cast<uint64_t>(length)));
  return vfs::Truncate(at.op(), place, static_cast<uint64_t>(length));
}

ErrnoOr<void> Ftruncate(Task& t, FdNum fd, int64_t length) {
  if (length < 0) return Errno::kInval;
  Ref<File> file = TRY(t.fds().GetIo(fd));
  if (!file->inode().IsRegular() || !file->writable()) return Errno::kInval;
  uint64_t size = static_cast<uint64_t>(length);
  TRY(CheckNewSize(t, file->inode(), size));
  TRY(vfs::PrepareWrite(t.op(), *file));
  TRY(file->Truncate(t.op(), size));
  vfs::NotifyWritten(*file);
  return Ok();
}

ErrnoOr<void> Fallocate(Task& t, FdNum fd, int32_t mode, int64_t offset, int64_t length) {
  Ref<File> file = TRY(t.fds().GetIo(fd));
  if (offset < 0 || length <= 0) return Errno::kInval;
  constexpr int kKnown = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE |
                         FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE |
                         FALLOC_FL_UNSHARE_RANGE;
  if ((mode & ~kKnown) != 0) return Errno::kOpnotsupp;
  bool punch = (mode & FALLOC_FL_PUNCH_HOLE) != 0;
  if (punch && (mode & FALLOC_FL_KEEP_SIZE) == 0) return Errno::kOpnotsupp;
  if (punch && (mode & FALLOC_FL_ZERO_RANGE) != 0) return Errno::kOpnotsupp;
  constexpr int kShifts = FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE;
  if ((mode & kShifts) != 0 && (mode & (mode - 1)) != 0) return Errno::kInval;
  if (!file->writable()) return Errno::kBadf;
  uint32_t type = file->inode().type();
  if (type == S_IFIFO) return Errno::kSpipe;
  if (type == S_IFDIR) return Errno::kIsdir;
  if (type != S_IFREG && type != S_IFBLK) return Errno::kNodev;
  int64_t end;
  if (__builtin_add_overflow(offset, length, &end)) return Errno::kFbig;
  if ((mode & FALLOC_FL_KEEP_SIZE) == 0) {
    TRY(CheckNewSize(t, file->inode(), static_cast<uint64_t>(end)));
  }
  TRY(file->Allocate(t.op(), mode, static_cast<uint64_t>(offset), static_cast<uint64_t>(length)));
  TRY(vfs::PrepareWrite(t.op(), *file));  // a mode that the file system lacks changes nothing
  vfs::NotifyWritten(*file);
  return Ok();
}

ErrnoOr<void> ChmodCall(Task& t, UserAddr path, uint32_t mode) {
  return Fchmodat2(t, FdNum(AT_FDCWD), path, mode, 0);
}

ErrnoOr<void> Fchmod(Task& t, FdNum fd, uint32_t mode) {
  Ref<File> file = TRY(t.fds().GetIo(fd));
  return vfs::Chmod(t.op(), file->path(), mode);
}

ErrnoOr<void> Fchmodat(Task& t, FdNum dirfd, UserAddr path, uint32_t mode) {
  return Fchmodat2(t, dirfd, path, mode, 0);
}

ErrnoOr<void> Fchmodat2(Task& t, FdNum dirfd, UserAddr path, uint32_t mode, uint32_t flags) {
  if ((flags & ~static_cast<uint32_t>(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) {
    return Errno::kInval;
  }
  AtPath at(t);
  TRY(at.LoadMaybeEmpty(dirfd, path, (flags & AT_EMPTY_PATH) != 0));
  return vfs::Chmod(at.op(), TRY(at.Resolve((flags & AT_SYMLINK_NOFOLLOW) == 0)), mode);
}

ErrnoOr<void> ChownCall(Task& t, UserAddr path, uint32_t uid, uint32_t gid) {
  return Fchownat(t, FdNum(AT_FDCWD), path, uid, gid, 0);
}

ErrnoOr<void> Lchown(Task& t, UserAddr path, uint32_t uid, uint32_t gid) {
  return Fchownat(t, FdNum(AT_FDCWD), path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

ErrnoOr<void> Fchown(Task& t, FdNum fd, uint32_t uid, uint32_t gid) {
  Ref<File> file = TRY(t.fds().GetIo(fd));
  return DoChown(t, t.op(), file->path(), uid, gid);
}

ErrnoOr<void> Fchownat(Task& t, FdNum dirfd, UserAddr path, uint32_t uid, uint32_t gid,
                       uint32_t flags) {
  if ((flags & ~static_cast<uint32_t>(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) {
    return Errno::kInval;
  }
  AtPath at(t);
  TRY(at.LoadMaybeEmpty(dirfd, path, (flags & AT_EMPTY_PATH) != 0));
  return DoChown(t, at.op(), TRY(at.Resolve((flags & AT_SYMLINK_NOFOLLOW) == 0)), uid, gid);
}

ErrnoOr<void> Utime(Task& t, UserAddr path, UserAddr times) {
  vfs::TimeChange change[2];
  if (!times.IsNull()) {
    utimbuf buf = TRY(t.mem().Get<utimbuf>(times));
    change[0] = TRY(FromTimespec({buf.actime, 0}));
    change[1] = TRY(FromTimespec({buf.modtime, 0}));
  }
  return DoSetTimes(t, FdNum(AT_FDCWD), path, change, 0);
}

ErrnoOr<void> Utimes(Task& t, UserAddr path, UserAddr times) {
  return DoUtimes(t, FdNum(AT_FDCWD), path, times);
}

ErrnoOr<void> Futimesat(Task& t, FdNum dirfd, UserAddr path, UserAddr times) {
  return DoUtimes(t, dirfd, path, times);
}

ErrnoOr<void> Utimensat(Task& t, FdNum dirfd, UserAddr path, UserAddr times, uint32_t flags) {
  vfs::TimeChange change[2];
  bool valid = true;
  if (!times.IsNull()) {
    auto ts = TRY(t.mem().GetArray<timespec>(times, 2));
    // Nothing to do is answered before anything else is looked at.
    if (ts[0].tv_nsec == UTIME_OMIT && ts[1].tv_nsec == UTIME_OMIT) return Ok();
    for (size_t i = 0; i < 2; ++i) {
      ErrnoOr<vfs::TimeChange> one = FromTimespec(ts[i]);
      valid = valid && one.ok();
      if (one.ok()) change[i] = *one;
    }
  }
  if ((flags & ~static_cast<uint32_t>(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) {
    return Errno::kInval;
  }
  if (path.IsNull() && dirfd.value != AT_FDCWD && flags != 0) return Errno::kInval;
  return DoSetTimes(t, dirfd, path, change, flags, valid);
}

}  // namespace runsc
