#include "sentry/fs/synthetic/synthetic.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "sentry/vfs/dentry.h"

namespace runsc {
namespace {

class SyntheticDirFile final : public File {
 public:
  SyntheticDirFile(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<SyntheticDir> dir)
      : File(std::move(path), flags, std::move(creds)), dir_(std::move(dir)) {}

  Status ReadDir(const OpContext& ctx, DirSink& sink) override {
    MutexLock l(offset_mu_);
    if (offset_ == 0 || !listed_) Relist(ctx);
    while (offset_ >= 0 && static_cast<size_t>(offset_) < entries_.size()) {
      const SyntheticEntry& e = entries_[static_cast<size_t>(offset_)];
      if (!sink.Add(e.name, e.ino, e.type, offset_ + 1)) return Ok();
      ++offset_;
    }
    return Ok();
  }
  Status Sync(bool) override { return Ok(); }

 private:
  void Relist(const OpContext& ctx) ABSL_EXCLUSIVE_LOCKS_REQUIRED(offset_mu_) {
    entries_.clear();
    entries_.push_back({".", dir_->ino(), S_IFDIR});
    Ref<Dentry> parent = path().dentry->parent();
    ErrnoOr<Attr> attr = parent && parent->inode() ? parent->inode()->GetAttr() : Errno::kNoent;
    entries_.push_back({"..", attr.ok() ? attr->ino : dir_->ino(), S_IFDIR});
    for (SyntheticEntry& e : dir_->List(ctx)) entries_.push_back(std::move(e));
    listed_ = true;
  }

  const Ref<SyntheticDir> dir_;
  bool listed_ ABSL_GUARDED_BY(offset_mu_) = false;
  std::vector<SyntheticEntry> entries_ ABSL_GUARDED_BY(offset_mu_);
};

class TextFile final : public File {
 public:
  TextFile(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<TextInode> inode)
      : File(std::move(path), flags, std::move(creds)), text_inode_(std::move(inode)) {}

  // Texts are made with no lock held, not even the offset's: one may ask about any object of the
  // kernel, such as this description (/proc/self/fdinfo/N read through N).
  ErrnoOr<size_t> Read(IoContext& io, UserOut& dst) override {
    TRY(Refresh(io, static_cast<uint64_t>(offset())));
    MutexLock l(offset_mu_);
    size_t n = TRY(Copy(dst, static_cast<uint64_t>(offset_)));
    offset_ += static_cast<int64_t>(n);
    return n;
  }
  ErrnoOr<size_t> ReadAt(IoContext& io, UserOut& dst, uint64_t offset) override {
    TRY(Refresh(io, offset));
    return Copy(dst, offset);
  }
  ErrnoOr<size_t> WriteAt(IoContext& io, UserIn& src, uint64_t, uint64_t* end_offset) override {
    std::string text(std::min<size_t>(src.remaining(), kPageSize), '\0');
    text.resize(TRY(src.Read(text.data(), text.size())));
    TRY(text_inode_->Store(OpContext{io.creds, io.task}, text));
    *end_offset = text.size();
    return text.size();
  }
  // Truncation at open has no meaning for made-up text.
  Status Truncate(const OpContext&, uint64_t) override { return Ok(); }
  Status Sync(bool) override { return Ok(); }

 private:
  bool HasText() {
    MutexLock l(text_mu_);
    return text_.has_value();
  }
  Status Refresh(IoContext& io, uint64_t offset) {
    if (offset != 0 && HasText()) return Ok();
    std::string fresh = TRY(text_inode_->Text(OpContext{io.creds, io.task}));
    MutexLock l(text_mu_);
    text_ = std::move(fresh);
    return Ok();
  }
  ErrnoOr<size_t> Copy(UserOut& dst, uint64_t offset) {
    MutexLock l(text_mu_);
    if (!text_ || offset >= text_->size()) return size_t{0};
    return dst.Write(text_->data() + offset, text_->size() - offset);
  }

  const Ref<TextInode> text_inode_;
  Mutex<LockRank::kSyntheticText> text_mu_;
  std::optional<std::string> text_ ABSL_GUARDED_BY(text_mu_);
};

}  // namespace

uint64_t NextSyntheticIno() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

SyntheticInode::SyntheticInode(Ref<Filesystem> fs, uint32_t mode, Uid uid, Gid gid, uint64_t ino)
    : Inode(std::move(fs)),
      mode_(mode),
      uid_(uid),
      gid_(gid),
      ino_(ino != 0 ? ino : NextSyntheticIno()),
      born_(CurrentFileTime()) {}

ErrnoOr<Attr> SyntheticInode::GetAttr() {
  Attr attr;
  attr.ino = ino_;
  attr.dev = fs().dev();
  attr.mode = mode_;
  attr.nlink = IsDir() ? 2 : 1;
  attr.uid = uid_;
  attr.gid = gid_;
  attr.blksize = 1024;
  attr.atime = attr.mtime = attr.ctime = attr.btime = born_;
  return attr;
}

// open(O_TRUNC) reaches here with a size, which made-up text ignores; the rest is not ours to keep.
Status SyntheticInode::SetAttr(const OpContext&, const AttrChange& change) {
  bool size_only = change.size && !change.mode && !change.uid && !change.gid;
  return size_only && IsRegular() ? Ok() : Status(Errno::kPerm);
}

ErrnoOr<Ref<File>> SyntheticDir::Open(const OpContext& ctx, const Path& path,
                                      const OpenRequest& request) {
  return Ref<File>(MakeRef<SyntheticDirFile>(path, request.flags,
                                             Ref<const Credentials>(&ctx.creds),
                                             Ref<SyntheticDir>(this)));
}

void StaticDir::Add(std::string name, Ref<SyntheticInode> child) {
  children_[std::move(name)] = std::move(child);
}

ErrnoOr<Ref<Inode>> StaticDir::Lookup(std::string_view name) {
  auto it = children_.find(name);
  if (it == children_.end()) return Errno::kNoent;
  return Ref<Inode>(it->second);
}

std::vector<SyntheticEntry> StaticDir::List(const OpContext&) {
  std::vector<SyntheticEntry> out;
  for (const auto& [name, child] : children_) out.push_back({name, child->ino(), child->type()});
  return out;
}

Status TextInode::Store(const OpContext&, std::string_view) { return Errno::kIo; }

ErrnoOr<Ref<File>> TextInode::Open(const OpContext& ctx, const Path& path,
                                   const OpenRequest& request) {
  return Ref<File>(MakeRef<TextFile>(path, request.flags, Ref<const Credentials>(&ctx.creds),
                                     Ref<TextInode>(this)));
}

}  // namespace runsc
