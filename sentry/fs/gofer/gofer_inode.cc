#include "sentry/fs/gofer/gofer_inode.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "sentry/fs/gofer/gofer_file.h"
#include "sentry/time/clock.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/file_time.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/special_files.h"
#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

// In shared mode: what was asked of the gofer so recently belongs to the same system call.
constexpr int64_t kFreshNanos = 100'000;

FileTime ToFileTime(const gofer::Time& t) { return ClampedFileTime(t.seconds, t.nanos); }

gofer::Time FromFileTime(FileTime t) {
  int64_t seconds = t / 1'000'000'000;
  int64_t nanos = t % 1'000'000'000;
  if (nanos < 0) {
    nanos += 1'000'000'000;
    --seconds;
  }
  return {seconds, static_cast<uint32_t>(nanos), 0};
}

Ref<GoferData> NewData(GoferFs& fs, const gofer::Attr& attr) {
  if (!S_ISREG(attr.mode)) return nullptr;
  Mappable::Identity identity;
  identity.dev = DecodeDevice(fs.dev());
  identity.ino = attr.ino;
  return MakeRef<GoferData>(std::move(identity));
}

// Parents whose last child has just died, taken down in a loop: a tree is as deep as a guest likes.
thread_local std::vector<Ref<GoferInode>>* t_orphans = nullptr;

void ReleaseParent(Ref<GoferInode> parent) {
  if (!parent) return;
  if (t_orphans != nullptr) {
    t_orphans->push_back(std::move(parent));
    return;
  }
  std::vector<Ref<GoferInode>> orphans;
  t_orphans = &orphans;
  parent.reset();
  while (!orphans.empty()) {
    Ref<GoferInode> next = std::move(orphans.back());
    orphans.pop_back();
    next.reset();
  }
  t_orphans = nullptr;
}

}  // namespace

GoferInode::GoferInode(Ref<GoferFs> fs, const gofer::Attr& attr, Ref<GoferInode> parent,
                       std::string_view name, Ref<GoferNode> node, std::string link)
    : Inode(fs),
      type_(attr.mode & S_IFMT),
      ino_(attr.ino),
      dev_(attr.dev),
      btime_(attr.btime),
      data_(NewData(*fs, attr)),
      attr_(attr),
      fetched_ns_(MonotonicNanos()),
      parent_(std::move(parent)),
      name_(name),
      node_(std::move(node)),
      link_(std::move(link)) {}

GoferInode::~GoferInode() {
  gofer_fs().Forget(this);
  Ref<GoferInode> parent;
  std::string name;
  {
    MutexLock l(mu_);
    parent = std::move(parent_);
    name = std::move(name_);
  }
  if (parent) {
    MutexLock l(parent->mu_);
    // What came with the listing may be older than what this inode did to the file.
    if (parent->listing_) parent->listing_->DropAttr(name);
  }
  ReleaseParent(std::move(parent));
}

void GoferInode::Update(const gofer::Attr& attr, Ref<GoferInode> parent, std::string_view name,
                        Ref<GoferNode> node) {
  Ref<GoferInode> old_parent;
  Ref<GoferNode> old_node;
  MutexLock l(mu_);
  attr_ = attr;
  attr_valid_ = true;
  fetched_ns_ = MonotonicNanos();
  if (parent) {
    old_parent = std::exchange(parent_, std::move(parent));
    name_ = name;
    unlinked_ = false;
  }
  if (node) old_node = std::exchange(node_, std::move(node));
}

void GoferInode::MovedTo(Ref<GoferInode> parent, std::string_view name) {
  Ref<GoferInode> old_parent;
  MutexLock l(mu_);
  old_parent = std::exchange(parent_, std::move(parent));
  name_ = name;
  attr_valid_ = false;
}

