#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "sentry/kernel/task_state.h"
#include "sentry/net/socket.h"
#include "syscalls/dispatch/blocking.h"
#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

constexpr uint32_t kReadFlags = RWF_HIPRI | RWF_NOWAIT;
constexpr uint32_t kWriteFlags =
    RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | 0x20 /* RWF_NOAPPEND */;
constexpr uint32_t kNoAppend = 0x20;
constexpr size_t kLongWrite = 64 << 10;

// Pipes, sockets and terminals take a write in several pieces; write(2) goes on until all is in.
bool TakesPieces(File& file) {
  uint32_t type = file.inode().type();
  return type == S_IFIFO || type == S_IFSOCK || type == S_IFCHR;
}

Status SyncAfter(File& file, uint32_t flags) {
  uint32_t status = file.flags();
  bool all = (flags & RWF_SYNC) != 0 || (status & O_SYNC) == O_SYNC;
  bool data = all || (flags & RWF_DSYNC) != 0 || (status & O_DSYNC) != 0;
  if (!data || !file.inode().IsRegular()) return Ok();
  return file.Sync(!all);
}

Status LimitRegularWrite(Task& t, File& file, UserIn& src, int64_t offset, bool append) {
  TRY(vfs::PrepareWrite(t.op(), file));
  if (t.Limit(RLIMIT_FSIZE) == RLIM_INFINITY) return Ok();
  uint64_t at = static_cast<uint64_t>(offset >= 0 ? offset : file.offset());
  if (append) at = TRY(file.inode().GetAttr()).size;
  src.Truncate(TRY(ClampToFileLimit(t, at, src.remaining())));
  return Ok();
}

ErrnoOr<size_t> WriteOnce(File& file, IoContext& io, UserIn& src, int64_t offset) {
  if (offset < 0) return file.Write(io, src);
  uint64_t end = 0;
  return file.WriteAt(io, src, static_cast<uint64_t>(offset), &end);
}

// By SO_RCVTIMEO or SO_SNDTIMEO, if it is a socket.
int64_t DeadlineOf(File& file, std::atomic<int64_t> SocketOptions::* option) {
  if (file.inode().type() != S_IFSOCK) return Blocker::kForever;
  auto* socket = dynamic_cast<Socket*>(&file);
  return DeadlineAfter(socket == nullptr ? 0 : (socket->options().*option).load());
}

ErrnoOr<size_t> CheckBuffer(UserAddr buf, size_t count) {
  if (!IsUserRange(buf, count)) return Errno::kFault;
  return std::min(count, kMaxTransfer);
}

// For /proc/PID/io.
ErrnoOr<size_t> CountRead(Task& t, ErrnoOr<size_t> n) {
  t.state().io.CountRead(n.ok() ? *n : 0);
  return n;
}
ErrnoOr<size_t> CountWrite(Task& t, ErrnoOr<size_t> n) {
  t.state().io.CountWrite(n.ok() ? *n : 0);
  return n;
}

}  // namespace

ErrnoOr<uint64_t> ClampToFileLimit(Task& t, uint64_t offset, uint64_t size) {
  uint64_t limit = t.Limit(RLIMIT_FSIZE);
  if (size == 0 || limit == RLIM_INFINITY) return size;
  if (offset >= limit) {
    t.RaiseSelf(Signal(SIGXFSZ));
    return Errno::kFbig;
  }
  return std::min(size, limit - offset);
}

ErrnoOr<size_t> DoRead(Task& t, File& file, UserOut& dst, int64_t offset, uint32_t flags) {
  IoContext io = t.io(file);
  bool nowait = (flags & RWF_NOWAIT) != 0;
  if (nowait) io.nonblock = true;
  auto read = [&] {
    return offset < 0 ? file.Read(io, dst) : file.ReadAt(io, dst, static_cast<uint64_t>(offset));
  };
  constexpr EventMask kEvents = EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
  const int64_t deadline = DeadlineOf(file, &SocketOptions::receive_timeout);
  ErrnoOr<size_t> n = nowait ? read()
                      : deadline != Blocker::kForever
                          ? BlockOnFile(t, file, kEvents, read, deadline)
                          : BlockOnRead(t, file, kEvents, io, read);
  if (!n.ok()) return AfterDeadline(n.error(), deadline);
  if (*n != 0) vfs::NotifyRead(file);
  return n;
}

ErrnoOr<size_t> DoWrite(Task& t, File& file, UserIn& src, int64_t offset, uint32_t flags) {
  IoContext io = t.io(file);
  bool nowait = (flags & RWF_NOWAIT) != 0;
  if (nowait) io.nonblock = true;
  io.append =
      ((file.flags() & O_APPEND) != 0 && (flags & kNoAppend) == 0) || (flags & RWF_APPEND) != 0;
  bool regular = file.inode().IsRegular();
  if (regular) TRY(LimitRegularWrite(t, file, src, offset, io.append));
  const int64_t deadline = DeadlineOf(file, &SocketOptions::send_timeout);
  size_t done = 0;
  Errno error = Errno::kOk;
  bool again = !regular && TakesPieces(file);
  do {
    auto write = [&] { return WriteOnce(file, io, src, offset); };
    constexpr EventMask kEvents = EPOLLOUT | EPOLLWRNORM;
    ErrnoOr<size_t> n = nowait ? write() : BlockOnFile(t, file, kEvents, write, deadline);
    if (!n.ok()) {
      error = AfterDeadline(n.error(), deadline);
      break;
    }
    done += *n;
    if (*n == 0 || io.nonblock) break;
    // What takes any amount at once must not keep a signal waiting for long.
    if (done >= kLongWrite && t.Interrupted()) break;
  } while (again && src.remaining() != 0);
  if (error == Errno::kPipe && !regular && file.inode().type() != S_IFCHR) {
    t.RaiseSelf(Signal(SIGPIPE));
  }
  if (done == 0 && error != Errno::kOk) return error;
  if (done != 0) {
    vfs::NotifyWritten(file);
    TRY(SyncAfter(file, flags));
  }
  return done;
}

