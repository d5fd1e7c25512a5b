#include "sentry/fs/tmpfs/tmpfs_dir.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "platform/base/strings.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/mount.h"

namespace runsc {
namespace {

constexpr uint64_t kEntryBytes = 20;  // BOGO_DIRENT_SIZE: what st_size counts for a name
constexpr int64_t kFirstOffset = 2;   // 0 is ".", 1 is ".."

struct NameHash {
  using is_transparent = void;
  size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  size_t operator()(const TmpfsDir::Entry* e) const { return (*this)(std::string_view(e->name)); }
};
struct NameEqual {
  using is_transparent = void;
  static std::string_view Name(std::string_view name) { return name; }
  static std::string_view Name(const TmpfsDir::Entry* e) { return e->name; }
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return Name(a) == Name(b);
  }
};

}  // namespace

struct TmpfsDir::Entries {
  absl::flat_hash_set<Entry*, NameHash, NameEqual> by_name;
  absl::btree_map<int64_t, Entry*> by_offset;
  int64_t next_offset = kFirstOffset;
  std::atomic<uint64_t> count{0};  // GetAttr comes without dir_mutex

  ~Entries() {
    for (auto& [offset, e] : by_offset) delete e;
  }
  Entry* Find(std::string_view name) {
    auto it = by_name.find(name);
    return it == by_name.end() ? nullptr : *it;
  }
};

TmpfsDir::TmpfsDir(Tmpfs& fs, const InitialOwnership& who)
    : TmpfsInode(fs, who), entries_(new Entries) {
  SetNlink(2);
}

TmpfsDir::~TmpfsDir() = default;

void TmpfsDir::AddSize(Attr& attr) {
  attr.size = (entries_->count.load(std::memory_order_relaxed) + 2) * kEntryBytes;
}

bool TmpfsDir::IsEmpty() const { return entries_->by_name.empty(); }

void TmpfsDir::Insert(std::string_view name, Ref<TmpfsInode> inode) {
  Entry* e = new Entry{std::string(name), std::move(inode), entries_->next_offset++};
  entries_->by_name.insert(e);
  entries_->by_offset.emplace(e->offset, e);
  ++entries_->count;
}

Ref<TmpfsInode> TmpfsDir::Erase(std::string_view name) {
  auto it = entries_->by_name.find(name);
  Entry* e = *it;
  entries_->by_name.erase(it);
  entries_->by_offset.erase(e->offset);
  --entries_->count;
  Ref<TmpfsInode> inode = std::move(e->inode);
  delete e;
  return inode;
}

void TmpfsDir::Replace(std::string_view name, Ref<TmpfsInode> inode) {
  std::swap(entries_->Find(name)->inode, inode);
}

void TmpfsDir::TakeChildren(std::vector<Ref<TmpfsInode>>& out) {
  for (auto& [offset, e] : entries_->by_offset) {
    out.push_back(std::move(e->inode));
    delete e;
  }
  entries_->by_offset.clear();
  entries_->by_name.clear();
}

ErrnoOr<Ref<Inode>> TmpfsDir::Lookup(std::string_view name) {
  Entry* e = entries_->Find(name);
  if (e == nullptr) return Errno::kNoent;
  return Ref<Inode>(e->inode);
}

// `make(ownership)` makes the inode, once there is room for it.
template <typename MakeInode>
ErrnoOr<Ref<Inode>> TmpfsDir::Make(const OpContext& ctx, std::string_view name, uint32_t mode,
                                   MakeInode make) {
  if (nlink() == 0) return Errno::kNoent;
  InitialOwnership who = TRY(InitialOwner(ctx, *this, mode));
  if (!tmpfs().space().TakeInode()) return Errno::kNospc;
  Ref<TmpfsInode> inode = make(who);
  if (!name.empty()) {
    Insert(name, inode);
    Touch(true);
  }
  return Ref<Inode>(std::move(inode));
}

ErrnoOr<Ref<Inode>> TmpfsDir::Create(const OpContext& ctx, std::string_view name, uint32_t mode) {
  return Make(ctx, name, mode, [&](const InitialOwnership& who) -> Ref<TmpfsInode> {
    return MakeRef<TmpfsRegular>(tmpfs(), who);
  });
}

ErrnoOr<Ref<Inode>> TmpfsDir::CreateTemp(const OpContext& ctx, uint32_t mode) {
  return Make(ctx, "", mode, [&](const InitialOwnership& who) -> Ref<TmpfsInode> {
    Ref<TmpfsInode> inode = MakeRef<TmpfsRegular>(tmpfs(), who);
    inode->AddLinks(-1);
    inode->SetLinkable();
    return inode;
  });
}

ErrnoOr<Ref<Inode>> TmpfsDir::Mkdir(const OpContext& ctx, std::string_view name, uint32_t mode) {
  Ref<Inode> made =
      TRY(Make(ctx, name, mode, [&](const InitialOwnership& who) -> Ref<TmpfsInode> {
        return MakeRef<TmpfsDir>(tmpfs(), who);
      }));
  AddLinks(1);
  return made;
}

ErrnoOr<Ref<Inode>> TmpfsDir::Mknod(const OpContext& ctx, std::string_view name, uint32_t mode,
                                    DeviceId dev) {
  return Make(ctx, name, mode, [&](const InitialOwnership& who) -> Ref<TmpfsInode> {
    Ref<TmpfsInode> inode = MakeRef<TmpfsNode>(tmpfs(), who);
    if (S_ISCHR(mode) || S_ISBLK(mode)) inode->SetRdev(dev);
    return inode;
  });
}

