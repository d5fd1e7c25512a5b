#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "platform/host/socket.h"

namespace runsc::host {
namespace {

// A peer that has not read for so long is given up, so it can never hold up the sender.
constexpr int kSendTimeoutMs = 10000;

// The address of `name` in `dir` through /proc, which keeps it short.
HostOr<sockaddr_un> AddressAt(int dir, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  int n = std::snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir,
                        name.c_str());
  if (n < 0 || static_cast<size_t>(n) >= sizeof(address.sun_path)) {
    return TextError("socket name %s is too long", name.c_str());
  }
  return address;
}

HostOr<Fd> NewSocket() {
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.ok()) return SysError("cannot create a UNIX socket");
  return fd;
}

HostStatus ConnectTo(int fd, const sockaddr_un& address) {
  while (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
    if (errno != EINTR) return SysError("cannot connect to %s", address.sun_path);
  }
  return HostOk();
}

// One sendmsg; `fds` only with the first part of a message.
HostOr<size_t> SendPart(int socket, std::span<const char> data, std::span<const int> fds) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFdsPerMessage)] = {};
  iovec part{const_cast<char*>(data.data()), data.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL);
  if (n < 0) return SysError("cannot send on the control connection");
  return static_cast<size_t>(n);
}

void TakeFds(msghdr& message, std::vector<Fd>& fds) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
}

}  // namespace

HostOr<std::pair<Fd, Fd>> StreamPair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
    return SysError("cannot create a socket pair");
  }
  return std::make_pair(Fd(fds[0]), Fd(fds[1]));
}

HostOr<Fd> ListenAt(int dir, const std::string& name) {
  sockaddr_un address = TRY(AddressAt(dir, name));
  Fd fd = TRY(NewSocket());
  unlinkat(dir, name.c_str(), 0);
  // bind(2) creates the socket file with the mode that fchmod gave the socket.
  fchmod(fd.get(), 0600);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
    return SysError("cannot bind the control socket");
  }
  if (fchmodat(dir, name.c_str(), 0600, 0) < 0 || listen(fd.get(), 64) < 0) {
    return SysError("cannot listen on the control socket");
  }
  SetNonBlocking(fd.get(), true);
  return fd;
}

HostOr<Fd> ConnectAt(int dir, const std::string& name) {
  sockaddr_un address = TRY(AddressAt(dir, name));
  Fd fd = TRY(NewSocket());
  TRY(ConnectTo(fd.get(), address));
  return fd;
}

HostOr<Fd> ConnectPath(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  Fd parent;
  if (path.size() < sizeof(address.sun_path)) {
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  } else {
    size_t slash = path.rfind('/');
    parent.Reset(open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!parent.ok()) return SysError("cannot open the directory of %s", path.c_str());
    address = TRY(AddressAt(parent.get(), path.substr(slash + 1)));
  }
  Fd fd = TRY(NewSocket());
  TRY(ConnectTo(fd.get(), address));
  return fd;
}

HostOr<Fd> Accept(int listener) {
  int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return SysError("cannot accept a connection");
  return Fd(fd);
}

HostStatus SendWithFds(int socket, std::span<const char> data, std::span<const int> fds) {
  if (fds.size() > kMaxFdsPerMessage) return TextError("too many descriptors in one message");
  while (!data.empty()) {
    HostOr<size_t> n = SendPart(socket, data, fds);
    if (!n.ok() && n.error().code == EINTR) continue;
    if (!n.ok() && n.error().code == EAGAIN) {
      pollfd wait{socket, POLLOUT, 0};
      if (poll(&wait, 1, kSendTimeoutMs) == 0) return TextError("the peer does not read");
      continue;
    }
    if (!n.ok()) return n.error();
    data = data.subspan(*n);
    fds = {};
  }
  return HostOk();
}

HostOr<size_t> RecvWithFds(int socket, std::span<char> data, std::vector<Fd>& fds) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 253)];
  iovec part{data.data(), data.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t n;
  do {
    n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return SysError("cannot receive on the control connection");
  TakeFds(message, fds);
  return static_cast<size_t>(n);
}

HostStatus SendConsole(int socket, int fd, const std::string& name) {
  return SendWithFds(socket, {name.data(), name.size()}, std::span<const int>(&fd, 1));
}

void SetNonBlocking(int fd, bool on) {
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0) fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

bool WaitReadable(int fd, int timeout_ms) {
  pollfd wait{fd, POLLIN, 0};
  int n;
  do {
    n = poll(&wait, 1, timeout_ms);
  } while (n < 0 && errno == EINTR);
  return n > 0;
}

}  // namespace runsc::host
