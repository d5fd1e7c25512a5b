// AF_UNIX sockets: stream, datagram, seqpacket; names, options, ancillary data.
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <thread>

#include "test/util/send_fds.h"
#include "test/util/test_util.h"

namespace {
using namespace guest;

struct Address {
  sockaddr_un un = {};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&un); }
};

// A path, or an abstract name when it starts with NUL.
Address At(const std::string& name) {
  Address a;
  a.un.sun_family = AF_UNIX;
  memcpy(a.un.sun_path, name.data(), name.size());
  a.length = offsetof(sockaddr_un, sun_path) + name.size() + (name[0] != 0 ? 1 : 0);
  return a;
}

class UnixTest : public testing::TestWithParam<int> {
 protected:
  UnixTest() : address_(At(dir_ / "socket")) {}
  Fd Socket(int type) { return Fd(socket(AF_UNIX, type, 0)); }
  int Bind(const Fd& fd) { return bind(fd.get(), address_.get(), address_.length); }
  int Connect(const Fd& fd) { return connect(fd.get(), address_.get(), address_.length); }
  void Pair(int type) {
    int s[2];
    CHECK_OR_DIE(socketpair(AF_UNIX, type, 0, s) == 0);
    a_.reset(s[0]);
    b_.reset(s[1]);
  }
  void Listen(int type) {
    server_ = Socket(type);
    CHECK_OR_DIE(Bind(server_) == 0 && listen(server_.get(), 5) == 0);
  }
  void Established(int type) {
    Listen(type);
    a_ = Socket(type);
    CHECK_OR_DIE(Connect(a_) == 0);
    b_.reset(accept(server_.get(), nullptr, nullptr));
    CHECK_OR_DIE(b_.valid());
  }
  TempDir dir_;
  Address address_;
  Fd server_, a_, b_;
  char buf_[4096];
};

class UnixConnectedTest : public UnixTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, UnixConnectedTest, testing::Values(SOCK_STREAM, SOCK_SEQPACKET));

TEST_P(UnixConnectedTest, ConnectAcceptTransfer) {
  Established(GetParam());
  EXPECT_THAT(send(a_.get(), "hello", 5, 0), SyscallSucceedsWithValue(5));
  EXPECT_THAT(recv(b_.get(), buf_, sizeof buf_, 0), SyscallSucceedsWithValue(5));
  EXPECT_THAT(write(b_.get(), "yo", 2), SyscallSucceedsWithValue(2));
  EXPECT_THAT(read(a_.get(), buf_, sizeof buf_), SyscallSucceedsWithValue(2));
}

TEST_P(UnixConnectedTest, Names) {
  Established(GetParam());
  sockaddr_un un = {};
  socklen_t length = sizeof un;
  ASSERT_THAT(getpeername(a_.get(), reinterpret_cast<sockaddr*>(&un), &length), SyscallSucceeds());
  EXPECT_STREQ(un.sun_path, address_.un.sun_path);
  EXPECT_EQ(length, address_.length);
  length = sizeof un;
  ASSERT_THAT(getsockname(b_.get(), reinterpret_cast<sockaddr*>(&un), &length), SyscallSucceeds());
  EXPECT_STREQ(un.sun_path, address_.un.sun_path);
  length = sizeof un;
  ASSERT_THAT(getsockname(a_.get(), reinterpret_cast<sockaddr*>(&un), &length), SyscallSucceeds());
  EXPECT_EQ(length, sizeof(sa_family_t));
}

TEST_P(UnixConnectedTest, ConnectErrors) {
  Fd fd = Socket(GetParam());
  EXPECT_THAT(Connect(fd), SyscallFailsWithErrno(ENOENT));
  PutFile(dir_ / "socket", "");
  EXPECT_THAT(Connect(fd), SyscallFailsWithErrno(ECONNREFUSED));
  unlink((dir_ / "socket").c_str());
  Fd bound = Socket(GetParam());
  ASSERT_THAT(Bind(bound), SyscallSucceeds());
  EXPECT_THAT(Connect(fd), SyscallFailsWithErrno(ECONNREFUSED));
  Fd dgram = Socket(SOCK_DGRAM);
  EXPECT_THAT(Connect(dgram), SyscallFailsWithErrno(EPROTOTYPE));
}

