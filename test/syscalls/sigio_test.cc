// Signal-driven I/O: O_ASYNC, owners, chosen signals, on each kind of file that has it.
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <string>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

constexpr int kGetOwnerUids = 17;

sigset_t IoSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (int s : {SIGIO, SIGUSR1, SIGRTMIN + 3}) sigaddset(&set, s);
  return set;
}

// Blocks the signals, so that they wait for Next.
class SigioTest : public ::testing::Test {
 protected:
  void SetUp() override {
    sigset_t set = IoSignals();
    sigprocmask(SIG_BLOCK, &set, &before_);
  }
  void TearDown() override {
    while (Next(0) != "") {
    }
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  // What waits: "in 5" for POLL_IN of descriptor 5, "plain" for SIGIO without information.
  static std::string Next(int ms = 0) {
    sigset_t set = IoSignals();
    siginfo_t info = {};
    timespec timeout = Millis(ms);
    int s = sigtimedwait(&set, &info, &timeout);
    if (s < 0) return "";
    if (s == SIGIO && info.si_code == SI_KERNEL) return "plain";
    const char* names[] = {"?", "in", "out", "msg", "err", "pri", "hup"};
    if (info.si_code < 1 || info.si_code > 6) return "code " + std::to_string(info.si_code);
    return names[info.si_code] + (" " + std::to_string(info.si_fd));
  }
  static std::string All(int ms = 0) {
    std::string all;
    for (std::string one = Next(ms); one != ""; one = Next(ms)) all += (all == "" ? "" : ",") + one;
    return all;
  }
  static void Arm(int fd) {
    ASSERT_THAT(fcntl(fd, F_SETOWN, getpid()), SyscallSucceeds());
    ASSERT_THAT(fcntl(fd, F_SETSIG, SIGRTMIN + 3), SyscallSucceeds());
    ASSERT_THAT(fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK), SyscallSucceeds());
  }
  static std::string In(int fd) { return "in " + std::to_string(fd); }
  static std::string Out(int fd) { return "out " + std::to_string(fd); }
  static std::string Hup(int fd) { return "hup " + std::to_string(fd); }

  sigset_t before_;
};

TEST_F(SigioTest, PipeTellsOfEachTransfer) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  Fd r(p[0]), w(p[1]);
  Arm(p[0]);
  Arm(p[1]);
  EXPECT_EQ(All(), "");
  char c[8];
  ASSERT_EQ(write(p[1], "ab", 2), 2);
  EXPECT_EQ(All(), In(p[0]));
  ASSERT_EQ(write(p[1], "c", 1), 1);  // an edge for each write, read or not
  EXPECT_EQ(All(), In(p[0]));
  ASSERT_EQ(read(p[0], c, 1), 1);
  EXPECT_EQ(All(), Out(p[1]));
  ASSERT_THAT(fcntl(p[0], F_SETFL, O_NONBLOCK), SyscallSucceeds());
  ASSERT_EQ(write(p[1], "d", 1), 1);
  EXPECT_EQ(All(), "");
}

TEST_F(SigioTest, PipeTellsOfTheOtherEndsClose) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  Arm(p[0]);
  close(p[1]);
  EXPECT_EQ(All(), In(p[0]));
  close(p[0]);
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  Arm(p[1]);
  close(p[0]);
  EXPECT_EQ(All(), Out(p[1]));
  close(p[1]);
  EXPECT_EQ(All(), "");
}

TEST_F(SigioTest, FifoOpenForBothHearsBoth) {
  TempDir dir;
  ASSERT_THAT(mkfifo((dir / "f").c_str(), 0600), SyscallSucceeds());
  Fd f(open((dir / "f").c_str(), O_RDWR));
  Arm(f.get());
  ASSERT_EQ(write(f.get(), "x", 1), 1);
  EXPECT_EQ(All(), In(f.get()));
  char c;
  ASSERT_EQ(read(f.get(), &c, 1), 1);
  EXPECT_EQ(All(), Out(f.get()));
}