void GoferInode::NameRemoved(const GoferInode& dir, std::string_view name) {
  bool gone = false;
  {
    MutexLock l(mu_);
    gone = IsDir() || attr_.nlink <= 1;
    attr_.nlink = gone ? 0 : attr_.nlink - 1;
    attr_valid_ = false;
    if (gone || (parent_.get() == &dir && name_ == name)) unlinked_ = true;
  }
  if (gone) gofer_fs().Forget(this);
}

void GoferInode::ForgetAttr() {
  MutexLock l(mu_);
  attr_valid_ = false;
}

// --- the gofer's node ---

ErrnoOr<Ref<GoferNode>> GoferInode::Node() {
  // Up to the first ancestor that has one, then down again in walks of many names.
  std::vector<Ref<GoferInode>> chain;
  std::vector<std::string> names;
  Ref<GoferNode> node;
  Ref<GoferInode> at(this);
  while (!node) {
    Ref<GoferInode> up;
    {
      MutexLock l(at->mu_);
      node = at->node_;
      if (node) break;
      if (at->unlinked_ || !at->parent_) return Errno::kStale;
      up = at->parent_;
      names.push_back(at->name_);
    }
    chain.push_back(std::move(at));
    at = std::move(up);
  }
  while (!chain.empty()) {
    size_t count = std::min(chain.size(), gofer::kMaxWalk);
    std::vector<std::string_view> step;
    for (size_t i = 0; i < count; ++i) step.push_back(names[names.size() - 1 - i]);
    gofer::WalkResult r = TRY(gofer_fs().client().Walk(node->id(), step, 0));
    if (r.error != Errno::kOk) return r.error;
    Ref<GoferInode> target = chain[chain.size() - count];
    if (r.steps.size() != count || r.steps.back().node == 0) return Errno::kStale;
    node = MakeRef<GoferNode>(gofer_fs().client(), r.steps.back().node);
    if (!target->SameFile(r.steps.back().attr)) return Errno::kStale;
    {
      MutexLock l(target->mu_);
      if (!target->node_) target->node_ = node;
    }
    gofer_fs().NoteNode(target.get());
    chain.resize(chain.size() - count);
    names.resize(names.size() - count);
  }
  gofer_fs().Trim();
  return node;
}

void GoferInode::PinNode() {
  bool used = open_files_.load() > 0 || (data_ && !data_->IsUnmapped());
  // Failing only means that attributes can no longer be asked for.
  if (used) (void)Node().ok();
}

void GoferInode::DropNode() {
  Ref<GoferNode> node;
  MutexLock l(mu_);
  if (!unlinked_ && parent_) node = std::move(node_);
}

void GoferInode::DropIdleFiles() {
  if (!data_ || open_files_.load() != 0) return;
  MutexLock l(mu_);
  // Without a descriptor only the gofer can tell what the last writes did.
  if (!data_->Forget()) return;
  if (dirty_.exchange(false) || data_->TakeMappedWrites()) attr_valid_ = false;
}

void GoferInode::FileClosed() {
  if (open_files_.fetch_sub(1) != 1) return;
  gofer_fs().NoteIdleFile(this);
  gofer_fs().Trim();
}

// --- attributes ---

bool GoferInode::NeedsRemoteLocked() {
  if (data_ && data_->Get(false)) return false;
  if (unlinked_ && !node_) return false;
  if (gofer_fs().exclusive()) return !attr_valid_;
  return MonotonicNanos() - fetched_ns_ > kFreshNanos;
}

Status GoferInode::RefreshLocked() {
  if (!data_) return Ok();
  bool stale = !gofer_fs().exclusive() || !attr_valid_ || data_->TakeMappedWrites();
  if (!dirty_.exchange(false) && !stale) return Ok();
  Ref<HostFile> file = data_->Get(false);
  if (!file) return Ok();
  TRY(file->Stat(&attr_));
  attr_valid_ = true;
  return Ok();
}

