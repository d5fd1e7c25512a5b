#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "sentry/vfs/access.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/resolver.h"
#include "sentry/vfs/vfs.h"

namespace runsc::vfs {
namespace {

// The walk to a place where something is to be created, and the checks before (filename_create).
// Calls `make(dir inode, name)` with the directory locked.
template <typename Make>
Status CreateAt(const LookupContext& ctx, std::string_view path, bool is_dir, Make make) {
  Resolver r(ctx);
  TRY(r.WalkToLast(path));
  if (r.last() != Resolver::Last::kName) return Errno::kExist;
  Dentry& dir = *r.dir().dentry;
  Inode& parent = *dir.get_inode();
  Ref<Dentry> child;
  {
    WriterLock l(parent.dir_mutex);
    child = TRY(Resolver::ChildLocked(dir, r.name()));
    if (!child->IsNegative()) return Errno::kExist;
    if (r.must_be_dir() && !is_dir) return Errno::kNoent;
    TRY(CheckMountWritable(r.dir()));
    TRY(MayCreate(ctx.op, dir));
    Ref<Inode> made = TRY(make(parent, r.name()));
    DentryCache::Instantiate(child.get(), std::move(made));
  }
  inotify::DirEvent(parent, IN_CREATE, r.name(), is_dir);
  return Ok();
}

uint32_t Masked(const LookupContext& ctx, uint32_t mode) { return mode & ~ctx.fs.umask(); }

// After an entry was removed, without locks: events.
void TellRemoved(Inode& parent, std::string_view name, Dentry& victim) {
  if (!inotify::Active()) return;
  Inode& inode = *victim.get_inode();
  if (!inode.IsDir()) inotify::SelfEvent(inode, IN_ATTRIB);
  inotify::DirEvent(parent, IN_DELETE, name, inode.IsDir());
}

}  // namespace

Status Mkdir(const LookupContext& ctx, std::string_view path, uint32_t mode) {
  return CreateAt(ctx, path, true, [&](Inode& dir, std::string_view name) {
    return dir.Mkdir(ctx.op, name, S_IFDIR | Masked(ctx, mode & (0777 | S_ISVTX)));
  });
}

Status Mknod(const LookupContext& ctx, std::string_view path, uint32_t mode, DeviceId dev,
             Ref<RefCounted> socket) {
  uint32_t type = mode & S_IFMT;
  if (type == 0) type = S_IFREG;
  if (type == S_IFDIR) return Errno::kPerm;
  if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK && type != S_IFCHR &&
      type != S_IFBLK) {
    return Errno::kInval;
  }
  // A whiteout is a character device 0:0, which everybody may make.
  bool whiteout = type == S_IFCHR && dev == DeviceId{};
  bool privileged = (type == S_IFCHR || type == S_IFBLK) && !whiteout;
  uint32_t bits = Masked(ctx, mode & 07777);
  return CreateAt(ctx, path, false, [&](Inode& dir, std::string_view name) -> ErrnoOr<Ref<Inode>> {
    if (privileged && !ctx.op.creds.HasCap(CAP_MKNOD)) return Errno::kPerm;
    Ref<Inode> made = type == S_IFREG ? TRY(dir.Create(ctx.op, name, type | bits))
                                      : TRY(dir.Mknod(ctx.op, name, type | bits, dev));
    if (socket) made->SetBoundSocket(socket);
    return made;
  });
}

Status Symlink(const LookupContext& ctx, std::string_view target, std::string_view path) {
  if (target.empty()) return Errno::kNoent;
  if (target.size() >= 4096) return Errno::kNametoolong;
  return CreateAt(ctx, path, false, [&](Inode& dir, std::string_view name) {
    return dir.Symlink(ctx.op, name, target);
  });
}

Status Link(const Path& source, const LookupContext& ctx, std::string_view path) {
  Inode& inode = *source.dentry->get_inode();
  Resolver r(ctx);
  TRY(r.WalkToLast(path));
  if (r.last() != Resolver::Last::kName) return Errno::kExist;
  Dentry& dir = *r.dir().dentry;
  Inode& parent = *dir.get_inode();
  Ref<Dentry> child;
  {
    WriterLock l(parent.dir_mutex);
    child = TRY(Resolver::ChildLocked(dir, r.name()));
    if (!child->IsNegative()) return Errno::kExist;
    if (r.must_be_dir()) return Errno::kNoent;
    TRY(CheckMountWritable(r.dir()));
    if (r.dir().mount != source.mount) return Errno::kXdev;
    TRY(MayCreate(ctx.op, dir));
    if (inode.IsDir()) return Errno::kPerm;
    bool nameless = source.dentry->IsUnlinked() && !source.dentry->linkable();
    if (nameless && TRY(inode.GetAttr()).nlink == 0) return Errno::kNoent;
    TRY(parent.Link(ctx.op, r.name(), inode));
    source.dentry->ClearLinkable();
    DentryCache::Instantiate(child.get(), source.dentry->inode());
  }
  inode.ForgetAttrCache();
  inotify::SelfEvent(inode, IN_ATTRIB);
  inotify::DirEvent(parent, IN_CREATE, r.name(), false);
  return Ok();
}

Status Unlink(const LookupContext& ctx, std::string_view path) {
  Resolver r(ctx);
  TRY(r.WalkToLast(path));
  if (r.last() != Resolver::Last::kName) return Errno::kIsdir;
  Dentry& dir = *r.dir().dentry;
  Inode& parent = *dir.get_inode();
  TRY(CheckMountWritable(r.dir()));
  Ref<Dentry> victim;
  {
    WriterLock l(parent.dir_mutex);
    victim = TRY(Resolver::ChildLocked(dir, r.name()));
    if (victim->IsNegative()) return Errno::kNoent;
    if (r.must_be_dir()) {
      return victim->get_inode()->IsDir() ? Errno::kIsdir : Errno::kNotdir;
    }
    TRY(MayDelete(ctx.op, dir, *victim, false));
    if (victim->mounted.load(std::memory_order_acquire) != 0) return Errno::kBusy;
    TRY(parent.Unlink(ctx.op, r.name(), *victim->get_inode()));
    DentryCache::Drop(victim.get(), true);
  }
  victim->get_inode()->ForgetAttrCache();
  TellRemoved(parent, r.name(), *victim);
  return Ok();
}

Status Rmdir(const LookupContext& ctx, std::string_view path) {
  Resolver r(ctx);
  TRY(r.WalkToLast(path));
  switch (r.last()) {
    case Resolver::Last::kDot: return Errno::kInval;
    case Resolver::Last::kDotDot: return Errno::kNotempty;
    case Resolver::Last::kRoot: return Errno::kBusy;
    case Resolver::Last::kName: break;
  }
  Dentry& dir = *r.dir().dentry;
  Inode& parent = *dir.get_inode();
  TRY(CheckMountWritable(r.dir()));
  Ref<Dentry> victim;
  {
    WriterLock l(parent.dir_mutex);
    victim = TRY(Resolver::ChildLocked(dir, r.name()));
    if (victim->IsNegative()) return Errno::kNoent;
    TRY(MayDelete(ctx.op, dir, *victim, true));
    if (victim->mounted.load(std::memory_order_acquire) != 0) return Errno::kBusy;
    // The victim is locked too: nothing may appear in it once it was found empty.
    NestedMutexLock vl(victim->get_inode()->dir_mutex);
    TRY(parent.Rmdir(ctx.op, r.name(), *victim->get_inode()));
    DentryCache::Drop(victim.get(), true);
  }
  TellRemoved(parent, r.name(), *victim);
  return Ok();
}

}  // namespace runsc::vfs