TEST_F(SigioTest, OpenFlagAloneDoesNothing) {
  TempDir dir;
  ASSERT_THAT(mkfifo((dir / "f").c_str(), 0600), SyscallSucceeds());
  Fd f(open((dir / "f").c_str(), O_RDWR | O_ASYNC));
  EXPECT_NE(fcntl(f.get(), F_GETFL) & O_ASYNC, 0);
  Arm(f.get());  // no change of the flag, so it still does nothing
  ASSERT_EQ(write(f.get(), "x", 1), 1);
  EXPECT_EQ(All(), "");
  ASSERT_THAT(fcntl(f.get(), F_SETFL, 0), SyscallSucceeds());
  EXPECT_NE(fcntl(f.get(), F_GETFL) & O_ASYNC, 0);
}

TEST_F(SigioTest, DescriptionOutlivesItsDescriptor) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  Fd w(p[1]);
  Arm(p[0]);
  Fd copy(dup(p[0]));
  close(p[0]);
  ASSERT_EQ(write(p[1], "x", 1), 1);
  EXPECT_EQ(All(), In(p[0]));  // the number by which it was switched on
  copy.reset();
  Fd again(open("/dev/null", O_RDONLY));
  EXPECT_EQ(All(), "");
}

TEST_F(SigioTest, StreamSocket) {
  int s[2];
  ASSERT_THAT(socketpair(AF_UNIX, SOCK_STREAM, 0, s), SyscallSucceeds());
  Fd a(s[0]), b(s[1]);
  Arm(s[0]);
  Arm(s[1]);
  char c[100];
  ASSERT_EQ(write(s[0], "x", 1), 1);
  EXPECT_EQ(All(), In(s[1]));
  ASSERT_EQ(read(s[1], c, sizeof c), 1);
  EXPECT_EQ(All(), "");  // room was never short
  std::string block(65536, 'x');
  while (write(s[0], block.data(), block.size()) > 0) {
  }
  All();
  while (read(s[1], block.data(), block.size()) > 0) {
  }
  EXPECT_EQ(All(), Out(s[0]));
  ASSERT_THAT(shutdown(s[0], SHUT_WR), SyscallSucceeds());
  EXPECT_EQ(All(), In(s[1]));
  a.reset();
  EXPECT_EQ(All(), Hup(s[1]));
}

TEST_F(SigioTest, ShutdownOfBothIsAHangup) {
  int s[2];
  ASSERT_THAT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), SyscallSucceeds());
  Fd a(s[0]), b(s[1]);
  Arm(s[1]);
  ASSERT_THAT(shutdown(s[0], SHUT_RDWR), SyscallSucceeds());
  EXPECT_EQ(All(), Hup(s[1]));
}

TEST_F(SigioTest, DatagramSocket) {
  int s[2];
  ASSERT_THAT(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), SyscallSucceeds());
  Fd a(s[0]), b(s[1]);
  Arm(s[1]);
  ASSERT_EQ(write(s[0], "x", 1), 1);
  ASSERT_EQ(write(s[0], "y", 1), 1);
  EXPECT_EQ(All(), In(s[1]) + "," + In(s[1]));
  a.reset();
  EXPECT_EQ(All(), "");
}

