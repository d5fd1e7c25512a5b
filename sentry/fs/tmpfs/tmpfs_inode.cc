#include "sentry/fs/tmpfs/tmpfs_inode.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/xattr.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "sentry/vfs/dentry.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/special_files.h"
#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

constexpr size_t kMaxXattrBytes = 128 << 10;  // of one inode
constexpr uint64_t kMaxFile = INT64_MAX;
constexpr FileTime kDay = int64_t{86400} * 1000000000;

}  // namespace

TmpfsInode::TmpfsInode(Tmpfs& fs, const InitialOwnership& who)
    : Inode(Ref<Filesystem>(&fs)),
      type_(who.mode & S_IFMT),
      ino_(fs.NextIno()),
      mode_(who.mode & 07777),
      uid_(who.uid),
      gid_(who.gid),
      btime_(CurrentFileTime()) {
  atime_ = mtime_ = ctime_ = btime_;
}

TmpfsInode::~TmpfsInode() { tmpfs().space().PutInode(); }

ErrnoOr<Attr> TmpfsInode::GetAttr() {
  Attr a;
  a.ino = ino_;
  a.dev = fs().dev();
  a.btime = btime_;
  AddSize(a);
  MutexLock l(attr_mu_);
  a.mode = type_ | mode_;
  a.nlink = nlink_;
  a.uid = uid_;
  a.gid = gid_;
  a.rdev = rdev_;
  a.atime = atime_;
  a.mtime = mtime_;
  a.ctime = ctime_;
  return a;
}

Status TmpfsInode::SetAttr(const OpContext& ctx, const AttrChange& change) {
  if (change.size) TRY(Resize(*change.size));
  FileTime now = CurrentFileTime();
  MutexLock l(attr_mu_);
  if (change.mode) mode_ = *change.mode & 07777;
  if (change.uid) uid_ = *change.uid;
  if (change.gid) gid_ = *change.gid;
  if (change.size) mtime_ = now;
  if (change.atime) atime_ = *change.atime;
  if (change.mtime) mtime_ = *change.mtime;
  ChangedLocked(change.ctime.value_or(now));
  return Ok();
}

ErrnoOr<std::string> TmpfsInode::GetXattr(const OpContext& ctx, std::string_view name) {
  MutexLock l(attr_mu_);
  if (!xattrs_) return Errno::kNodata;
  auto it = xattrs_->values.find(name);
  if (it == xattrs_->values.end()) return Errno::kNodata;
  return it->second;
}

Status TmpfsInode::SetXattr(const OpContext& ctx, std::string_view name, std::string_view value,
                            int flags) {
  MutexLock l(attr_mu_);
  if (!xattrs_) xattrs_ = std::make_unique<Xattrs>();
  auto it = xattrs_->values.find(name);
  bool there = it != xattrs_->values.end();
  if (there && (flags & XATTR_CREATE) != 0) return Errno::kExist;
  if (!there && (flags & XATTR_REPLACE) != 0) return Errno::kNodata;
  size_t old = there ? name.size() + it->second.size() : 0;
  size_t bytes = xattrs_->bytes - old + name.size() + value.size();
  if (bytes > kMaxXattrBytes) return Errno::kNospc;
  xattrs_->bytes = bytes;
  if (there) {
    it->second = value;
  } else {
    xattrs_->values.emplace(name, value);
  }
  ChangedLocked(CurrentFileTime());
  return Ok();
}

Status TmpfsInode::RemoveXattr(const OpContext& ctx, std::string_view name) {
  MutexLock l(attr_mu_);
  if (!xattrs_) return Errno::kNodata;
  auto it = xattrs_->values.find(name);
  if (it == xattrs_->values.end()) return Errno::kNodata;
  xattrs_->bytes -= name.size() + it->second.size();
  xattrs_->values.erase(it);
  ChangedLocked(CurrentFileTime());
  return Ok();
}

