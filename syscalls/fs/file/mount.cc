#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mount.h>

#include "sentry/vfs/filesystem_types.h"
#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

constexpr uint64_t kMagic = 0xC0ED0000;  // MS_MGC_VAL, of old programs
constexpr uint64_t kMagicMask = 0xffff0000;
constexpr uint64_t kPropagation = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
constexpr uint32_t kMountFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME |
                                 MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME |
                                 256 /* MS_NOSYMFOLLOW */;

// Strings of mount(2) are read as far as there is memory, at most a page.
ErrnoOr<std::string> GetOptionalString(Task& t, UserAddr addr) {
  if (addr.IsNull()) return std::string();
  return t.mem().GetString(addr, kPageSize - 1);
}

Status SetPropagation(Task& t, const Path& at, uint64_t flags) {
  uint64_t kind = flags & kPropagation;
  if ((kind & (kind - 1)) != 0) return Errno::kInval;
  if ((flags & ~(kPropagation | MS_REC | MS_SILENT)) != 0) return Errno::kInval;
  if (at.dentry != at.mount->root()) return Errno::kInval;
  // Every mount is private here already. Shared trees would be seen to differ only by a second
  // mount namespace, so the request is counted and granted.
  if (kind != MS_PRIVATE) (void)t.Unimplemented("mount propagation", Errno::kInval);
  return Ok();
}

Status Remount(Task& t, MountNamespace& ns, const OpContext& op, const Path& at, uint64_t flags,
               const std::string& data) {
  if (at.dentry != at.mount->root()) return Errno::kInval;
  if ((flags & MS_BIND) == 0) TRY(at.mount->fs().Remount(op, data));
  uint32_t now = static_cast<uint32_t>(flags) & kMountFlags;
  constexpr uint32_t kAtime = MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;
  if ((now & kAtime) == 0) now |= at.mount->flags() & kAtime;
  return ns.SetFlags(at, now);
}

Status BindOrMove(Task& t, MountNamespace& ns, UserAddr source, const Path& at, uint64_t flags) {
  AtPath from(t);
  TRY(from.Load(FdNum(AT_FDCWD), source));
  Path place = TRY(from.Resolve(true));
  if ((flags & MS_MOVE) != 0) return ns.Move(place, at);
  return ns.Attach(TRY(ns.Bind(place, (flags & MS_REC) != 0)), at);
}

Status NewMount(Task& t, MountNamespace& ns, const OpContext& op, const Path& at,
                std::string source, UserAddr type_addr, uint64_t flags, const std::string& data) {
  if (type_addr.IsNull()) return Errno::kInval;
  std::string type = TRY(t.mem().GetString(type_addr, kPageSize - 1));
  FilesystemMaker make = FindFilesystemType(type);
  if (make == nullptr) return Errno::kNodev;
  Ref<Filesystem> fs = TRY(make(op, source, data));
  uint32_t mount_flags = static_cast<uint32_t>(flags) & kMountFlags;
  return ns.Attach(Mount::New(std::move(fs), mount_flags, std::move(source)), at);
}

}  // namespace

ErrnoOr<void> MountCall(Task& t, UserAddr source, UserAddr target, UserAddr type, uint64_t flags,
                        UserAddr data_addr) {
  if ((flags & kMagicMask) == kMagic) flags &= ~kMagicMask;
  std::string data = TRY(GetOptionalString(t, data_addr));
  AtPath at(t);
  TRY(at.Load(FdNum(AT_FDCWD), target));
  Path place = TRY(at.Resolve(true));
  if (!t.creds().HasCap(CAP_SYS_ADMIN)) return Errno::kPerm;
  Ref<MountNamespace> ns = t.fs().mount_namespace();
  if ((flags & MS_REMOUNT) != 0) return Remount(t, *ns, at.op(), place, flags, data);
  if ((flags & (MS_BIND | MS_MOVE)) != 0) return BindOrMove(t, *ns, source, place, flags);
  if ((flags & kPropagation) != 0) return SetPropagation(t, place, flags);
  std::string name = TRY(GetOptionalString(t, source));
  return NewMount(t, *ns, at.op(), place, std::move(name), type, flags, data);
}

ErrnoOr<void> Umount2(Task& t, UserAddr target, int32_t flags) {
  if ((flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)) != 0) {
    return Errno::kInval;
  }
  if ((flags & MNT_EXPIRE) != 0 && (flags & (MNT_FORCE | MNT_DETACH)) != 0) return Errno::kInval;
  AtPath at(t);
  TRY(at.Load(FdNum(AT_FDCWD), target));
  Path place = TRY(at.Resolve((flags & UMOUNT_NOFOLLOW) == 0));
  at.DropStart();  // so that only `place` refers to the mount
  if (!t.creds().HasCap(CAP_SYS_ADMIN)) return Errno::kPerm;
  return t.fs().mount_namespace()->Detach(place, flags);
}

ErrnoOr<void> PivotRootCall(Task& t, UserAddr new_root, UserAddr put_old) {
  if (!t.creds().HasCap(CAP_SYS_ADMIN)) return Errno::kPerm;
  AtPath fresh(t), old(t);
  TRY(fresh.Load(FdNum(AT_FDCWD), new_root));
  Path to = TRY(fresh.Resolve(true));
  TRY(old.Load(FdNum(AT_FDCWD), put_old));
  Path from = TRY(old.Resolve(true));
  if (!to.dentry->get_inode()->IsDir() || !from.dentry->get_inode()->IsDir()) {
    return Errno::kNotdir;
  }
  return t.fs().mount_namespace()->PivotRoot(to, from);
}

}  // namespace runsc