ErrnoOr<size_t> Read(Task& t, FdNum fd, UserAddr buf, size_t count) {
  Ref<File> file = TRY(t.fds().GetReadable(fd));
  UserOut dst(t.mem(), buf, TRY(CheckBuffer(buf, count)));
  return CountRead(t, DoRead(t, *file, dst, -1, 0));
}

ErrnoOr<size_t> Write(Task& t, FdNum fd, UserAddr buf, size_t count) {
  Ref<File> file = TRY(t.fds().GetWritable(fd));
  UserIn src(t.mem(), buf, TRY(CheckBuffer(buf, count)));
  return CountWrite(t, DoWrite(t, *file, src, -1, 0));
}

ErrnoOr<size_t> Pread64(Task& t, FdNum fd, UserAddr buf, size_t count, int64_t offset) {
  if (offset < 0) return Errno::kInval;
  Ref<File> file = TRY(t.fds().GetIo(fd));
  if (!file->seekable()) return Errno::kSpipe;
  if (!file->readable()) return Errno::kBadf;
  UserOut dst(t.mem(), buf, TRY(CheckBuffer(buf, count)));
  return CountRead(t, DoRead(t, *file, dst, offset, 0));
}

ErrnoOr<size_t> Pwrite64(Task& t, FdNum fd, UserAddr buf, size_t count, int64_t offset) {
  if (offset < 0) return Errno::kInval;
  Ref<File> file = TRY(t.fds().GetIo(fd));
  if (!file->seekable()) return Errno::kSpipe;
  if (!file->writable()) return Errno::kBadf;
  UserIn src(t.mem(), buf, TRY(CheckBuffer(buf, count)));
  return CountWrite(t, DoWrite(t, *file, src, offset, 0));
}

ErrnoOr<size_t> Readv(Task& t, FdNum fd, UserAddr iov, uint64_t count) {
  Ref<File> file = TRY(t.fds().GetReadable(fd));
  UserOut dst(t.mem(), TRY(ImportIovec(t.mem(), iov, count)));
  return CountRead(t, DoRead(t, *file, dst, -1, 0));
}

ErrnoOr<size_t> Writev(Task& t, FdNum fd, UserAddr iov, uint64_t count) {
  Ref<File> file = TRY(t.fds().GetWritable(fd));
  UserIn src(t.mem(), TRY(ImportIovec(t.mem(), iov, count)));
  return CountWrite(t, DoWrite(t, *file, src, -1, 0));
}

ErrnoOr<size_t> Preadv(Task& t, FdNum fd, UserAddr iov, uint64_t count, int64_t offset,
                       uint64_t unused) {
  if (offset < 0) return Errno::kInval;
  return Preadv2(t, fd, iov, count, offset, unused, 0);
}

ErrnoOr<size_t> Pwritev(Task& t, FdNum fd, UserAddr iov, uint64_t count, int64_t offset,
                        uint64_t unused) {
  if (offset < 0) return Errno::kInval;
  return Pwritev2(t, fd, iov, count, offset, unused, 0);
}

ErrnoOr<size_t> Preadv2(Task& t, FdNum fd, UserAddr iov, uint64_t count, int64_t offset, uint64_t,
                        uint32_t flags) {
  if (offset < -1) return Errno::kInval;
  Ref<File> file = TRY(t.fds().GetIo(fd));
  if (offset >= 0 && !file->seekable()) return Errno::kSpipe;
  if (!file->readable()) return Errno::kBadf;
  if ((flags & ~kReadFlags) != 0) return Errno::kOpnotsupp;
  UserOut dst(t.mem(), TRY(ImportIovec(t.mem(), iov, count)));
  return CountRead(t, DoRead(t, *file, dst, offset, flags));
}

ErrnoOr<size_t> Pwritev2(Task& t, FdNum fd, UserAddr iov, uint64_t count, int64_t offset, uint64_t,
                         uint32_t flags) {
  if (offset < -1) return Errno::kInval;
  Ref<File> file = TRY(t.fds().GetIo(fd));
  if (offset >= 0 && !file->seekable()) return Errno::kSpipe;
  if (!file->writable()) return Errno::kBadf;
  if ((flags & ~kWriteFlags) != 0) return Errno::kOpnotsupp;
  if ((flags & RWF_APPEND) != 0 && (flags & kNoAppend) != 0) return Errno::kInval;
  UserIn src(t.mem(), TRY(ImportIovec(t.mem(), iov, count)));
  return CountWrite(t, DoWrite(t, *file, src, offset, flags));
}

ErrnoOr<int64_t> Lseek(Task& t, FdNum fd, int64_t offset, uint32_t whence) {
  Ref<File> file = TRY(t.fds().GetIo(fd));
  if (whence > SEEK_HOLE) return Errno::kInval;
  return file->Seek(offset, static_cast<int>(whence));
}

}  // namespace runsc