Status GoferInode::RefreshRemote() {
  Ref<GoferNode> node;
  Ref<GoferInode> parent;
  std::string name;
  {
    MutexLock l(mu_);
    node = node_;
    parent = parent_;
    name = name_;
  }
  gofer::Attr attr;
  gofer::Client& client = gofer_fs().client();
  if (node) {
    attr = TRY(client.GetAttr(node->id()));
  } else {
    if (!parent) return Errno::kStale;
    Ref<GoferNode> dir = TRY(parent->Node());
    attr = TRY(client.WalkOne(dir->id(), name, gofer::kWalkNoIds)).attr;
  }
  if (!SameFile(attr)) return Errno::kStale;
  MutexLock l(mu_);
  attr_ = attr;
  attr_valid_ = true;
  fetched_ns_ = MonotonicNanos();
  return Ok();
}

Attr GoferInode::ToAttrLocked() {
  Attr a;
  a.ino = gofer_fs().GuestIno(attr_);
  a.dev = fs().dev();
  a.mode = (attr_.mode & 07777) | type_;
  a.nlink = attr_.nlink;
  a.uid = attr_.uid;
  a.gid = attr_.gid;
  a.rdev = {static_cast<uint32_t>(major(attr_.rdev)), static_cast<uint32_t>(minor(attr_.rdev))};
  a.size = attr_.size;
  a.blocks = attr_.blocks;
  a.blksize = attr_.block_size;
  a.atime = ToFileTime(attr_.atime);
  a.mtime = ToFileTime(attr_.mtime);
  a.ctime = ToFileTime(attr_.ctime);
  a.btime = ToFileTime(attr_.btime);
  return a;
}

ErrnoOr<Attr> GoferInode::GetAttr() {
  bool remote = false;
  {
    MutexLock l(mu_);
    remote = NeedsRemoteLocked();
  }
  if (remote) TRY(RefreshRemote());
  MutexLock l(mu_);
  if (!remote) TRY(RefreshLocked());
  return ToAttrLocked();
}

Status GoferInode::SetAttr(const OpContext& ctx, const AttrChange& change) {
  if (change.size) TRY(TruncateTo(*change.size));
  gofer::SetAttrRequest r{};
  if (change.mode) {
    r.mask |= gofer::kSetMode;
    r.mode = *change.mode & 07777;
  }
  if (change.uid) {
    r.mask |= gofer::kSetUid;
    r.uid = *change.uid;
  }
  if (change.gid) {
    r.mask |= gofer::kSetGid;
    r.gid = *change.gid;
  }
  if (change.atime) {
    r.mask |= gofer::kSetAtime;
    r.atime = FromFileTime(*change.atime);
  }
  if (change.mtime) {
    r.mask |= gofer::kSetMtime;
    r.mtime = FromFileTime(*change.mtime);
  }
  if (r.mask == 0) return Ok();
  Ref<GoferNode> node = TRY(Node());
  r.node = node->id();
  gofer::Attr attr = TRY(gofer_fs().client().SetAttr(r));
  MutexLock l(mu_);
  attr_ = attr;
  attr_valid_ = true;
  fetched_ns_ = MonotonicNanos();
  return Ok();
}

Status GoferInode::TruncateTo(uint64_t size) {
  if (!data_) return Errno::kInval;
  if (Ref<HostFile> file = data_->Get(true)) {
    TRY(file->Truncate(size));
  } else {
    Ref<GoferNode> node = TRY(Node());
    gofer::SetAttrRequest r{};
    r.node = node->id();
    r.mask = gofer::kSetSize;
    r.size = size;
    TRY(gofer_fs().client().SetAttr(r));
  }
  ForgetAttr();
  Written();
  data_->Truncated(size);
  return Ok();
}

// --- contents ---

ErrnoOr<std::string> GoferInode::Readlink(const OpContext& ctx) {
  if (!IsSymlink()) return Errno::kInval;
  {
    MutexLock l(mu_);
    if (!link_.empty()) return link_;
  }
  Ref<GoferNode> node = TRY(Node());
  std::string target = TRY(gofer_fs().client().ReadLink(node->id()));
  MutexLock l(mu_);
  link_ = target;
  return target;
}

