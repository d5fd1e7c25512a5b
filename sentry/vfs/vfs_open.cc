#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "platform/base/strings.h"
#include "sentry/vfs/access.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/resolver.h"
#include "sentry/vfs/vfs.h"

namespace runsc::vfs {
namespace {

constexpr uint32_t kTmpFileBit = O_TMPFILE & ~O_DIRECTORY;
constexpr uint32_t kNoDev = 4;  // MS_NODEV

Access WantedAccess(uint32_t flags) {
  uint32_t mode = flags & O_ACCMODE;
  Access want;
  want.read = mode == O_RDONLY || mode == O_RDWR || mode == O_ACCMODE;
  want.write = mode != O_RDONLY || (flags & O_TRUNC) != 0;
  return want;
}

// Linux may_open(): what `flags` ask of an existing object.
Status MayOpen(const OpContext& ctx, const Path& path, uint32_t flags) {
  Inode& inode = *path.dentry->get_inode();
  Access want = WantedAccess(flags);
  switch (inode.type()) {
    case S_IFLNK:
      return Errno::kLoop;
    case S_IFDIR:
      if (want.write) return Errno::kIsdir;
      break;
    case S_IFBLK:
    case S_IFCHR:
      if ((path.mount->flags() & kNoDev) != 0) return Errno::kAcces;
      break;
    case S_IFREG:
      if (want.write) TRY(CheckMountWritable(path));
      break;
    default:
      break;
  }
  TRY(inode.CheckAccess(ctx, want));
  if ((flags & O_NOATIME) != 0) {
    Attr attr = TRY(inode.GetAttr());
    if (!OwnerOrCapable(ctx.creds, attr)) return Errno::kPerm;
  }
  return Ok();
}

ErrnoOr<Ref<File>> NewPathFile(const OpContext& ctx, Path path, uint32_t flags) {
  flags &= O_DIRECTORY | O_NOFOLLOW | O_PATH;
  return MakeRef<File>(std::move(path), flags, Ref<const Credentials>(&ctx.creds));
}

// Takes write access for regular files (ETXTBSY), opens, truncates, tells.
ErrnoOr<Ref<File>> OpenInode(const OpContext& ctx, const Path& path, uint32_t flags,
                             bool created) {
  Inode& inode = *path.dentry->get_inode();
  bool regular = inode.IsRegular();
  if ((flags & O_DIRECT) != 0 && !inode.TakesDirectIo()) return Errno::kInval;
  bool truncate = regular && !created && (flags & O_TRUNC) != 0;
  bool writer = regular && ((flags & O_ACCMODE) != O_RDONLY || truncate);
  if (writer) TRY(inode.GetWriteAccess());
  OpenRequest request{flags & ~static_cast<uint32_t>(O_CREAT | O_EXCL)};
  ErrnoOr<Ref<File>> file = inode.Open(ctx, path, request);
  if (writer) {
    if (file.ok() && (flags & O_ACCMODE) != O_RDONLY) {
      (*file)->SetCountsAsWriter();
    } else {
      inode.PutWriteAccess();
    }
  }
  if (!file.ok()) return file.error();
  if (truncate) TRY(Truncate(ctx, path, 0, true));
  NotifyInotify(path, IN_OPEN);
  return file;
}

ErrnoOr<Ref<File>> OpenTemp(const LookupContext& ctx, std::string_view path, uint32_t flags,
                            uint32_t mode) {
  if ((flags & O_ACCMODE) == O_RDONLY) return Errno::kInval;
  Path dir = TRY(Lookup(ctx, path, (flags & O_NOFOLLOW) == 0));
  Inode& parent = *dir.dentry->get_inode();
  if (!parent.IsDir()) return Errno::kNotdir;
  TRY(CheckMountWritable(dir));
  TRY(parent.CheckAccess(ctx.op, Access{.write = true, .exec = true}));
  mode = (mode & 07777 & ~ctx.fs.umask()) | S_IFREG;
  Ref<Inode> inode = TRY(parent.CreateTemp(ctx.op, mode));
  uint64_t ino = TRY(inode->GetAttr()).ino;
  Ref<Dentry> place = Dentry::NewUnlinked(*dir.dentry, std::move(inode),
                                          StrPrintf("#%lu", static_cast<unsigned long>(ino)),
                                          (flags & O_EXCL) == 0);
  return OpenInode(ctx.op, Path(dir.mount, std::move(place)), flags, true);
}

// The part of open(2) with O_CREAT after the walk to the last component.
class Creator {
 public:
  Creator(const LookupContext& ctx, uint32_t flags, uint32_t mode)
      : ctx_(ctx), r_(ctx), flags_(flags), mode_(mode) {}

