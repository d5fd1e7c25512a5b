#include "sentry/vfs/resolver.h"

#include <linux/openat2.h>

namespace runsc {
namespace {

constexpr int kMaxLinks = 40;          // MAXSYMLINKS
constexpr size_t kPathMax = 4096;      // with the NUL
constexpr size_t kNameMax = 255;
constexpr uint32_t kNoSymFollow = 256;  // MS_NOSYMFOLLOW
constexpr uint64_t kScoped = RESOLVE_BENEATH | RESOLVE_IN_ROOT;

std::string_view SkipSlashes(std::string_view s) {
  size_t i = 0;
  while (i < s.size() && s[i] == '/') ++i;
  return s.substr(i);
}

}  // namespace

void Resolver::EnsureRoot() {
  if (root_) return;
  root_ = (ctx_.resolve & kScoped) != 0 ? ctx_.start : ctx_.fs.root();
}

Status Resolver::JumpToRoot() {
  if ((ctx_.resolve & RESOLVE_BENEATH) != 0) return Errno::kXdev;
  EnsureRoot();
  if ((ctx_.resolve & RESOLVE_NO_XDEV) != 0 && cur_ && cur_.mount != root_.mount) {
    return Errno::kXdev;
  }
  cur_ = root_;
  return Ok();
}

Status Resolver::Start(std::string_view path) {
  if (path.empty()) return Errno::kNoent;
  if (path.size() >= kPathMax) return Errno::kNametoolong;
  rename_sequence_ = DentryCache::RenameSequence();
  rest_ = path;
  if (path[0] == '/') return JumpToRoot();
  cur_ = ctx_.start;
  return Ok();
}

Status Resolver::CheckSearch() {
  Inode* dir = cur_.dentry->get_inode();
  if (dir == nullptr || !dir->IsDir()) return Errno::kNotdir;
  if (dir->AnyoneMaySearch()) return Ok();
  return dir->CheckAccess(ctx_.op, Access{.exec = true});
}

// Splits the next component off rest_. kRoot if there is none.
Status Resolver::TakeComponent() {
  rest_ = SkipSlashes(rest_);
  if (rest_.empty()) {
    last_ = Last::kRoot;
    name_ = after_ = {};
    return Ok();
  }
  TRY(CheckSearch());
  size_t end = rest_.find('/');
  name_ = rest_.substr(0, end);
  std::string_view tail = end == std::string_view::npos ? std::string_view() : rest_.substr(end);
  after_ = SkipSlashes(tail);
  trailing_ = !tail.empty();
  last_ = name_ == "." ? Last::kDot : name_ == ".." ? Last::kDotDot : Last::kName;
  return Ok();
}

Status Resolver::WalkToLast(std::string_view path) {
  TRY(Start(path));
  return Walk();
}

Status Resolver::Walk() {
  for (;;) {
    TRY(TakeComponent());
    if (last_ == Last::kRoot || after_.empty()) return Ok();
    std::string_view after = after_;
    rest_ = after;
    if (last_ == Last::kDot) continue;
    if (last_ == Last::kDotDot) {
      TRY(DotDot());
      continue;
    }
    Ref<Dentry> child =
        TRY(Child(*cur_.dentry, name_, (ctx_.resolve & RESOLVE_CACHED) != 0));
    Inode* inode = child->get_inode();
    if (inode == nullptr) return Errno::kNoent;
    if (inode->IsSymlink()) {
      TRY(FollowLink(std::move(child), after));
    } else {
      TRY(StepInto(std::move(child)));
    }
  }
}

Status Resolver::StepInto(Ref<Dentry> child) {
  if (child->mounted.load(std::memory_order_acquire) == 0) {
    cur_.dentry = std::move(child);
    return Ok();
  }
  cur_ = TRY(CrossMounts(std::move(child)));
  return Ok();
}

ErrnoOr<Path> Resolver::CrossMounts(Ref<Dentry> child) {
  Path at = MountNamespace::Traverse(Path(cur_.mount, std::move(child)));
  if ((ctx_.resolve & RESOLVE_NO_XDEV) != 0 && at.mount != cur_.mount) return Errno::kXdev;
  return at;
}

Status Resolver::DotDot() {
  EnsureRoot();
  Path at = cur_;
  for (;;) {
    if (at == root_) {
      if ((ctx_.resolve & RESOLVE_BENEATH) != 0) return Errno::kXdev;
      return Ok();
    }
    if (at.dentry != at.mount->root()) {
      at.dentry = at.dentry->parent();
      // A rename took the place out of the part of the file system that this mount shows.
      const Dentry* top = at.mount->root().get();
      if (!top->IsRoot() && !at.dentry->IsBelowOrSame(top)) return Errno::kNoent;
      break;
    }
    Path up = MountNamespace::MountPointOf(*at.mount);
    if (!up) return Ok();
    if ((ctx_.resolve & RESOLVE_NO_XDEV) != 0) return Errno::kXdev;
    at = std::move(up);
  }
  // A rename may have moved the place out from under the start: Linux asks to retry.
  if ((ctx_.resolve & kScoped) != 0 && DentryCache::RenameSequence() != rename_sequence_) {
    return Errno::kAgain;
  }
  cur_ = MountNamespace::Traverse(std::move(at));
  return Ok();
}

Status Resolver::FollowLink(Ref<Dentry> link, std::string_view after) {
  if (++links_ > kMaxLinks) return Errno::kLoop;
  if ((ctx_.resolve & RESOLVE_NO_SYMLINKS) != 0) return Errno::kLoop;
  if ((cur_.mount->flags() & kNoSymFollow) != 0) return Errno::kLoop;
  Inode* inode = link->get_inode();
  if (inode->is_magic_link()) {
    if ((ctx_.resolve & RESOLVE_NO_MAGICLINKS) != 0) return Errno::kLoop;
    Path to = TRY(inode->FollowMagic(ctx_.op));
    if ((ctx_.resolve & kScoped) != 0) return Errno::kXdev;
    if ((ctx_.resolve & RESOLVE_NO_XDEV) != 0 && to.mount != cur_.mount) return Errno::kXdev;
    cur_ = std::move(to);
    rest_ = after;
    return Ok();
  }
  std::string text = TRY(inode->Readlink(ctx_.op));
  if (text.empty()) return Errno::kNoent;
  if (text[0] == '/') TRY(JumpToRoot());
  if (trailing_) text += '/';
  text += after;  // points into link_text_ or the caller's path: copied before it goes
  link_text_ = std::move(text);
  rest_ = link_text_;
  return Ok();
}

Status Resolver::FollowLast(Ref<Dentry> link) {
  bool must_be_dir = trailing_;
  TRY(FollowLink(std::move(link), {}));
  TRY(Walk());
  if (last_ == Last::kRoot) trailing_ = trailing_ || must_be_dir;
  return Ok();
}

ErrnoOr<Ref<Dentry>> Resolver::LookupLast() {
  return Child(*cur_.dentry, name_, (ctx_.resolve & RESOLVE_CACHED) != 0);
}

ErrnoOr<Path> Resolver::FinishLookup(bool follow) {
  for (;;) {
    if (last_ == Last::kRoot || last_ == Last::kDot) break;
    if (last_ == Last::kDotDot) {
      TRY(DotDot());
      break;
    }
    Ref<Dentry> child = TRY(LookupLast());
    Inode* inode = child->get_inode();
    if (inode == nullptr) return Errno::kNoent;
    if (inode->IsSymlink() && (follow || trailing_)) {
      TRY(FollowLast(std::move(child)));
      continue;
    }
    TRY(StepInto(std::move(child)));
    break;
  }
  if (trailing_ && !cur_.dentry->get_inode()->IsDir()) return Errno::kNotdir;
  return std::move(cur_);
}

ErrnoOr<Ref<Dentry>> Resolver::Child(Dentry& dir, std::string_view name, bool cached_only) {
  Ref<Dentry> d = DentryCache::Find(&dir, name);
  Inode& parent = *dir.get_inode();
  if (d) {
    constexpr uint32_t kAsk = Filesystem::kRevalidate | Filesystem::kNoCache;
    if ((parent.fs().flags() & kAsk) == 0) [[likely]] return d;
    if (d->mounted.load(std::memory_order_acquire) != 0 ||
        parent.StillValid(name, d->get_inode())) {
      return d;
    }
    DentryCache::Drop(d.get(), false);
  }
  if (cached_only) return Errno::kAgain;
  ReaderLock l(parent.dir_mutex);
  return ChildLocked(dir, name);
}

ErrnoOr<Ref<Dentry>> Resolver::ChildLocked(Dentry& dir, std::string_view name) {
  Ref<Dentry> d = DentryCache::Find(&dir, name);
  Inode& parent = *dir.get_inode();
  constexpr uint32_t kAsk = Filesystem::kRevalidate | Filesystem::kNoCache;
  if (d) {
    if ((parent.fs().flags() & kAsk) == 0) return d;
    if (d->mounted.load(std::memory_order_acquire) != 0 ||
        parent.StillValid(name, d->get_inode())) {
      return d;
    }
    DentryCache::Drop(d.get(), false);
  }
  if (dir.IsUnlinked()) return Errno::kNoent;
  if (name.size() > kNameMax) return Errno::kNametoolong;
  ErrnoOr<Ref<Inode>> inode = parent.Lookup(name);
  if (!inode.ok() && inode.error() != Errno::kNoent) return inode.error();
  bool keep = (parent.fs().flags() & Filesystem::kNoCache) == 0;
  // As Linux's proc: what is not there cannot be created either.
  if (!inode.ok() && !keep) return Errno::kNoent;
  return DentryCache::Add(&dir, name, inode.ok() ? *std::move(inode) : nullptr, keep);
}

}  // namespace runsc
