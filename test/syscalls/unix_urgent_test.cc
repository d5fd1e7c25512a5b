// AF_UNIX: urgent bytes, SO_PEEK_OFF, descriptors of peers, lesser options.
#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <string>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

#ifndef SO_PASSPIDFD
constexpr int SO_PASSPIDFD = 76;
constexpr int SO_PEERPIDFD = 77;
#endif
#ifndef SCM_PIDFD
constexpr int SCM_PIDFD = 4;
#endif

void Say(int fd, std::string_view text, int flags = 0) {
  ASSERT_EQ(send(fd, text.data(), text.size(), flags | MSG_DONTWAIT),
            static_cast<ssize_t>(text.size()));
}
std::string Hear(int fd, int flags = 0, size_t most = 100) {
  std::string out(most, '\0');
  ssize_t n = recv(fd, out.data(), most, flags | MSG_DONTWAIT);
  if (n < 0) return strerrorname_np(errno);
  out.resize(n);
  return out;
}
int Mark(int fd) {
  int mark = -1;
  EXPECT_EQ(ioctl(fd, SIOCATMARK, &mark), 0);
  return mark;
}
int Waiting(int fd) {
  int n = -1;
  EXPECT_EQ(ioctl(fd, FIONREAD, &n), 0);
  return n;
}
short Ready(int fd) {
  pollfd p = {fd, POLLIN | POLLPRI | POLLOUT, 0};
  EXPECT_GE(poll(&p, 1, 0), 0);
  return p.revents;
}
template <typename T>
int SetOption(int fd, int name, const T& value) {
  return setsockopt(fd, SOL_SOCKET, name, &value, sizeof value);
}
int GetInt(int fd, int name) {
  int value = -12345;
  socklen_t size = sizeof value;
  EXPECT_EQ(getsockopt(fd, SOL_SOCKET, name, &value, &size), 0) << name;
  return value;
}

TEST(UnixUrgentTest, LastByteIsUrgent) {
  SocketPair p;
  Say(p.a.get(), "hello!", MSG_OOB);
  EXPECT_EQ(Waiting(p.b.get()), 6);
  EXPECT_EQ(Ready(p.b.get()), POLLIN | POLLPRI | POLLOUT);
  EXPECT_EQ(Hear(p.b.get(), MSG_OOB | MSG_PEEK), "!");
  EXPECT_EQ(Hear(p.b.get(), MSG_OOB), "!");
  EXPECT_EQ(Hear(p.b.get(), MSG_OOB), "EINVAL");
  EXPECT_EQ(Ready(p.b.get()), POLLIN | POLLOUT);
  EXPECT_EQ(Waiting(p.b.get()), 5);
  Say(p.a.get(), "more");
  EXPECT_EQ(Hear(p.b.get()), "hello");
  EXPECT_EQ(Mark(p.b.get()), 1);
  EXPECT_EQ(Hear(p.b.get()), "more");
  EXPECT_EQ(Hear(p.b.get()), "EAGAIN");
}

TEST(UnixUrgentTest, ReadEndsBeforeItAndThenGoesOverIt) {
  SocketPair p;
  Say(p.a.get(), "one");
  Say(p.a.get(), "X", MSG_OOB);
  Say(p.a.get(), "two");
  EXPECT_EQ(Mark(p.b.get()), 0);
  EXPECT_EQ(Hear(p.b.get(), MSG_PEEK), "one");
  EXPECT_EQ(Hear(p.b.get(), MSG_WAITALL), "one");
  EXPECT_EQ(Mark(p.b.get()), 1);
  EXPECT_EQ(Hear(p.b.get(), MSG_PEEK), "two");
  EXPECT_EQ(Hear(p.b.get(), 0, 2), "tw");
  EXPECT_EQ(Mark(p.b.get()), 0);
  EXPECT_EQ(Hear(p.b.get(), MSG_OOB), "EINVAL");
  EXPECT_EQ(Hear(p.b.get()), "o");
}

