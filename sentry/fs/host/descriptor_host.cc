#include "sentry/fs/host/descriptor.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "sentry/fs/host/poller.h"
#include "sentry/vfs/file_time.h"

namespace runsc::host_fs {
namespace {

Errno Last() { return static_cast<Errno>(errno); }

FileTime Nanos(const timespec& t) { return ClampedFileTime(t.tv_sec, t.tv_nsec); }

// How a transfer is kept from sleeping.
enum class Means {
  kPlain,    // it cannot sleep, or the host's description is non-blocking
  kNoWait,   // RWF_NOWAIT
  kMessage,  // a socket: MSG_DONTWAIT
};

// Room there surely is when poll(2) says that a terminal can be written to.
constexpr size_t kTerminalRoom = 512;

// Moves data by one host call.
class HostSink : public PieceSink {
 public:
  HostSink(int fd, bool write, int64_t offset, Means means)
      : fd_(fd), write_(write), offset_(offset), means_(means) {}
  ErrnoOr<size_t> OnPieces(const iovec* pieces, int count) override {
    count = std::min(count, IOV_MAX);
    ssize_t n;
    do {
      n = means_ == Means::kMessage ? Message(pieces, count) : Vector(pieces, count);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return Last();
    return static_cast<size_t>(n);
  }

 private:
  ssize_t Vector(const iovec* pieces, int count) {
    int flags = means_ == Means::kNoWait ? RWF_NOWAIT : 0;
    return write_ ? pwritev2(fd_, pieces, count, offset_, flags)
                  : preadv2(fd_, pieces, count, offset_, flags);
  }
  ssize_t Message(const iovec* pieces, int count) {
    msghdr m{};
    m.msg_iov = const_cast<iovec*>(pieces);
    m.msg_iovlen = static_cast<size_t>(count);
    return write_ ? sendmsg(fd_, &m, MSG_DONTWAIT | MSG_NOSIGNAL) : recvmsg(fd_, &m, MSG_DONTWAIT);
  }

  const int fd_;
  const bool write_;
  const int64_t offset_;
  const Means means_;
};

}  // namespace

Descriptor::Descriptor(Fd fd, uint32_t mode, uint32_t access)
    : fd_(std::move(fd)), mode_(mode), access_(access) {}

Descriptor::~Descriptor() {
  if (watch_id_ != 0) Poller::Get()->Remove(this);
}

ErrnoOr<Ref<Descriptor>> Descriptor::New(Fd fd) {
  struct stat st{};
  if (fstat(fd.get(), &st) < 0) return Last();
  if (S_ISDIR(st.st_mode)) return Errno::kIsdir;
  int flags = fcntl(fd.get(), F_GETFL);
  if (flags < 0) return Last();
  auto d = Ref<Descriptor>::Adopt(new Descriptor(
      std::move(fd), st.st_mode, static_cast<uint32_t>(flags & (O_ACCMODE | O_APPEND))));
  // RWF_NOWAIT is for pipes; terminals do not have it.
  d->nowait_ = S_ISFIFO(st.st_mode);
  d->nonblocking_ = (flags & O_NONBLOCK) != 0;
  d->seekable_ = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
  d->device_ = {major(st.st_rdev), minor(st.st_rdev)};
  termios settings;
  d->terminal_ = S_ISCHR(st.st_mode) && tcgetattr(d->fd(), &settings) == 0;
  if (!d->seekable_) {
    Poller* poller = Poller::Get();
    if (poller == nullptr) return Errno::kAgain;
    d->watch_id_ = poller->Add(d.get());
  }
  return d;
}

EventMask Descriptor::Ready(EventMask mask) {
  if (watch_id_ == 0) return mask & (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
  pollfd p{fd(), static_cast<short>(mask), 0};
  if (poll(&p, 1, 0) < 0) return 0;
  return static_cast<EventMask>(static_cast<unsigned short>(p.revents));
}

void Descriptor::Watch() {
  if (watch_id_ != 0 && !armed_.exchange(true)) Poller::Get()->Arm(this, true);
}

void Descriptor::Tell(EventMask events) {
  queue_.Notify(events);
  if (S_ISSOCK(mode_) && (events & EPOLLHUP) != 0) {
    async_.Notify(IoEvent::kHangup);
  } else if ((events & (EPOLLIN | EPOLLHUP)) != 0) {
    async_.Notify(IoEvent::kIn);
  }
  if ((events & (EPOLLOUT | EPOLLERR)) != 0 && short_.exchange(false)) {
    async_.Notify(IoEvent::kOut);
  }
}

// `move(limit, sink)` transfers up to that many bytes, and so many surely do not sleep once poll(2)
// says `ready`.
template <typename Move>
ErrnoOr<size_t> Descriptor::Once(bool write, int64_t offset, size_t surely, Move move) {
  Means means = Means::kPlain;
  if (S_ISSOCK(mode_)) {
    means = Means::kMessage;
  } else if (watch_id_ != 0 && !nonblocking_) {
    means = Means::kNoWait;
  }
  if (means != Means::kNoWait || nowait_.load(std::memory_order_relaxed)) {
    HostSink sink(fd(), write, offset, means);
    ErrnoOr<size_t> n = move(kMaxTransfer, sink);
    if (n.ok() || means != Means::kNoWait || n.error() != Errno::kOpnotsupp) return n;
    nowait_.store(false, std::memory_order_relaxed);
  }
  if (Ready(write ? POLLOUT : POLLIN) == 0) return Errno::kWouldBlock;
  HostSink sink(fd(), write, offset, Means::kPlain);
  return move(surely, sink);
}

ErrnoOr<size_t> Descriptor::ReadOnce(UserOut& dst, int64_t offset) {
  if (dst.remaining() == 0) return size_t{0};
  return Once(false, offset, kMaxTransfer,
              [&](size_t limit, HostSink& sink) { return dst.Fill(limit, sink); });
}

ErrnoOr<size_t> Descriptor::WriteOnce(UserIn& src, int64_t offset) {
  if (src.remaining() == 0) return size_t{0};
  // A pipe that is ready has room for a page.
  return Once(true, offset, terminal_ ? kTerminalRoom : PIPE_BUF,
              [&](size_t limit, HostSink& sink) { return src.Drain(limit, sink); });
}

// One transfer moves one piece of guest memory; a regular file takes or gives all pieces at once.
ErrnoOr<size_t> Descriptor::Read(UserOut& dst, int64_t offset) {
  size_t total = 0;
  do {
    const int64_t at = offset < 0 ? offset : offset + static_cast<int64_t>(total);
    ErrnoOr<size_t> n = ReadOnce(dst, at);
    if (!n.ok()) return total != 0 ? ErrnoOr<size_t>(total) : n;
    total += *n;
    if (*n == 0) break;
  } while (S_ISREG(mode_) && dst.remaining() > 0);
  return total;
}

ErrnoOr<size_t> Descriptor::Write(UserIn& src, int64_t offset) {
  size_t total = 0;
  do {
    const int64_t at = offset < 0 ? offset : offset + static_cast<int64_t>(total);
    ErrnoOr<size_t> n = WriteOnce(src, at);
    if (n.ok() ? src.remaining() > 0 : n.error() == Errno::kWouldBlock) short_.store(true);
    if (!n.ok()) return total != 0 ? ErrnoOr<size_t>(total) : n;
    total += *n;
    if (*n == 0) break;
  } while (S_ISREG(mode_) && src.remaining() > 0);
  return total;
}

ErrnoOr<int64_t> Descriptor::Seek(int64_t offset, int whence) {
  off_t at = lseek(fd(), offset, whence);
  if (at < 0) return Last();
  return int64_t{at};
}

ErrnoOr<Attr> Descriptor::GetAttr() {
  struct stat st{};
  if (fstat(fd(), &st) < 0) return Last();
  Attr a;
  a.ino = st.st_ino;
  a.mode = st.st_mode;
  a.nlink = static_cast<uint32_t>(st.st_nlink);
  a.rdev = device_;
  a.size = static_cast<uint64_t>(st.st_size);
  a.blocks = static_cast<uint64_t>(st.st_blocks);
  a.blksize = static_cast<uint32_t>(st.st_blksize);
  a.atime = Nanos(st.st_atim);
  a.mtime = Nanos(st.st_mtim);
  a.ctime = Nanos(st.st_ctim);
  return a;
}

Status Descriptor::Truncate(uint64_t size) {
  return ftruncate(fd(), static_cast<off_t>(size)) < 0 ? Status(Last()) : Ok();
}

Status Descriptor::Sync(bool data_only) {
  return (data_only ? fdatasync(fd()) : fsync(fd())) < 0 ? Status(Last()) : Ok();
}

Status Descriptor::Ioctl(unsigned long command, void* arg) {
  return ioctl(fd(), command, arg) < 0 ? Status(Last()) : Ok();
}

Status Descriptor::IoctlValue(unsigned long command, unsigned long arg) {
  return ioctl(fd(), command, arg) < 0 ? Status(Last()) : Ok();
}

}  // namespace runsc::host_fs
