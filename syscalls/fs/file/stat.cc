#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

timespec ToTimespec(FileTime t) {
  int64_t seconds = t / 1000000000, nanos = t % 1000000000;
  if (nanos < 0) {
    nanos += 1000000000;
    --seconds;
  }
  return {seconds, nanos};
}

Status PutStat(Task& t, const Attr& a, UserAddr buf) {
  struct stat st {};
  const UserNamespace& ns = *t.creds().user_ns;
  st.st_dev = a.dev;
  st.st_ino = a.ino;
  st.st_mode = a.mode;
  st.st_nlink = a.nlink;
  st.st_uid = ns.MungedUid(a.uid);
  st.st_gid = ns.MungedGid(a.gid);
  st.st_rdev = EncodeDevice(a.rdev);
  st.st_size = static_cast<off_t>(a.size);
  st.st_blksize = a.blksize;
  st.st_blocks = static_cast<blkcnt_t>(a.blocks);
  st.st_atim = ToTimespec(a.atime);
  st.st_mtim = ToTimespec(a.mtime);
  st.st_ctim = ToTimespec(a.ctime);
  return t.mem().Put(buf, st);
}

statx_timestamp ToStatxTime(FileTime time) {
  timespec ts = ToTimespec(time);
  statx_timestamp out{};
  out.tv_sec = ts.tv_sec;
  out.tv_nsec = static_cast<uint32_t>(ts.tv_nsec);
  return out;
}

struct statx MakeStatx(Task& t, const Attr& a, const Path& path) {
  struct statx x {};
  const UserNamespace& ns = *t.creds().user_ns;
  x.stx_mask = STATX_BASIC_STATS | (a.btime != 0 ? STATX_BTIME : 0) | 0x1000 /* STATX_MNT_ID */;
  x.stx_blksize = a.blksize;
  x.stx_attributes = a.attributes;
  x.stx_attributes_mask = STATX_ATTR_MOUNT_ROOT;
  if (path.dentry == path.mount->root()) x.stx_attributes |= STATX_ATTR_MOUNT_ROOT;
  x.stx_nlink = a.nlink;
  x.stx_uid = ns.MungedUid(a.uid);
  x.stx_gid = ns.MungedGid(a.gid);
  x.stx_mode = static_cast<uint16_t>(a.mode);
  x.stx_ino = a.ino;
  x.stx_size = a.size;
  x.stx_blocks = a.blocks;
  x.stx_atime = ToStatxTime(a.atime);
  x.stx_btime = ToStatxTime(a.btime);
  x.stx_ctime = ToStatxTime(a.ctime);
  x.stx_mtime = ToStatxTime(a.mtime);
  x.stx_rdev_major = a.rdev.major;
  x.stx_rdev_minor = a.rdev.minor;
  DeviceId dev = DecodeDevice(a.dev);
  x.stx_dev_major = dev.major;
  x.stx_dev_minor = dev.minor;
  x.stx_mnt_id = static_cast<uint64_t>(path.mount->id());
  return x;
}

Status DoStat(Task& t, FdNum dirfd, UserAddr path, UserAddr buf, uint32_t flags) {
  AtPath at(t);
  TRY(at.LoadMaybeEmpty(dirfd, path, (flags & AT_EMPTY_PATH) != 0));
  Path place = TRY(at.Resolve((flags & AT_SYMLINK_NOFOLLOW) == 0));
  return PutStat(t, TRY(vfs::GetAttr(place)), buf);
}

}  // namespace

ErrnoOr<void> StatCall(Task& t, UserAddr path, UserAddr buf) {
  return DoStat(t, FdNum(AT_FDCWD), path, buf, 0);
}

ErrnoOr<void> Lstat(Task& t, UserAddr path, UserAddr buf) {
  return DoStat(t, FdNum(AT_FDCWD), path, buf, AT_SYMLINK_NOFOLLOW);
}

ErrnoOr<void> Fstat(Task& t, FdNum fd, UserAddr buf) {
  Ref<File> file = TRY(t.fds().Get(fd));
  return PutStat(t, TRY(file->inode().GetAttr()), buf);
}

