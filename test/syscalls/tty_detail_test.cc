// Terminals: who may take, give up, hang up and inject; timed reads; modes.
#include <asm/termbits.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

struct Pty {
  Fd master{open("/dev/ptmx", O_RDWR | O_NOCTTY)};
  std::string name;
  Pty() {
    int zero = 0, number = 0;
    CHECK_OR_DIE(master.valid() && ioctl(master.get(), TIOCSPTLCK, &zero) == 0);
    CHECK_OR_DIE(ioctl(master.get(), TIOCGPTN, &number) == 0);
    name = "/dev/pts/" + std::to_string(number);
  }
  Fd Open(int flags = O_RDWR | O_NOCTTY) { return Fd(open(name.c_str(), flags)); }
};

void Raw(int fd, int min, int time) {
  termios t;
  CHECK_OR_DIE(ioctl(fd, TCGETS, &t) == 0);
  t.c_lflag = 0;
  t.c_iflag = 0;
  t.c_oflag = 0;
  t.c_cc[VMIN] = static_cast<unsigned char>(min);
  t.c_cc[VTIME] = static_cast<unsigned char>(time);
  CHECK_OR_DIE(ioctl(fd, TCSETS, &t) == 0);
}

struct Timed {
  explicit Timed(int min, int time) {
    slave = pty.Open();
    Raw(slave.get(), min, time);
  }
  void TypeLater(std::string text, int ms) {
    typist = std::thread([this, text, ms] {
      for (char c : text) {
        SleepMs(ms);
        CHECK_OR_DIE(write(pty.master.get(), &c, 1) == 1);
      }
    });
  }
  ~Timed() {
    if (typist.joinable()) typist.join();
  }
  Pty pty;
  Fd slave;
  std::thread typist;
  char buffer[64];
};

TEST(TimedReadTest, TimeWithoutMinimumWaitsForOneByte) {
  Timed t(0, 3);
  int64_t start = NowNs();
  EXPECT_THAT(read(t.slave.get(), t.buffer, 64), SyscallSucceedsWithValue(0));
  EXPECT_GE(NowNs() - start, 290'000'000);
  EXPECT_LT(NowNs() - start, 600'000'000);
  t.TypeLater("a", 50);
  start = NowNs();
  EXPECT_THAT(read(t.slave.get(), t.buffer, 64), SyscallSucceedsWithValue(1));
  EXPECT_LT(NowNs() - start, 250'000'000);
}

TEST(TimedReadTest, BothStartTheClockAtTheFirstByte) {
  Timed t(10, 2);
  t.TypeLater("abc", 80);  // each within the time of the one before
  int64_t start = NowNs();
  EXPECT_THAT(read(t.slave.get(), t.buffer, 64), SyscallSucceedsWithValue(3));
  EXPECT_GE(NowNs() - start, 240'000'000 + 190'000'000);
  EXPECT_LT(NowNs() - start, 900'000'000);
}

