// Directories of a gofer file system: lookups, listings, and changes of entries.
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include <algorithm>

#include "sentry/fs/gofer/gofer_inode.h"
#include "sentry/time/clock.h"
#include "sentry/vfs/file.h"

namespace runsc {
namespace {

GoferInode& AsGofer(Inode& inode) { return static_cast<GoferInode&>(inode); }

// Lookups of listed names after which the attributes of the whole directory are fetched at once:
// one costs as much as three or four of a bulk.
size_t BulkThreshold(size_t entries) { return std::max<size_t>(4, entries / 16); }

}  // namespace

// --- lookups ---

ErrnoOr<std::optional<gofer::Attr>> GoferInode::AskListing(std::string_view name) {
  {
    MutexLock l(mu_);
    if (!listing_) return std::optional<gofer::Attr>();
    size_t at = listing_->Find(name);
    if (at == Listing::npos) return Errno::kNoent;
    gofer::Attr attr;
    // With several names the attributes may have changed by another one since.
    if (listing_->TakeAttr(at, &attr) && (S_ISDIR(attr.mode) || attr.nlink == 1)) {
      return std::optional<gofer::Attr>(attr);
    }
    size_t misses = static_cast<size_t>(++listing_->misses);
    if (listing_->has_attrs() || misses < BulkThreshold(listing_->items().size())) {
      return std::optional<gofer::Attr>();
    }
  }
  std::vector<gofer::Entry> entries = TRY(FetchEntries(true));
  MutexLock l(mu_);
  if (listing_) listing_->AttachAttrs(entries);
  return std::optional<gofer::Attr>();
}

ErrnoOr<Ref<Inode>> GoferInode::Lookup(std::string_view name) {
  if (!IsDir()) return Errno::kNotdir;
  if (gofer_fs().exclusive()) {
    std::optional<gofer::Attr> known = TRY(AskListing(name));
    if (known) {
      return Ref<Inode>(gofer_fs().Find(*known, Ref<GoferInode>(this), name, nullptr, "", false));
    }
  }
  Ref<GoferNode> node = TRY(Node());
  gofer::Client& client = gofer_fs().client();
  ErrnoOr<gofer::Walked> walked = client.WalkOne(node->id(), name);
  if (!walked.ok()) {
    if (walked.error() == Errno::kNoent) NoteAbsent();
    return walked.error();
  }
  gofer::Walked& w = *walked;
  // Directories will be walked through; the nodes of others are seldom needed.
  Ref<GoferNode> child = MakeRef<GoferNode>(client, w.node);
  if (!S_ISDIR(w.attr.mode)) child.reset();
  return Ref<Inode>(gofer_fs().Find(w.attr, Ref<GoferInode>(this), name, std::move(child),
                                    std::move(w.link)));
}

// Searches that go through many directories ask for names that most of them lack: a few of those,
// and the directory is listed, to answer the rest by itself.
void GoferInode::NoteAbsent() {
  constexpr uint32_t kEnough = 4;
  if (!gofer_fs().exclusive() || ++absent_ != kEnough) return;
  (void)GetListing().ok();
}

bool GoferInode::StillValid(std::string_view name, Inode* inode) {
  if (gofer_fs().exclusive()) return true;
  ErrnoOr<Ref<GoferNode>> node = Node();
  if (!node.ok()) return false;
  auto w = gofer_fs().client().WalkOne((*node)->id(), name, gofer::kWalkNoIds);
  if (!w.ok()) return inode == nullptr && w.error() == Errno::kNoent;
  if (inode == nullptr) return false;
  GoferInode& child = AsGofer(*inode);
  if (!child.SameFile(w->attr) || child.btime_.seconds != w->attr.btime.seconds ||
      child.btime_.nanos != w->attr.btime.nanos) {
    return false;
  }
  child.Update(w->attr, nullptr, "", nullptr);
  return true;
}

// --- listings ---

constexpr size_t kMaxListing = size_t{8} << 20;  // more than any directory that programs list

ErrnoOr<std::vector<gofer::Entry>> GoferInode::FetchEntries(bool attrs) {
  Ref<GoferNode> node = TRY(Node());
  std::vector<gofer::Entry> all;
  uint64_t cookie = 0;
  for (;;) {
    gofer::EntryBatch batch = TRY(gofer_fs().client().ReadDir(node->id(), cookie, attrs));
    for (gofer::Entry& e : batch.entries) all.push_back(std::move(e));
    if (batch.end) return all;
    // A gofer that lies could go on for ever: its list costs it nothing, and us memory.
    if (all.size() > kMaxListing) return Errno::kNomem;
    cookie = batch.next;
  }
}

ErrnoOr<std::shared_ptr<Listing>> GoferInode::GetListing() {
  bool keep = gofer_fs().exclusive();
  if (keep) {
    MutexLock l(mu_);
    if (listing_) return listing_;
  }
  // No entry can appear or vanish meanwhile: only the sandbox changes the directory, and a change
  // that this listing misses was made before DirChanged saw no listing.
  auto listing = std::make_shared<Listing>();
  for (gofer::Entry& e : TRY(FetchEntries(false))) listing->Append(std::move(e));
  if (!keep) return listing;
  MutexLock l(mu_);
  if (!listing_) listing_ = std::move(listing);
  return listing_;
}

Status GoferInode::List(uint64_t* at, std::shared_ptr<Listing>* listing, DirSink& sink) {
  if (!*listing) {
    // Changes of the directory wait while it is fetched.
    ReaderLock changes(dir_mutex);
    *listing = TRY(GetListing());
  }
  // What sets the numbers of this directory's device apart.
  const uint64_t device_bits = gofer_fs().GuestIno({.dev = dev_});
  MutexLock l(mu_);
  const std::vector<Listing::Item>& items = (*listing)->items();
  for (; *at < items.size(); ++*at) {
    const Listing::Item& item = items[*at];
    if (item.name.empty()) continue;
    // Position n is directory offset n + 2: the dots are before it.
    uint64_t ino = item.ino ^ device_bits;
    if (!sink.Add(item.name, ino, DTTOIF(item.type), static_cast<int64_t>(*at) + 3)) break;
  }
  return Ok();
}

uint64_t GoferInode::ParentIno() {
  Ref<GoferInode> parent;
  {
    MutexLock l(mu_);
    parent = parent_;
  }
  auto attr = parent ? parent->GetAttr() : GetAttr();
  return attr.ok() ? attr->ino : ino_;
}

Status GoferInode::SyncDir() {
  Ref<GoferNode> node = TRY(Node());
  return gofer_fs().client().Sync(node->id());
}

void GoferInode::DirChanged(std::string_view added, uint64_t ino, uint32_t type,
                            std::string_view removed) {
  MutexLock l(mu_);
  attr_valid_ = false;
  if (!listing_) return;
  if (!removed.empty()) listing_->Remove(removed);
  if (!added.empty()) listing_->Add(added, ino, static_cast<uint8_t>(IFTODT(type)));
  // Positions are offsets of open directories: only fetched anew when there are none.
  if (listing_->Sparse() && listing_.use_count() == 1) listing_.reset();
}

// --- changes ---

ErrnoOr<Ref<Inode>> GoferInode::AddChild(std::string_view name, gofer::Walked made) {
  gofer::Client& client = gofer_fs().client();
  Ref<GoferInode> inode = gofer_fs().Find(made.attr, Ref<GoferInode>(this), name,
                                          MakeRef<GoferNode>(client, made.node),
                                          std::move(made.link));
  DirChanged(name, made.attr.ino, made.attr.mode & S_IFMT, "");
  return Ref<Inode>(std::move(inode));
}

ErrnoOr<Ref<Inode>> GoferInode::Create(const OpContext& ctx, std::string_view name,
                                       uint32_t mode) {
  InitialOwnership owner = TRY(InitialOwner(ctx, *this, mode | S_IFREG));
  Ref<GoferNode> node = TRY(Node());
  gofer::Opened made = TRY(gofer_fs().client().Create(
      node->id(), name, gofer::kOpenRead | gofer::kOpenWrite, owner.mode & 07777, owner.uid,
      owner.gid));
  Ref<Inode> inode = TRY(AddChild(name, {made.node, made.attr, ""}));
  AsGofer(*inode).data_->Set(MakeRef<HostFile>(std::move(made.fd), true));
  gofer_fs().NoteIdleFile(&AsGofer(*inode));
  return inode;
}

ErrnoOr<Ref<Inode>> GoferInode::CreateTemp(const OpContext& ctx, uint32_t mode) {
  InitialOwnership owner = TRY(InitialOwner(ctx, *this, mode | S_IFREG));
  Ref<GoferNode> node = TRY(Node());
  gofer::Client& client = gofer_fs().client();
  gofer::Opened made =
      TRY(client.Tmpfile(node->id(), gofer::kOpenRead | gofer::kOpenWrite, owner.mode & 07777,
                         owner.uid, owner.gid));
  Ref<GoferInode> inode = gofer_fs().Find(made.attr, nullptr, "",
                                          MakeRef<GoferNode>(client, made.node), "");
  inode->data_->Set(MakeRef<HostFile>(std::move(made.fd), true));
  return Ref<Inode>(std::move(inode));
}

ErrnoOr<Ref<Inode>> GoferInode::Mkdir(const OpContext& ctx, std::string_view name,
                                      uint32_t mode) {
  return Mknod(ctx, name, (mode & 07777) | S_IFDIR, {});
}

ErrnoOr<Ref<Inode>> GoferInode::Mknod(const OpContext& ctx, std::string_view name, uint32_t mode,
                                      DeviceId dev) {
  InitialOwnership owner = TRY(InitialOwner(ctx, *this, mode));
  Ref<GoferNode> node = TRY(Node());
  uint32_t full = (owner.mode & 07777) | (mode & S_IFMT);
  gofer::Walked made =
      TRY(gofer_fs().client().Mknod(node->id(), name, full, owner.uid, owner.gid));
  Ref<Inode> inode = TRY(AddChild(name, std::move(made)));
  if (S_ISSOCK(full)) gofer_fs().KeepSocket(Ref<GoferInode>(&AsGofer(*inode)));
  return inode;
}

ErrnoOr<Ref<Inode>> GoferInode::Symlink(const OpContext& ctx, std::string_view name,
                                        std::string_view target) {
  InitialOwnership owner = TRY(InitialOwner(ctx, *this, S_IFLNK | 0777));
  Ref<GoferNode> node = TRY(Node());
  return AddChild(
      name, TRY(gofer_fs().client().Symlink(node->id(), name, target, owner.uid, owner.gid)));
}

Status GoferInode::Link(const OpContext& ctx, std::string_view name, Inode& target) {
  GoferInode& file = AsGofer(target);
  Ref<GoferNode> from = TRY(file.Node());
  Ref<GoferNode> to = TRY(Node());
  gofer::Attr attr = TRY(gofer_fs().client().Link(from->id(), to->id(), name));
  file.Update(attr, Ref<GoferInode>(this), name, nullptr);
  DirChanged(name, attr.ino, attr.mode & S_IFMT, "");
  return Ok();
}

Status GoferInode::Remove(std::string_view name, Inode& target, bool directory) {
  GoferInode& child = AsGofer(target);
  child.PinNode();
  Ref<GoferNode> node = TRY(Node());
  TRY(gofer_fs().client().Unlink(node->id(), name, directory));
  child.NameRemoved(*this, name);
  DirChanged("", 0, 0, name);
  return Ok();
}

Status GoferInode::Unlink(const OpContext& ctx, std::string_view name, Inode& target) {
  return Remove(name, target, false);
}

Status GoferInode::Rmdir(const OpContext& ctx, std::string_view name, Inode& target) {
  return Remove(name, target, true);
}

Status GoferInode::Rename(const OpContext& ctx, std::string_view name, Inode& source,
                          Inode& new_dir, std::string_view new_name, Inode* target,
                          uint32_t flags) {
  if ((flags & RENAME_WHITEOUT) != 0) return Errno::kInval;
  GoferInode& from = AsGofer(source);
  GoferInode& to_dir = AsGofer(new_dir);
  GoferInode* replaced = target == nullptr ? nullptr : &AsGofer(*target);
  bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (replaced == &from) return Ok();  // two names of one file: nothing happens
  if (replaced != nullptr && !exchange) replaced->PinNode();
  Ref<GoferNode> old_node = TRY(Node());
  Ref<GoferNode> new_node = TRY(to_dir.Node());
  TRY(gofer_fs().client().Rename(old_node->id(), name, new_node->id(), new_name, flags));
  DirChanged("", 0, 0, name);
  to_dir.DirChanged(new_name, from.ino_, from.type_, replaced != nullptr ? new_name : "");
  from.MovedTo(Ref<GoferInode>(&to_dir), new_name);
  if (exchange) {
    DirChanged(name, replaced->ino_, replaced->type_, "");
    replaced->MovedTo(Ref<GoferInode>(this), name);
  } else if (replaced != nullptr) {
    replaced->NameRemoved(to_dir, new_name);
  }
  return Ok();
}

}  // namespace runsc
