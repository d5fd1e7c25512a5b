#include <linux/capability.h>
#include <linux/xattr.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "sentry/vfs/access.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/resolver.h"
#include "sentry/vfs/vfs.h"

namespace runsc::vfs {
namespace {

constexpr size_t kMaxXattrValue = 65536;
constexpr size_t kMaxXattrName = 255;

// SetAttr with what vfs remembers about attributes forgotten.
Status Apply(const OpContext& ctx, const Path& path, const AttrChange& change, uint32_t event) {
  Inode& inode = *path.dentry->get_inode();
  Status s = inode.SetAttr(ctx, change);
  inode.ForgetAttrCache();
  if (s.ok() && event != 0) NotifyInotify(path, event);
  return s;
}

}  // namespace

Status CheckMountWritable(const Path& path) {
  return path.mount->read_only() ? Status(Errno::kRofs) : Ok();
}

ErrnoOr<Path> Lookup(const LookupContext& ctx, std::string_view path, bool follow) {
  Resolver r(ctx);
  TRY(r.WalkToLast(path));
  return r.FinishLookup(follow);
}

ErrnoOr<Attr> GetAttr(const Path& path) { return path.dentry->get_inode()->GetAttr(); }

Status CheckAccess(const OpContext& ctx, const Path& path, Access want) {
  Inode& inode = *path.dentry->get_inode();
  uint32_t type = inode.type();
  bool special = type == S_IFCHR || type == S_IFBLK || type == S_IFIFO || type == S_IFSOCK;
  if (want.write && !special && path.mount->read_only()) return Errno::kRofs;
  constexpr uint32_t kNoExec = 8;  // MS_NOEXEC
  if (want.exec && type == S_IFREG && (path.mount->flags() & kNoExec) != 0) return Errno::kAcces;
  if (!want.Any()) return Ok();
  return inode.CheckAccess(ctx, want);
}

Status Chmod(const OpContext& ctx, const Path& path, uint32_t mode) {
  TRY(CheckMountWritable(path));
  Inode& inode = *path.dentry->get_inode();
  if (inode.IsSymlink()) return Errno::kOpnotsupp;
  Attr attr = TRY(inode.GetAttr());
  if (!OwnerOrCapable(ctx.creds, attr)) return Errno::kPerm;
  mode &= 07777;
  if ((mode & S_ISGID) != 0 && !ctx.creds.InGroup(attr.gid) &&
      !CapableOver(ctx.creds, attr, CAP_FSETID)) {
    mode &= ~static_cast<uint32_t>(S_ISGID);
  }
  AttrChange change;
  change.mode = mode;
  return Apply(ctx, path, change, IN_ATTRIB);
}

Status Chown(const OpContext& ctx, const Path& path, Uid uid, Gid gid) {
  TRY(CheckMountWritable(path));
  Inode& inode = *path.dentry->get_inode();
  Attr attr = TRY(inode.GetAttr());
  bool owner = attr.uid == ctx.creds.fsuid;
  bool capable = CapableOver(ctx.creds, attr, CAP_CHOWN);
  AttrChange change;
  if (uid != kNoId) {
    if (!(owner && uid == attr.uid) && !capable) return Errno::kPerm;
    change.uid = uid;
  }
  if (gid != kNoId) {
    if (!(owner && (ctx.creds.InGroup(gid) || gid == attr.gid)) && !capable) return Errno::kPerm;
    change.gid = gid;
  }
  // chown(2) takes the set-id bits of files away, even from root.
  if (!S_ISDIR(attr.mode)) {
    uint32_t kill = DroppedSetIdBits(ctx, attr);
    if (kill != 0) {
      // A change of the mode as any other: chown(path, -1, -1) is open to everybody.
      if (!OwnerOrCapable(ctx.creds, attr)) return Errno::kPerm;
      change.mode = attr.mode & 07777 & ~kill;
    }
  }
  return Apply(ctx, path, change, IN_ATTRIB);
}

Status SetTimes(const OpContext& ctx, const Path& path, TimeChange atime, TimeChange mtime) {
  if (atime.kind == TimeChange::kOmit && mtime.kind == TimeChange::kOmit) return Ok();
  TRY(CheckMountWritable(path));
  Inode& inode = *path.dentry->get_inode();
  Attr attr = TRY(inode.GetAttr());
  if (!OwnerOrCapable(ctx.creds, attr)) {
    // Both to now: writing the file is enough; else it takes the owner.
    if (atime.kind != TimeChange::kNow || mtime.kind != TimeChange::kNow) return Errno::kPerm;
    TRY(inode.CheckAccess(ctx, Access{.write = true}));
  }
  FileTime now = CurrentFileTime();
  AttrChange change;
  if (atime.kind != TimeChange::kOmit) {
    change.atime = atime.kind == TimeChange::kNow ? now : atime.time;
  }
  if (mtime.kind != TimeChange::kOmit) {
    change.mtime = mtime.kind == TimeChange::kNow ? now : mtime.time;
  }
  return Apply(ctx, path, change, IN_ATTRIB);
}

Status Truncate(const OpContext& ctx, const Path& path, uint64_t size, bool opening) {
  Inode& inode = *path.dentry->get_inode();
  if (inode.IsDir()) return Errno::kIsdir;
  if (!inode.IsRegular()) return Errno::kInval;
  TRY(CheckMountWritable(path));
  TRY(inode.CheckAccess(ctx, Access{.write = true}));
  TRY(inode.GetWriteAccess());
  Attr attr = TRY(inode.GetAttr());
  AttrChange change;
  if (opening || size != attr.size) change.size = size;
  uint32_t kill = KilledSetIdBits(ctx, attr);
  if (kill != 0) change.mode = attr.mode & 07777 & ~kill;
  Status s = Ok();
  if (change.size || change.mode) {
    s = Apply(ctx, path, change, IN_MODIFY);
  } else {
    NotifyInotify(path, IN_MODIFY);
  }
  inode.PutWriteAccess();
  return s;
}

Status PrepareWrite(const OpContext& ctx, File& file) {
  Inode& inode = file.inode();
  if (inode.NoSetIdBits() || !inode.IsRegular()) [[likely]] return Ok();
  uint32_t seen = inode.attr_cache();
  Attr attr = TRY(inode.GetAttr());
  inode.LearnAttr(seen, attr);
  uint32_t kill = KilledSetIdBits(ctx, attr);
  if (kill == 0) return Ok();
  AttrChange change;
  change.mode = attr.mode & 07777 & ~kill;
  return Apply(ctx, file.path(), change, 0);
}

namespace {

// Linux xattr_permission() and the handlers' own rules.
Status CheckXattr(const OpContext& ctx, Inode& inode, std::string_view name, bool write) {
  size_t dot = name.find('.');
  if (name.size() > kMaxXattrName) return Errno::kRange;
  std::string_view space = dot == std::string_view::npos ? name : name.substr(0, dot + 1);
  if (space == "security.") {
    if (!write || ctx.creds.HasCap(CAP_SYS_ADMIN)) return Ok();
    return name == "security.capability" && ctx.creds.HasCap(CAP_SETFCAP) ? Ok()
                                                                          : Status(Errno::kPerm);
  }
  if (space == "system.") return Errno::kOpnotsupp;  // ACLs are not kept
  if (space == "trusted.") {
    if (ctx.creds.HasCap(CAP_SYS_ADMIN)) return Ok();
    return write ? Errno::kPerm : Errno::kNodata;
  }
  Access access = write ? Access{.write = true} : Access{.read = true};
  if (space != "user.") {
    TRY(inode.CheckAccess(ctx, access));
    return Errno::kOpnotsupp;
  }
  if (!inode.IsRegular() && !inode.IsDir()) return write ? Errno::kPerm : Errno::kNodata;
  if (inode.IsDir() && write) {
    Attr attr = TRY(inode.GetAttr());
    if ((attr.mode & S_ISVTX) != 0 && !OwnerOrCapable(ctx.creds, attr)) return Errno::kPerm;
  }
  TRY(inode.CheckAccess(ctx, access));
  return dot + 1 == name.size() ? Status(Errno::kInval) : Ok();
}

}  // namespace

ErrnoOr<std::string> GetXattr(const OpContext& ctx, const Path& path, std::string_view name) {
  Inode& inode = *path.dentry->get_inode();
  TRY(CheckXattr(ctx, inode, name, false));
  return inode.GetXattr(ctx, name);
}

Status SetXattr(const OpContext& ctx, const Path& path, std::string_view name,
                std::string_view value, int flags) {
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0) return Errno::kInval;
  if (value.size() > kMaxXattrValue) return Errno::k2big;
  TRY(CheckMountWritable(path));
  Inode& inode = *path.dentry->get_inode();
  TRY(CheckXattr(ctx, inode, name, true));
  TRY(inode.SetXattr(ctx, name, value, flags));
  NotifyInotify(path, IN_ATTRIB);
  return Ok();
}

Status RemoveXattr(const OpContext& ctx, const Path& path, std::string_view name) {
  TRY(CheckMountWritable(path));
  Inode& inode = *path.dentry->get_inode();
  TRY(CheckXattr(ctx, inode, name, true));
  TRY(inode.RemoveXattr(ctx, name));
  NotifyInotify(path, IN_ATTRIB);
  return Ok();
}

ErrnoOr<std::vector<std::string>> ListXattr(const OpContext& ctx, const Path& path) {
  std::vector<std::string> names = TRY(path.dentry->get_inode()->ListXattr(ctx));
  bool admin = ctx.creds.HasCap(CAP_SYS_ADMIN);
  std::erase_if(names, [&](const std::string& n) { return n.starts_with("trusted.") && !admin; });
  return names;
}

}  // namespace runsc::vfs