ErrnoOr<size_t> GoferInode::Append(const HostFile& file, UserIn& src, uint64_t* at) {
  MutexLock l(mu_);
  *at = TRY(file.Size());
  return file.Write(src, *at);
}

ErrnoOr<Ref<HostFile>> GoferInode::OpenHost(bool writable) {
  if (Ref<HostFile> have = data_->Get(writable)) return have;
  uint32_t flags = gofer::kOpenRead | (writable ? gofer::kOpenWrite : 0);
  Ref<GoferNode> node;
  Ref<GoferInode> parent;
  std::string name;
  {
    MutexLock l(mu_);
    node = node_;
    if (!node && !unlinked_ && parent_) {
      parent = parent_;
      name = name_;
    }
  }
  if (parent) node = TRY(parent->Node());  // one request: open by name in it
  if (!node) return Errno::kStale;
  gofer::Opened opened = TRY(gofer_fs().client().Open(node->id(), name, flags));
  if (!SameFile(opened.attr)) return Errno::kStale;
  auto file = MakeRef<HostFile>(std::move(opened.fd), writable);
  data_->Set(file);
  return file;
}

ErrnoOr<Ref<File>> GoferInode::Open(const OpContext& ctx, const Path& path,
                                    const OpenRequest& request) {
  Ref<const Credentials> creds(&ctx.creds);
  if (IsDir()) {
    return Ref<File>(
        MakeRef<GoferDirFile>(path, request.flags, std::move(creds), Ref<GoferInode>(this)));
  }
  if (IsSymlink()) return Errno::kLoop;
  if (!IsRegular()) {
    Attr attr = TRY(GetAttr());
    return OpenSpecial(ctx, path, request, attr.rdev);
  }
  Ref<HostFile> host = TRY(OpenHost(request.writable()));
  return Ref<File>(MakeRef<GoferFile>(path, request.flags, std::move(creds),
                                      Ref<GoferInode>(this), std::move(host)));
}

// --- extended attributes ---

ErrnoOr<std::vector<std::string>> GoferInode::ListXattr(const OpContext& ctx) {
  {
    MutexLock l(mu_);
    if (xattr_names_) return *xattr_names_;
  }
  Ref<GoferNode> node = TRY(Node());
  std::vector<std::string> names;
  ErrnoOr<std::string> list = gofer_fs().client().XattrList(node->id());
  if (!list.ok() && list.error() != Errno::kOpnotsupp) return list.error();
  for (size_t at = 0; list.ok() && at < list->size();) {
    names.emplace_back(list->c_str() + at);
    at += names.back().size() + 1;
  }
  if (gofer_fs().exclusive()) {
    MutexLock l(mu_);
    xattr_names_ = names;
  }
  return names;
}

ErrnoOr<std::string> GoferInode::GetXattr(const OpContext& ctx, std::string_view name) {
  if (gofer_fs().exclusive()) {
    std::vector<std::string> names = TRY(ListXattr(ctx));
    if (std::find(names.begin(), names.end(), name) == names.end()) return Errno::kNodata;
  }
  Ref<GoferNode> node = TRY(Node());
  return gofer_fs().client().XattrGet(node->id(), name);
}

Status GoferInode::SetXattr(const OpContext& ctx, std::string_view name, std::string_view value,
                            int flags) {
  Ref<GoferNode> node = TRY(Node());
  TRY(gofer_fs().client().XattrSet(node->id(), name, value, static_cast<uint32_t>(flags)));
  MutexLock l(mu_);
  xattr_names_.reset();
  attr_valid_ = false;
  return Ok();
}

Status GoferInode::RemoveXattr(const OpContext& ctx, std::string_view name) {
  Ref<GoferNode> node = TRY(Node());
  TRY(gofer_fs().client().XattrRemove(node->id(), name));
  MutexLock l(mu_);
  xattr_names_.reset();
  attr_valid_ = false;
  return Ok();
}

}  // namespace runsc
