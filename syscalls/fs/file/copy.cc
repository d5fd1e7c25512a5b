#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <memory>

#include "sentry/fs/pipe/pipe.h"
#include "sentry/kernel/task_state.h"
#include "syscalls/dispatch/blocking.h"
#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

constexpr size_t kPiece = 64 << 10;
constexpr uint32_t kSpliceFlags = 1 | 2 | 4 | 8;  // SPLICE_F_MOVE, NONBLOCK, MORE, GIFT
constexpr uint32_t kSpliceNonblock = 2;

// An offset argument: a pointer to one in guest memory, or the file's own.
class Offset {
 public:
  Status Load(Task& t, UserAddr at) {
    at_ = at;
    if (at.IsNull()) return Ok();
    value_ = TRY(t.mem().Get<int64_t>(at));
    return value_ < 0 ? Status(Errno::kInval) : Ok();
  }
  bool own() const { return at_.IsNull(); }
  int64_t value() const { return own() ? -1 : value_; }
  void Advance(size_t n) { value_ += static_cast<int64_t>(n); }
  Status Store(Task& t) { return own() ? Ok() : t.mem().Put(at_, value_); }

 private:
  UserAddr at_;
  int64_t value_ = 0;
};

// Moves up to `count` bytes through a buffer of the sentry's. What was read and could not be
// written is given back to a source with positions; sources without must not be overread, so the
// caller bounds each piece by what the sink takes.
class Mover {
 public:
  Mover(Task& t, File& in, Offset& in_offset, File& out, Offset& out_offset)
      : t_(t), in_(in), in_offset_(in_offset), out_(out), out_offset_(out_offset) {}

  ErrnoOr<size_t> Run(size_t count, bool nonblock_in, bool nonblock_out) {
    size_t done = 0;
    auto buffer = std::make_unique_for_overwrite<char[]>(std::min(count, kPiece));
    while (done < count) {
      ErrnoOr<size_t> n =
          Piece(buffer.get(), std::min(count - done, kPiece), nonblock_in, nonblock_out);
      if (!n.ok()) {
        if (done == 0) return n.error();
        break;
      }
      if (*n == 0) break;
      done += *n;
      nonblock_in = true;  // something was moved: take only what is there now
      if (short_) break;
    }
    TRY(in_offset_.Store(t_));
    TRY(out_offset_.Store(t_));
    return done;
  }

 private:
  ErrnoOr<size_t> Piece(char* buffer, size_t size, bool nonblock_in, bool nonblock_out) {
    UserOut dst(buffer, size);
    size_t got =
        TRY(DoRead(t_, in_, dst, in_offset_.value(), nonblock_in ? RWF_NOWAIT : 0u));
    if (got == 0) return size_t{0};
    UserIn src(buffer, got);
    ErrnoOr<size_t> put =
        DoWrite(t_, out_, src, out_offset_.value(), nonblock_out ? RWF_NOWAIT : 0u);
    size_t written = put.ok() ? *put : 0;
    if (!in_offset_.own()) {
      in_offset_.Advance(written);
    } else if (written < got && in_.seekable()) {
      (void)in_.Seek(-static_cast<int64_t>(got - written), SEEK_CUR);
    }
    if (!put.ok()) return put.error();
    if (!out_offset_.own()) out_offset_.Advance(written);
    short_ = written < got;
    return written;
  }

  Task& t_;
  File& in_;
  Offset& in_offset_;
  File& out_;
  Offset& out_offset_;
  bool short_ = false;
};

// Waits until the pipe has room or a reader is gone; answers bytes of room.
ErrnoOr<size_t> WaitForRoom(Task& t, File& out, Pipe& pipe, bool nonblock) {
  auto room = [&]() -> ErrnoOr<size_t> {
    if (!pipe.has_readers()) {
      t.RaiseSelf(Signal(SIGPIPE));
      return Errno::kPipe;
    }
    size_t used = pipe.Available(), capacity = pipe.capacity();
    return used < capacity ? ErrnoOr<size_t>(capacity - used) : Errno::kWouldBlock;
  };
  if (nonblock || out.nonblock()) return room();
  return BlockOn<PollScope>(t, out, EPOLLOUT, Blocker::kForever, room);
}

// Waits until the pipe has data; 0 at its end.
ErrnoOr<size_t> WaitForData(Task& t, File& in, Pipe& pipe, bool nonblock) {
  auto data = [&]() -> ErrnoOr<size_t> {
    size_t n = pipe.Available();
    if (n != 0 || !pipe.has_writers()) return n;
    return Errno::kWouldBlock;
  };
  if (nonblock || in.nonblock()) return data();
  return BlockOn<PollScope>(t, in, EPOLLIN, Blocker::kForever, data);
}

Status CheckCopyRange(Task& t, File& in, File& out, const Offset& from, const Offset& to,
                      size_t& count) {
  if (in.inode().IsDir() || out.inode().IsDir()) return Errno::kIsdir;
  if (!in.inode().IsRegular() || !out.inode().IsRegular()) return Errno::kInval;
  if (!in.readable() || !out.writable() || (out.flags() & O_APPEND) != 0) return Errno::kBadf;
  uint64_t a = static_cast<uint64_t>(from.own() ? in.offset() : from.value());
  uint64_t b = static_cast<uint64_t>(to.own() ? out.offset() : to.value());
  if (a + count < a || b + count < b) return Errno::kOverflow;
  uint64_t size = TRY(in.inode().GetAttr()).size;
  count = a >= size ? 0 : std::min<uint64_t>(count, size - a);
  if (&in.inode() == &out.inode() && a < b + count && b < a + count) return Errno::kInval;
  return Ok();
}