TEST_F(SigioTest, ListenerHearsOfConnections) {
  TempDir dir;
  sockaddr_un name = {AF_UNIX, ""};
  snprintf(name.sun_path, sizeof name.sun_path, "%s", (dir / "s").c_str());
  auto* address = reinterpret_cast<sockaddr*>(&name);
  Fd listener(socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_THAT(bind(listener.get(), address, sizeof name), SyscallSucceeds());
  ASSERT_THAT(listen(listener.get(), 3), SyscallSucceeds());
  Arm(listener.get());
  Fd client(socket(AF_UNIX, SOCK_STREAM, 0));
  Arm(client.get());
  ASSERT_THAT(connect(client.get(), address, sizeof name), SyscallSucceeds());
  EXPECT_EQ(All(), In(listener.get()));
  Fd served(accept(listener.get(), nullptr, nullptr));
  EXPECT_EQ(All(), "");
  served.reset();
  EXPECT_EQ(All(), Hup(client.get()));
}

TEST_F(SigioTest, Inotify) {
  TempDir dir;
  Fd in(inotify_init1(0));
  Arm(in.get());
  ASSERT_THAT(inotify_add_watch(in.get(), dir.path().c_str(), IN_CREATE | IN_DELETE),
              SyscallSucceeds());
  PutFile(dir / "f", "");
  EXPECT_EQ(All(), In(in.get()));
  unlink((dir / "f").c_str());
  EXPECT_EQ(All(), In(in.get()));
}

TEST_F(SigioTest, Terminal) {
  int master, slave;
  ASSERT_THAT(openpty(&master, &slave, nullptr, nullptr, nullptr), SyscallSucceeds());
  Fd m(master), s(slave);
  ASSERT_THAT(fcntl(slave, F_SETFL, O_ASYNC), SyscallSucceeds());
  EXPECT_THAT(fcntl(slave, F_GETOWN), SyscallSucceedsWithValue(getpid()));  // by itself
  ASSERT_THAT(fcntl(slave, F_SETSIG, SIGRTMIN + 3), SyscallSucceeds());
  ASSERT_EQ(write(master, "ab", 2), 2);
  EXPECT_EQ(All(20), "");  // no line yet
  ASSERT_EQ(write(master, "c\n", 2), 2);
  EXPECT_EQ(All(50), In(slave));
  Arm(master);
  ASSERT_EQ(write(slave, "hello", 5), 5);
  EXPECT_EQ(Next(1000), In(master));
  All(20);
  ASSERT_THAT(fcntl(master, F_SETFL, 0), SyscallSucceeds());
  termios raw;
  tcgetattr(slave, &raw);
  cfmakeraw(&raw);
  tcsetattr(slave, TCSANOW, &raw);
  ASSERT_EQ(write(master, "d", 1), 1);
  EXPECT_EQ(Next(1000), In(slave));
  All(20);
  ASSERT_THAT(fcntl(slave, F_SETFL, 0), SyscallSucceeds());
  m.reset();
  EXPECT_THAT(fcntl(slave, F_SETFL, O_ASYNC), SyscallFailsWithErrno(ENOTTY));
}

TEST_F(SigioTest, TerminalsDefaultOwnerIsItsForeground) {
  EXPECT_CHILD_OK([] {
    int master, slave;
    CHECK_OR_DIE(openpty(&master, &slave, nullptr, nullptr, nullptr) == 0);
    CHECK_OR_DIE(setsid() > 0);
    CHECK_OR_DIE(ioctl(slave, TIOCSCTTY, 0) == 0);
    CHECK_OR_DIE(fcntl(slave, F_SETFL, O_ASYNC) == 0);
    CHECK_OR_DIE(fcntl(slave, F_GETOWN) == -getpgrp());
    CHECK_OR_DIE(fcntl(slave, F_SETFL, 0) == 0);
    CHECK_OR_DIE(fcntl(slave, F_SETOWN, getppid()) == 0);
    CHECK_OR_DIE(fcntl(slave, F_SETFL, O_ASYNC) == 0);
    CHECK_OR_DIE(fcntl(slave, F_GETOWN) == getppid());
    return 0;
  });
}

TEST_F(SigioTest, FilesWithoutIt) {
  TempDir dir;
  Fd files[] = {Fd(eventfd(0, 0)), Fd(timerfd_create(CLOCK_MONOTONIC, 0)),
                Fd(open("/dev/null", O_RDWR)),
                Fd(open((dir / "f").c_str(), O_RDWR | O_CREAT, 0600)), Fd(open("/", O_RDONLY))};
  for (const Fd& f : files) {
    EXPECT_THAT(fcntl(f.get(), F_SETFL, O_ASYNC), SyscallSucceedsWithValue(0));
    EXPECT_EQ(fcntl(f.get(), F_GETFL) & O_ASYNC, 0);
    int on = 1, off = 0;
    EXPECT_THAT(ioctl(f.get(), FIOASYNC, &on), SyscallFailsWithErrno(ENOTTY));
    EXPECT_THAT(ioctl(f.get(), FIOASYNC, &off), SyscallSucceedsWithValue(0));
  }
}

TEST_F(SigioTest, IoctlSwitches) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  Fd r(p[0]), w(p[1]);
  int on = 7;
  ASSERT_THAT(fcntl(p[0], F_SETOWN, getpid()), SyscallSucceeds());
  ASSERT_THAT(ioctl(p[0], FIOASYNC, &on), SyscallSucceeds());
  EXPECT_NE(fcntl(p[0], F_GETFL) & O_ASYNC, 0);
  ASSERT_EQ(write(p[1], "x", 1), 1);
  EXPECT_EQ(All(), "plain");
  on = 0;
  ASSERT_THAT(ioctl(p[0], FIOASYNC, &on), SyscallSucceeds());
  EXPECT_EQ(fcntl(p[0], F_GETFL) & O_ASYNC, 0);
  ASSERT_EQ(write(p[1], "x", 1), 1);
  EXPECT_EQ(All(), "");
  EXPECT_THAT(ioctl(p[0], FIOASYNC, nullptr), SyscallFailsWithErrno(EFAULT));
}