  ErrnoOr<Ref<File>> Open(std::string_view path) {
    TRY(r_.WalkToLast(path));
    for (;;) {
      if (r_.last() != Resolver::Last::kName) return OpenPlace();
      if (r_.must_be_dir()) return Errno::kIsdir;
      Ref<Dentry> child = TRY(r_.LookupLast());
      bool created = false;
      if (child->IsNegative()) {
        TRY(Create(child, &created));
        if (child->IsNegative()) continue;
      }
      if (created) {
        Path place(r_.dir().mount, std::move(child));
        Ref<File> file = TRY(OpenInode(ctx_.op, place, flags_, true));
        file->SetCreated();
        return file;
      }
      if ((flags_ & O_EXCL) != 0) return Errno::kExist;
      if (child->get_inode()->IsSymlink()) {
        if ((flags_ & O_NOFOLLOW) != 0) return Errno::kLoop;
        TRY(r_.FollowLast(std::move(child)));
        continue;
      }
      return OpenExisting(TRY(r_.CrossMounts(std::move(child))));
    }
  }

 private:
  // The path ends in ".", "..", "/" or a magic link.
  ErrnoOr<Ref<File>> OpenPlace() {
    if ((flags_ & O_EXCL) != 0) return Errno::kExist;
    return OpenExisting(TRY(r_.FinishLookup(true)));
  }

  ErrnoOr<Ref<File>> OpenExisting(const Path& path) {
    Inode& inode = *path.dentry->get_inode();
    if (inode.IsDir()) return Errno::kIsdir;
    if ((flags_ & O_DIRECTORY) != 0) return Errno::kNotdir;
    TRY(MayOpen(ctx_.op, path, flags_));
    return OpenInode(ctx_.op, path, flags_, false);
  }

  Status Create(Ref<Dentry>& child, bool* created) {
    Dentry& dir = *r_.dir().dentry;
    Inode& parent = *dir.get_inode();
    // Ours may be the last reference by now, and what it names may hold a tree: not under the lock.
    Ref<Dentry> before = std::move(child);
    {
      WriterLock l(parent.dir_mutex);
      child = TRY(Resolver::ChildLocked(dir, r_.name()));
      if (!child->IsNegative()) return Ok();  // somebody else was faster
      TRY(CheckMountWritable(r_.dir()));
      TRY(MayCreate(ctx_.op, dir));
      uint32_t mode = (mode_ & 07777 & ~ctx_.fs.umask()) | S_IFREG;
      DentryCache::Instantiate(child.get(), TRY(parent.Create(ctx_.op, r_.name(), mode)));
    }
    *created = true;
    inotify::DirEvent(parent, IN_CREATE, r_.name(), false);
    return Ok();
  }

  const LookupContext& ctx_;
  Resolver r_;
  const uint32_t flags_;
  const uint32_t mode_;
};

}  // namespace

ErrnoOr<Ref<File>> Open(const LookupContext& ctx, std::string_view path, uint32_t flags,
                        uint32_t mode) {
  constexpr uint32_t kChanges = O_CREAT | O_TRUNC | kTmpFileBit;
  if ((ctx.resolve & RESOLVE_CACHED) != 0 && (flags & kChanges) != 0) return Errno::kAgain;
  bool follow = (flags & O_NOFOLLOW) == 0;
  if ((flags & O_PATH) != 0) {
    Path place = TRY(Lookup(ctx, path, follow));
    if ((flags & O_DIRECTORY) != 0 && !place.dentry->get_inode()->IsDir()) return Errno::kNotdir;
    return NewPathFile(ctx.op, std::move(place), flags);
  }
  if ((flags & kTmpFileBit) != 0) {
    if ((flags & O_DIRECTORY) == 0) return Errno::kInval;
    return OpenTemp(ctx, path, flags, mode);
  }
  if ((flags & O_CREAT) != 0) {
    return Creator(ctx, flags, mode).Open(path);
  }
  Path place = TRY(Lookup(ctx, path, follow));
  return OpenPath(ctx, place, flags);
}

ErrnoOr<Ref<File>> OpenPath(const LookupContext& ctx, const Path& path, uint32_t flags) {
  if ((flags & O_PATH) != 0) return NewPathFile(ctx.op, path, flags);
  Inode& inode = *path.dentry->get_inode();
  if ((flags & O_DIRECTORY) != 0 && !inode.IsDir()) return Errno::kNotdir;
  TRY(MayOpen(ctx.op, path, flags));
  return OpenInode(ctx.op, path, flags, false);
}

}  // namespace runsc::vfs