// Counts what was moved as read and written, as Linux does for calls that name two files.
ErrnoOr<size_t> CountMoved(Task& t, ErrnoOr<size_t> n) {
  t.state().io.CountRead(n.ok() ? *n : 0);
  t.state().io.CountWrite(n.ok() ? *n : 0);
  return n;
}

}  // namespace

ErrnoOr<size_t> Sendfile(Task& t, FdNum out_fd, FdNum in_fd, UserAddr offset_addr, size_t count) {
  Ref<File> in = TRY(t.fds().GetReadable(in_fd));
  Ref<File> out = TRY(t.fds().GetWritable(out_fd));
  Offset from, to;
  TRY(from.Load(t, offset_addr));
  if (!from.own() && !in->seekable()) return Errno::kSpipe;
  if (in->inode().IsDir() || PipeOf(*in) != nullptr) return Errno::kInval;
  if ((out->flags() & O_APPEND) != 0) return Errno::kInval;
  count = TRY(CheckLength(count));
  Mover mover(t, *in, from, *out, to);
  return CountMoved(t, mover.Run(count, false, false));
}

ErrnoOr<size_t> CopyFileRange(Task& t, FdNum in_fd, UserAddr in_offset, FdNum out_fd,
                              UserAddr out_offset, size_t count, uint32_t flags) {
  Ref<File> in = TRY(t.fds().GetIo(in_fd));
  Ref<File> out = TRY(t.fds().GetIo(out_fd));
  Offset from, to;
  TRY(from.Load(t, in_offset));
  TRY(to.Load(t, out_offset));
  if (flags != 0) return Errno::kInval;
  TRY(CheckCopyRange(t, *in, *out, from, to, count));
  count = std::min(count, kMaxTransfer);
  if (count == 0) return size_t{0};
  Mover mover(t, *in, from, *out, to);
  return CountMoved(t, mover.Run(count, false, false));
}

ErrnoOr<size_t> Splice(Task& t, FdNum in_fd, UserAddr in_offset, FdNum out_fd,
                       UserAddr out_offset, size_t count, uint32_t flags) {
  if ((flags & ~kSpliceFlags) != 0) return Errno::kInval;
  if (count == 0) return size_t{0};
  Ref<File> in = TRY(t.fds().GetReadable(in_fd));
  Ref<File> out = TRY(t.fds().GetWritable(out_fd));
  Pipe* from_pipe = PipeOf(*in);
  Pipe* to_pipe = PipeOf(*out);
  if (from_pipe == nullptr && to_pipe == nullptr) return Errno::kInval;
  if (from_pipe != nullptr && from_pipe == to_pipe) return Errno::kInval;
  if ((from_pipe != nullptr && !in_offset.IsNull()) ||
      (to_pipe != nullptr && !out_offset.IsNull())) {
    return Errno::kSpipe;
  }
  if ((out->flags() & O_APPEND) != 0 && out->inode().IsRegular()) return Errno::kInval;
  Offset from, to;
  TRY(from.Load(t, in_offset));
  TRY(to.Load(t, out_offset));
  bool nonblock = (flags & kSpliceNonblock) != 0;
  count = TRY(CheckLength(count));
  // A pipe is not read beyond what the other side takes, as it cannot be put back.
  if (to_pipe != nullptr) count = std::min(count, TRY(WaitForRoom(t, *out, *to_pipe, nonblock)));
  if (from_pipe != nullptr) {
    count = std::min(count, TRY(WaitForData(t, *in, *from_pipe, nonblock)));
    if (count == 0) return size_t{0};
  }
  Mover mover(t, *in, from, *out, to);
  return mover.Run(count, nonblock && from_pipe != nullptr, nonblock && to_pipe != nullptr);
}

ErrnoOr<size_t> Tee(Task& t, FdNum in_fd, FdNum out_fd, size_t count, uint32_t flags) {
  if ((flags & ~kSpliceFlags) != 0) return Errno::kInval;
  if (count == 0) return size_t{0};
  Ref<File> in = TRY(t.fds().GetReadable(in_fd));
  Ref<File> out = TRY(t.fds().GetWritable(out_fd));
  Pipe* from = PipeOf(*in);
  Pipe* to = PipeOf(*out);
  if (from == nullptr || to == nullptr || from == to) return Errno::kInval;
  bool nonblock = (flags & kSpliceNonblock) != 0;
  count = std::min(count, kPiece);
  count = std::min(count, TRY(WaitForRoom(t, *out, *to, nonblock)));
  count = std::min(count, TRY(WaitForData(t, *in, *from, nonblock)));
  if (count == 0) return size_t{0};
  auto buffer = std::make_unique_for_overwrite<char[]>(count);
  UserOut dst(buffer.get(), count);
  size_t n = TRY(from->Peek(dst, count));
  UserIn src(buffer.get(), n);
  return DoWrite(t, *out, src, -1, nonblock ? RWF_NOWAIT : 0u);
}

ErrnoOr<size_t> Vmsplice(Task& t, FdNum fd, UserAddr iov, uint64_t count, uint32_t flags) {
  if ((flags & ~kSpliceFlags) != 0) return Errno::kInval;
  Ref<File> file = TRY(t.fds().GetIo(fd));
  if (PipeOf(*file) == nullptr) return Errno::kBadf;
  uint32_t rw = (flags & kSpliceNonblock) != 0 ? RWF_NOWAIT : 0u;
  std::vector<UserRange> ranges = TRY(ImportIovec(t.mem(), iov, count));
  // The pages are copied, which vmsplice(2) allows: later stores to them do not show.
  if (file->writable()) {
    UserIn src(t.mem(), std::move(ranges));
    return DoWrite(t, *file, src, -1, rw);
  }
  UserOut dst(t.mem(), std::move(ranges));
  return DoRead(t, *file, dst, -1, rw);
}

}  // namespace runsc
