#include "sentry/fs/gofer/gofer_data.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

namespace runsc {
namespace {

// What of a file is mapped into the sentry at a time: few mappings even for large files, and
// address space is plenty.
constexpr uint64_t kWindow = 8 << 20;

Errno HostError() {
  switch (errno) {
    case 0:
    case EAGAIN:  // would make the caller wait for something that never comes
    case EINTR:
    case EBADF:  // ours, not the guest's
      return Errno::kIo;
    default: return static_cast<Errno>(errno);
  }
}

// Moves bytes between pieces and a descriptor; notes when the host gave less than asked.
class FileSink : public PieceSink {
 public:
  FileSink(int fd, uint64_t offset, bool write) : fd_(fd), offset_(offset), write_(write) {}

  ErrnoOr<size_t> OnPieces(const iovec* pieces, int count) override {
    count = std::min(count, IOV_MAX);
    size_t want = 0;
    for (int i = 0; i < count; ++i) want += pieces[i].iov_len;
    ssize_t n = 0;
    do {
      off_t at = static_cast<off_t>(offset_);
      n = write_ ? pwritev(fd_, pieces, count, at) : preadv(fd_, pieces, count, at);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return HostError();
    offset_ += static_cast<size_t>(n);
    short_ = static_cast<size_t>(n) < want;
    return static_cast<size_t>(n);
  }
  bool was_short() const { return short_; }

 private:
  const int fd_;
  uint64_t offset_;
  const bool write_;
  bool short_ = false;
};

// Runs `step` until it is done, short or fails; bytes moved before a failure count.
template <typename Step>
ErrnoOr<size_t> MoveAll(const UserPieces& pieces, const FileSink& sink, Step step) {
  size_t total = 0;
  while (pieces.remaining() > 0) {
    ErrnoOr<size_t> n = step();
    if (!n.ok() && total == 0) return n.error();
    if (!n.ok() || *n == 0) break;
    total += *n;
    if (sink.was_short()) break;
  }
  return total;
}

gofer::Time ToTime(const timespec& t) {
  return {t.tv_sec, static_cast<uint32_t>(t.tv_nsec), 0};
}

}  // namespace

ErrnoOr<size_t> HostFile::Read(UserOut& dst, uint64_t offset) const {
  if (offset > INT64_MAX) return Errno::kInval;
  FileSink sink(fd(), offset, false);
  return MoveAll(dst, sink, [&] { return dst.Fill(dst.remaining(), sink); });
}

ErrnoOr<size_t> HostFile::Write(UserIn& src, uint64_t offset) const {
  if (offset > INT64_MAX - src.remaining()) return Errno::kFbig;
  FileSink sink(fd(), offset, true);
  return MoveAll(src, sink, [&] { return src.Drain(src.remaining(), sink); });
}

ErrnoOr<uint64_t> HostFile::SeekData(uint64_t offset, bool hole) const {
  if (offset > INT64_MAX) return Errno::kNxio;
  off_t at = lseek(fd(), static_cast<off_t>(offset), hole ? SEEK_HOLE : SEEK_DATA);
  if (at < 0) return HostError();
  return static_cast<uint64_t>(at);
}

Status HostFile::Truncate(uint64_t size) const {
  if (size > INT64_MAX) return Errno::kFbig;
  if (ftruncate(fd(), static_cast<off_t>(size)) != 0) return HostError();
  return Ok();
}

Status HostFile::Allocate(int mode, uint64_t offset, uint64_t length) const {
  if (offset > INT64_MAX || length > INT64_MAX - offset) return Errno::kFbig;
  int result = 0;
  do {
    result = fallocate(fd(), mode, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (result != 0 && errno == EINTR);
  if (result != 0) return HostError();
  return Ok();
}

Status HostFile::Sync(bool data_only) const {
  if ((data_only ? fdatasync(fd()) : fsync(fd())) != 0) return HostError();
  return Ok();
}

ErrnoOr<uint64_t> HostFile::Size() const {
  struct stat st{};
  if (fstat(fd(), &st) != 0) return HostError();
  return static_cast<uint64_t>(st.st_size);
}

Status HostFile::Stat(gofer::Attr* attr) const {
  struct stat st{};
  if (fstat(fd(), &st) != 0) return HostError();
  attr->mode = st.st_mode;
  attr->nlink = static_cast<uint32_t>(st.st_nlink);
  attr->uid = st.st_uid;
  attr->gid = st.st_gid;
  attr->size = static_cast<uint64_t>(st.st_size);
  attr->blocks = static_cast<uint64_t>(st.st_blocks);
  attr->block_size = static_cast<uint32_t>(st.st_blksize);
  attr->atime = ToTime(st.st_atim);
  attr->mtime = ToTime(st.st_mtim);
  attr->ctime = ToTime(st.st_ctim);
  return Ok();
}

GoferData::~GoferData() {
  for (auto& [index, window] : windows_) munmap(window.base, kWindow);
}

Ref<HostFile> GoferData::Get(bool writable) {
  MutexLock l(mu_);
  if (writable || writer_) return writer_;
  return reader_;
}

void GoferData::Set(Ref<HostFile> file) {
  MutexLock l(mu_);
  Ref<HostFile>& slot = file->writable() ? writer_ : reader_;
  // One that is there stays: its number may be on the way to the platform.
  if (!slot) slot = std::move(file);
}

bool GoferData::Forget() {
  if (!mappings_.empty()) return false;
  Ref<HostFile> reader;
  Ref<HostFile> writer;
  MutexLock l(mu_);
  reader = std::move(reader_);
  writer = std::move(writer_);
  return true;
}

void GoferData::Truncated(uint64_t size) {
  mappings_.Invalidate(this, PageUp(size), UINT64_MAX, true);
}

void GoferData::SetName(std::string name) {
  MutexLock l(mu_);
  identity_.name = std::move(name);
}

ErrnoOr<GoferData::Window> GoferData::WindowLocked(uint64_t index, const HostFile& file,
                                                   bool writable) {
  Window& w = windows_[index];
  if (w.base != nullptr && (w.writable || !writable)) return w;
  int prot = PROT_READ | (writable ? PROT_WRITE : 0);
  // A window that becomes writable stays where it is: its address has been handed out.
  int flags = MAP_SHARED | (w.base != nullptr ? MAP_FIXED : 0);
  void* p = mmap(w.base, kWindow, prot, flags, file.fd(), static_cast<off_t>(index * kWindow));
  if (p == MAP_FAILED) {
    if (w.base == nullptr) windows_.erase(index);
    return Errno::kNomem;
  }
  w = {static_cast<char*>(p), writable};
  return w;
}

ErrnoOr<Backing> GoferData::Translate(uint64_t offset, uint64_t length, Access want) {
  MutexLock l(mu_);
  const Ref<HostFile>& file = want.write || writer_ ? writer_ : reader_;
  if (!file) return Errno::kIo;
  uint64_t size = PageUp(TRY(file->Size()));
  if (offset >= size) return Errno::kNxio;
  uint64_t index = offset / kWindow;
  uint64_t in_window = offset % kWindow;
  Window window = TRY(WindowLocked(index, *file, want.write));
  Backing b;
  b.fd = file->fd();
  b.offset = offset;
  b.length = std::min({std::max(length, kPageSize), size - offset, kWindow - in_window});
  b.sentry = window.base + in_window;
  b.writable = want.write;
  return b;
}

Status GoferData::AddMapping(MappingSpace* space, AddrRange range, uint64_t offset,
                             bool writable) {
  mappings_.Add(space, range, writable);
  if (writable) was_mapped_writable_ = true;
  return Ok();
}

void GoferData::RemoveMapping(MappingSpace* space, AddrRange range, uint64_t offset,
                              bool writable) {
  mappings_.Remove(space, range, writable);
}

Status GoferData::SyncMapped(uint64_t start, uint64_t end) {
  Ref<HostFile> file = Get(true);
  // Nobody could write through a mapping without it.
  return file ? file->Sync(true) : Ok();
}

Status GoferData::PunchHole(uint64_t start, uint64_t end) {
  Ref<HostFile> file = Get(true);
  if (!file) return Errno::kAcces;
  return file->Allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, end - start);
}

Mappable::Identity GoferData::MappedIdentity() {
  MutexLock l(mu_);
  return identity_;
}

}  // namespace runsc
