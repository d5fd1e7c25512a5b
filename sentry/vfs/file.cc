#include "sentry/vfs/file.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sentry/vfs/dentry.h"
#include "sentry/vfs/file_locks.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

uint64_t NextFileId() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

bool OpensForReading(uint32_t flags) {
  uint32_t mode = flags & O_ACCMODE;
  return (flags & O_PATH) == 0 && (mode == O_RDONLY || mode == O_RDWR);
}

bool OpensForWriting(uint32_t flags) {
  uint32_t mode = flags & O_ACCMODE;
  return (flags & O_PATH) == 0 && (mode == O_WRONLY || mode == O_RDWR);
}

}  // namespace

File::File(Path path, uint32_t flags, Ref<const Credentials> creds)
    : path_(std::move(path)),
      inode_(path_.dentry->inode()),
      creds_(std::move(creds)),
      readable_(OpensForReading(flags)),
      writable_(OpensForWriting(flags)),
      path_only_((flags & O_PATH) != 0),
      id_(NextFileId()),
      flags_(flags & ~static_cast<uint32_t>(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC)) {}

File::~File() {
  if (!path_only_) {
    inode_->ReleaseFileLocks(id_);
    vfs::NotifyClosed(*this);
  }
  if (counts_as_writer_) inode_->PutWriteAccess();
}

void File::SetFlags(uint32_t mask, uint32_t value) {
  uint32_t old = flags_.load(std::memory_order_relaxed);
  while (!flags_.compare_exchange_weak(old, (old & ~mask) | (value & mask))) {
  }
}

bool File::nonblock() const { return (flags() & O_NONBLOCK) != 0; }

ErrnoOr<size_t> File::Read(IoContext& io, UserOut& dst) {
  MutexLock l(offset_mu_);
  size_t n = TRY(ReadAt(io, dst, static_cast<uint64_t>(offset_)));
  offset_ += static_cast<int64_t>(n);
  return n;
}

ErrnoOr<size_t> File::Write(IoContext& io, UserIn& src) {
  MutexLock l(offset_mu_);
  uint64_t end = 0;
  size_t n = TRY(WriteAt(io, src, static_cast<uint64_t>(offset_), &end));
  offset_ = io.append ? static_cast<int64_t>(end) : offset_ + static_cast<int64_t>(n);
  return n;
}

ErrnoOr<size_t> File::ReadAt(IoContext& io, UserOut& dst, uint64_t offset) {
  return inode_->IsDir() ? Errno::kIsdir : seekable() ? Errno::kInval : Errno::kSpipe;
}

ErrnoOr<size_t> File::WriteAt(IoContext& io, UserIn& src, uint64_t offset, uint64_t* end_offset) {
  return seekable() ? Errno::kInval : Errno::kSpipe;
}

ErrnoOr<int64_t> File::Seek(int64_t offset, int whence) {
  if (!seekable()) return Errno::kSpipe;
  MutexLock l(offset_mu_);
  int64_t base = 0;
  switch (whence) {
    case SEEK_SET:
      break;
    case SEEK_CUR:
      base = offset_;
      break;
    case SEEK_END:
      base = static_cast<int64_t>(TRY(inode_->GetAttr()).size);
      break;
    case SEEK_DATA:
    case SEEK_HOLE:
      if (offset < 0) return Errno::kNxio;
      offset_ = static_cast<int64_t>(
          TRY(SeekData(static_cast<uint64_t>(offset), whence == SEEK_HOLE)));
      return offset_;
    default:
      return Errno::kInval;
  }
  int64_t to;
  if (__builtin_add_overflow(base, offset, &to)) return Errno::kOverflow;
  if (to < 0) return Errno::kInval;
  offset_ = to;
  return to;
}

ErrnoOr<uint64_t> File::SeekData(uint64_t offset, bool hole) {
  uint64_t size = TRY(inode_->GetAttr()).size;
  if (offset >= size) return Errno::kNxio;
  return hole ? size : offset;
}

Status File::ReadDir(const OpContext& ctx, DirSink& sink) { return Errno::kNotdir; }
Status File::Sync(bool data_only) { return Errno::kInval; }

Status File::Allocate(const OpContext& ctx, int mode, uint64_t offset, uint64_t length) {
  if (inode_->type() == S_IFIFO) return Errno::kSpipe;
  if (inode_->IsDir()) return Errno::kIsdir;
  return inode_->IsRegular() ? Errno::kOpnotsupp : Errno::kNodev;
}

Status File::Truncate(const OpContext& ctx, uint64_t size) {
  if (!inode_->IsRegular()) return Errno::kInval;
  AttrChange change;
  change.size = size;
  return inode_->SetAttr(ctx, change);
}

ErrnoOr<int64_t> File::Ioctl(IoContext& io, const IoctlRequest& request) { return Errno::kNotty; }
ErrnoOr<Ref<Mappable>> File::Map(bool shared, Access access) { return Errno::kNodev; }

EventMask File::Poll(EventMask mask) {
  return mask & (EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM);
}

int64_t File::offset() {
  MutexLock l(offset_mu_);
  return offset_;
}

void File::SetOffset(int64_t offset) {
  MutexLock l(offset_mu_);
  offset_ = offset;
}

}  // namespace runsc