TEST(TimedReadTest, BothEndAtTheMinimum) {
  Timed t(2, 50);
  t.TypeLater("ab", 30);
  int64_t start = NowNs();
  EXPECT_THAT(read(t.slave.get(), t.buffer, 64), SyscallSucceedsWithValue(2));
  EXPECT_LT(NowNs() - start, 1'000'000'000);
}

TEST(TimedReadTest, SmallBufferEndsEarlier) {
  Timed t(10, 50);
  t.TypeLater("ab", 30);
  EXPECT_THAT(read(t.slave.get(), t.buffer, 2), SyscallSucceedsWithValue(2));
}

TEST(TimedReadTest, NonblockingDoesNotWait) {
  Timed t(0, 50);
  fcntl(t.slave.get(), F_SETFL, O_RDWR | O_NONBLOCK);
  EXPECT_THAT(read(t.slave.get(), t.buffer, 64), SyscallFailsWithErrno(EAGAIN));
}

TEST(TimedReadTest, PollFollowsTheMinimumOnlyWithoutTime) {
  Timed with(3, 1), without(3, 0);
  write(with.pty.master.get(), "a", 1);
  write(without.pty.master.get(), "a", 1);
  pollfd p = {with.slave.get(), POLLIN, 0};
  EXPECT_THAT(poll(&p, 1, 200), SyscallSucceedsWithValue(1));
  p.fd = without.slave.get();
  EXPECT_THAT(poll(&p, 1, 50), SyscallSucceedsWithValue(0));
  write(without.pty.master.get(), "bc", 2);
  EXPECT_THAT(poll(&p, 1, 200), SyscallSucceedsWithValue(1));
}

TEST(TerminalControlTest, InjectedInput) {
  EXPECT_CHILD_OK([] {
    Pty pty;
    CHECK_OR_DIE(setsid() > 0);
    signal(SIGHUP, SIG_IGN);
    Fd slave = pty.Open(O_RDWR);
    Raw(slave.get(), 1, 0);
    char c = 'i';
    CHECK_OR_DIE(ioctl(slave.get(), TIOCSTI, &c) == 0);
    char got = 0;
    CHECK_OR_DIE(read(slave.get(), &got, 1) == 1 && got == 'i');
    return 0;
  });
}

TEST(TerminalControlTest, InjectionNeedsPrivilegeOverForeignTerminals) {
  Pty pty;
  Fd slave = pty.Open();
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setsid() > 0 && setuid(65534) == 0);
    char c = 'i';
    CHECK_OR_DIE(ioctl(slave.get(), TIOCSTI, &c) == -1 && (errno == EPERM || errno == EIO));
    return 0;
  });
}

TEST(TerminalControlTest, TakingAndGivingUp) {
  Pty pty;
  Fd slave = pty.Open();
  EXPECT_CHILD_OK([&] {
    // Not a session leader.
    return InChild([&] {
      CHECK_OR_DIE(ioctl(slave.get(), TIOCSCTTY, 0) == -1 && errno == EPERM);
      CHECK_OR_DIE(ioctl(slave.get(), TIOCNOTTY, 0) == -1 && errno == ENOTTY);
      CHECK_OR_DIE(setsid() > 0);
      CHECK_OR_DIE(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
      CHECK_OR_DIE(ioctl(slave.get(), TIOCSCTTY, 0) == 0);
      CHECK_OR_DIE(ioctl(slave.get(), TIOCSCTTY, 0) == 0);  // it has it already
      Fd tty(open("/dev/tty", O_RDWR));
      CHECK_OR_DIE(tty.valid());
      Pty second;
      Fd other = second.Open();
      CHECK_OR_DIE(ioctl(other.get(), TIOCSCTTY, 0) == -1 && errno == EPERM);
      // Another session may not take it, but root may steal it.
      int status = InChild([&] {
        CHECK_OR_DIE(setsid() > 0);
        CHECK_OR_DIE(ioctl(slave.get(), TIOCSCTTY, 0) == -1 && errno == EPERM);
        CHECK_OR_DIE(ioctl(slave.get(), TIOCSCTTY, 1) == 0);
        return 0;
      });
      CHECK_OR_DIE(status == 0);
      CHECK_OR_DIE(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
      return 0;
    });
  });
}

TEST(TerminalControlTest, NottyOfLeaderHangsUpTheForeground) {
  Pty pty;
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setsid() > 0);
    Fd slave = pty.Open(O_RDWR);
    signal(SIGHUP, SIG_IGN);
    pid_t child = StartChild([] {
      signal(SIGHUP, SIG_DFL);
      for (;;) pause();
      return 0;
    });
    WaitUntilSleeping(child);
    CHECK_OR_DIE(ioctl(slave.get(), TIOCNOTTY, 0) == 0);
    int status = WaitFor(child);
    CHECK_OR_DIE(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP);
    CHECK_OR_DIE(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
    return 0;
  });
}

TEST(TerminalControlTest, Vhangup) {
  Pty pty;
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setsid() > 0);
    Fd slave = pty.Open(O_RDWR);
    signal(SIGHUP, SIG_IGN);
    CHECK_OR_DIE(vhangup() == 0);
    char c;
    CHECK_OR_DIE(read(slave.get(), &c, 1) == 0);
    CHECK_OR_DIE(write(slave.get(), &c, 1) == -1 && errno == EIO);
    CHECK_OR_DIE(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
    return 0;
  });
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setuid(65534) == 0);
    CHECK_OR_DIE(vhangup() == -1 && errno == EPERM);
    return 0;
  });
}