ErrnoOr<std::vector<std::string>> TmpfsInode::ListXattr(const OpContext& ctx) {
  std::vector<std::string> names;
  MutexLock l(attr_mu_);
  if (xattrs_) {
    for (const auto& [name, value] : xattrs_->values) names.push_back(name);
  }
  return names;
}

ErrnoOr<Ref<File>> TmpfsInode::Open(const OpContext& ctx, const Path& path,
                                    const OpenRequest& request) {
  DeviceId dev;
  {
    MutexLock l(attr_mu_);
    dev = rdev_;
  }
  return OpenSpecial(ctx, path, request, dev);
}

void TmpfsInode::AddLinks(int n) {
  FileTime now = CurrentFileTime();
  MutexLock l(attr_mu_);
  nlink_ += static_cast<uint32_t>(n);
  ChangedLocked(now);
}

uint32_t TmpfsInode::nlink() {
  MutexLock l(attr_mu_);
  return nlink_;
}

void TmpfsInode::SetNlink(uint32_t n) {
  MutexLock l(attr_mu_);
  nlink_ = n;
}

bool TmpfsInode::CanLink() { return linkable_ || nlink() != 0; }

void TmpfsInode::SetRdev(DeviceId dev) {
  MutexLock l(attr_mu_);
  rdev_ = dev;
}

void TmpfsInode::Touch(bool modified) {
  FileTime now = CurrentFileTime();
  MutexLock l(attr_mu_);
  ChangedLocked(now);
  if (modified) mtime_ = now;
}

void TmpfsInode::ChangedLocked(FileTime now) {
  ctime_ = now;
  atime_fresh_.store(false, std::memory_order_relaxed);
}

void TmpfsInode::Accessed(const File& file) {
  if (atime_fresh_.load(std::memory_order_relaxed)) return;
  uint32_t flags = file.path().mount->flags();
  if ((flags & MS_NOATIME) != 0 || (file.flags() & O_NOATIME) != 0) return;
  if ((flags & (MS_NODIRATIME)) != 0 && IsDir()) return;
  FileTime now = CurrentFileTime();
  MutexLock l(attr_mu_);
  bool strict = (flags & MS_STRICTATIME) != 0;
  if (strict || atime_ <= mtime_ || atime_ <= ctime_ || now - atime_ >= kDay) atime_ = now;
  if (!strict && atime_ > mtime_ && atime_ > ctime_) {
    atime_fresh_.store(true, std::memory_order_relaxed);
  }
}

TmpfsRegular::TmpfsRegular(Tmpfs& fs, const InitialOwnership& who)
    : TmpfsInode(fs, who),
      pages_(MakeRef<TmpfsPages>(fs.memory(), Ref<TmpfsSpace>(&fs.space()))) {}

void TmpfsRegular::AddSize(Attr& attr) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  attr.size = pages_->size();
  attr.blocks = pages_->page_count() * (kPageSize / 512);
}

ErrnoOr<Ref<File>> TmpfsRegular::Open(const OpContext& ctx, const Path& path,
                                      const OpenRequest& request) {
  return MakeRef<TmpfsFile>(path, request.flags, Ref<const Credentials>(&ctx.creds));
}

ErrnoOr<size_t> TmpfsRegular::Read(UserOut& dst, uint64_t offset) {
  ReaderLock l(io_mu_);
  return pages_->Read(dst, offset);
}

ErrnoOr<size_t> TmpfsRegular::Write(UserIn& src, uint64_t offset, bool append, uint64_t* end) {
  WriterLock l(io_mu_);
  uint64_t size = pages_->size();
  if (append) offset = size;
  if (src.remaining() == 0) {
    *end = offset;
    return size_t{0};
  }
  if (offset >= kMaxFile) return Errno::kFbig;
  if (src.remaining() > kMaxFile - offset) src.Truncate(kMaxFile - offset);
  uint32_t seals = pages_->seals();
  if ((seals & (F_SEAL_WRITE | 0x10 | F_SEAL_GROW)) != 0) [[unlikely]] {
    if ((seals & (F_SEAL_WRITE | 0x10)) != 0) return Errno::kPerm;
    if (offset + src.remaining() > size) {
      if (offset >= size) return Errno::kPerm;
      src.Truncate(size - offset);
    }
  }
  size_t n = TRY(pages_->Write(src, offset));
  *end = offset + n;
  return n;
}