ErrnoOr<Ref<Inode>> TmpfsDir::Symlink(const OpContext& ctx, std::string_view name,
                                      std::string_view target) {
  return Make(ctx, name, S_IFLNK | 0777, [&](const InitialOwnership& who) -> Ref<TmpfsInode> {
    return MakeRef<TmpfsNode>(tmpfs(), who, std::string(target));
  });
}

Status TmpfsDir::Link(const OpContext& ctx, std::string_view name, Inode& target) {
  if (&target.fs() != &fs()) return Errno::kXdev;
  TmpfsInode& inode = static_cast<TmpfsInode&>(target);
  if (nlink() == 0 || !inode.CanLink()) return Errno::kNoent;
  if (inode.nlink() >= INT32_MAX) return Errno::kMlink;
  inode.AddLinks(1);
  Insert(name, Ref<TmpfsInode>(&inode));
  Touch(true);
  return Ok();
}

Status TmpfsDir::Unlink(const OpContext& ctx, std::string_view name, Inode& target) {
  Ref<TmpfsInode> gone = Erase(name);
  gone->AddLinks(-1);
  Touch(true);
  return Ok();
}

Status TmpfsDir::Rmdir(const OpContext& ctx, std::string_view name, Inode& target) {
  TmpfsDir& dir = static_cast<TmpfsDir&>(target);
  if (!dir.IsEmpty()) return Errno::kNotempty;
  Ref<TmpfsInode> gone = Erase(name);
  gone->AddLinks(-2);
  AddLinks(-1);
  Touch(true);
  return Ok();
}

Status TmpfsDir::Rename(const OpContext& ctx, std::string_view name, Inode& source_inode,
                        Inode& new_dir_inode, std::string_view new_name, Inode* target_inode,
                        uint32_t flags) {
  TmpfsDir& to = static_cast<TmpfsDir&>(new_dir_inode);
  Ref<TmpfsInode> source(static_cast<TmpfsInode*>(&source_inode));
  Ref<TmpfsInode> target(static_cast<TmpfsInode*>(target_inode));
  int moves = source->IsDir() && &to != this ? 1 : 0;
  if ((flags & RENAME_EXCHANGE) != 0) {
    int back = target->IsDir() && &to != this ? 1 : 0;
    Replace(name, target);
    to.Replace(new_name, source);
    AddLinks(back - moves);
    to.AddLinks(moves - back);
  } else {
    if (target && target->IsDir() && !static_cast<TmpfsDir&>(*target).IsEmpty()) {
      return Errno::kNotempty;
    }
    Ref<TmpfsInode> whiteout;
    if ((flags & RENAME_WHITEOUT) != 0) {
      if (!tmpfs().space().TakeInode()) return Errno::kNospc;
      whiteout = MakeRef<TmpfsNode>(
          tmpfs(), InitialOwnership{S_IFCHR, ctx.creds.fsuid, ctx.creds.fsgid});
    }
    if (target) {
      to.Replace(new_name, source);
      target->AddLinks(target->IsDir() ? -2 : -1);
      if (target->IsDir()) to.AddLinks(-1);
    } else {
      to.Insert(new_name, source);
    }
    if (whiteout) {
      Replace(name, whiteout);
    } else {
      Erase(name);
    }
    AddLinks(-moves);
    to.AddLinks(moves);
  }
  source->Touch(false);
  if (target) target->Touch(false);
  Touch(true);
  if (&to != this) to.Touch(true);
  return Ok();
}

ErrnoOr<Ref<File>> TmpfsDir::Open(const OpContext& ctx, const Path& path,
                                  const OpenRequest& request) {
  return MakeRef<TmpfsDirFile>(path, request.flags, Ref<const Credentials>(&ctx.creds));
}

template <typename Add>
void TmpfsDir::List(int64_t from, Add add) {
  auto& map = entries_->by_offset;
  for (auto it = map.lower_bound(from); it != map.end(); ++it) {
    if (!add(*it->second)) return;
  }
}

TmpfsDirFile::TmpfsDirFile(const Path& path, uint32_t flags, Ref<const Credentials> creds)
    : File(path, flags, std::move(creds)), dir_(static_cast<TmpfsDir&>(inode())) {}

Status TmpfsDirFile::ReadDir(const OpContext& ctx, DirSink& sink) {
  Ref<Dentry> parent = path().dentry == path().mount->root() ? path().dentry
                                                             : path().dentry->parent();
  uint64_t parent_ino = TRY(parent->get_inode()->GetAttr()).ino;
  {
    MutexLock l(offset_mu_);
    ReaderLock dl(dir_.dir_mutex);
    if (offset_ == 0) {
      if (!sink.Add(".", dir_.ino(), S_IFDIR, 1)) return Ok();
      offset_ = 1;
    }
    if (offset_ == 1) {
      if (!sink.Add("..", parent_ino, S_IFDIR, kFirstOffset)) return Ok();
      offset_ = kFirstOffset;
    }
    dir_.List(offset_, [&](const TmpfsDir::Entry& e) ABSL_NO_THREAD_SAFETY_ANALYSIS {
      if (!sink.Add(e.name, e.inode->ino(), e.inode->type(), e.offset + 1)) return false;
      offset_ = e.offset + 1;
      return true;
    });
  }
  dir_.Accessed(*this);
  return Ok();
}

ErrnoOr<int64_t> TmpfsDirFile::Seek(int64_t offset, int whence) {
  if (whence != SEEK_SET && whence != SEEK_CUR) return Errno::kInval;
  return File::Seek(offset, whence);
}

}  // namespace runsc