TEST_P(UnixConnectedTest, StateErrors) {
  Established(GetParam());
  EXPECT_THAT(Connect(a_), SyscallFailsWithErrno(EISCONN));
  Fd fresh = Socket(GetParam());
  EXPECT_THAT(send(fresh.get(), "x", 1, 0), SyscallFailsWithErrno(ENOTCONN));
  EXPECT_THAT(listen(fresh.get(), 1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(accept(fresh.get(), nullptr, nullptr), SyscallFailsWithErrno(EINVAL));
  socklen_t n = 0;
  EXPECT_THAT(getpeername(fresh.get(), nullptr, &n), SyscallFailsWithErrno(ENOTCONN));
}

TEST_P(UnixConnectedTest, PeerCredentials) {
  Established(GetParam());
  ucred cred = {};
  socklen_t length = sizeof cred;
  ASSERT_THAT(getsockopt(a_.get(), SOL_SOCKET, SO_PEERCRED, &cred, &length), SyscallSucceeds());
  EXPECT_EQ(cred.pid, getpid());
  EXPECT_EQ(cred.uid, getuid());
}

TEST_P(UnixConnectedTest, AcceptFlagsAndNonblock) {
  Listen(GetParam());
  fcntl(server_.get(), F_SETFL, O_NONBLOCK);
  EXPECT_THAT(accept(server_.get(), nullptr, nullptr), SyscallFailsWithErrno(EAGAIN));
  a_ = Socket(GetParam());
  ASSERT_THAT(Connect(a_), SyscallSucceeds());
  Fd got(accept4(server_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  ASSERT_TRUE(got.valid());
  EXPECT_EQ(fcntl(got.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(got.get(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  EXPECT_THAT(accept4(server_.get(), nullptr, nullptr, 1 << 5), SyscallFailsWithErrno(EINVAL));
}

TEST_P(UnixConnectedTest, BlockingAcceptIsWoken) {
  Listen(GetParam());
  pid_t child = StartChild([&] {
    Fd got(accept(server_.get(), nullptr, nullptr));
    CHECK_OR_DIE(got.valid() && read(got.get(), buf_, 10) == 2);
    return 0;
  });
  WaitUntilSleeping(child);
  a_ = Socket(GetParam());
  ASSERT_THAT(Connect(a_), SyscallSucceeds());
  ASSERT_THAT(write(a_.get(), "ok", 2), SyscallSucceedsWithValue(2));
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_P(UnixConnectedTest, CloseOfPeer) {
  Pair(GetParam());
  b_.reset();
  EXPECT_THAT(read(a_.get(), buf_, 10), SyscallSucceedsWithValue(0));
  EXPECT_THAT(send(a_.get(), "x", 1, MSG_NOSIGNAL), SyscallFailsWithErrno(EPIPE));
  pollfd p = {a_.get(), POLLIN | POLLOUT | POLLRDHUP, 0};
  EXPECT_EQ(poll(&p, 1, 0), 1);
  EXPECT_EQ(p.revents & POLLHUP, POLLHUP);
}

TEST_P(UnixConnectedTest, Shutdown) {
  Pair(GetParam());
  ASSERT_THAT(shutdown(a_.get(), SHUT_WR), SyscallSucceeds());
  EXPECT_THAT(send(a_.get(), "x", 1, MSG_NOSIGNAL), SyscallFailsWithErrno(EPIPE));
  EXPECT_THAT(read(b_.get(), buf_, 1), SyscallSucceedsWithValue(0));
  EXPECT_THAT(write(b_.get(), "x", 1), SyscallSucceedsWithValue(1));
  EXPECT_THAT(read(a_.get(), buf_, 1), SyscallSucceedsWithValue(1));
  EXPECT_THAT(shutdown(a_.get(), 9), SyscallFailsWithErrno(EINVAL));
}

class UnixAnyTest : public UnixTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, UnixAnyTest,
                         testing::Values(SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM));

TEST_P(UnixAnyTest, Socketpair) {
  Pair(GetParam());
  EXPECT_THAT(write(a_.get(), "abc", 3), SyscallSucceedsWithValue(3));
  EXPECT_THAT(read(b_.get(), buf_, 10), SyscallSucceedsWithValue(3));
  EXPECT_THAT(recv(b_.get(), buf_, 1, MSG_DONTWAIT), SyscallFailsWithErrno(EAGAIN));
}

TEST_P(UnixAnyTest, PeekLeavesData) {
  Pair(GetParam());
  write(a_.get(), "abc", 3);
  EXPECT_THAT(recv(b_.get(), buf_, 10, MSG_PEEK), SyscallSucceedsWithValue(3));
  EXPECT_THAT(recv(b_.get(), buf_, 10, 0), SyscallSucceedsWithValue(3));
}

TEST_P(UnixAnyTest, FillsUpAndDrains) {
  Pair(GetParam());
  int n = 0;
  while (send(a_.get(), buf_, 1000, MSG_DONTWAIT) > 0) n++;
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_GT(n, 5);
  pollfd p = {a_.get(), POLLOUT, 0};
  EXPECT_EQ(poll(&p, 1, 0), 0);
  while (recv(b_.get(), buf_, 1000, MSG_DONTWAIT) > 0) n--;
  EXPECT_EQ(n, 0);
  EXPECT_EQ(poll(&p, 1, 0), 1);
}

TEST_P(UnixAnyTest, BlockedSenderIsWoken) {
  Pair(GetParam());
  pid_t child = StartChild([&] {
    for (int i = 0; i < 2000; i++) CHECK_OR_DIE(send(a_.get(), buf_, 1000, 0) == 1000);
    return 0;
  });
  WaitUntilSleeping(child);
  size_t total = 0;
  while (total < 2000 * 1000) total += recv(b_.get(), buf_, 1000, 0);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_P(UnixAnyTest, Options) {
  Pair(GetParam());
  int value = 0;
  socklen_t length = sizeof value;
  ASSERT_THAT(getsockopt(a_.get(), SOL_SOCKET, SO_TYPE, &value, &length), SyscallSucceeds());
  EXPECT_EQ(value, GetParam());
  ASSERT_THAT(getsockopt(a_.get(), SOL_SOCKET, SO_DOMAIN, &value, &length), SyscallSucceeds());
  EXPECT_EQ(value, AF_UNIX);
  ASSERT_THAT(getsockopt(a_.get(), SOL_SOCKET, SO_ERROR, &value, &length), SyscallSucceeds());
  EXPECT_EQ(value, 0);
  ASSERT_THAT(getsockopt(a_.get(), SOL_SOCKET, SO_ACCEPTCONN, &value, &length), SyscallSucceeds());
  EXPECT_EQ(value, 0);
  value = 8192;
  ASSERT_THAT(setsockopt(a_.get(), SOL_SOCKET, SO_SNDBUF, &value, sizeof value), SyscallSucceeds());
  ASSERT_THAT(getsockopt(a_.get(), SOL_SOCKET, SO_SNDBUF, &value, &length), SyscallSucceeds());
  EXPECT_EQ(value, 16384);
  EXPECT_THAT(getsockopt(a_.get(), SOL_SOCKET, 9999, &value, &length),
              SyscallFailsWithErrno(ENOPROTOOPT));
  EXPECT_THAT(setsockopt(a_.get(), SOL_SOCKET, SO_SNDBUF, &value, 1),
              SyscallFailsWithErrno(EINVAL));
}

TEST_P(UnixAnyTest, ReceiveTimeout) {
  Pair(GetParam());
  timeval t = {0, 20000};
  ASSERT_THAT(setsockopt(a_.get(), SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), SyscallSucceeds());
  int64_t start = NowNs();
  EXPECT_THAT(recv(a_.get(), buf_, 1, 0), SyscallFailsWithErrno(EAGAIN));
  EXPECT_GE(NowNs() - start, 19000000);
}

TEST_P(UnixAnyTest, BindErrors) {
  Fd fd = Socket(GetParam()), other = Socket(GetParam());
  ASSERT_THAT(Bind(fd), SyscallSucceeds());
  struct stat st;
  ASSERT_THAT(stat(address_.un.sun_path, &st), SyscallSucceeds());
  EXPECT_TRUE(S_ISSOCK(st.st_mode));
  EXPECT_THAT(Bind(other), SyscallFailsWithErrno(EADDRINUSE));
  Address missing = At(dir_ / "no/x");
  EXPECT_THAT(bind(other.get(), missing.get(), missing.length), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(bind(other.get(), address_.get(), 200), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(open(address_.un.sun_path, O_RDWR), SyscallFailsWithErrno(ENXIO));
}

TEST_P(UnixAnyTest, PassesDescriptors) {
  Pair(GetParam());
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  ASSERT_THAT(SendFds(a_.get(), {p[0], p[1]}), SyscallSucceedsWithValue(1));
  close(p[0]);
  close(p[1]);
  char control[CMSG_SPACE(2 * sizeof(int))] = {};
  char byte;
  iovec v = {&byte, 1};
  msghdr m = {};
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  ASSERT_THAT(recvmsg(b_.get(), &m, MSG_CMSG_CLOEXEC), SyscallSucceedsWithValue(1));
  cmsghdr* c = CMSG_FIRSTHDR(&m);
  ASSERT_NE(c, nullptr);
  ASSERT_EQ(c->cmsg_type, SCM_RIGHTS);
  int got[2];
  memcpy(got, CMSG_DATA(c), sizeof got);
  EXPECT_EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
  EXPECT_THAT(write(got[1], "data", 4), SyscallSucceedsWithValue(4));
  EXPECT_THAT(read(got[0], buf_, 10), SyscallSucceedsWithValue(4));
  close(got[0]);
  close(got[1]);
}

TEST_P(UnixAnyTest, TruncatedControlDropsDescriptors) {
  Pair(GetParam());
  ASSERT_THAT(SendFds(a_.get(), {a_.get(), b_.get()}), SyscallSucceedsWithValue(1));
  char byte;
  iovec v = {&byte, 1};
  msghdr m = {};
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  ASSERT_THAT(recvmsg(b_.get(), &m, 0), SyscallSucceedsWithValue(1));
  EXPECT_EQ(m.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
}

TEST_P(UnixAnyTest, Credentials) {
  Pair(GetParam());
  int on = 1;
  ASSERT_THAT(setsockopt(b_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on), SyscallSucceeds());
  ASSERT_THAT(write(a_.get(), "x", 1), SyscallSucceedsWithValue(1));
  char control[CMSG_SPACE(sizeof(ucred))] = {};
  iovec v = {buf_, 1};
  msghdr m = {};
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  ASSERT_THAT(recvmsg(b_.get(), &m, 0), SyscallSucceedsWithValue(1));
  cmsghdr* c = CMSG_FIRSTHDR(&m);
  ASSERT_NE(c, nullptr);
  ASSERT_EQ(c->cmsg_type, SCM_CREDENTIALS);
  ucred cred;
  memcpy(&cred, CMSG_DATA(c), sizeof cred);
  EXPECT_EQ(cred.pid, getpid());
  EXPECT_EQ(cred.uid, getuid());
  EXPECT_EQ(cred.gid, getgid());
}

using UnixStreamTest = UnixTest;
TEST_F(UnixStreamTest, StreamJoinsWrites) {
  Pair(SOCK_STREAM);
  write(a_.get(), "ab", 2);
  write(a_.get(), "cd", 2);
  EXPECT_THAT(read(b_.get(), buf_, 10), SyscallSucceedsWithValue(4));
}

TEST_F(UnixStreamTest, WaitallAndFionread) {
  Pair(SOCK_STREAM);
  write(a_.get(), "abc", 3);
  int n = 0;
  ASSERT_THAT(ioctl(b_.get(), FIONREAD, &n), SyscallSucceeds());
  EXPECT_EQ(n, 3);
  pid_t child = StartChild([&] {
    CHECK_OR_DIE(recv(b_.get(), buf_, 6, MSG_WAITALL) == 6);
    return 0;
  });
  WaitUntilSleeping(child);
  write(a_.get(), "def", 3);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(UnixStreamTest, AbstractName) {
  std::string name = std::string("\0guest-test-", 12) + std::to_string(getpid());
  address_ = At(name);
  Established(SOCK_STREAM);
  sockaddr_un un = {};
  socklen_t length = sizeof un;
  ASSERT_THAT(getpeername(a_.get(), reinterpret_cast<sockaddr*>(&un), &length), SyscallSucceeds());
  EXPECT_EQ(length, address_.length);
  EXPECT_EQ(memcmp(un.sun_path, name.data(), name.size()), 0);
  Fd other = Socket(SOCK_STREAM);
  EXPECT_THAT(Bind(other), SyscallFailsWithErrno(EADDRINUSE));
  server_.reset();
  b_.reset();
  EXPECT_THAT(Bind(other), SyscallSucceeds());
}

TEST_F(UnixStreamTest, Autobind) {
  Fd fd = Socket(SOCK_STREAM);
  sockaddr_un un = {};
  un.sun_family = AF_UNIX;
  ASSERT_THAT(bind(fd.get(), reinterpret_cast<sockaddr*>(&un), sizeof(sa_family_t)),
              SyscallSucceeds());
  socklen_t length = sizeof un;
  ASSERT_THAT(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&un), &length), SyscallSucceeds());
  EXPECT_EQ(length, sizeof(sa_family_t) + 6);
  EXPECT_EQ(un.sun_path[0], 0);
}

TEST_F(UnixStreamTest, Sigpipe) {
  Pair(SOCK_STREAM);
  int status = InChild([&] {
    b_.reset();
    return static_cast<int>(write(a_.get(), "x", 1));
  });
  b_.reset();
  status = InChild([&] { return static_cast<int>(write(a_.get(), "x", 1)); });
  EXPECT_EQ(WTERMSIG(status), SIGPIPE);
}

TEST_F(UnixStreamTest, UnreadDataMakesReset) {
  Pair(SOCK_STREAM);
  write(a_.get(), "x", 1);
  b_.reset();
  EXPECT_THAT(read(a_.get(), buf_, 1), SyscallFailsWithErrno(ECONNRESET));
}

using UnixDatagramTest = UnixTest;
TEST_F(UnixDatagramTest, KeepsBoundariesAndSender) {
  Fd receiver = Socket(SOCK_DGRAM), sender = Socket(SOCK_DGRAM);
  ASSERT_THAT(Bind(receiver), SyscallSucceeds());
  Address mine = At(dir_ / "sender");
  ASSERT_THAT(bind(sender.get(), mine.get(), mine.length), SyscallSucceeds());
  ASSERT_THAT(sendto(sender.get(), "one", 3, 0, address_.get(), address_.length),
              SyscallSucceedsWithValue(3));
  ASSERT_THAT(sendto(sender.get(), "", 0, 0, address_.get(), address_.length),
              SyscallSucceedsWithValue(0));
  sockaddr_un un = {};
  socklen_t length = sizeof un;
  EXPECT_THAT(recvfrom(receiver.get(), buf_, 100, 0, reinterpret_cast<sockaddr*>(&un), &length),
              SyscallSucceedsWithValue(3));
  EXPECT_STREQ(un.sun_path, mine.un.sun_path);
  EXPECT_THAT(recv(receiver.get(), buf_, 100, 0), SyscallSucceedsWithValue(0));
}

TEST_F(UnixDatagramTest, Truncation) {
  Pair(SOCK_DGRAM);
  write(a_.get(), "abcdef", 6);
  iovec v = {buf_, 2};
  msghdr m = {};
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  EXPECT_THAT(recvmsg(b_.get(), &m, 0), SyscallSucceedsWithValue(2));
  EXPECT_EQ(m.msg_flags & MSG_TRUNC, MSG_TRUNC);
  write(a_.get(), "abcdef", 6);
  EXPECT_THAT(recv(b_.get(), buf_, 2, MSG_TRUNC), SyscallSucceedsWithValue(6));
}

TEST_F(UnixDatagramTest, Errors) {
  Fd fd = Socket(SOCK_DGRAM);
  EXPECT_THAT(send(fd.get(), "x", 1, 0), SyscallFailsWithErrno(ENOTCONN));
  EXPECT_THAT(sendto(fd.get(), "x", 1, 0, address_.get(), address_.length),
              SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(listen(fd.get(), 1), SyscallFailsWithErrno(EOPNOTSUPP));
  std::string big(1 << 20, 'x');
  Pair(SOCK_DGRAM);
  EXPECT_THAT(send(a_.get(), big.data(), big.size(), 0), SyscallFailsWithErrno(EMSGSIZE));
  b_.reset();
  EXPECT_THAT(send(a_.get(), "x", 1, 0), SyscallFailsWithErrno(ECONNREFUSED));
}

TEST_F(UnixDatagramTest, Mmsg) {
  Pair(SOCK_DGRAM);
  char x[] = "ab", y[] = "cde";
  iovec v[] = {{x, 2}, {y, 3}};
  mmsghdr m[2] = {};
  for (int i = 0; i < 2; i++) m[i].msg_hdr.msg_iov = &v[i], m[i].msg_hdr.msg_iovlen = 1;
  ASSERT_THAT(sendmmsg(a_.get(), m, 2, 0), SyscallSucceedsWithValue(2));
  EXPECT_EQ(m[1].msg_len, 3u);
  ASSERT_THAT(recvmmsg(b_.get(), m, 2, 0, nullptr), SyscallSucceedsWithValue(2));
  EXPECT_EQ(m[0].msg_len, 2u);
  EXPECT_EQ(m[1].msg_len, 3u);
  EXPECT_THAT(recvmmsg(b_.get(), m, 2, MSG_DONTWAIT, nullptr), SyscallFailsWithErrno(EAGAIN));
}

// Each socket of a long chain is kept by a message to the next one only. Older kernels refuse to
// nest them deeper than four.
TEST_F(UnixTest, ChainOfSocketsInMessagesGoesAtOnce) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  Fd reader(p[0]), last(p[1]);
  for (int i = 0; i < 50000; i++) {
    Pair(i % 2 == 0 ? SOCK_STREAM : SOCK_SEQPACKET);
    if (SendFds(a_.get(), {last.get()}, "x", MSG_DONTWAIT) != 1) break;
    last = std::move(b_);
  }
  a_.reset();
  b_.reset();
  EXPECT_THAT(fcntl(reader.get(), F_SETFL, O_NONBLOCK), SyscallSucceeds());
  EXPECT_THAT(read(reader.get(), buf_, 1), SyscallFailsWithErrno(EAGAIN));
  last.reset();
  // Linux closes them a little later, in a thread of its own.
  pollfd hangup = {reader.get(), POLLIN, 0};
  EXPECT_THAT(poll(&hangup, 1, 10000), SyscallSucceedsWithValue(1));
  EXPECT_THAT(read(reader.get(), buf_, 1), SyscallSucceedsWithValue(0));
}

TEST_F(UnixTest, ConnectingToEachOtherAtOnce) {
  Address other = At(dir_ / "other");
  a_ = Socket(SOCK_STREAM);
  b_ = Socket(SOCK_STREAM);
  ASSERT_THAT(Bind(a_), SyscallSucceeds());
  ASSERT_THAT(bind(b_.get(), other.get(), other.length), SyscallSucceeds());
  std::thread opposite([&] {
    for (int n = 0; n < 30000; n++) CHECK_OR_DIE(Connect(b_) == -1 && errno == ECONNREFUSED);
  });
  for (int n = 0; n < 30000; n++) {
    CHECK_OR_DIE(connect(a_.get(), other.get(), other.length) == -1 && errno == ECONNREFUSED);
  }
  opposite.join();
}

TEST_F(UnixTest, CreationErrors) {
  EXPECT_THAT(socket(AF_UNIX, SOCK_STREAM, 5), SyscallFailsWithErrno(EPROTONOSUPPORT));
  EXPECT_THAT(socket(AF_UNIX, 99, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(socket(9999, SOCK_STREAM, 0), SyscallFailsWithErrno(EAFNOSUPPORT));
  int s[2];
  EXPECT_THAT(socketpair(AF_UNIX, SOCK_STREAM | (1 << 20), 0, s), SyscallFailsWithErrno(EINVAL));
  Fd file(open("/dev/null", O_RDWR));
  EXPECT_THAT(listen(file.get(), 1), SyscallFailsWithErrno(ENOTSOCK));
  EXPECT_THAT(send(-1, "x", 1, 0), SyscallFailsWithErrno(EBADF));
}

}  // namespace
