// Directories of an overlay: lookups in both layers, and changes, which all happen in the upper one.
//
// Locks: vfs holds dir_mutex of the overlay's directories; then copy_up_mu_ of a file whose name
// changes; then dir_mutex of the layers' directories, upper before lower.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <string>
#include <unordered_set>

#include "platform/base/rank_layer.h"
#include "sentry/fs/overlay/overlay_inode.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/file.h"

namespace runsc {
namespace {

OverlayInode& AsOverlay(Inode& inode) { return static_cast<OverlayInode&>(inode); }

// Whether a lower directory lists anything that shows.
class AnyVisible : public DirSink {
 public:
  explicit AnyVisible(std::unordered_set<std::string> whiteouts)
      : whiteouts_(std::move(whiteouts)) {}
  bool Add(std::string_view name, uint64_t ino, uint32_t type, int64_t next) override {
    if (name == "." || name == ".." || whiteouts_.contains(std::string(name))) return true;
    any = true;
    return false;
  }
  bool any = false;

 private:
  const std::unordered_set<std::string> whiteouts_;
};

ErrnoOr<bool> HasEntry(Inode& dir, std::string_view name) {
  ErrnoOr<Ref<Inode>> found = dir.Lookup(name);
  if (found.ok()) return true;
  if (found.error() == Errno::kNoent) return false;
  return found.error();
}

}  // namespace

// --- lookups ---

ErrnoOr<Ref<Inode>> OverlayInode::Lookup(std::string_view name) {
  if (!IsDir()) return Errno::kNotdir;
  Inode* up = upper();
  if (up == nullptr) {
    NestedReaderLock l(lower_->dir_mutex);
    return Ref<Inode>(
        TRY(overlay().FindLower(TRY(lower_->Lookup(name)), Ref<OverlayInode>(this), name)));
  }
  Ref<OverlayInode> inode;
  {
    // Held until the overlay's inode is found: a copy-up places and publishes under it.
    NestedReaderLock l(up->dir_mutex);
    ErrnoOr<Ref<Inode>> above = up->Lookup(name);
    if (above.ok()) {
      return Ref<Inode>(
          TRY(overlay().FindUpper(std::move(*above), Ref<OverlayInode>(this), name)));
    }
    if (above.error() != Errno::kNoent || !lower_) return above.error();
    if (overlay().IsWhiteout(upper_ino(), name)) return Errno::kNoent;
    NestedReaderLock ll(lower_->dir_mutex);
    inode = TRY(overlay().FindLower(TRY(lower_->Lookup(name)), Ref<OverlayInode>(this), name));
  }
  inode->NoteName(Ref<OverlayInode>(this), name);
  return Ref<Inode>(std::move(inode));
}

bool OverlayInode::StillValid(std::string_view name, Inode* inode) {
  // Only the lower layer can change by itself (--file-access=shared).
  OverlayInode* child = inode == nullptr ? nullptr : &AsOverlay(*inode);
  if (!lower_ || (child != nullptr && child->upper() != nullptr)) return true;
  if (child == nullptr && upper() != nullptr && overlay().IsWhiteout(upper_ino(), name)) return true;
  return lower_->StillValid(name, child == nullptr ? nullptr : child->lower());
}

// A file with several names was found by another one than it is remembered by: that one may be gone.
void OverlayInode::NoteName(Ref<OverlayInode> parent, std::string_view name) {
  Ref<OverlayInode> old;
  NestedMutexLock l(copy_up_mu_);
  if (!nameless_ || gone_.load()) return;
  old = std::exchange(parent_, std::move(parent));
  name_ = name;
  nameless_ = false;
}

bool OverlayInode::LowerHas(std::string_view name) {
  if (!lower_ || overlay().IsWhiteout(upper_ino(), name)) return false;
  NestedReaderLock l(lower_->dir_mutex);
  return lower_->Lookup(name).ok();
}

// --- additions ---

// Makes an entry in the upper directory with `make(upper)`.
template <typename Make>
ErrnoOr<Ref<Inode>> OverlayInode::Add(std::string_view name, Make make) {
  TRY(CopyUp());
  Inode& up = *upper();
  NestedMutexLock l(up.dir_mutex);
  Ref<Inode> made = TRY(make(up));
  overlay().RemoveWhiteout(upper_ino(), name);
  Changed();
  return Ref<Inode>(
      TRY(overlay().FindUpper(std::move(made), Ref<OverlayInode>(this), name)));
}

ErrnoOr<Ref<Inode>> OverlayInode::Create(const OpContext& ctx, std::string_view name,
                                         uint32_t mode) {
  return Add(name, [&](Inode& up) { return up.Create(ctx, name, mode); });
}

ErrnoOr<Ref<Inode>> OverlayInode::Mkdir(const OpContext& ctx, std::string_view name,
                                        uint32_t mode) {
  // Nothing below shows through: a new upper directory has no origin.
  return Add(name, [&](Inode& up) { return up.Mkdir(ctx, name, mode); });
}

ErrnoOr<Ref<Inode>> OverlayInode::Mknod(const OpContext& ctx, std::string_view name, uint32_t mode,
                                        DeviceId dev) {
  Ref<Inode> made =
      TRY(Add(name, [&](Inode& up) { return up.Mknod(ctx, name, mode, dev); }));
  if (S_ISSOCK(mode)) overlay().KeepSocket(Ref<OverlayInode>(&AsOverlay(*made)));
  return made;
}

ErrnoOr<Ref<Inode>> OverlayInode::Symlink(const OpContext& ctx, std::string_view name,
                                          std::string_view target) {
  return Add(name, [&](Inode& up) { return up.Symlink(ctx, name, target); });
}

ErrnoOr<Ref<Inode>> OverlayInode::CreateTemp(const OpContext& ctx, uint32_t mode) {
  TRY(CopyUp());
  Ref<Inode> made = TRY(upper()->CreateTemp(ctx, mode));
  return Ref<Inode>(TRY(overlay().FindUpper(std::move(made), nullptr, "")));
}

Status OverlayInode::Link(const OpContext& ctx, std::string_view name, Inode& target) {
  OverlayInode& file = AsOverlay(target);
  TRY(CopyUp());
  TRY(file.CopyUp());
  Inode& up = *upper();
  NestedMutexLock l(up.dir_mutex);
  TRY(up.Link(ctx, name, *file.upper()));
  overlay().RemoveWhiteout(upper_ino(), name);
  file.gone_ = false;
  Changed();
  return Ok();
}

// --- removals ---

// Sets the times of a directory of which only a lower entry was removed.
void OverlayInode::TouchUpper() {
  AttrChange now;
  now.mtime = CurrentFileTime();
  (void)upper()->SetAttr(overlay().super(), now).ok();
}

void OverlayInode::NameRemoved(const OverlayInode& dir, std::string_view name, bool in_upper) {
  if (parent_.get() == &dir && name_ == name) nameless_ = true;
  if (upper() == nullptr || IsDir()) {
    gone_ = true;
    if (upper() != nullptr) overlay().ForgetOrigin(upper_ino());
    return;
  }
  uint32_t links = upper()->GetAttr().value_or(Attr{}).nlink;
  std::string index = overlay().AdjustLinks(upper_ino(), in_upper ? 0 : -1, links);
  if (!index.empty()) {
    NestedMutexLock w(overlay().work_->dir_mutex);
    if (overlay().work_->Unlink(overlay().super(), index, *upper()).ok()) --links;
  }
  if (static_cast<int64_t>(links) + overlay().ExtraLinks(upper_ino()) > 0) return;
  gone_ = true;
  overlay().ForgetOrigin(upper_ino());
  overlay().DropSocket(this);  // its caller still refers to it
}

Status OverlayInode::Remove(const OpContext& ctx, std::string_view name, OverlayInode& target) {
  TRY(CopyUp());
  bool directory = target.IsDir();
  if (directory) TRY(target.CheckEmpty());
  if (!directory && target.upper() == nullptr && TRY(target.real().GetAttr()).nlink > 1) {
    TRY(target.CopyUp());  // the other names must show the new count
  }
  bool below = LowerHas(name);
  NestedMutexLock t(target.copy_up_mu_);
  bool in_upper = false;
  {
    Inode& up = *upper();
    NestedMutexLock l(up.dir_mutex);
    in_upper = target.upper() != nullptr && TRY(HasEntry(up, name));
    if (in_upper && directory) {
      NestedMutexLock v(target.upper()->dir_mutex);
      TRY(up.Rmdir(ctx, name, *target.upper()));
    } else if (in_upper) {
      TRY(up.Unlink(ctx, name, *target.upper()));
    }
    if (below) overlay().AddWhiteout(upper_ino(), name);
  }
  if (!in_upper) TouchUpper();
  Changed();
  target.NameRemoved(*this, name, in_upper);
  return Ok();
}

Status OverlayInode::Unlink(const OpContext& ctx, std::string_view name, Inode& target) {
  return Remove(ctx, name, AsOverlay(target));
}

Status OverlayInode::Rmdir(const OpContext& ctx, std::string_view name, Inode& target) {
  return Remove(ctx, name, AsOverlay(target));
}

Status OverlayInode::CheckEmpty() {
  const OpContext& ctx = overlay().super();
  // The upper directory holds only what is visible; if it has anything its Rmdir says so.
  if (!lower_) return Ok();
  Ref<File> dir = TRY(lower_->Open(ctx, overlay().LayerPath(*lower_), {O_RDONLY | O_DIRECTORY}));
  AnyVisible sink(upper() == nullptr ? std::unordered_set<std::string>()
                                     : overlay().Whiteouts(upper_ino()));
  RankLayer below;  // vfs holds our dir_mutex
  TRY(dir->ReadDir(ctx, sink));
  return sink.any ? Status(Errno::kNotempty) : Ok();
}

// --- renames ---

// `child`, which was copied up under another of its names, gets an entry for this one.
Status OverlayInode::EnsureUpperName(std::string_view name, OverlayInode& child) {
  Inode& up = *upper();
  NestedMutexLock t(child.copy_up_mu_);
  {
    NestedMutexLock l(up.dir_mutex);
    if (TRY(HasEntry(up, name))) return Ok();
    TRY(up.Link(overlay().super(), name, *child.upper()));
  }
  uint32_t links = TRY(child.upper()->GetAttr()).nlink;
  std::string index = overlay().AdjustLinks(child.upper_ino(), -1, links);
  if (index.empty()) return Ok();
  NestedMutexLock w(overlay().work_->dir_mutex);
  return overlay().work_->Unlink(overlay().super(), index, *child.upper());
}

void OverlayInode::Renamed(Ref<OverlayInode> parent, std::string_view name) {
  Ref<OverlayInode> old;
  NestedMutexLock l(copy_up_mu_);
  old = std::exchange(parent_, std::move(parent));
  name_ = name;
  nameless_ = false;
}

namespace {

// Both upper directories of a rename, which may be one, in any order: who holds one and waits for
// another (a rename, an rmdir) has the overlay's own two from vfs.
class TwoDirs {
 public:
  TwoDirs(Inode& a, Inode& b) ABSL_NO_THREAD_SAFETY_ANALYSIS : a_(a), b_(b) {
    a_.dir_mutex.LockNested();
    if (&a_ != &b_) b_.dir_mutex.LockNested();
  }
  ~TwoDirs() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (&a_ != &b_) b_.dir_mutex.Unlock();
    a_.dir_mutex.Unlock();
  }
  TwoDirs(const TwoDirs&) = delete;