ErrnoOr<void> Newfstatat(Task& t, FdNum dirfd, UserAddr path, UserAddr buf, uint32_t flags) {
  constexpr uint32_t kKnown = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;
  if ((flags & ~kKnown) != 0) return Errno::kInval;
  return DoStat(t, dirfd, path, buf, flags);
}

ErrnoOr<void> Statx(Task& t, FdNum dirfd, UserAddr path, uint32_t flags, uint32_t mask,
                    UserAddr buf) {
  constexpr uint32_t kKnown = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH |
                              AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;
  if ((flags & ~kKnown) != 0) return Errno::kInval;
  if ((flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE) return Errno::kInval;
  if ((mask & STATX__RESERVED) != 0) return Errno::kInval;
  AtPath at(t);
  TRY(at.LoadMaybeEmpty(dirfd, path, (flags & AT_EMPTY_PATH) != 0));
  Path place = TRY(at.Resolve((flags & AT_SYMLINK_NOFOLLOW) == 0));
  return t.mem().Put(buf, MakeStatx(t, TRY(vfs::GetAttr(place)), place));
}

ErrnoOr<void> AccessCall(Task& t, UserAddr path, uint32_t mode) {
  return Faccessat2(t, FdNum(AT_FDCWD), path, mode, 0);
}

ErrnoOr<void> Faccessat(Task& t, FdNum dirfd, UserAddr path, uint32_t mode) {
  return Faccessat2(t, dirfd, path, mode, 0);
}

ErrnoOr<void> Faccessat2(Task& t, FdNum dirfd, UserAddr path, uint32_t mode, uint32_t flags) {
  if ((mode & ~7u) != 0) return Errno::kInval;
  if ((flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return Errno::kInval;
  AtPath at(t);
  TRY(at.LoadMaybeEmpty(dirfd, path, (flags & AT_EMPTY_PATH) != 0));
  Access want{(mode & R_OK) != 0, (mode & W_OK) != 0, (mode & X_OK) != 0};
  bool follow = (flags & AT_SYMLINK_NOFOLLOW) == 0;
  const Credentials& now = t.creds();
  CapSet caps = now.ruid == 0 ? now.permitted : CapSet{};
  bool same = now.ruid == now.fsuid && now.rgid == now.fsgid && now.effective == caps;
  if ((flags & AT_EACCESS) != 0 || same) {
    return vfs::CheckAccess(at.op(), TRY(at.Resolve(follow)), want);
  }
  // The real ids decide, with the capabilities an execve by them would give.
  Ref<Credentials> real = now.Fork();
  real->fsuid = now.ruid;
  real->fsgid = now.rgid;
  real->effective = caps;
  OpContext op{*real, &t};
  LookupContext ctx{op, t.fs(), at.ctx().start, 0};
  Path place = at.is_dirfd() ? ctx.start : TRY(vfs::Lookup(ctx, at.text(), follow));
  return vfs::CheckAccess(op, place, want);
}

ErrnoOr<int64_t> Readlink(Task& t, UserAddr path, UserAddr buf, int32_t size) {
  return Readlinkat(t, FdNum(AT_FDCWD), path, buf, size);
}

ErrnoOr<int64_t> Readlinkat(Task& t, FdNum dirfd, UserAddr path, UserAddr buf, int32_t size) {
  if (size <= 0) return Errno::kInval;
  AtPath at(t);
  TRY(at.LoadMaybeEmpty(dirfd, path, true));
  Path place = TRY(at.Resolve(false));
  Inode& inode = *place.dentry->get_inode();
  if (!inode.IsSymlink()) return at.text().empty() ? Errno::kNoent : Errno::kInval;
  std::string text = TRY(inode.Readlink(at.op()));
  size_t n = std::min(text.size(), static_cast<size_t>(size));
  TRY(t.mem().CopyOut(buf, text.data(), n));
  return static_cast<int64_t>(n);
}

}  // namespace runsc
