#include "sentry/fs/overlay/overlay_fs.h"

#include <sys/stat.h>

#include "platform/base/strings.h"
#include "sentry/fs/overlay/overlay_inode.h"
#include "sentry/vfs/dentry.h"

namespace runsc {
namespace {

constexpr uint64_t kOverlayMagic = 0x794c7630;  // OVERLAYFS_SUPER_MAGIC

// Numbers of files that are only above are kept apart from those of the lower layer: host file
// systems' numbers are far smaller.
constexpr uint64_t kUpperInoBit = uint64_t{1} << 44;

}  // namespace

OverlayFs::OverlayFs(Ref<Filesystem> upper, Ref<Filesystem> lower)
    : Filesystem("overlay", lower->flags() & kRevalidate),
      upper_fs_(std::move(upper)),
      lower_fs_(std::move(lower)),
      super_creds_(Credentials::NewRoot(UserNamespace::NewRoot())),
      super_{*super_creds_} {}

ErrnoOr<Ref<OverlayFs>> OverlayFs::Create(Ref<Filesystem> upper, Ref<Filesystem> lower) {
  auto fs = Ref<OverlayFs>::Adopt(new OverlayFs(std::move(upper), std::move(lower)));
  TRY(fs->SetUp());
  return fs;
}

Status OverlayFs::SetUp() {
  Ref<Inode> top = upper_fs_->root();
  Ref<Inode> lower_root = lower_fs_->root();
  upper_mount_ = Mount::New(upper_fs_, 0, "overlay");
  lower_mount_ = Mount::New(lower_fs_, 0, "overlay");
  Attr attr = TRY(lower_root->GetAttr());
  Ref<Inode> upper_root;
  {
    WriterLock l(top->dir_mutex);
    upper_root = TRY(top->Mkdir(super_, "root", S_IFDIR | (attr.mode & 07777)));
    work_ = TRY(top->Mkdir(super_, "work", S_IFDIR | 0700));
  }
  AttrChange change;
  change.uid = attr.uid;
  change.gid = attr.gid;
  change.mode = attr.mode & 07777;
  change.atime = attr.atime;
  change.mtime = attr.mtime;
  TRY(upper_root->SetAttr(super_, change));
  uint64_t upper_ino = TRY(upper_root->GetAttr()).ino;
  auto root = MakeRef<OverlayInode>(Ref<OverlayFs>(this), upper_root, lower_root, attr.ino,
                                    nullptr, "");
  Origin origin;
  origin.lower = lower_root;
  origin.ino = attr.ino;
  Publish(root.get(), upper_root.get(), upper_ino, std::move(origin));
  MutexLock l(mu_);
  root_ = std::move(root);
  return Ok();
}

Ref<Inode> OverlayFs::root() {
  MutexLock l(mu_);
  return root_;
}

ErrnoOr<FsStat> OverlayFs::StatFs() {
  FsStat s = TRY(upper_fs_->StatFs());
  s.type = kOverlayMagic;
  return s;
}

void OverlayFs::OnLastUnmount() {
  Ref<OverlayInode> root;
  std::unordered_map<uint64_t, Origin> origins;
  std::unordered_map<uint64_t, Ref<Inode>> linked;
  std::unordered_map<const OverlayInode*, Ref<OverlayInode>> sockets;
  {
    MutexLock l(mu_);
    sockets.swap(sockets_);
    root = std::move(root_);
    origins.swap(origins_);
    linked.swap(linked_);
  }
  // The layers' own last unmounts follow when the last open file is gone, and this with it.
}

Path OverlayFs::LayerPath(Inode& inode) {
  const Ref<Mount>& mount = &inode.fs() == upper_fs_.get() ? upper_mount_ : lower_mount_;
  return Path(mount, Dentry::NewDisconnected(Ref<Inode>(&inode), ""));
}

// --- finding inodes ---

ErrnoOr<Ref<OverlayInode>> OverlayFs::FindUpper(Ref<Inode> upper, Ref<OverlayInode> parent,
                                                std::string_view name) {
  Attr attr = TRY(upper->GetAttr());
  MutexLock l(mu_);
  OverlayInode*& slot = by_upper_[upper.get()];
  if (slot != nullptr && slot->TryIncRef()) return Ref<OverlayInode>::Adopt(slot);
  auto it = origins_.find(attr.ino);
  Ref<Inode> lower = it == origins_.end() ? nullptr : it->second.lower;
  uint64_t ino = it == origins_.end() ? attr.ino | kUpperInoBit : it->second.ino;
  auto inode = MakeRef<OverlayInode>(Ref<OverlayFs>(this), std::move(upper), std::move(lower), ino,
                                     std::move(parent), name);
  inode->upper_ino_ = attr.ino;
  slot = inode.get();
  return inode;
}

ErrnoOr<Ref<OverlayInode>> OverlayFs::FindLower(Ref<Inode> lower, Ref<OverlayInode> parent,
                                                std::string_view name) {
  Attr attr = TRY(lower->GetAttr());
  if (!S_ISDIR(attr.mode) && attr.nlink > 1) {
    Ref<Inode> upper;
    {
      MutexLock l(mu_);
      auto it = linked_.find(attr.ino);
      if (it != linked_.end()) upper = it->second;
    }
    if (upper) return FindUpper(std::move(upper), std::move(parent), name);
  }
  MutexLock l(mu_);
  OverlayInode*& slot = by_lower_[lower.get()];
  if (slot != nullptr && slot->TryIncRef()) return Ref<OverlayInode>::Adopt(slot);
  auto inode = MakeRef<OverlayInode>(Ref<OverlayFs>(this), nullptr, std::move(lower), attr.ino,
                                     std::move(parent), name);
  slot = inode.get();
  return inode;
}

void OverlayFs::Forget(OverlayInode* inode) {
  MutexLock l(mu_);
  auto drop = [&](auto& table, const Inode* key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    auto it = table.find(key);
    if (it != table.end() && it->second == inode) table.erase(it);
  };
  drop(by_upper_, inode->upper());
  drop(by_lower_, inode->lower());
}

void OverlayFs::KeepSocket(Ref<OverlayInode> inode) {
  MutexLock l(mu_);
  const OverlayInode* key = inode.get();
  sockets_[key] = std::move(inode);
}

void OverlayFs::DropSocket(OverlayInode* inode) {
  Ref<OverlayInode> gone;
  MutexLock l(mu_);
  auto it = sockets_.find(inode);
  if (it == sockets_.end()) return;
  gone = std::move(it->second);
  sockets_.erase(it);
}

void OverlayFs::Publish(OverlayInode* inode, Inode* upper, uint64_t upper_ino, Origin origin) {
  inode->upper_ino_ = upper_ino;
  MutexLock l(mu_);
  if (!origin.index.empty()) linked_[origin.lower_ino] = Ref<Inode>(upper);
  origins_[upper_ino] = std::move(origin);
  by_upper_[upper] = inode;
}

void OverlayFs::ForgetOrigin(uint64_t upper_ino) {
  Origin gone;
  Ref<Inode> linked;
  MutexLock l(mu_);
  auto it = origins_.find(upper_ino);
  if (it == origins_.end()) return;
  gone = std::move(it->second);
  origins_.erase(it);
}

// --- what is known of upper inodes ---

uint64_t OverlayFs::ShownIno(uint64_t upper_ino) {
  MutexLock l(mu_);
  auto it = origins_.find(upper_ino);
  return it == origins_.end() ? upper_ino | kUpperInoBit : it->second.ino;
}

bool OverlayFs::IsWhiteout(uint64_t upper_ino, std::string_view name) {
  MutexLock l(mu_);
  auto it = origins_.find(upper_ino);
  if (it == origins_.end() || it->second.whiteouts.empty()) return false;
  return it->second.whiteouts.contains(std::string(name));
}

void OverlayFs::AddWhiteout(uint64_t upper_ino, std::string_view name) {
  MutexLock l(mu_);
  auto it = origins_.find(upper_ino);
  if (it != origins_.end()) it->second.whiteouts.emplace(name);
}

void OverlayFs::RemoveWhiteout(uint64_t upper_ino, std::string_view name) {
  MutexLock l(mu_);
  auto it = origins_.find(upper_ino);
  if (it != origins_.end()) it->second.whiteouts.erase(std::string(name));
}

std::unordered_set<std::string> OverlayFs::Whiteouts(uint64_t upper_ino) {
  MutexLock l(mu_);
  auto it = origins_.find(upper_ino);
  return it == origins_.end() ? std::unordered_set<std::string>() : it->second.whiteouts;
}

int64_t OverlayFs::ExtraLinks(uint64_t upper_ino) {
  MutexLock l(mu_);
  auto it = origins_.find(upper_ino);
  return it == origins_.end() ? 0 : it->second.extra_links;
}

std::string OverlayFs::AdjustLinks(uint64_t upper_ino, int delta, uint32_t links) {
  Ref<Inode> kept;
  MutexLock l(mu_);
  auto it = origins_.find(upper_ino);
  if (it == origins_.end() || it->second.index.empty()) return "";
  Origin& o = it->second;
  o.extra_links += delta;
  // -1: every name below has been replaced or removed; the index only counts itself.
  if (o.extra_links > -1 && static_cast<int64_t>(links) + o.extra_links > 0) return "";
  auto linked = linked_.find(o.lower_ino);
  if (linked != linked_.end()) {
    kept = std::move(linked->second);
    linked_.erase(linked);
  }
  o.extra_links = 0;
  return std::exchange(o.index, "");
}

std::string OverlayFs::NextTempName() {
  return StrPrintf("%llx", static_cast<unsigned long long>(next_temp_.fetch_add(1)));
}

}  // namespace runsc