 private:
  Inode& a_;
  Inode& b_;
};

}  // namespace

// Brings into the upper layer what a rename moves or replaces.
Status OverlayInode::PrepareRename(const Move& m) {
  if (m.to != nullptr && !m.exchange && m.to->IsDir()) TRY(m.to->CheckEmpty());
  TRY(CopyUp());
  TRY(m.to_dir.CopyUp());
  TRY(m.from.CopyUp());
  TRY(EnsureUpperName(m.name, m.from));
  if (m.to == nullptr) return Ok();
  bool copy = m.exchange;
  if (!copy && !m.to->IsDir() && m.to->upper() == nullptr) {
    copy = TRY(m.to->real().GetAttr()).nlink > 1;  // its other names must show the new count
  }
  if (copy) TRY(m.to->CopyUp());
  return m.exchange ? m.to_dir.EnsureUpperName(m.new_name, *m.to) : Ok();
}

// The rename in the upper layer. Answers whether what was replaced had an entry there.
ErrnoOr<bool> OverlayInode::MoveInUpper(const OpContext& ctx, const Move& m) {
  bool below = !m.exchange && LowerHas(m.name);
  Inode& new_up = *m.to_dir.upper();
  TwoDirs locked(*upper(), new_up);
  bool there = TRY(HasEntry(new_up, m.new_name));
  Inode* replaced = m.to != nullptr && there ? m.to->upper() : nullptr;
  TRY(upper()->Rename(ctx, m.name, *m.from.upper(), new_up, m.new_name, replaced,
                      m.exchange ? RENAME_EXCHANGE : 0));
  overlay().RemoveWhiteout(m.to_dir.upper_ino(), m.new_name);
  if (below) overlay().AddWhiteout(upper_ino(), m.name);
  return replaced != nullptr;
}

Status OverlayInode::Rename(const OpContext& ctx, std::string_view name, Inode& source,
                            Inode& new_dir, std::string_view new_name, Inode* target,
                            uint32_t flags) {
  if ((flags & RENAME_WHITEOUT) != 0) return Errno::kInval;  // as overlayfs
  Move m{name, AsOverlay(source), AsOverlay(new_dir), new_name,
         target == nullptr ? nullptr : &AsOverlay(*target), (flags & RENAME_EXCHANGE) != 0};
  if (m.to == &m.from) return Ok();  // two names of one file
  TRY(PrepareRename(m));
  bool in_upper = TRY(MoveInUpper(ctx, m));
  Changed();
  m.to_dir.Changed();
  m.from.Renamed(Ref<OverlayInode>(&m.to_dir), new_name);
  if (m.to == nullptr) return Ok();
  if (m.exchange) {
    m.to->Renamed(Ref<OverlayInode>(this), name);
    return Ok();
  }
  NestedMutexLock t(m.to->copy_up_mu_);
  m.to->NameRemoved(m.to_dir, new_name, in_upper);
  return Ok();
}

}  // namespace runsc
