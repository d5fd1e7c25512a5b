#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

#include "sentry/time/clock.h"
#include "syscalls/dispatch/blocking.h"
#include "syscalls/fs/event/timeout.h"
#include "syscalls/net/common.h"
#include "syscalls/net/control.h"

namespace runsc {
namespace {

constexpr uint32_t kMaxBatch = 1024;  // UIO_MAXIOV

bool DontWait(Socket& socket, uint32_t flags) {
  return socket.nonblock() || (flags & MSG_DONTWAIT) != 0;
}

// Sends all of a stream's bytes, as a blocking send(2) does; messages go whole.
ErrnoOr<size_t> DoSend(Task& t, Socket& socket, UserIn src, const SocketAddress& to,
                       const ControlData& control, uint32_t flags) {
  size_t total = 0;
  ControlData none;
  none.creds = control.creds;
  auto attempt = [&]() -> ErrnoOr<size_t> {
    do {
      total += TRY(socket.Send(t, src, to, total == 0 ? control : none, flags));
    } while (socket.type() == SOCK_STREAM && src.remaining() > 0);
    return total;
  };
  int64_t deadline = DeadlineAfter(socket.options().send_timeout);
  ErrnoOr<size_t> sent = DontWait(socket, flags)
                             ? attempt()
                             : BlockOn<PollScope>(t, socket, EPOLLOUT, deadline, attempt);
  if (sent.ok()) return sent;
  if (total > 0) return total;
  if (sent.error() == Errno::kPipe && (flags & MSG_NOSIGNAL) == 0) t.RaiseSelf(Signal(SIGPIPE));
  return AfterDeadline(sent.error(), deadline);
}

// How much a blocking receive waits for: all of the buffer with MSG_WAITALL, else SO_RCVLOWAT.
size_t Target(Socket& socket, size_t room, uint32_t flags) {
  if (socket.type() != SOCK_STREAM || (flags & (MSG_PEEK | MSG_OOB)) != 0) return 0;
  if ((flags & MSG_WAITALL) != 0) return room;
  return std::min(room, static_cast<size_t>(socket.options().receive_low_water.load()));
}

// One receive; a stream's goes on until it has its target.
ErrnoOr<ReceivedMessage> DoReceive(Task& t, Socket& socket, UserOut dst, uint32_t flags,
                                   int64_t deadline) {
  const size_t target = Target(socket, dst.remaining(), flags);
  ReceivedMessage whole;
  auto attempt = [&]() -> ErrnoOr<size_t> {
    for (;;) {
      ReceivedMessage m = TRY(socket.Receive(t, dst, flags));
      bool first = whole.bytes == 0;
      size_t total = whole.bytes + m.bytes;
      bool over = m.bytes == 0 || m.ends || total >= target;
      if (first) whole = std::move(m);
      whole.bytes = total;
      if (over) return total;
    }
  };
  ErrnoOr<size_t> got = DontWait(socket, flags)
                            ? attempt()
                            : BlockOn<PollScope>(t, socket, EPOLLIN, deadline, attempt);
  if (got.ok() || whole.bytes > 0) return whole;
  return AfterDeadline(got.error(), deadline);
}

struct Header {
  msghdr raw;
  std::vector<UserRange> ranges;
};

ErrnoOr<Header> GetHeader(Task& t, UserAddr message) {
  Header h;
  h.raw = TRY(t.mem().Get<msghdr>(message));
  if (h.raw.msg_iovlen > kMaxBatch) return Errno::kMsgsize;
  h.ranges = TRY(ImportIovec(t.mem(), UserAddr(reinterpret_cast<uint64_t>(h.raw.msg_iov)),
                             h.raw.msg_iovlen));
  return h;
}

ErrnoOr<size_t> SendOne(Task& t, Socket& socket, UserAddr message, uint32_t flags) {
  Header h = TRY(GetHeader(t, message));
  SocketAddress to;
  if (h.raw.msg_name != nullptr && h.raw.msg_namelen != 0) {
    uint32_t size = std::min<uint32_t>(h.raw.msg_namelen, kMaxSocketAddress);
    to = TRY(GetAddress(t, UserAddr(reinterpret_cast<uint64_t>(h.raw.msg_name)), size));
  }
  ControlData control = TRY(ReadControl(
      t, UserAddr(reinterpret_cast<uint64_t>(h.raw.msg_control)), h.raw.msg_controllen));
  return DoSend(t, socket, UserIn(t.mem(), std::move(h.ranges)), to, control, flags);
}

ControlWants WantsOf(Socket& socket, const ReceivedMessage& m, uint32_t flags) {
  const SocketOptions& o = socket.options();
  ControlWants wants{.cloexec = (flags & MSG_CMSG_CLOEXEC) != 0};
  if ((m.flags & MSG_OOB) != 0) return wants;
  wants.creds = o.pass_creds != 0;
  wants.pidfd = o.pass_pidfd != 0;
  if (socket.type() != SOCK_STREAM) wants.timestamp = o.timestamp;
  return wants;
}

// Writes name, control data and flags of a received message back into the guest's msghdr.
Status PutHeader(Task& t, Socket& socket, UserAddr message, const Header& h,
                 const ReceivedMessage& m, uint32_t flags) {
  if (h.raw.msg_name != nullptr) {
    size_t n = std::min<size_t>(m.source.size(), h.raw.msg_namelen);
    TRY(t.mem().CopyOut(UserAddr(reinterpret_cast<uint64_t>(h.raw.msg_name)), m.source.data(), n));
    TRY(t.mem().Put(message + offsetof(msghdr, msg_namelen),
                    static_cast<uint32_t>(m.source.size())));
  }
  ControlOut control =
      TRY(WriteControl(t, m.control, UserAddr(reinterpret_cast<uint64_t>(h.raw.msg_control)),
                       h.raw.msg_controllen, WantsOf(socket, m, flags)));
  uint32_t out_flags = m.flags | (control.truncated ? MSG_CTRUNC : 0) |
                       (flags & MSG_CMSG_CLOEXEC);
  TRY(t.mem().Put(message + offsetof(msghdr, msg_flags), out_flags));
  return t.mem().Put(message + offsetof(msghdr, msg_controllen), control.written);
}

ErrnoOr<size_t> ReceiveOne(Task& t, Socket& socket, UserAddr message, uint32_t flags,
                           int64_t deadline) {
  Header h = TRY(GetHeader(t, message));
  if (static_cast<int32_t>(h.raw.msg_namelen) < 0) return Errno::kInval;
  ReceivedMessage m =
      TRY(DoReceive(t, socket, UserOut(t.mem(), h.ranges), flags, deadline));
  TRY(PutHeader(t, socket, message, h, m, flags));
  return m.bytes;
}

}  // namespace

ErrnoOr<size_t> Sendto(Task& t, FdNum fd, UserAddr buffer, size_t size, uint32_t flags,
                       UserAddr address, uint32_t address_size) {
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  SocketAddress to;
  if (!address.IsNull()) to = TRY(GetAddress(t, address, address_size));
  UserIn src(t.mem(), buffer, std::min(size, kMaxTransfer));
  return DoSend(t, *socket, std::move(src), to, ControlData(), flags);
}

ErrnoOr<size_t> Recvfrom(Task& t, FdNum fd, UserAddr buffer, size_t size, uint32_t flags,
                         UserAddr address, UserAddr address_size) {
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  UserOut dst(t.mem(), buffer, std::min(size, kMaxTransfer));
  int64_t deadline = DeadlineAfter(socket->options().receive_timeout);
  ReceivedMessage m = TRY(DoReceive(t, *socket, std::move(dst), flags, deadline));
  if (!address.IsNull()) TRY(PutAddress(t, m.source, address, address_size));
  return m.bytes;
}

ErrnoOr<size_t> Sendmsg(Task& t, FdNum fd, UserAddr message, uint32_t flags) {
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  return SendOne(t, *socket, message, flags);
}

ErrnoOr<size_t> Recvmsg(Task& t, FdNum fd, UserAddr message, uint32_t flags) {
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  int64_t deadline = DeadlineAfter(socket->options().receive_timeout);
  return ReceiveOne(t, *socket, message, flags, deadline);
}

ErrnoOr<int32_t> Sendmmsg(Task& t, FdNum fd, UserAddr messages, uint32_t count, uint32_t flags) {
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  int32_t done = 0;
  for (uint32_t i = 0; i < std::min(count, kMaxBatch); ++i) {
    UserAddr at = messages + i * sizeof(mmsghdr);
    ErrnoOr<size_t> n = SendOne(t, *socket, at, flags);
    if (!n.ok()) return done > 0 ? ErrnoOr<int32_t>(done) : n.error();
    TRY(t.mem().Put(at + offsetof(mmsghdr, msg_len), static_cast<uint32_t>(*n)));
    ++done;
  }
  return done;
}

ErrnoOr<int32_t> Recvmmsg(Task& t, FdNum fd, UserAddr messages, uint32_t count, uint32_t flags,
                          UserAddr timeout) {
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  int64_t overall = TRY(DeadlineFromTimespec(t, timeout));
  int64_t deadline = DeadlineAfter(socket->options().receive_timeout);
  int32_t done = 0;
  for (uint32_t i = 0; i < std::min(count, kMaxBatch); ++i) {
    UserAddr at = messages + i * sizeof(mmsghdr);
    ErrnoOr<size_t> n = ReceiveOne(t, *socket, at, flags & ~MSG_WAITFORONE, deadline);
    if (!n.ok()) return done > 0 ? ErrnoOr<int32_t>(done) : n.error();
    TRY(t.mem().Put(at + offsetof(mmsghdr, msg_len), static_cast<uint32_t>(*n)));
    ++done;
    if ((flags & MSG_WAITFORONE) != 0) flags |= MSG_DONTWAIT;
    if (overall != Blocker::kForever && MonotonicNanos() >= overall) break;
  }
  PutRemainingTimespec(t, timeout, overall);
  return done;
}

}  // namespace runsc