TEST(TerminalControlTest, SetsidRules) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setpgid(0, 0) == 0);
    CHECK_OR_DIE(setsid() == -1 && errno == EPERM);
    return InChild([] {
      CHECK_OR_DIE(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
      CHECK_OR_DIE(setsid() == -1 && errno == EPERM);
      CHECK_OR_DIE(setpgid(0, 0) == -1 && errno == EPERM);
      CHECK_OR_DIE(getsid(99999999) == -1 && errno == ESRCH);
      CHECK_OR_DIE(getpgid(99999999) == -1 && errno == ESRCH);
      return 0;
    });
  });
}

TEST(TerminalControlTest, ExclusiveMode) {
  Pty pty;
  Fd slave = pty.Open();
  ASSERT_THAT(ioctl(slave.get(), TIOCEXCL), SyscallSucceeds());
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setuid(65534) == 0);
    CHECK_OR_DIE(open(pty.name.c_str(), O_RDWR | O_NOCTTY) == -1 &&
                 (errno == EBUSY || errno == EACCES));
    return 0;
  });
  int on = 0;
  EXPECT_THAT(ioctl(slave.get(), TIOCGEXCL, &on), SyscallSucceeds());
  EXPECT_EQ(on, 1);
  EXPECT_THAT(ioctl(slave.get(), TIOCNXCL), SyscallSucceeds());
}

TEST(TerminalControlTest, LesserRequests) {
  Pty pty;
  Fd slave = pty.Open();
  int value = -1;
  EXPECT_THAT(ioctl(slave.get(), TIOCGETD, &value), SyscallSucceeds());
  EXPECT_EQ(value, 0);
  EXPECT_THAT(ioctl(slave.get(), TIOCOUTQ, &value), SyscallSucceeds());
  EXPECT_EQ(value, 0);
  EXPECT_THAT(ioctl(slave.get(), TCSBRK, 1), SyscallSucceeds());
  EXPECT_THAT(ioctl(slave.get(), TCSBRK, 0), SyscallSucceeds());
  EXPECT_THAT(ioctl(pty.master.get(), TIOCGPTLCK, &value), SyscallSucceeds());
  EXPECT_EQ(value, 0);
  EXPECT_THAT(ioctl(pty.master.get(), TIOCGPKT, &value), SyscallSucceeds());
  EXPECT_EQ(value, 0);
  Fd peer(ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY));
  EXPECT_TRUE(peer.valid());
  unsigned device = 0;
  EXPECT_THAT(ioctl(slave.get(), TIOCGDEV, &device), SyscallSucceeds());
  EXPECT_THAT(ioctl(slave.get(), 0x9999, &value), SyscallFailsWithErrno(ENOTTY));
  // TIOCSIG: the master raises a signal in the foreground group.
  EXPECT_THAT(ioctl(pty.master.get(), TIOCSIG, 999), SyscallFailsWithErrno(EINVAL));
}

// Lines, ends of file and echo that nobody reads do not pile up for ever.
TEST(TerminalBoundsTest, KeyboardWaitsForTheReader) {
  for (char c : {'\n', '\4', '\22', 'x'}) {
    Pty pty;
    Fd slave = pty.Open();
    int flags = fcntl(pty.master.get(), F_GETFL);
    ASSERT_THAT(fcntl(pty.master.get(), F_SETFL, flags | O_NONBLOCK), SyscallSucceeds());
    std::string many(4000, c);
    size_t taken = 0;
    for (int i = 0; i < 500; ++i) {
      ssize_t n = write(pty.master.get(), many.data(), many.size());
      if (n > 0) taken += static_cast<size_t>(n);
    }
    if (c == '\n' || c == '\4') EXPECT_LT(taken, 500'000u) << int{c};
    int waiting = 0;
    ASSERT_THAT(ioctl(pty.master.get(), FIONREAD, &waiting), SyscallSucceeds());
    EXPECT_LT(waiting, 300'000) << int{c};
  }
}

}  // namespace