TEST(UnixUrgentTest, NewOneMakesTheOldOrdinary) {
  SocketPair p;
  Say(p.a.get(), "aX", MSG_OOB);
  Say(p.a.get(), "bY", MSG_OOB);
  EXPECT_EQ(Hear(p.b.get(), MSG_OOB), "Y");
  EXPECT_EQ(Hear(p.b.get()), "aXb");
  EXPECT_EQ(Mark(p.b.get()), 1);
  EXPECT_EQ(Hear(p.b.get()), "EAGAIN");
}

TEST(UnixUrgentTest, InLine) {
  SocketPair p;
  ASSERT_EQ(SetOption(p.b.get(), SO_OOBINLINE, 1), 0);
  Say(p.a.get(), "aX", MSG_OOB);
  Say(p.a.get(), "b");
  EXPECT_EQ(Hear(p.b.get(), MSG_OOB), "EINVAL");
  EXPECT_EQ(Hear(p.b.get()), "a");
  EXPECT_EQ(Mark(p.b.get()), 1);
  EXPECT_EQ(Ready(p.b.get()), POLLIN | POLLPRI | POLLOUT);
  EXPECT_EQ(Hear(p.b.get()), "Xb");
  EXPECT_EQ(Ready(p.b.get()), POLLOUT);
}

TEST(UnixUrgentTest, AloneItIsNoData) {
  SocketPair p;
  Say(p.a.get(), "X", MSG_OOB);
  EXPECT_EQ(Mark(p.b.get()), 1);
  EXPECT_EQ(Hear(p.b.get()), "EAGAIN");
  EXPECT_EQ(Hear(p.b.get(), MSG_OOB), "EINVAL");
  Say(p.a.get(), "Y", MSG_OOB);
  p.a.reset();
  EXPECT_EQ(Hear(p.b.get(), MSG_OOB), "Y");
  EXPECT_EQ(Hear(p.b.get()), "");
}

// A taken urgent byte does not count as unread when its receiver closes.
TEST(UnixUrgentTest, MarkIsNotUnreadData) {
  SocketPair p;
  Say(p.a.get(), "X", MSG_OOB);
  EXPECT_EQ(Hear(p.b.get(), MSG_OOB), "X");
  p.b.reset();
  EXPECT_EQ(Hear(p.a.get()), "");
}

TEST(UnixUrgentTest, DescriptorsGoWithTheUrgentByte) {
  SocketPair p;
  SocketPair watched;
  char control[CMSG_SPACE(sizeof(int))] = {};
  iovec iov = {const_cast<char*>("X"), 1};
  msghdr m = {};
  m.msg_iov = &iov;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  cmsghdr* c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  int fd = watched.a.get();
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  ASSERT_EQ(sendmsg(p.a.get(), &m, MSG_OOB), 1);
  watched.a.reset();
  EXPECT_EQ(Hear(watched.b.get()), "EAGAIN");
  Say(p.a.get(), "b");
  EXPECT_EQ(Hear(p.b.get()), "b");
  EXPECT_EQ(Hear(watched.b.get()), "");
}

TEST(UnixUrgentTest, OwnerGetsSigurg) {
  EXPECT_CHILD_OK([] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    CHECK_OR_DIE(sigprocmask(SIG_BLOCK, &set, nullptr) == 0);
    // Ignored by default, which would drop it unseen.
    CHECK_OR_DIE(signal(SIGURG, [](int) {}) != SIG_ERR);
    SocketPair p;
    timespec soon = Millis(20), long_time = {10, 0};
    CHECK_OR_DIE(send(p.a.get(), "X", 1, MSG_OOB) == 1);
    CHECK_OR_DIE(sigtimedwait(&set, nullptr, &soon) == -1 && errno == EAGAIN);
    CHECK_OR_DIE(fcntl(p.b.get(), F_SETOWN, getpid()) == 0);
    CHECK_OR_DIE(fcntl(p.b.get(), F_SETSIG, SIGUSR1) == 0);
    CHECK_OR_DIE(send(p.a.get(), "abc", 3, 0) == 3);
    CHECK_OR_DIE(sigtimedwait(&set, nullptr, &soon) == -1 && errno == EAGAIN);
    CHECK_OR_DIE(send(p.a.get(), "deY", 3, MSG_OOB) == 3);
    siginfo_t info;
    CHECK_OR_DIE(sigtimedwait(&set, &info, &long_time) == SIGURG);
    CHECK_OR_DIE(info.si_code == SI_KERNEL);
    return 0;
  });
}

