// AF_UNIX: descriptors in messages, queue sizes, shutdown, ends of connections, options.
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <string>
#include <thread>

#include "test/util/send_fds.h"
#include "test/util/test_util.h"

namespace {
using namespace guest;

sockaddr_un Address(const std::string& path) {
  sockaddr_un out = {};
  out.sun_family = AF_UNIX;
  strncpy(out.sun_path, path.c_str(), sizeof out.sun_path - 1);
  return out;
}
int Bind(int fd, const std::string& path) {
  sockaddr_un at = Address(path);
  return bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at);
}
int Connect(int fd, const std::string& path) {
  sockaddr_un at = Address(path);
  return connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at);
}

struct Got {
  ssize_t n;
  int flags;
  std::string text;
  std::vector<Fd> fds;
};
Got Receive(int from, int flags = 0, size_t size = 64, size_t control_size = 1024) {
  Got out;
  std::vector<char> text(size), control(control_size);
  iovec iov = {text.data(), size};
  msghdr m = {};
  m.msg_iov = &iov;
  m.msg_iovlen = 1;
  m.msg_control = control.data();
  m.msg_controllen = control_size;
  out.n = recvmsg(from, &m, flags);
  if (out.n < 0) return out;
  out.flags = m.msg_flags;
  out.text.assign(text.data(), std::min<size_t>(out.n, size));
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
      out.fds.emplace_back(reinterpret_cast<int*>(CMSG_DATA(c))[i]);
    }
  }
  return out;
}

TEST(UnixRightsTest, PeekGivesCopies) {
  SocketPair p;
  int pipes[2];
  pipe(pipes);
  ASSERT_THAT(SendFds(p.a.get(), {pipes[0]}), SyscallSucceedsWithValue(1));
  Got peeked = Receive(p.b.get(), MSG_PEEK);
  ASSERT_EQ(peeked.fds.size(), 1u);
  Got taken = Receive(p.b.get(), MSG_CMSG_CLOEXEC);
  ASSERT_EQ(taken.fds.size(), 1u);
  EXPECT_NE(peeked.fds[0].get(), taken.fds[0].get());
  EXPECT_EQ(fcntl(peeked.fds[0].get(), F_GETFD), 0);
  EXPECT_EQ(fcntl(taken.fds[0].get(), F_GETFD), FD_CLOEXEC);
  EXPECT_TRUE((taken.flags & MSG_CMSG_CLOEXEC) != 0);
  close(pipes[0]);
  close(pipes[1]);
}

TEST(UnixRightsTest, StreamReadStopsAfterDescriptors) {
  SocketPair p;
  ASSERT_THAT(write(p.a.get(), "aa", 2), SyscallSucceedsWithValue(2));
  ASSERT_THAT(SendFds(p.a.get(), {p.a.get()}, "bb"), SyscallSucceedsWithValue(2));
  ASSERT_THAT(write(p.a.get(), "cc", 2), SyscallSucceedsWithValue(2));
  // What came before a message with descriptors is joined to it; what follows is not.
  Got first = Receive(p.b.get());
  EXPECT_EQ(first.text, "aabb");
  EXPECT_EQ(first.fds.size(), 1u);
  EXPECT_EQ(Receive(p.b.get()).text, "cc");
}

