#include "sentry/vfs/mount.h"

#include <sys/epoll.h>
#include <sys/mount.h>

#include <algorithm>

#include "sentry/vfs/fs_context_list.h"
#include "sentry/vfs/mount_tree.h"
#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

constexpr size_t kMaxMounts = 100000;  // sysctl fs.mount-max
constexpr uint32_t kNoSymFollow = 256;

int NextMountId() {
  static std::atomic<int> next{20};
  return next.fetch_add(1, std::memory_order_relaxed);
}

uint64_t NextNamespaceId() {
  static std::atomic<uint64_t> next{4026531840 + 0x10000};
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

Mount::Mount(Ref<Filesystem> fs, Ref<Dentry> root, uint32_t flags, std::string source)
    : fs_(std::move(fs)),
      root_(std::move(root)),
      id_(NextMountId()),
      source_(std::move(source)),
      flags_(flags) {
  fs_->AddMount();
}

Mount::~Mount() { fs_->DropMount(); }

Ref<Mount> Mount::New(Ref<Filesystem> fs, uint32_t flags, std::string source) {
  Ref<Dentry> root = Dentry::NewRoot(fs->root());
  return MakeRef<Mount>(std::move(fs), std::move(root), flags, std::move(source));
}

MountNamespace::MountNamespace() : inode_(NextNamespaceId()) {}

MountNamespace::~MountNamespace() {
  MountTree::Dropped dropped;
  WriterLock l(MountTree::mu());
  MountTree::DissolveLocked(std::move(root_), dropped);
}

Ref<MountNamespace> MountNamespace::New(Ref<Mount> root) {
  Ref<MountNamespace> ns = Ref<MountNamespace>::Adopt(new MountNamespace);
  WriterLock l(MountTree::mu());
  MountTree::SetNamespaceLocked(root.get(), ns.get());
  ns->count_ = MountTree::SubtreeLocked(root.get()).size();
  ns->root_ = std::move(root);
  return ns;
}

Ref<MountNamespace> MountNamespace::Clone(std::vector<Path*> translate) {
  Ref<MountNamespace> ns = Ref<MountNamespace>::Adopt(new MountNamespace);
  std::vector<Path> old;  // let go after the lock
  WriterLock l(MountTree::mu());
  std::vector<std::pair<Mount*, Mount*>> map;
  ns->root_ = MountTree::CopyLocked(root_.get(), root_->root_, true, &map);
  MountTree::SetNamespaceLocked(ns->root_.get(), ns.get());
  ns->count_ = map.size();
  for (Path* p : translate) {
    for (auto [from, to] : map) {
      if (p->mount != from) continue;
      old.push_back(*p);
      p->mount = Ref<Mount>(to);
      break;
    }
  }
  return ns;
}

void MountNamespace::Changed() {
  generation_.fetch_add(1, std::memory_order_acq_rel);
  changes_.Notify(EPOLLERR | EPOLLPRI);
}

Path MountNamespace::Root() {
  Path p;
  {
    ReaderLock l(MountTree::mu());
    p = Path(root_, root_->root());
  }
  return Traverse(std::move(p));
}

bool MountNamespace::Contains(const Path& path) {
  ReaderLock l(MountTree::mu());
  return path.mount->ns_ == this;
}

Status MountNamespace::Attach(Ref<Mount> mount, const Path& given) {
  Path at = Traverse(given);
  MountTree::Dropped dropped;
  {
    WriterLock l(MountTree::mu());
    Status allowed = CheckAttachLocked(*mount, at);
    if (!allowed.ok()) {
      // A recursive bind's copies are in the table already.
      MountTree::DissolveLocked(std::move(mount), dropped);
      return allowed;
    }
    count_ += MountTree::SubtreeLocked(mount.get()).size();
    MountTree::AttachLocked(std::move(mount), at.mount.get(), at.dentry, this);
  }
  Changed();
  return Ok();
}

Status MountNamespace::CheckAttachLocked(Mount& mount, const Path& at) {
  if (at.dentry->IsUnlinked()) return Errno::kNoent;
  if (mount.root()->get_inode()->IsDir() != at.dentry->get_inode()->IsDir()) {
    return Errno::kNotdir;
  }
  if (at.mount->ns_ != this) return Errno::kInval;
  if (MountTree::FindLocked(at.mount.get(), at.dentry.get()) != nullptr) return Errno::kBusy;
  if (count_ + MountTree::SubtreeLocked(&mount).size() > kMaxMounts) return Errno::kNospc;
  return Ok();
}

Status MountNamespace::Detach(const Path& at, int flags) {
  MountTree::Dropped dropped;
  {
    WriterLock l(MountTree::mu());
    Mount* m = at.mount.get();
    if (m->ns_ != this || at.dentry != m->root_) return Errno::kInval;
    if (m == root_.get()) return (flags & MNT_DETACH) != 0 ? Errno::kInval : Errno::kBusy;
    // One reference is the parent's, one the caller's.
    if ((flags & MNT_DETACH) == 0 && (!m->children_.empty() || m->RefCount() > 2)) {
      return Errno::kBusy;
    }
    if ((flags & MNT_EXPIRE) != 0) return Errno::kAgain;
    MountTree::DissolveLocked(MountTree::DetachLocked(m), dropped);
    count_ -= dropped.size();
  }
  Changed();
  return Ok();
}

Status MountNamespace::Move(const Path& from, const Path& given_to) {
  Path to = Traverse(given_to);
  Ref<Dentry> old_point;  // let go after the lock
  {
    WriterLock l(MountTree::mu());
    Mount* m = from.mount.get();
    if (m->ns_ != this || to.mount->ns_ != this) return Errno::kInval;
    if (from.dentry != m->root_ || m->parent_ == nullptr) return Errno::kInval;
    if (m->root_->get_inode()->IsDir() != to.dentry->get_inode()->IsDir()) return Errno::kInval;
    if (to.dentry->IsUnlinked()) return Errno::kNoent;
    if (MountTree::IsBelowOrSameLocked(to.mount.get(), m)) return Errno::kLoop;
    if (MountTree::FindLocked(to.mount.get(), to.dentry.get()) != nullptr) return Errno::kBusy;
    old_point = m->mountpoint_;
    MountTree::AttachLocked(MountTree::DetachLocked(m), to.mount.get(), to.dentry, this);
  }
  Changed();
  return Ok();
}

Status MountNamespace::SetFlags(const Path& at, uint32_t flags) {
  {
    WriterLock l(MountTree::mu());
    if (at.mount->ns_ != this || at.dentry != at.mount->root_) return Errno::kInval;
    at.mount->flags_.store(flags, std::memory_order_relaxed);
  }
  Changed();
  return Ok();
}

Status MountNamespace::PivotRoot(const Path& new_root, const Path& put_old) {
  Path old_root;
  {
    WriterLock l(MountTree::mu());
    Mount* fresh = new_root.mount.get();
    Mount* old = root_.get();
    if (fresh->ns_ != this || put_old.mount->ns_ != this) return Errno::kInval;
    if (new_root.dentry != fresh->root_) return Errno::kInval;
    if (fresh == old || put_old.mount == old) return Errno::kBusy;
    if (fresh->parent_ == nullptr) return Errno::kInval;
    // put_old must be at or below new_root.
    if (!MountTree::IsBelowOrSameLocked(put_old.mount.get(), fresh)) return Errno::kInval;
    old_root = Path(root_, root_->root());
    // new_root == put_old is allowed: the old root goes on top of it.
    Ref<Mount> taken = MountTree::DetachLocked(fresh);
    std::swap(root_, taken);
    MountTree::AttachLocked(std::move(taken), put_old.mount.get(), put_old.dentry, this);
  }
  FsContextList::ReplacePaths(old_root, new_root);
  Changed();
  return Ok();
}

ErrnoOr<Ref<Mount>> MountNamespace::Bind(const Path& from, bool recursive) {
  WriterLock l(MountTree::mu());
  if (from.mount->ns_ != this) return Errno::kInval;
  return MountTree::CopyLocked(from.mount.get(), from.dentry, recursive, nullptr);
}

Path MountNamespace::Traverse(Path at) {
  while (at.dentry->mounted.load(std::memory_order_acquire) != 0) {
    Ref<Mount> next;
    {
      ReaderLock l(MountTree::mu());
      next = Ref<Mount>(MountTree::FindLocked(at.mount.get(), at.dentry.get()));
    }
    if (!next) break;
    at.dentry = next->root();
    at.mount = std::move(next);
  }
  return at;
}

Path MountNamespace::MountPointOf(const Mount& mount) {
  ReaderLock l(MountTree::mu());
  if (mount.parent_ == nullptr) return Path();
  return Path(Ref<Mount>(mount.parent_), mount.mountpoint_);
}

std::string MountOptions(uint32_t flags) {
  std::string s = (flags & MS_RDONLY) != 0 ? "ro" : "rw";
  if ((flags & MS_NOSUID) != 0) s += ",nosuid";
  if ((flags & MS_NODEV) != 0) s += ",nodev";
  if ((flags & MS_NOEXEC) != 0) s += ",noexec";
  if ((flags & MS_NOATIME) != 0) s += ",noatime";
  if ((flags & MS_NODIRATIME) != 0) s += ",nodiratime";
  if ((flags & (MS_NOATIME | MS_STRICTATIME)) == 0) s += ",relatime";
  if ((flags & kNoSymFollow) != 0) s += ",nosymfollow";
  return s;
}

std::vector<Ref<Filesystem>> MountNamespace::Filesystems() {
  std::vector<Ref<Filesystem>> out;
  ReaderLock l(MountTree::mu());
  for (Mount* m : MountTree::SubtreeLocked(root_.get())) {
    if (std::find(out.begin(), out.end(), m->fs_) == out.end()) out.push_back(m->fs_);
  }
  return out;
}

std::vector<MountInfo> MountNamespace::List(const Path& root) {
  struct Row {
    Ref<Mount> mount;
    int parent_id;
  };
  std::vector<Row> rows;
  {
    ReaderLock l(MountTree::mu());
    for (Mount* m : MountTree::SubtreeLocked(root_.get())) {
      rows.push_back({Ref<Mount>(m), m->parent_ != nullptr ? m->parent_->id() : 1});
    }
  }
  std::vector<MountInfo> out;
  for (const Row& r : rows) {
    Path top(r.mount, r.mount->root());
    std::string where = vfs::PathName(top, root);
    if (where.empty() || where[0] != '/') continue;  // not below the caller's root
    MountInfo info;
    info.id = r.mount->id();
    info.parent_id = r.parent_id;
    Filesystem& fs = r.mount->fs();
    info.dev = fs.dev();
    info.root = vfs::PathInFilesystem(*r.mount->root());
    info.mount_point = std::move(where);
    info.options = MountOptions(r.mount->flags());
    info.super_options = ((r.mount->flags() & MS_RDONLY) != 0 ? "ro" : "rw") + fs.ShowOptions();
    info.type = fs.type();
    info.source = r.mount->source();
    out.push_back(std::move(info));
  }
  return out;
}

}  // namespace runsc