TEST(UnixUrgentTest, Errors) {
  SocketPair p;
  EXPECT_THAT(send(p.a.get(), "", 0, MSG_OOB), SyscallFailsWithErrno(EOPNOTSUPP));
  EXPECT_EQ(Hear(p.b.get(), MSG_OOB), "EINVAL");
  for (int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
    SocketPair q(type);
    EXPECT_THAT(send(q.a.get(), "x", 1, MSG_OOB), SyscallFailsWithErrno(EOPNOTSUPP));
    EXPECT_EQ(Hear(q.b.get(), MSG_OOB), "EOPNOTSUPP");
  }
  Fd lone(socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_EQ(Hear(lone.get(), MSG_OOB), "EINVAL");
}

TEST(UnixUrgentTest, WakesSelectersForExceptions) {
  SocketPair p;
  std::thread sender([&] {
    SleepMs(30);
    Say(p.a.get(), "X", MSG_OOB);
  });
  pollfd q = {p.b.get(), POLLPRI, 0};
  EXPECT_EQ(poll(&q, 1, 10'000), 1);
  EXPECT_EQ(q.revents, POLLPRI);
  sender.join();
}

TEST(UnixPeekOffsetTest, StreamMovesOnAndBack) {
  SocketPair p;
  EXPECT_EQ(GetInt(p.b.get(), SO_PEEK_OFF), -1);
  ASSERT_EQ(SetOption(p.b.get(), SO_PEEK_OFF, 1), 0);
  Say(p.a.get(), "abc");
  Say(p.a.get(), "defgh");
  EXPECT_EQ(Hear(p.b.get(), MSG_PEEK, 3), "bcd");
  EXPECT_EQ(GetInt(p.b.get(), SO_PEEK_OFF), 4);
  EXPECT_EQ(Hear(p.b.get(), MSG_PEEK, 2), "ef");
  EXPECT_EQ(Hear(p.b.get(), 0, 4), "abcd");
  EXPECT_EQ(GetInt(p.b.get(), SO_PEEK_OFF), 2);
  EXPECT_EQ(Hear(p.b.get(), MSG_PEEK), "gh");
  EXPECT_EQ(Hear(p.b.get(), MSG_PEEK), "EAGAIN");
  EXPECT_EQ(Hear(p.b.get()), "efgh");
  EXPECT_EQ(GetInt(p.b.get(), SO_PEEK_OFF), 0);
  ASSERT_EQ(SetOption(p.b.get(), SO_PEEK_OFF, -1), 0);
  Say(p.a.get(), "xyz");
  EXPECT_EQ(Hear(p.b.get(), MSG_PEEK, 2), "xy");
  EXPECT_EQ(Hear(p.b.get(), MSG_PEEK, 2), "xy");
}

TEST(UnixPeekOffsetTest, PeekBehindTheEndWaits) {
  SocketPair p;
  ASSERT_EQ(SetOption(p.b.get(), SO_PEEK_OFF, 2), 0);
  Say(p.a.get(), "ab");
  std::thread sender([&] {
    SleepMs(30);
    Say(p.a.get(), "cd");
  });
  char buffer[10];
  EXPECT_EQ(recv(p.b.get(), buffer, sizeof buffer, MSG_PEEK), 2);
  EXPECT_EQ(buffer[0], 'c');
  sender.join();
}

TEST(UnixPeekOffsetTest, MessagesOneByOne) {
  for (int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
    SocketPair p(type);
    ASSERT_EQ(SetOption(p.b.get(), SO_PEEK_OFF, 0), 0);
    Say(p.a.get(), "abc");
    Say(p.a.get(), "de");
    EXPECT_EQ(Hear(p.b.get(), MSG_PEEK, 2), "ab");
    EXPECT_EQ(Hear(p.b.get(), MSG_PEEK), "c");
    EXPECT_EQ(Hear(p.b.get(), MSG_PEEK), "de");
    EXPECT_EQ(Hear(p.b.get(), MSG_PEEK), "EAGAIN");
    EXPECT_EQ(Hear(p.b.get()), "abc");
    EXPECT_EQ(GetInt(p.b.get(), SO_PEEK_OFF), 2);
    EXPECT_EQ(Hear(p.b.get()), "de");
    EXPECT_EQ(GetInt(p.b.get(), SO_PEEK_OFF), 0);
  }
}

// Ancillary data of one message, in the order that it came in.
struct Ancillary {
  std::vector<int> types;
  ucred creds = {};
  int pidfd = -1;
  int flags = 0;
};
Ancillary ReceiveAncillary(int fd, size_t room = 256) {
  Ancillary out;
  alignas(8) char control[256] = {};
  char byte;
  iovec iov = {&byte, 1};
  msghdr m = {};
  m.msg_iov = &iov;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = room;
  EXPECT_EQ(recvmsg(fd, &m, 0), 1);
  out.flags = m.msg_flags;
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
    out.types.push_back(c->cmsg_type);
    if (c->cmsg_type == SCM_CREDENTIALS) memcpy(&out.creds, CMSG_DATA(c), sizeof out.creds);
    if (c->cmsg_type == SCM_PIDFD) memcpy(&out.pidfd, CMSG_DATA(c), sizeof out.pidfd);
  }
  return out;
}

std::string PidLine(int pidfd) {
  std::string text = GetFile("/proc/self/fdinfo/" + std::to_string(pidfd));
  size_t at = text.find("\nPid:\t");
  return at == std::string::npos ? "" : text.substr(at + 6, text.find('\n', at + 1) - at - 6);
}

TEST(UnixPidFdTest, ComesWithEachMessage) {
  for (int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    SocketPair p(type);
    ASSERT_EQ(SetOption(p.b.get(), SO_PASSPIDFD, 1), 0);
    EXPECT_EQ(GetInt(p.b.get(), SO_PASSPIDFD), 1);
    Say(p.a.get(), "x");
    Ancillary got = ReceiveAncillary(p.b.get());
    EXPECT_EQ(got.types, std::vector<int>{SCM_PIDFD});
    Fd pidfd(got.pidfd);
    ASSERT_GE(pidfd.get(), 0);
    EXPECT_EQ(PidLine(pidfd.get()), std::to_string(getpid()));
    EXPECT_EQ(fcntl(pidfd.get(), F_GETFD), FD_CLOEXEC);
    ASSERT_EQ(SetOption(p.b.get(), SO_PASSCRED, 1), 0);
    Say(p.a.get(), "x");
    got = ReceiveAncillary(p.b.get());
    EXPECT_EQ(got.types, (std::vector<int>{SCM_CREDENTIALS, SCM_PIDFD}));
    close(got.pidfd);
    Say(p.a.get(), "x");
    got = ReceiveAncillary(p.b.get(), CMSG_SPACE(sizeof(ucred)));
    EXPECT_EQ(got.types, std::vector<int>{SCM_CREDENTIALS});
    EXPECT_NE(got.flags & MSG_CTRUNC, 0);
  }
}

TEST(UnixPidFdTest, OfAnotherProcess) {
  SocketPair p;
  ASSERT_EQ(SetOption(p.b.get(), SO_PASSPIDFD, 1), 0);
  pid_t child = fork();
  if (child == 0) {
    _exit(write(p.a.get(), "x", 1) == 1 ? 7 : 1);
  }
  Ancillary got = ReceiveAncillary(p.b.get());
  ASSERT_GE(got.pidfd, 0);
  siginfo_t info = {};
  EXPECT_THAT(waitid(static_cast<idtype_t>(3 /* P_PIDFD */), got.pidfd, &info, WEXITED),
              SyscallSucceeds());
  EXPECT_EQ(info.si_pid, child);
  EXPECT_EQ(info.si_status, 7);
  close(got.pidfd);
}

TEST(UnixPidFdTest, OfThePeer) {
  SocketPair p;
  Fd pidfd(GetInt(p.a.get(), SO_PEERPIDFD));
  ASSERT_GE(pidfd.get(), 0);
  EXPECT_EQ(PidLine(pidfd.get()), std::to_string(getpid()));
  EXPECT_EQ(fcntl(pidfd.get(), F_GETFD), FD_CLOEXEC);
  Fd lone(socket(AF_UNIX, SOCK_STREAM, 0));
  int value;
  socklen_t size = sizeof value;
  EXPECT_THAT(getsockopt(lone.get(), SOL_SOCKET, SO_PEERPIDFD, &value, &size),
              SyscallFailsWithErrno(ENODATA));
  EXPECT_THAT(getsockopt(p.a.get(), SOL_SOCKET, SO_PEERPIDFD, nullptr, &size),
              SyscallFailsWithErrno(EFAULT));
}

// What comes without being asked for are the real ids; SO_PEERCRED has the effective ones.
TEST(UnixPidFdTest, RealAndEffectiveIds) {
  if (getuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setresgid(11, 22, 0) == 0 && setresuid(33, 44, 0) == 0);
    SocketPair p;
    CHECK_OR_DIE(SetOption(p.b.get(), SO_PASSCRED, 1) == 0);
    CHECK_OR_DIE(write(p.a.get(), "x", 1) == 1);
    Ancillary got = ReceiveAncillary(p.b.get());
    CHECK_OR_DIE(got.creds.uid == 33 && got.creds.gid == 11 && got.creds.pid == getpid());
    ucred peer;
    socklen_t size = sizeof peer;
    CHECK_OR_DIE(getsockopt(p.b.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0);
    CHECK_OR_DIE(peer.uid == 44 && peer.gid == 22);
    return 0;
  });
}

TEST(UnixOptionsTest, PeerGroups) {
  if (getuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_CHILD_OK([] {
    gid_t groups[3] = {5, 6, 7};
    CHECK_OR_DIE(setgroups(3, groups) == 0);
    SocketPair p;
    gid_t got[5] = {};
    socklen_t size = sizeof got;
    CHECK_OR_DIE(getsockopt(p.a.get(), SOL_SOCKET, SO_PEERGROUPS, got, &size) == 0);
    CHECK_OR_DIE(size == 12 && got[0] == 5 && got[2] == 7);
    size = 4;
    CHECK_OR_DIE(getsockopt(p.a.get(), SOL_SOCKET, SO_PEERGROUPS, got, &size) == -1);
    CHECK_OR_DIE(errno == ERANGE && size == 12);
    Fd lone(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK_OR_DIE(getsockopt(lone.get(), SOL_SOCKET, SO_PEERGROUPS, got, &size) == -1);
    CHECK_OR_DIE(errno == ENODATA);
    return 0;
  });
}

TEST(UnixOptionsTest, TimestampOfDatagrams) {
  for (int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    SocketPair p(type);
    ASSERT_EQ(SetOption(p.b.get(), SO_TIMESTAMP, 1), 0);
    EXPECT_EQ(GetInt(p.b.get(), SO_TIMESTAMP), 1);
    EXPECT_EQ(GetInt(p.b.get(), SO_TIMESTAMPNS), 0);
    ASSERT_EQ(SetOption(p.b.get(), SO_PASSCRED, 1), 0);
    Say(p.a.get(), "x");
    std::vector<int> expected = {SCM_CREDENTIALS};
    if (type != SOCK_STREAM) expected.insert(expected.begin(), SO_TIMESTAMP);
    EXPECT_EQ(ReceiveAncillary(p.b.get()).types, expected) << type;
    ASSERT_EQ(SetOption(p.b.get(), SO_TIMESTAMPNS, 1), 0);
    EXPECT_EQ(GetInt(p.b.get(), SO_TIMESTAMP), 0);
    EXPECT_EQ(GetInt(p.b.get(), SO_TIMESTAMPNS), 1);
  }
}

TEST(UnixOptionsTest, KeptValues) {
  SocketPair p;
  for (int name : {SO_DONTROUTE, SO_PASSSEC, SO_RXQ_OVFL, SO_SELECT_ERR_QUEUE, SO_BSDCOMPAT}) {
    int before = GetInt(p.a.get(), name);
    EXPECT_EQ(before, 0) << name;
    EXPECT_EQ(SetOption(p.a.get(), name, 5), 0) << name;
    if (name != SO_BSDCOMPAT) EXPECT_EQ(GetInt(p.a.get(), name), 1) << name;
  }
  uint64_t cookie[2] = {};
  socklen_t size = sizeof cookie[0];
  EXPECT_EQ(getsockopt(p.a.get(), SOL_SOCKET, SO_COOKIE, &cookie[0], &size), 0);
  EXPECT_EQ(getsockopt(p.b.get(), SOL_SOCKET, SO_COOKIE, &cookie[1], &size), 0);
  EXPECT_NE(cookie[0], 0u);
  EXPECT_NE(cookie[0], cookie[1]);
  EXPECT_EQ(SetOption(p.a.get(), SO_RCVLOWAT, 0), 0);
  EXPECT_EQ(GetInt(p.a.get(), SO_RCVLOWAT), 1);
  EXPECT_EQ(SetOption(p.a.get(), SO_RCVLOWAT, -3), 0);
  EXPECT_EQ(GetInt(p.a.get(), SO_RCVLOWAT), INT32_MAX);
}

TEST(UnixOptionsTest, ReceiveWaitsForLowWater) {
  SocketPair p;
  ASSERT_EQ(SetOption(p.b.get(), SO_RCVLOWAT, 4), 0);
  Say(p.a.get(), "ab");
  EXPECT_EQ(Hear(p.b.get()), "ab");  // non-blocking: what there is
  std::thread sender([&] {
    for (const char* piece : {"cd", "ef", "gh"}) {
      SleepMs(20);
      Say(p.a.get(), piece);
    }
  });
  char buffer[10];
  EXPECT_EQ(recv(p.b.get(), buffer, sizeof buffer, 0), 4);
  sender.join();
  EXPECT_EQ(recv(p.b.get(), buffer, 1, 0), 1);
}

// Small messages count for more than their bytes: a buffer does not hold one for each byte of it.
TEST(UnixQueueTest, SmallMessagesFillTheBuffer) {
  for (int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    SocketPair p(type);
    int sent = 0;
    while (sent < 100'000 && send(p.a.get(), "x", 1, MSG_DONTWAIT) == 1) ++sent;
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_GT(sent, 100) << type;
    EXPECT_LT(sent, 1000) << type;
    EXPECT_EQ(Ready(p.a.get()) & POLLOUT, 0);
    char byte;
    for (int i = 0; i < sent; ++i) ASSERT_EQ(recv(p.b.get(), &byte, 1, MSG_DONTWAIT), 1);
    EXPECT_EQ(Ready(p.a.get()) & POLLOUT, POLLOUT);
  }
}

}  // namespace
