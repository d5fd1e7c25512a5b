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

Mutex<LockRank::kVfsRename>& RenameMutex() {
  static auto* mu = new Mutex<LockRank::kVfsRename>;
  return *mu;
}

// One rename under way: both directories, and what is at both names.
struct RenameOp {
  const OpContext& ctx;
  Dentry& from_dir;
  Dentry& to_dir;
  std::string_view from_name, to_name;
  uint32_t flags;
  bool from_slash = false, to_slash = false;
  Ref<Dentry> source, target;

  Status CheckNames();
  Status CheckPermissions();
  Status Run();
  Status Apply(Inode* target_inode);
  void Tell();
};

// The checks of Linux's do_renameat2(), in its order.
Status RenameOp::CheckNames() {
  bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (source->IsNegative()) return Errno::kNoent;
  if ((flags & RENAME_NOREPLACE) != 0 && !target->IsNegative()) return Errno::kExist;
  if (exchange && target->IsNegative()) return Errno::kNoent;
  bool source_dir = source->get_inode()->IsDir();
  if (exchange && !target->get_inode()->IsDir() && to_slash) return Errno::kNotdir;
  if (!source_dir && (from_slash || (!exchange && to_slash))) return Errno::kNotdir;
  if (to_dir.IsBelowOrSame(source.get())) return Errno::kInval;
  if (from_dir.IsBelowOrSame(target.get())) return exchange ? Errno::kInval : Errno::kNotempty;
  return Ok();
}

// The checks of Linux's vfs_rename().
Status RenameOp::CheckPermissions() {
  bool exchange = (flags & RENAME_EXCHANGE) != 0;
  bool source_dir = source->get_inode()->IsDir();
  TRY(MayDelete(ctx, from_dir, *source, source_dir));
  if (target->IsNegative()) {
    TRY(MayCreate(ctx, to_dir));
  } else {
    TRY(MayDelete(ctx, to_dir, *target, exchange ? target->get_inode()->IsDir() : source_dir));
  }
  if (&from_dir != &to_dir) {  // ".." of a moved directory is written
    Access write{.write = true};
    if (source_dir) TRY(source->get_inode()->CheckAccess(ctx, write));
    if (exchange && target->get_inode()->IsDir()) {
      TRY(target->get_inode()->CheckAccess(ctx, write));
    }
  }
  if ((flags & RENAME_WHITEOUT) != 0 && !ctx.creds.HasCap(CAP_MKNOD)) return Errno::kPerm;
  if (source->mounted.load() != 0 || target->mounted.load() != 0) return Errno::kBusy;
  return Ok();
}

Status RenameOp::Apply(Inode* target_inode) {
  TRY(from_dir.get_inode()->Rename(ctx, from_name, *source->get_inode(), *to_dir.get_inode(),
                                   to_name, target_inode, flags));
  if ((flags & RENAME_EXCHANGE) != 0) {
    DentryCache::Exchange(source.get(), target.get());
    return Ok();
  }
  DentryCache::Drop(target.get(), target_inode != nullptr);
  DentryCache::Move(source.get(), &to_dir, to_name);
  return Ok();
}

Status RenameOp::Run() {
  Inode* target_inode = target->get_inode();
  if (target_inode == nullptr || !target_inode->IsDir() || (flags & RENAME_EXCHANGE) != 0) {
    return Apply(target_inode);
  }
  // A directory that is replaced must stay empty until it is gone.
  NestedMutexLock l(target_inode->dir_mutex);
  return Apply(target_inode);
}

void RenameOp::Tell() {
  if (!inotify::Active()) return;
  auto moved = [](Inode& from, std::string_view a, Inode& to, std::string_view b, Inode& what) {
    uint32_t cookie = inotify::NextCookie();
    inotify::DirEvent(from, IN_MOVED_FROM, a, what.IsDir(), cookie);
    inotify::DirEvent(to, IN_MOVED_TO, b, what.IsDir(), cookie);
    inotify::SelfEvent(what, IN_MOVE_SELF);
  };
  Inode& from = *from_dir.get_inode();
  Inode& to = *to_dir.get_inode();
  moved(from, from_name, to, to_name, *source->get_inode());
  if ((flags & RENAME_EXCHANGE) != 0) {
    moved(to, to_name, from, from_name, *target->get_inode());
  } else if (!target->IsNegative() && !target->get_inode()->IsDir()) {
    inotify::SelfEvent(*target->get_inode(), IN_ATTRIB);
  }
}

// Both directories' locks: above before below, else by address.
class TwoDirs {
 public:
  TwoDirs(Dentry& a, Dentry& b) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    first_ = a.get_inode();
    second_ = b.get_inode();
    if (first_ == second_) {
      second_ = nullptr;
    } else if (a.IsBelowOrSame(&b) || (!b.IsBelowOrSame(&a) && second_ < first_)) {
      std::swap(first_, second_);
    }
    first_->dir_mutex.Lock();
    if (second_ != nullptr) second_->dir_mutex.LockNested();
  }
  ~TwoDirs() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (second_ != nullptr) second_->dir_mutex.Unlock();
    first_->dir_mutex.Unlock();
  }

 private:
  Inode* first_;
  Inode* second_;
};

}  // namespace

Status Rename(const LookupContext& from, std::string_view old_path, const LookupContext& to,
              std::string_view new_path, uint32_t flags) {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) != 0) return Errno::kInval;
  if ((flags & RENAME_EXCHANGE) != 0 && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)) != 0) {
    return Errno::kInval;
  }
  Resolver a(from), b(to);
  TRY(a.WalkToLast(old_path));
  TRY(b.WalkToLast(new_path));
  if (a.dir().mount != b.dir().mount) return Errno::kXdev;
  if (a.last() != Resolver::Last::kName) return Errno::kBusy;
  if (b.last() != Resolver::Last::kName) {
    return (flags & RENAME_NOREPLACE) != 0 ? Errno::kExist : Errno::kBusy;
  }
  TRY(CheckMountWritable(b.dir()));
  RenameOp op{from.op,  *a.dir().dentry, *b.dir().dentry, a.name(),
              b.name(), flags,           a.must_be_dir(), b.must_be_dir()};
  {
    MutexLock rl(RenameMutex());
    TwoDirs dirs(op.from_dir, op.to_dir);
    op.source = TRY(Resolver::ChildLocked(op.from_dir, op.from_name));
    op.target = TRY(Resolver::ChildLocked(op.to_dir, op.to_name));
    TRY(op.CheckNames());
    // Two names of one file: nothing to do (rename(2)).
    if (op.source->get_inode() == op.target->get_inode()) return Ok();
    TRY(op.CheckPermissions());
    TRY(op.Run());
  }
  if (!op.target->IsNegative()) op.target->get_inode()->ForgetAttrCache();
  op.Tell();
  return Ok();
}

}  // namespace runsc::vfs