Status TmpfsRegular::Resize(uint64_t size) {
  if (size > kMaxFile) return Errno::kFbig;
  WriterLock l(io_mu_);
  uint32_t seals = pages_->seals();
  if ((seals & F_SEAL_SHRINK) != 0 && size < pages_->size()) return Errno::kPerm;
  if ((seals & F_SEAL_GROW) != 0 && size > pages_->size()) return Errno::kPerm;
  pages_->Truncate(size);
  return Ok();
}

Status TmpfsRegular::Allocate(int mode, uint64_t offset, uint64_t length) {
  if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) != 0) return Errno::kOpnotsupp;
  {
    WriterLock l(io_mu_);
    uint32_t seals = pages_->seals();
    if ((mode & FALLOC_FL_PUNCH_HOLE) != 0) {
      if ((seals & (F_SEAL_WRITE | 0x10)) != 0) return Errno::kPerm;
      pages_->Punch(offset, offset + length);
    } else {
      bool grows = (mode & FALLOC_FL_KEEP_SIZE) == 0 && offset + length > pages_->size();
      if ((seals & F_SEAL_GROW) != 0 && grows) return Errno::kPerm;
      TRY(pages_->Reserve(offset, length, (mode & FALLOC_FL_KEEP_SIZE) != 0));
    }
  }
  Touch(true);
  return Ok();
}

ErrnoOr<uint64_t> TmpfsRegular::SeekData(uint64_t offset, bool hole) {
  ReaderLock l(io_mu_);
  return pages_->Seek(offset, hole);
}

TmpfsFile::TmpfsFile(const Path& path, uint32_t flags, Ref<const Credentials> creds)
    : File(path, flags, std::move(creds)), regular_(static_cast<TmpfsRegular&>(inode())) {}

ErrnoOr<size_t> TmpfsFile::ReadAt(IoContext& io, UserOut& dst, uint64_t offset) {
  size_t n = TRY(regular_.Read(dst, offset));
  regular_.Accessed(*this);
  return n;
}

ErrnoOr<size_t> TmpfsFile::WriteAt(IoContext& io, UserIn& src, uint64_t offset,
                                   uint64_t* end_offset) {
  size_t n = TRY(regular_.Write(src, offset, io.append, end_offset));
  if (n != 0) regular_.Touch(true);
  return n;
}

ErrnoOr<uint64_t> TmpfsFile::SeekData(uint64_t offset, bool hole) {
  return regular_.SeekData(offset, hole);
}

Status TmpfsFile::Allocate(const OpContext& ctx, int mode, uint64_t offset, uint64_t length) {
  return regular_.Allocate(mode, offset, length);
}

ErrnoOr<Ref<Mappable>> TmpfsFile::Map(bool shared, Access access) {
  TmpfsPages& pages = regular_.pages();
  if (!pages.HasIdentity()) {
    DeviceId dev = DecodeDevice(regular_.fs().dev());
    pages.SetIdentity({dev, regular_.ino(), vfs::PathName(path(), Path())});
  }
  return regular_.mappable();
}

TmpfsNode::TmpfsNode(Tmpfs& fs, const InitialOwnership& who, std::string target)
    : TmpfsInode(fs, who), target_(std::move(target)) {}

ErrnoOr<std::string> TmpfsNode::Readlink(const OpContext& ctx) {
  if (!IsSymlink()) return Errno::kInval;
  return target_;
}

}  // namespace runsc
