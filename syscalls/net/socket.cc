#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>

#include "platform/base/strings.h"
#include "sentry/net/unix/unix_socket.h"
#include "sentry/time/clock.h"
#include "syscalls/dispatch/blocking.h"
#include "syscalls/net/common.h"

namespace runsc {
namespace {

constexpr int32_t kTypeMask = 0xf;

Status CheckFlags(int32_t flags) {
  return (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0 ? Status(Errno::kInval) : Ok();
}

Errno UnsupportedFamily(Task& t, int32_t family) {
  if (family < 0 || family >= AF_MAX) return Errno::kAfnosupport;
  return t.Unimplemented(StrPrintf("socket family %d", family).c_str(), Errno::kAfnosupport);
}

ErrnoOr<FdNum> InstallSocket(Task& t, Ref<File> file, int32_t flags) {
  return t.fds().Install(std::move(file), (flags & SOCK_CLOEXEC) != 0, t.Limit(RLIMIT_NOFILE));
}

}  // namespace

ErrnoOr<Ref<Socket>> GetSocket(Task& t, FdNum fd) { return AsSocket(TRY(t.fds().GetIo(fd))); }

ErrnoOr<SocketAddress> GetAddress(Task& t, UserAddr address, uint32_t size) {
  if (size > kMaxSocketAddress) return Errno::kInval;
  SocketAddress out(size, '\0');
  TRY(t.mem().CopyIn(out.data(), address, size));
  return out;
}

Status PutAddress(Task& t, const SocketAddress& value, UserAddr address, UserAddr size) {
  if (address.IsNull()) return Ok();
  int32_t room = TRY(t.mem().Get<int32_t>(size));
  if (room < 0) return Errno::kInval;
  TRY(t.mem().CopyOut(address, value.data(),
                      std::min(value.size(), static_cast<size_t>(room))));
  return t.mem().Put(size, static_cast<int32_t>(value.size()));
}

ErrnoOr<FdNum> SocketCall(Task& t, int32_t family, int32_t type, int32_t protocol) {
  int32_t flags = type & ~kTypeMask;
  TRY(CheckFlags(flags));
  if (family != AF_UNIX) return UnsupportedFamily(t, family);
  Ref<Socket> socket = TRY(NewUnixSocket(t.creds_ref(), type & kTypeMask, protocol,
                                         static_cast<uint32_t>(flags & SOCK_NONBLOCK)));
  return InstallSocket(t, socket, flags);
}

ErrnoOr<void> Socketpair(Task& t, int32_t family, int32_t type, int32_t protocol, UserAddr fds) {
  int32_t flags = type & ~kTypeMask;
  TRY(CheckFlags(flags));
  if (family != AF_UNIX) return UnsupportedFamily(t, family);
  auto pair = TRY(NewUnixPair(t, type & kTypeMask, protocol,
                              static_cast<uint32_t>(flags & SOCK_NONBLOCK)));
  FdNum out[2];
  TRY(t.fds().InstallPair(pair.first, pair.second, (flags & SOCK_CLOEXEC) != 0,
                          t.Limit(RLIMIT_NOFILE), out));
  int32_t numbers[2] = {out[0].value, out[1].value};
  Status put = t.mem().Put(fds, numbers);
  if (!put.ok()) {
    (void)t.fds().Remove(out[0]);
    (void)t.fds().Remove(out[1]);
  }
  return put;
}

ErrnoOr<void> Bind(Task& t, FdNum fd, UserAddr address, uint32_t size) {
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  return socket->Bind(t, TRY(GetAddress(t, address, size)));
}

ErrnoOr<void> Connect(Task& t, FdNum fd, UserAddr address, uint32_t size) {
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  SocketAddress target = TRY(GetAddress(t, address, size));
  int64_t deadline = DeadlineAfter(socket->options().send_timeout);
  Status done = BlockOnFile(
      t, *socket, EPOLLOUT, [&] { return socket->Connect(t, target); }, deadline);
  return done.ok() ? done : Status(AfterDeadline(done.error(), deadline));
}

ErrnoOr<void> Listen(Task& t, FdNum fd, int32_t backlog) {
  return TRY(GetSocket(t, fd))->Listen(t, backlog);
}

ErrnoOr<FdNum> Accept(Task& t, FdNum fd, UserAddr address, UserAddr size) {
  return Accept4(t, fd, address, size, 0);
}

ErrnoOr<FdNum> Accept4(Task& t, FdNum fd, UserAddr address, UserAddr size, uint32_t flags) {
  TRY(CheckFlags(static_cast<int32_t>(flags)));
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  TRY(t.fds().CheckRoom(t.Limit(RLIMIT_NOFILE)));  // the connection would be lost
  SocketAddress peer;
  int64_t deadline = DeadlineAfter(socket->options().receive_timeout);
  ErrnoOr<Ref<Socket>> accepted = BlockOnFile(
      t, *socket, EPOLLIN, [&] { return socket->Accept(t, flags, &peer); }, deadline);
  if (!accepted.ok()) return AfterDeadline(accepted.error(), deadline);
  TRY(PutAddress(t, peer, address, size));
  return InstallSocket(t, *accepted, static_cast<int32_t>(flags));
}

ErrnoOr<void> Getsockname(Task& t, FdNum fd, UserAddr address, UserAddr size) {
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  if (address.IsNull()) return Errno::kFault;
  return PutAddress(t, TRY(socket->LocalAddress()), address, size);
}

ErrnoOr<void> Getpeername(Task& t, FdNum fd, UserAddr address, UserAddr size) {
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  SocketAddress peer = TRY(socket->PeerAddress());
  if (address.IsNull()) return Errno::kFault;
  return PutAddress(t, peer, address, size);
}

ErrnoOr<void> Shutdown(Task& t, FdNum fd, int32_t how) {
  return TRY(GetSocket(t, fd))->Shutdown(how);
}

}  // namespace runsc