TEST_F(SigioTest, OwnerOfKinds) {
  Fd f(eventfd(0, 0));
  int fd = f.get();
  EXPECT_THAT(fcntl(fd, F_GETOWN), SyscallSucceedsWithValue(0));
  f_owner_ex ex = {F_OWNER_PID, 7};
  EXPECT_THAT(fcntl(fd, F_GETOWN_EX, &ex), SyscallSucceeds());
  EXPECT_EQ(ex.type, F_OWNER_TID);
  EXPECT_EQ(ex.pid, 0);
  ASSERT_THAT(fcntl(fd, F_SETOWN, getpid()), SyscallSucceeds());
  EXPECT_THAT(fcntl(fd, F_GETOWN_EX, &ex), SyscallSucceeds());
  EXPECT_EQ(ex.type, F_OWNER_PID);
  EXPECT_EQ(ex.pid, getpid());
  ASSERT_THAT(fcntl(fd, F_SETOWN, -getpgrp()), SyscallSucceeds());
  EXPECT_EQ(fcntl(fd, F_GETOWN), -getpgrp());
  EXPECT_THAT(fcntl(fd, F_GETOWN_EX, &ex), SyscallSucceeds());
  EXPECT_EQ(ex.type, F_OWNER_PGRP);
  EXPECT_EQ(ex.pid, getpgrp());
  ex = {F_OWNER_TID, gettid()};
  ASSERT_THAT(fcntl(fd, F_SETOWN_EX, &ex), SyscallSucceeds());
  EXPECT_THAT(fcntl(fd, F_GETOWN), SyscallSucceedsWithValue(gettid()));
  ASSERT_THAT(fcntl(fd, F_SETOWN, 0), SyscallSucceeds());
  EXPECT_THAT(fcntl(fd, F_GETOWN), SyscallSucceedsWithValue(0));
}

