#include <fcntl.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

constexpr long kFlagsValid = 0x20;  // ST_VALID: f_flags is filled in
constexpr long kRelatime = 0x1000;

// ST_* bits of a mount: the low four are MS_RDONLY … MS_NOEXEC themselves.
long StatFlags(const Mount& mount) {
  uint32_t flags = mount.flags();
  long out = kFlagsValid | (flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC));
  if ((flags & MS_NOATIME) != 0) out |= 0x400;
  if ((flags & MS_NODIRATIME) != 0) out |= 0x800;
  if ((flags & (MS_NOATIME | MS_STRICTATIME)) == 0) out |= kRelatime;
  if ((flags & 256) != 0) out |= 0x2000;
  return out;
}

Status PutStatfs(Task& t, const Path& path, UserAddr buf) {
  Filesystem& fs = path.dentry->get_inode()->fs();
  FsStat s = TRY(fs.StatFs());
  struct statfs out {};
  out.f_type = static_cast<long>(s.type);
  out.f_bsize = static_cast<long>(s.block_size);
  out.f_frsize = out.f_bsize;
  out.f_blocks = s.blocks;
  out.f_bfree = s.blocks_free;
  out.f_bavail = s.blocks_available;
  out.f_files = s.files;
  out.f_ffree = s.files_free;
  out.f_namelen = static_cast<long>(s.name_max);
  out.f_fsid.__val[0] = static_cast<int>(fs.dev());
  out.f_fsid.__val[1] = static_cast<int>(fs.dev() >> 32);
  out.f_flags = StatFlags(*path.mount);
  return t.mem().Put(buf, out);
}

}  // namespace

ErrnoOr<void> Statfs(Task& t, UserAddr path, UserAddr buf) {
  AtPath at(t);
  TRY(at.Load(FdNum(AT_FDCWD), path));
  return PutStatfs(t, TRY(at.Resolve(true)), buf);
}

ErrnoOr<void> Fstatfs(Task& t, FdNum fd, UserAddr buf) {
  Ref<File> file = TRY(t.fds().Get(fd));
  return PutStatfs(t, file->path(), buf);
}

ErrnoOr<void> Ustat(Task& t, uint32_t dev, UserAddr buf) {
  for (const Ref<Filesystem>& fs : t.fs().mount_namespace()->Filesystems()) {
    if (fs->dev() != dev) continue;
    FsStat s = TRY(fs->StatFs());
    // struct ustat; its padding is written out, too.
    struct {
      int32_t free, padding;
      uint64_t inodes;
      char name[6], pack[6];
      int32_t end;
    } out{static_cast<int32_t>(s.blocks_free), 0, s.files_free, {}, {}, 0};
    static_assert(sizeof(out) == 32);
    return t.mem().Put(buf, out);
  }
  return Errno::kInval;
}

ErrnoOr<int64_t> NameToHandleAt(Task& t, FdNum dirfd, UserAddr path, UserAddr handle,
                                UserAddr mount_id, uint32_t flags) {
  constexpr uint32_t kMaxHandle = 128;  // MAX_HANDLE_SZ
  if ((flags & ~static_cast<uint32_t>(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH | 0x200)) != 0) {
    return Errno::kInval;
  }
  AtPath at(t);
  TRY(at.LoadMaybeEmpty(dirfd, path, (flags & AT_EMPTY_PATH) != 0));
  TRY(at.Resolve((flags & AT_SYMLINK_FOLLOW) != 0));
  if (TRY(t.mem().Get<uint32_t>(handle)) > kMaxHandle) return Errno::kInval;
  return t.Unimplemented("name_to_handle_at", Errno::kOpnotsupp);
}

}  // namespace runsc
