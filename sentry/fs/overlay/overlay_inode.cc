#include "sentry/fs/overlay/overlay_inode.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <vector>

#include "sentry/fs/overlay/overlay_file.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/special_files.h"

namespace runsc {
namespace {

// Parents whose last child has just died, taken down in a loop: a tree is as deep as a guest likes.
thread_local std::vector<Ref<OverlayInode>>* t_orphans = nullptr;

void ReleaseParent(Ref<OverlayInode> parent) {
  if (!parent) return;
  if (t_orphans != nullptr) {
    t_orphans->push_back(std::move(parent));
    return;
  }
  std::vector<Ref<OverlayInode>> orphans;
  t_orphans = &orphans;
  parent.reset();
  while (!orphans.empty()) {
    Ref<OverlayInode> next = std::move(orphans.back());
    orphans.pop_back();
    next.reset();
  }
  t_orphans = nullptr;
}

}  // namespace

OverlayInode::OverlayInode(Ref<OverlayFs> fs, Ref<Inode> upper, Ref<Inode> lower, uint64_t ino,
                           Ref<OverlayInode> parent, std::string_view name)
    : Inode(std::move(fs)),
      type_((upper ? upper : lower)->type()),
      lower_(std::move(lower)),
      ino_(ino),
      upper_(upper.release()),
      parent_(std::move(parent)),
      name_(name) {}

OverlayInode::~OverlayInode() {
  overlay().Forget(this);
  Ref<Inode> upper = Ref<Inode>::Adopt(upper_.load());
  // Without copy_up_mu_: nobody else is left, and the last reference may go with a directory
  // locked.
  ReleaseParent(std::move(parent_));
}

ErrnoOr<Attr> OverlayInode::GetAttr() {
  bool copied = upper() != nullptr;
  Attr a = TRY(real().GetAttr());
  a.dev = fs().dev();
  a.ino = ino_;
  if (IsDir()) {
    // As overlayfs: counting the subdirectories of both layers would mean to list them.
    if (merged()) a.nlink = 1;
  } else if (copied && a.nlink > 0) {
    a.nlink = static_cast<uint32_t>(a.nlink + overlay().ExtraLinks(upper_ino()));
  }
  if (gone_.load(std::memory_order_relaxed)) a.nlink = 0;
  return a;
}

Status OverlayInode::SetAttr(const OpContext& ctx, const AttrChange& change) {
  TRY(CopyUp(change.size.value_or(UINT64_MAX)));
  return upper()->SetAttr(ctx, change);
}

Status OverlayInode::SetXattr(const OpContext& ctx, std::string_view name, std::string_view value,
                              int flags) {
  TRY(CopyUp());
  return upper()->SetXattr(ctx, name, value, flags);
}

Status OverlayInode::RemoveXattr(const OpContext& ctx, std::string_view name) {
  if (upper() == nullptr) TRY(real().GetXattr(ctx, name));
  TRY(CopyUp());
  return upper()->RemoveXattr(ctx, name);
}

ErrnoOr<Ref<File>> OverlayInode::Open(const OpContext& ctx, const Path& path,
                                      const OpenRequest& request) {
  Ref<const Credentials> creds(&ctx.creds);
  if (IsDir()) {
    return Ref<File>(MakeRef<OverlayDirFile>(path, request.flags, std::move(creds)));
  }
  if (IsSymlink()) return Errno::kLoop;
  if (!IsRegular()) return OpenSpecial(ctx, path, request, TRY(GetAttr()).rdev);
  bool truncate = (request.flags & O_TRUNC) != 0;  // vfs truncates after the open
  if (request.writable() || truncate) TRY(CopyUp(truncate ? 0 : UINT64_MAX));
  bool in_upper = upper() != nullptr;
  Inode& layer = real();
  OpenRequest inner{request.flags & ~static_cast<uint32_t>(O_TRUNC)};
  Ref<File> file = TRY(layer.Open(ctx, overlay().LayerPath(layer), inner));
  return Ref<File>(MakeRef<OverlayFile>(path, request.flags, std::move(creds), std::move(file),
                                        in_upper));
}

Ref<Mappable> OverlayInode::mappable() {
  MutexLock l(mappable_mu_);
  return mappable_;
}

OverlayMappable& OverlayInode::EnsureMappable() {
  MutexLock l(mappable_mu_);
  if (!mappable_) mappable_ = MakeRef<OverlayMappable>();
  return *mappable_;
}

uint64_t OverlayInode::ParentIno() {
  Ref<OverlayInode> parent;
  {
    MutexLock l(copy_up_mu_);
    parent = parent_;
  }
  return parent ? parent->ino_ : ino_;
}

}  // namespace runsc