TEST_F(SigioTest, OwnerErrors) {
  Fd f(eventfd(0, 0));
  int fd = f.get();
  EXPECT_THAT(fcntl(fd, F_SETOWN, 4190000), SyscallFailsWithErrno(ESRCH));
  EXPECT_THAT(fcntl(fd, F_SETOWN, -4190000), SyscallFailsWithErrno(ESRCH));
  EXPECT_THAT(fcntl(fd, F_SETOWN, INT32_MIN), SyscallFailsWithErrno(EINVAL));
  f_owner_ex ex = {F_OWNER_PID, -5};
  EXPECT_THAT(fcntl(fd, F_SETOWN_EX, &ex), SyscallFailsWithErrno(ESRCH));
  ex.type = static_cast<__pid_type>(3);
  EXPECT_THAT(fcntl(fd, F_SETOWN_EX, &ex), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(fcntl(fd, F_SETOWN_EX, nullptr), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(fcntl(fd, F_GETOWN_EX, nullptr), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(fcntl(fd, F_SETSIG, -1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(fcntl(fd, F_SETSIG, 65), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(fcntl(fd, F_SETSIG, 64), SyscallSucceeds());
  EXPECT_THAT(fcntl(fd, F_GETSIG), SyscallSucceedsWithValue(64));
  int me = getpid();
  EXPECT_THAT(ioctl(fd, FIOSETOWN, &me), SyscallFailsWithErrno(ENOTTY));
}

TEST_F(SigioTest, OwnerThatEnds) {
  Fd f(eventfd(0, 0));
  pid_t child = StartChild([] { return 0; });
  ASSERT_THAT(fcntl(f.get(), F_SETOWN, child), SyscallSucceeds());
  WaitUntilState(child, 'Z');
  EXPECT_THAT(fcntl(f.get(), F_GETOWN), SyscallSucceedsWithValue(child));
  WaitFor(child);
  EXPECT_THAT(fcntl(f.get(), F_GETOWN), SyscallSucceedsWithValue(0));
}

TEST_F(SigioTest, SocketIoctlsSetTheOwner) {
  Fd s(socket(AF_UNIX, SOCK_STREAM, 0));
  int id = getpid();
  EXPECT_THAT(ioctl(s.get(), FIOSETOWN, &id), SyscallSucceeds());
  id = 0;
  EXPECT_THAT(ioctl(s.get(), SIOCGPGRP, &id), SyscallSucceeds());
  EXPECT_EQ(id, getpid());
  id = -getpgrp();
  EXPECT_THAT(ioctl(s.get(), SIOCSPGRP, &id), SyscallSucceeds());
  id = 0;
  EXPECT_THAT(ioctl(s.get(), FIOGETOWN, &id), SyscallSucceeds());
  EXPECT_EQ(id, -getpgrp());
  EXPECT_EQ(fcntl(s.get(), F_GETOWN), -getpgrp());
  id = 4190000;
  EXPECT_THAT(ioctl(s.get(), SIOCSPGRP, &id), SyscallFailsWithErrno(ESRCH));
}

TEST_F(SigioTest, OwnersIds) {
  Fd f(eventfd(0, 0));
  uid_t ids[2] = {7, 7};
  ASSERT_THAT(fcntl(f.get(), F_SETOWN, getpid()), SyscallSucceeds());
  ASSERT_THAT(fcntl(f.get(), kGetOwnerUids, ids), SyscallSucceeds());
  EXPECT_EQ(ids[0], getuid());
  EXPECT_EQ(ids[1], geteuid());
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setresuid(1001, 1002, 1003) == 0);
    CHECK_OR_DIE(fcntl(f.get(), F_SETOWN, getpid()) == 0);
    CHECK_OR_DIE(fcntl(f.get(), kGetOwnerUids, ids) == 0);
    CHECK_OR_DIE(ids[0] == 1001 && ids[1] == 1002);
    return 0;
  });
}

TEST_F(SigioTest, ThreadOwnerGetsItAlone) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  Fd r(p[0]), w(p[1]);
  std::thread([&] {
    f_owner_ex me = {F_OWNER_TID, gettid()};
    fcntl(p[0], F_SETOWN_EX, &me);
    fcntl(p[0], F_SETFL, O_ASYNC);
    EXPECT_EQ(write(p[1], "x", 1), 1);
    sigset_t pending;
    sigpending(&pending);
    EXPECT_EQ(sigismember(&pending, SIGIO), 1);
  }).join();
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGIO), 0);
  ASSERT_EQ(write(p[1], "x", 1), 1);  // nobody is there any more
  EXPECT_EQ(All(), "");
}

// A child in the process group `group` (0: its own) that ends with 0 once SIGIO comes.
pid_t AwaitSigio(int ready, uid_t uid) {
  return StartChild([=] {
    CHECK_OR_DIE(setpgid(0, 0) == 0);
    if (uid != 0) CHECK_OR_DIE(setresuid(uid, uid, uid) == 0);
    CHECK_OR_DIE(write(ready, "r", 1) == 1);
    sigset_t set = IoSignals();
    timespec limit = Millis(300);
    return sigtimedwait(&set, nullptr, &limit) == SIGIO ? 0 : 1;
  });
}