TEST(UnixRightsTest, Limits) {
  SocketPair p;
  std::vector<int> fds(253, p.a.get());
  EXPECT_THAT(SendFds(p.a.get(), fds), SyscallSucceedsWithValue(1));
  fds.push_back(p.a.get());
  EXPECT_THAT(SendFds(p.a.get(), fds), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(SendFds(p.a.get(), {-1}), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(SendFds(p.a.get(), {12345}), SyscallFailsWithErrno(EBADF));
  // A control buffer for one descriptor only: the rest are closed and MSG_CTRUNC says so.
  Got one = Receive(p.b.get(), 0, 64, CMSG_LEN(sizeof(int)));
  EXPECT_EQ(one.fds.size(), 1u);
  EXPECT_NE(one.flags & MSG_CTRUNC, 0);
}

TEST(UnixRightsTest, ReadDropsDescriptors) {
  SocketPair p;
  int pipes[2];
  pipe(pipes);
  ASSERT_THAT(SendFds(p.a.get(), {pipes[1]}), SyscallSucceedsWithValue(1));
  close(pipes[1]);
  char c;
  ASSERT_THAT(read(p.b.get(), &c, 1), SyscallSucceedsWithValue(1));
  EXPECT_THAT(read(pipes[0], &c, 1), SyscallSucceedsWithValue(0));
  close(pipes[0]);
}

// Descriptors that only a cycle of queued messages refers to are closed at last.
TEST(UnixRightsTest, CyclesAreCollected) {
  int pipes[2];
  ASSERT_THAT(pipe(pipes), SyscallSucceeds());
  {
    SocketPair p, q;
    ASSERT_THAT(SendFds(p.a.get(), {pipes[1], q.b.get()}), SyscallSucceedsWithValue(1));
    ASSERT_THAT(SendFds(q.a.get(), {p.b.get()}), SyscallSucceedsWithValue(1));
  }
  close(pipes[1]);
  // Linux collects when a socket is closed or made; both need something to trigger.
  pollfd poller = {pipes[0], POLLIN, 0};
  for (int i = 0; i < 200 && (poll(&poller, 1, 10), (poller.revents & POLLHUP) == 0); i++)
    SocketPair again;
  EXPECT_NE(poller.revents & POLLHUP, 0);
  close(pipes[0]);
}

TEST(UnixRightsTest, SelfCycleIsCollected) {
  int pipes[2];
  ASSERT_THAT(pipe(pipes), SyscallSucceeds());
  {
    SocketPair p;
    ASSERT_THAT(SendFds(p.a.get(), {p.b.get(), pipes[1]}), SyscallSucceedsWithValue(1));
  }
  close(pipes[1]);
  pollfd poller = {pipes[0], POLLIN, 0};
  for (int i = 0; i < 200 && (poll(&poller, 1, 10), (poller.revents & POLLHUP) == 0); i++)
    SocketPair again;
  EXPECT_NE(poller.revents & POLLHUP, 0);
  close(pipes[0]);
}

TEST(UnixQueueTest, InqAndOutq) {
  SocketPair p;
  int n = -1;
  ASSERT_THAT(write(p.a.get(), "hello", 5), SyscallSucceedsWithValue(5));
  EXPECT_THAT(ioctl(p.b.get(), SIOCINQ, &n), SyscallSucceeds());
  EXPECT_EQ(n, 5);
  EXPECT_THAT(ioctl(p.a.get(), SIOCOUTQ, &n), SyscallSucceeds());
  EXPECT_GT(n, 0);
  char buffer[8];
  ASSERT_THAT(read(p.b.get(), buffer, 8), SyscallSucceedsWithValue(5));
  EXPECT_THAT(ioctl(p.a.get(), SIOCOUTQ, &n), SyscallSucceeds());
  EXPECT_EQ(n, 0);
  SocketPair d(SOCK_DGRAM);
  ASSERT_THAT(write(d.a.get(), "one", 3), SyscallSucceedsWithValue(3));
  ASSERT_THAT(write(d.a.get(), "three", 5), SyscallSucceedsWithValue(5));
  EXPECT_THAT(ioctl(d.b.get(), SIOCINQ, &n), SyscallSucceeds());
  EXPECT_EQ(n, 3);  // the first datagram only
}

TEST(UnixSeqpacketTest, BoundariesTruncationAndEnd) {
  SocketPair p(SOCK_SEQPACKET);
  ASSERT_THAT(write(p.a.get(), "abcdef", 6), SyscallSucceedsWithValue(6));
  ASSERT_THAT(send(p.a.get(), "", 0, 0), SyscallSucceedsWithValue(0));
  ASSERT_THAT(write(p.a.get(), "gh", 2), SyscallSucceedsWithValue(2));
  Got got = Receive(p.b.get(), MSG_TRUNC, 3);
  EXPECT_EQ(got.n, 6);
  EXPECT_EQ(got.text, "abc");
  EXPECT_NE(got.flags & MSG_TRUNC, 0);
  EXPECT_NE(got.flags & MSG_EOR, MSG_EOR);
  got = Receive(p.b.get());
  EXPECT_EQ(got.n, 0);
  EXPECT_EQ(Receive(p.b.get()).text, "gh");
  p.a.reset();
  char c;
  EXPECT_THAT(recv(p.b.get(), &c, 1, 0), SyscallSucceedsWithValue(0));
  EXPECT_THAT(send(p.b.get(), &c, 1, MSG_NOSIGNAL), SyscallFailsWithErrno(EPIPE));
  pollfd poller = {p.b.get(), POLLIN | POLLOUT | POLLRDHUP, 0};
  poll(&poller, 1, 0);
  EXPECT_NE(poller.revents & POLLHUP, 0);
  EXPECT_NE(poller.revents & POLLRDHUP, 0);
}

TEST(UnixDatagramDetailTest, ConnectedTakesOnlyItsPeer) {
  TempDir dir;
  Fd a(socket(AF_UNIX, SOCK_DGRAM, 0)), b(socket(AF_UNIX, SOCK_DGRAM, 0)),
      c(socket(AF_UNIX, SOCK_DGRAM, 0));
  ASSERT_THAT(Bind(a.get(), dir / "a"), SyscallSucceeds());
  ASSERT_THAT(Bind(b.get(), dir / "b"), SyscallSucceeds());
  ASSERT_THAT(Connect(a.get(), dir / "b"), SyscallSucceeds());
  // c may not send to a, which is connected to b.
  EXPECT_THAT(Connect(c.get(), dir / "a"), SyscallFailsWithErrno(EPERM));
  sockaddr_un to = Address(dir / "a");
  EXPECT_THAT(sendto(c.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
              SyscallFailsWithErrno(EPERM));
  // AF_UNSPEC takes the connection off again.
  sockaddr none = {};
  none.sa_family = AF_UNSPEC;
  EXPECT_THAT(connect(a.get(), &none, sizeof none), SyscallSucceeds());
  EXPECT_THAT(send(a.get(), "x", 1, 0), SyscallFailsWithErrno(ENOTCONN));
  EXPECT_THAT(sendto(c.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
              SyscallSucceedsWithValue(1));
  ASSERT_THAT(Connect(a.get(), dir / "b"), SyscallSucceeds());
  b.reset();
  EXPECT_THAT(send(a.get(), "x", 1, 0), SyscallFailsWithErrno(ECONNREFUSED));
}

TEST(UnixDatagramDetailTest, QueueIsBounded) {
  TempDir dir;
  Fd a(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)), b(socket(AF_UNIX, SOCK_DGRAM, 0));
  ASSERT_THAT(Bind(b.get(), dir / "b"), SyscallSucceeds());
  ASSERT_THAT(Connect(a.get(), dir / "b"), SyscallSucceeds());
  int sent = 0;
  while (send(a.get(), "x", 1, 0) == 1 && sent < 100000) sent++;
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_LT(sent, 1000);
  pollfd poller = {a.get(), POLLOUT, 0};
  EXPECT_THAT(poll(&poller, 1, 0), SyscallSucceedsWithValue(0));
  char c;
  ASSERT_THAT(recv(b.get(), &c, 1, 0), SyscallSucceedsWithValue(1));
  EXPECT_THAT(poll(&poller, 1, 0), SyscallSucceedsWithValue(1));
  std::string big(1 << 20, 'x');
  EXPECT_THAT(send(a.get(), big.data(), big.size(), 0), SyscallFailsWithErrno(EMSGSIZE));
}

TEST(UnixStreamDetailTest, BacklogIsBounded) {
  TempDir dir;
  Fd server(socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_THAT(Bind(server.get(), dir / "s"), SyscallSucceeds());
  Fd early(socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_THAT(Connect(early.get(), dir / "s"), SyscallFailsWithErrno(ECONNREFUSED));
  ASSERT_THAT(listen(server.get(), 1), SyscallSucceeds());
  std::vector<Fd> clients;
  int result = 0;
  for (int i = 0; i < 10 && result == 0; i++) {
    clients.emplace_back(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    result = Connect(clients.back().get(), dir / "s");
  }
  EXPECT_THAT(result, SyscallFailsWithErrno(EAGAIN));
  EXPECT_EQ(clients.size(), 3u);
  // What waits may write already, and is reset when the listener goes.
  EXPECT_THAT(write(clients[0].get(), "x", 1), SyscallSucceedsWithValue(1));
  server.reset();
  char c;
  EXPECT_THAT(read(clients[0].get(), &c, 1), SyscallFailsWithErrno(ECONNRESET));
  EXPECT_THAT(read(clients[0].get(), &c, 1), SyscallSucceedsWithValue(0));
  EXPECT_THAT(send(clients[0].get(), &c, 1, MSG_NOSIGNAL), SyscallFailsWithErrno(EPIPE));
}

TEST(UnixStreamDetailTest, ShutdownHalves) {
  SocketPair p;
  char c;
  ASSERT_THAT(write(p.a.get(), "x", 1), SyscallSucceedsWithValue(1));
  ASSERT_THAT(shutdown(p.a.get(), SHUT_WR), SyscallSucceeds());
  EXPECT_THAT(send(p.a.get(), "x", 1, MSG_NOSIGNAL), SyscallFailsWithErrno(EPIPE));
  EXPECT_THAT(read(p.b.get(), &c, 1), SyscallSucceedsWithValue(1));
  EXPECT_THAT(read(p.b.get(), &c, 1), SyscallSucceedsWithValue(0));
  EXPECT_THAT(write(p.b.get(), "y", 1), SyscallSucceedsWithValue(1));
  EXPECT_THAT(read(p.a.get(), &c, 1), SyscallSucceedsWithValue(1));
  pollfd poller = {p.b.get(), POLLIN | POLLRDHUP, 0};
  poll(&poller, 1, 0);
  EXPECT_EQ(poller.revents, POLLIN | POLLRDHUP);
  ASSERT_THAT(shutdown(p.b.get(), SHUT_WR), SyscallSucceeds());
  poll(&poller, 1, 0);
  EXPECT_NE(poller.revents & POLLHUP, 0);
  EXPECT_THAT(shutdown(p.b.get(), 7), SyscallFailsWithErrno(EINVAL));
  Fd alone(socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_THAT(shutdown(alone.get(), SHUT_RD), SyscallSucceeds());  // unlike TCP
}

TEST(UnixStreamDetailTest, Errors) {
  TempDir dir;
  Fd s(socket(AF_UNIX, SOCK_STREAM, 0)), d(socket(AF_UNIX, SOCK_DGRAM, 0));
  ASSERT_THAT(Bind(s.get(), dir / "s"), SyscallSucceeds());
  ASSERT_THAT(listen(s.get(), 5), SyscallSucceeds());
  EXPECT_THAT(Connect(d.get(), dir / "s"), SyscallFailsWithErrno(EPROTOTYPE));
  EXPECT_THAT(listen(d.get(), 5), SyscallFailsWithErrno(EOPNOTSUPP));
  EXPECT_THAT(accept(d.get(), nullptr, nullptr), SyscallFailsWithErrno(EOPNOTSUPP));
  Fd c(socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_THAT(accept(c.get(), nullptr, nullptr), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(send(c.get(), "x", 1, 0), SyscallFailsWithErrno(ENOTCONN));
  EXPECT_THAT(recv(c.get(), &dir, 1, MSG_DONTWAIT), SyscallFailsWithErrno(EINVAL));
  PutFile(dir / "plain", "");
  EXPECT_THAT(Connect(c.get(), dir / "plain"), SyscallFailsWithErrno(ECONNREFUSED));
  EXPECT_THAT(Connect(c.get(), dir / "missing"), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(Connect(c.get(), dir / "s"), SyscallSucceeds());
  EXPECT_THAT(Connect(c.get(), dir / "s"), SyscallFailsWithErrno(EISCONN));
  EXPECT_THAT(listen(c.get(), 5), SyscallFailsWithErrno(EINVAL));
  sockaddr_un to = Address(dir / "s");
  EXPECT_THAT(sendto(c.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
              SyscallFailsWithErrno(EISCONN));
  EXPECT_THAT(Bind(c.get(), dir / "s"), SyscallFailsWithErrno(EADDRINUSE));
  EXPECT_THAT(open((dir / "s").c_str(), O_RDWR), SyscallFailsWithErrno(ENXIO));
  sockaddr other = {};
  other.sa_family = AF_INET;
  EXPECT_THAT(connect(d.get(), &other, sizeof other), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(bind(d.get(), &other, sizeof other), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(socket(AF_UNIX, SOCK_STREAM, 7), SyscallFailsWithErrno(EPROTONOSUPPORT));
  EXPECT_THAT(socket(AF_UNIX, 77, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(socket(AF_UNIX, SOCK_RDM, 0), SyscallFailsWithErrno(ESOCKTNOSUPPORT));
  chmod((dir / "s").c_str(), 0);
  chmod(dir.path().c_str(), 0755);
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setuid(65534) == 0);
    Fd mine(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK_OR_DIE(Connect(mine.get(), dir / "s") == -1 && errno == EACCES);
    return 0;
  });
}

template <typename T>
T Option(int fd, int name) {
  T value{};
  socklen_t size = sizeof value;
  EXPECT_THAT(getsockopt(fd, SOL_SOCKET, name, &value, &size), SyscallSucceeds()) << name;
  return value;
}

TEST(UnixOptionTest, Values) {
  SocketPair p;
  EXPECT_EQ(Option<int>(p.a.get(), SO_TYPE), SOCK_STREAM);
  EXPECT_EQ(Option<int>(p.a.get(), SO_DOMAIN), AF_UNIX);
  EXPECT_EQ(Option<int>(p.a.get(), SO_PROTOCOL), 0);
  EXPECT_EQ(Option<int>(p.a.get(), SO_ACCEPTCONN), 0);
  EXPECT_EQ(Option<int>(p.a.get(), SO_ERROR), 0);
  EXPECT_GT(Option<int>(p.a.get(), SO_SNDBUF), 4096);
  EXPECT_EQ(Option<int>(p.a.get(), SO_PASSCRED), 0);
  ucred peer = Option<ucred>(p.a.get(), SO_PEERCRED);
  EXPECT_EQ(peer.pid, getpid());
  int value = 0;
  socklen_t size = sizeof value;
  EXPECT_THAT(getsockopt(p.a.get(), SOL_SOCKET, 9999, &value, &size),
              SyscallFailsWithErrno(ENOPROTOOPT));
  EXPECT_THAT(setsockopt(p.a.get(), SOL_SOCKET, 9999, &value, size),
              SyscallFailsWithErrno(ENOPROTOOPT));
  EXPECT_THAT(setsockopt(p.a.get(), SOL_SOCKET, SO_PASSCRED, &value, 1),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(getsockopt(p.a.get(), 6, 1, &value, &size), SyscallFailsWithErrno(EOPNOTSUPP));
  EXPECT_THAT(setsockopt(p.a.get(), SOL_SOCKET, SO_TYPE, &value, size),
              SyscallFailsWithErrno(ENOPROTOOPT));
  linger wish = {1, 3};
  EXPECT_THAT(setsockopt(p.a.get(), SOL_SOCKET, SO_LINGER, &wish, sizeof wish), SyscallSucceeds());
  EXPECT_EQ(Option<linger>(p.a.get(), SO_LINGER).l_linger, 3);
  value = 1;
  for (int name : {SO_REUSEADDR, SO_KEEPALIVE, SO_OOBINLINE}) {
    EXPECT_THAT(setsockopt(p.a.get(), SOL_SOCKET, name, &value, sizeof value), SyscallSucceeds())
        << name;
    EXPECT_EQ(Option<int>(p.a.get(), name), 1) << name;
  }
}

TEST(UnixOptionTest, CredentialsOfEachMessage) {
  SocketPair p;
  int on = 1;
  ASSERT_THAT(setsockopt(p.b.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on), SyscallSucceeds());
  pid_t child = StartChild([&] {
    CHECK_OR_DIE(setuid(65534) == 0);
    CHECK_OR_DIE(write(p.a.get(), "c", 1) == 1);
    return 0;
  });
  WaitFor(child);
  ASSERT_THAT(write(p.a.get(), "p", 1), SyscallSucceedsWithValue(1));
  for (bool first : {true, false}) {
    char control[CMSG_SPACE(sizeof(ucred))], text[8];
    iovec iov = {text, sizeof text};
    msghdr m = {};
    m.msg_iov = &iov;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    // Data of different senders is not joined.
    ASSERT_THAT(recvmsg(p.b.get(), &m, 0), SyscallSucceedsWithValue(1));
    cmsghdr* c = CMSG_FIRSTHDR(&m);
    ASSERT_NE(c, nullptr);
    ASSERT_EQ(c->cmsg_type, SCM_CREDENTIALS);
    ucred creds;
    memcpy(&creds, CMSG_DATA(c), sizeof creds);
    EXPECT_EQ(creds.pid, first ? child : getpid());
    EXPECT_EQ(creds.uid, first ? 65534u : getuid());
  }
}

// read(2) and write(2) keep to SO_RCVTIMEO and SO_SNDTIMEO as the socket calls do.
TEST(UnixTimeoutTest, OfReadAndWrite) {
  int sv[2];
  ASSERT_THAT(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), SyscallSucceeds());
  timeval limit = {0, 50000};
  ASSERT_THAT(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)),
              SyscallSucceeds());
  ASSERT_THAT(setsockopt(sv[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)),
              SyscallSucceeds());
  char c;
  int64_t began = NowNs();
  EXPECT_THAT(read(sv[0], &c, 1), SyscallFailsWithErrno(EAGAIN));
  EXPECT_GE(NowNs() - began, 45000000);
  std::string big(1 << 20, 'x');
  ssize_t sent = write(sv[0], big.data(), big.size());
  EXPECT_GT(sent, 0);
  EXPECT_LT(sent, 1 << 20);
  EXPECT_THAT(write(sv[0], &c, 1), SyscallFailsWithErrno(EAGAIN));
  close(sv[0]);
  close(sv[1]);
}

TEST(UnixTimeoutTest, InterruptedReadIsNotRestarted) {
  int sv[2];
  ASSERT_THAT(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), SyscallSucceeds());
  timeval limit = {5, 0};
  ASSERT_THAT(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)),
              SyscallSucceeds());
  ScopedSigaction handler(SIGALRM, [](int) {}, SA_RESTART);
  ualarm(30000, 0);
  char c;
  EXPECT_THAT(read(sv[0], &c, 1), SyscallFailsWithErrno(EINTR));
  Fd listener(socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un any = {AF_UNIX, {}};
  ASSERT_THAT(bind(listener.get(), reinterpret_cast<sockaddr*>(&any), sizeof(sa_family_t)),
              SyscallSucceeds());
  ASSERT_THAT(listen(listener.get(), 1), SyscallSucceeds());
  ASSERT_THAT(setsockopt(listener.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)),
              SyscallSucceeds());
  ualarm(30000, 0);
  EXPECT_THAT(accept(listener.get(), nullptr, nullptr), SyscallFailsWithErrno(EINTR));
  close(sv[0]);
  close(sv[1]);
}

}  // namespace