TEST_F(SigioTest, GroupOwner) {
  int p[2], sync[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  ASSERT_THAT(pipe(sync), SyscallSucceeds());
  pid_t child = AwaitSigio(sync[1], 0);
  char c;
  ASSERT_EQ(read(sync[0], &c, 1), 1);
  ASSERT_THAT(fcntl(p[0], F_SETOWN, -child), SyscallSucceeds());
  ASSERT_THAT(fcntl(p[0], F_SETFL, O_ASYNC), SyscallSucceeds());
  ASSERT_EQ(write(p[1], "x", 1), 1);
  EXPECT_EQ(WaitFor(child), 0);
  EXPECT_EQ(All(), "");
  for (int fd : {p[0], p[1], sync[0], sync[1]}) close(fd);
}

// What counts are the ids of who set the owner, not of who writes.
TEST_F(SigioTest, SetterMustBeAllowedToSignal) {
  int p[2], sync[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  ASSERT_THAT(pipe(sync), SyscallSucceeds());
  for (uid_t setter : {1001, 1002, 0}) {
    pid_t child = AwaitSigio(sync[1], 1001);
    char c;
    ASSERT_EQ(read(sync[0], &c, 1), 1);
    EXPECT_CHILD_OK([&] {
      if (setter != 0) CHECK_OR_DIE(setresuid(setter, setter, setter) == 0);
      CHECK_OR_DIE(fcntl(p[0], F_SETOWN, child) == 0);
      CHECK_OR_DIE(fcntl(p[0], F_SETFL, O_ASYNC) == 0);
      return 0;
    });
    ASSERT_EQ(write(p[1], "x", 1), 1);
    EXPECT_EQ(WEXITSTATUS(WaitFor(child)), setter == 1002 ? 1 : 0) << setter;
  }
  for (int fd : {p[0], p[1], sync[0], sync[1]}) close(fd);
}

TEST_F(SigioTest, OrdinarySignalSaysSigio) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  Fd r(p[0]), w(p[1]);
  Arm(p[0]);
  ASSERT_THAT(fcntl(p[0], F_SETSIG, SIGUSR1), SyscallSucceeds());
  ASSERT_EQ(write(p[1], "x", 1), 1);
  EXPECT_EQ(All(), In(p[0]));
  ASSERT_THAT(fcntl(p[0], F_SETSIG, SIGIO), SyscallSucceeds());
  ASSERT_EQ(write(p[1], "x", 1), 1);
  EXPECT_EQ(All(), In(p[0]));
  ASSERT_THAT(fcntl(p[0], F_SETSIG, 0), SyscallSucceeds());
  ASSERT_EQ(write(p[1], "x", 1), 1);
  EXPECT_EQ(All(), "plain");
}

TEST_F(SigioTest, FullQueueFallsBackToSigio) {
  EXPECT_CHILD_OK([] {
    int p[2];
    CHECK_OR_DIE(pipe(p) == 0);
    Arm(p[0]);
    rlimit limit = {0, 0};
    CHECK_OR_DIE(setresuid(1007, 1007, 1007) == 0);
    CHECK_OR_DIE(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
    CHECK_OR_DIE(fcntl(p[0], F_SETOWN, getpid()) == 0);
    CHECK_OR_DIE(write(p[1], "x", 1) == 1);
    siginfo_t info = {};
    sigset_t set = IoSignals();
    timespec now = {};
    CHECK_OR_DIE(sigtimedwait(&set, &info, &now) == SIGIO);
    CHECK_OR_DIE(sigtimedwait(&set, &info, &now) == -1);
    return 0;
  });
}

TEST_F(SigioTest, BandOfEachEvent) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  Fd r(p[0]), w(p[1]);
  Arm(p[0]);
  Arm(p[1]);
  sigset_t set = IoSignals();
  siginfo_t info = {};
  timespec now = {};
  char c;
  ASSERT_EQ(write(p[1], "x", 1), 1);
  ASSERT_EQ(sigtimedwait(&set, &info, &now), SIGRTMIN + 3);
  EXPECT_EQ(info.si_band, POLLIN | POLLRDNORM);
  ASSERT_EQ(read(p[0], &c, 1), 1);
  ASSERT_EQ(sigtimedwait(&set, &info, &now), SIGRTMIN + 3);
  EXPECT_EQ(info.si_band, POLLOUT | POLLWRNORM | POLLWRBAND);
}

}  // namespace
