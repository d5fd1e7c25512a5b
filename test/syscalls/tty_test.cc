// Pseudo terminals: line discipline, window size, sessions and job control.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

#include "test/util/test_util.h"

namespace {
using namespace guest;

class TtyTest : public testing::Test {
 protected:
  TtyTest() : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
    CHECK_OR_DIE(master_.valid() && grantpt(master_.get()) == 0 && unlockpt(master_.get()) == 0);
    name_ = ptsname(master_.get());
    slave_ = Fd(open(name_.c_str(), O_RDWR | O_NOCTTY));
    CHECK_OR_DIE(slave_.valid());
  }
  // Reads what is there within a second, at least `want` bytes.
  static std::string Read(const Fd& fd, size_t want) {
    std::string got;
    while (got.size() < want) {
      pollfd p = {fd.get(), POLLIN, 0};
      if (poll(&p, 1, got.empty() ? 10000 : 1000) != 1) break;
      char buf[512];
      ssize_t n = read(fd.get(), buf, sizeof buf);
      if (n <= 0) break;
      got.append(buf, n);
    }
    return got;
  }
  void Type(std::string_view text) {
    CHECK_OR_DIE(write(master_.get(), text.data(), text.size()) ==
                 static_cast<ssize_t>(text.size()));
  }
  termios Get() {
    termios t;
    CHECK_OR_DIE(tcgetattr(slave_.get(), &t) == 0);
    return t;
  }
  void Raw() {
    termios t = Get();
    cfmakeraw(&t);
    CHECK_OR_DIE(tcsetattr(slave_.get(), TCSANOW, &t) == 0);
  }
  bool Readable(const Fd& fd) {
    pollfd p = {fd.get(), POLLIN, 0};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
  }
  Fd master_, slave_;
  std::string name_;
  char buf_[512];
};

TEST_F(TtyTest, Names) {
  EXPECT_EQ(name_.rfind("/dev/pts/", 0), 0u);
  struct stat st;
  ASSERT_THAT(fstat(slave_.get(), &st), SyscallSucceeds());
  EXPECT_TRUE(S_ISCHR(st.st_mode));
  EXPECT_TRUE(isatty(slave_.get()));
  EXPECT_TRUE(isatty(master_.get()));
  char tty[64];
  EXPECT_EQ(ttyname_r(slave_.get(), tty, sizeof tty), 0);
  EXPECT_EQ(tty, name_);
}

TEST_F(TtyTest, LockedSlaveCannotBeOpened) {
  Fd master(posix_openpt(O_RDWR | O_NOCTTY));
  EXPECT_THAT(open(ptsname(master.get()), O_RDWR | O_NOCTTY), SyscallFailsWithErrno(EIO));
}

TEST_F(TtyTest, CanonicalLine) {
  Type("hel");
  EXPECT_FALSE(Readable(slave_));
  Type("lo\nmore");
  EXPECT_THAT(read(slave_.get(), buf_, sizeof buf_), SyscallSucceedsWithValue(6));
  EXPECT_EQ(std::string_view(buf_, 6), "hello\n");
  EXPECT_FALSE(Readable(slave_));
}

TEST_F(TtyTest, EchoAndOutputTranslation) {
  Type("ab\n");
  EXPECT_EQ(Read(master_, 4), "ab\r\n");
  ASSERT_THAT(write(slave_.get(), "x\ny", 3), SyscallSucceedsWithValue(3));
  EXPECT_EQ(Read(master_, 4), "x\r\ny");
}

TEST_F(TtyTest, InputCarriageReturnBecomesNewline) {
  Type("ab\r");
  EXPECT_EQ(Read(slave_, 3), "ab\n");
}

TEST_F(TtyTest, EraseKillAndWord) {
  Type("abcx\177d\n");
  EXPECT_EQ(Read(slave_, 5), "abcd\n");
  Type("throw away\025kept\n");
  EXPECT_EQ(Read(slave_, 5), "kept\n");
  Type("one two\027three\n");
  EXPECT_EQ(Read(slave_, 10), "one three\n");
}

TEST_F(TtyTest, EraseIsEchoedAsBackspace) {
  Type("a\177");
  EXPECT_EQ(Read(master_, 4), "a\b \b");
}

TEST_F(TtyTest, EndOfFileCharacter) {
  Type("\004");
  EXPECT_THAT(read(slave_.get(), buf_, 10), SyscallSucceedsWithValue(0));
  Type("ab\004");
  EXPECT_THAT(read(slave_.get(), buf_, 10), SyscallSucceedsWithValue(2));
}

TEST_F(TtyTest, ShortReadsOfALine) {
  Type("abcdef\n");
  EXPECT_THAT(read(slave_.get(), buf_, 2), SyscallSucceedsWithValue(2));
  EXPECT_THAT(read(slave_.get(), buf_, 100), SyscallSucceedsWithValue(5));
}

TEST_F(TtyTest, RawMode) {
  Raw();
  Type("a\003\r\n");
  EXPECT_EQ(Read(slave_, 4), "a\003\r\n");
  EXPECT_FALSE(Readable(master_));
  write(slave_.get(), "x\n", 2);
  EXPECT_EQ(Read(master_, 2), "x\n");
}

TEST_F(TtyTest, MinAndTime) {
  Raw();
  termios t = Get();
  t.c_cc[VMIN] = 0;
  t.c_cc[VTIME] = 1;
  ASSERT_THAT(tcsetattr(slave_.get(), TCSANOW, &t), SyscallSucceeds());
  int64_t start = NowNs();
  EXPECT_THAT(read(slave_.get(), buf_, 1), SyscallSucceedsWithValue(0));
  EXPECT_GE(NowNs() - start, 90000000);
  t.c_cc[VMIN] = 0;
  t.c_cc[VTIME] = 0;
  tcsetattr(slave_.get(), TCSANOW, &t);
  EXPECT_THAT(read(slave_.get(), buf_, 1), SyscallSucceedsWithValue(0));
}

TEST_F(TtyTest, NoEcho) {
  termios t = Get();
  t.c_lflag &= ~ECHO;
  ASSERT_THAT(tcsetattr(slave_.get(), TCSANOW, &t), SyscallSucceeds());
  Type("secret\n");
  EXPECT_EQ(Read(slave_, 7), "secret\n");
  EXPECT_FALSE(Readable(master_));
}

TEST_F(TtyTest, TermiosRoundTrip) {
  termios t = Get();
  EXPECT_TRUE(t.c_lflag & ICANON);
  EXPECT_TRUE(t.c_lflag & ISIG);
  EXPECT_EQ(t.c_cc[VINTR], 3);
  EXPECT_EQ(t.c_cc[VEOF], 4);
  t.c_cc[VINTR] = 7;
  ASSERT_THAT(tcsetattr(slave_.get(), TCSADRAIN, &t), SyscallSucceeds());
  EXPECT_EQ(Get().c_cc[VINTR], 7);
}

TEST_F(TtyTest, SystemVSettings) {
  termio old;
  ASSERT_THAT(ioctl(slave_.get(), TCGETA, &old), SyscallSucceeds());
  termios t = Get();
  EXPECT_EQ(old.c_lflag, t.c_lflag & 0xffff);
  EXPECT_EQ(old.c_cc[VINTR], 3);
  old.c_lflag &= ~ECHO;
  old.c_cc[VINTR] = 7;
  for (unsigned long command : {TCSETA, TCSETAW, TCSETAF}) {
    EXPECT_THAT(ioctl(slave_.get(), command, &old), SyscallSucceeds());
  }
  EXPECT_EQ(Get().c_lflag, t.c_lflag & ~ECHO);
  EXPECT_EQ(Get().c_cc[VINTR], 7);
  EXPECT_EQ(Get().c_cc[VSUSP], t.c_cc[VSUSP]);  // beyond what the old form can say
  Type("lost\n");
  pollfd p = {slave_.get(), POLLIN, 0};
  ASSERT_EQ(poll(&p, 1, 1000), 1);
  EXPECT_THAT(ioctl(slave_.get(), TCSETAF, &old), SyscallSucceeds());
  Type("kept\n");
  EXPECT_EQ(Read(slave_, 5), "kept\n");
}

TEST_F(TtyTest, LineDisciplineAndLocks) {
  int discipline = -1;
  ASSERT_THAT(ioctl(slave_.get(), TIOCGETD, &discipline), SyscallSucceeds());
  EXPECT_EQ(discipline, 0);
  EXPECT_THAT(ioctl(slave_.get(), TIOCSETD, &discipline), SyscallSucceeds());
  discipline = 999;
  EXPECT_THAT(ioctl(slave_.get(), TIOCSETD, &discipline), SyscallFailsWithErrno(EINVAL));
  termios locked;
  memset(&locked, 1, sizeof locked);
  ASSERT_THAT(ioctl(slave_.get(), TIOCGLCKTRMIOS, &locked), SyscallSucceeds());
  EXPECT_EQ(locked.c_lflag, 0u);
}

TEST_F(TtyTest, FlushDropsInput) {
  Type("gone\n");
  ASSERT_THAT(tcflush(slave_.get(), TCIFLUSH), SyscallSucceeds());
  Type("kept\n");
  EXPECT_EQ(Read(slave_, 5), "kept\n");
}

TEST_F(TtyTest, NonblockingRead) {
  fcntl(slave_.get(), F_SETFL, O_RDWR | O_NONBLOCK);
  EXPECT_THAT(read(slave_.get(), buf_, 1), SyscallFailsWithErrno(EAGAIN));
}

TEST_F(TtyTest, Fionread) {
  Type("abc\n");
  // Linux hands what is typed to the line discipline in a worker.
  pollfd ready = {slave_.get(), POLLIN, 0};
  ASSERT_THAT(poll(&ready, 1, 5000), SyscallSucceedsWithValue(1));
  int n = 0;
  ASSERT_THAT(ioctl(slave_.get(), FIONREAD, &n), SyscallSucceeds());
  EXPECT_EQ(n, 4);
}

TEST_F(TtyTest, WindowSize) {
  winsize size = {30, 100, 0, 0}, got = {};
  ASSERT_THAT(ioctl(master_.get(), TIOCSWINSZ, &size), SyscallSucceeds());
  ASSERT_THAT(ioctl(slave_.get(), TIOCGWINSZ, &got), SyscallSucceeds());
  EXPECT_EQ(got.ws_row, 30);
  EXPECT_EQ(got.ws_col, 100);
}

TEST_F(TtyTest, MasterCloseHangsUp) {
  master_.reset();
  EXPECT_THAT(read(slave_.get(), buf_, 1), SyscallSucceedsWithValue(0));
  EXPECT_THAT(write(slave_.get(), "x", 1), SyscallFailsWithErrno(EIO));
  pollfd p = {slave_.get(), POLLIN, 0};
  EXPECT_EQ(poll(&p, 1, 0), 1);
  EXPECT_TRUE(p.revents & POLLHUP);
}

TEST_F(TtyTest, SlaveCloseIsEioForMaster) {
  slave_.reset();
  EXPECT_THAT(read(master_.get(), buf_, 1), SyscallFailsWithErrno(EIO));
  Fd again(open(name_.c_str(), O_RDWR | O_NOCTTY));
  ASSERT_TRUE(again.valid());
  write(again.get(), "x", 1);
  EXPECT_THAT(read(master_.get(), buf_, 1), SyscallSucceedsWithValue(1));
}

TEST_F(TtyTest, PacketMode) {
  int on = 1;
  ASSERT_THAT(ioctl(master_.get(), TIOCPKT, &on), SyscallSucceeds());
  write(slave_.get(), "ab", 2);
  EXPECT_THAT(read(master_.get(), buf_, 10), SyscallSucceedsWithValue(3));
  EXPECT_EQ(buf_[0], TIOCPKT_DATA);
}

TEST_F(TtyTest, ControllingTerminal) {
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setsid() > 0);
    CHECK_OR_DIE(ioctl(slave_.get(), TIOCSCTTY, 0) == 0);
    Fd tty(open("/dev/tty", O_RDWR));
    CHECK_OR_DIE(tty.valid() && write(tty.get(), "x", 1) == 1);
    CHECK_OR_DIE(tcgetsid(slave_.get()) == getpid());
    CHECK_OR_DIE(tcgetpgrp(slave_.get()) == getpgrp());
    signal(SIGHUP, SIG_IGN);  // What a leader that gives up its terminal gets.
    CHECK_OR_DIE(ioctl(slave_.get(), TIOCNOTTY) == 0);
    CHECK_OR_DIE(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
    return 0;
  });
}

TEST_F(TtyTest, OpenMakesItControlling) {
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setsid() > 0);
    Fd tty(open(name_.c_str(), O_RDWR));
    CHECK_OR_DIE(tty.valid() && tcgetsid(tty.get()) == getpid());
    return 0;
  });
}

// Runs `body` as session leader with the slave as terminal; the parent types after 'r' was written.
pid_t Leader(const Fd& slave, const std::function<int()>& body) {
  return StartChild([&] {
    CHECK_OR_DIE(setsid() > 0 && ioctl(slave.get(), TIOCSCTTY, 0) == 0);
    return body();
  });
}

TEST_F(TtyTest, InterruptQuitSuspendCharacters) {
  struct {
    const char* key;
    int signal;
  } cases[] = {{"\003", SIGINT}, {"\034", SIGQUIT}};
  for (auto [key, signal] : cases) {
    pid_t child = Leader(slave_, [&] {
      write(slave_.get(), "r", 1);
      for (;;) pause();
      return 0;
    });
    ASSERT_EQ(Read(master_, 1), "r");
    Type(key);
    int status = WaitFor(child);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), signal);
    Read(master_, 4);
    tcflush(master_.get(), TCIOFLUSH);
    master_ = Fd(posix_openpt(O_RDWR | O_NOCTTY));
    CHECK_OR_DIE(unlockpt(master_.get()) == 0);
    slave_ = Fd(open(ptsname(master_.get()), O_RDWR | O_NOCTTY));
  }
}

TEST_F(TtyTest, SuspendCharacterStopsForegroundJob) {
  pid_t child = Leader(slave_, [&] {
    pid_t job = StartChild([&] {
      setpgid(0, 0);
      signal(SIGTTOU, SIG_IGN);
      CHECK_OR_DIE(tcsetpgrp(slave_.get(), getpgrp()) == 0);
      write(slave_.get(), "r", 1);
      for (;;) pause();
      return 0;
    });
    int status;
    CHECK_OR_DIE(waitpid(job, &status, WUNTRACED) == job);
    CHECK_OR_DIE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
    kill(job, SIGKILL);
    WaitFor(job);
    return 0;
  });
  ASSERT_EQ(Read(master_, 1), "r");
  Type("\032");
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(TtyTest, WindowChangeSignalsForeground) {
  pid_t child = Leader(slave_, [&] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    write(slave_.get(), "r", 1);
    return sigwaitinfo(&set, nullptr) == SIGWINCH ? 0 : 1;
  });
  ASSERT_EQ(Read(master_, 1), "r");
  winsize size = {33, 44, 0, 0};
  ASSERT_THAT(ioctl(master_.get(), TIOCSWINSZ, &size), SyscallSucceeds());
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(TtyTest, BackgroundReadIsSigttin) {
  pid_t child = Leader(slave_, [&] {
    pid_t job = StartChild([&] {
      setpgid(0, 0);
      char c;
      read(slave_.get(), &c, 1);
      return 0;
    });
    int status;
    CHECK_OR_DIE(waitpid(job, &status, WUNTRACED) == job && WSTOPSIG(status) == SIGTTIN);
    kill(job, SIGKILL);
    WaitFor(job);
    return 0;
  });
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(TtyTest, BackgroundWriteObeysTostop) {
  pid_t child = Leader(slave_, [&] {
    auto job = [&](bool ignore) {
      pid_t pid = StartChild([&] {
        setpgid(0, 0);
        if (ignore) signal(SIGTTOU, SIG_IGN);
        return write(slave_.get(), "x", 1) == 1 ? 0 : 1;
      });
      int status;
      CHECK_OR_DIE(waitpid(pid, &status, WUNTRACED) == pid);
      if (WIFSTOPPED(status)) {
        kill(pid, SIGKILL);
        WaitFor(pid);
        return WSTOPSIG(status);
      }
      return 0;
    };
    CHECK_OR_DIE(job(false) == 0);
    termios t = Get();
    t.c_lflag |= TOSTOP;
    CHECK_OR_DIE(tcsetattr(slave_.get(), TCSANOW, &t) == 0);
    CHECK_OR_DIE(job(false) == SIGTTOU);
    CHECK_OR_DIE(job(true) == 0);
    return 0;
  });
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(TtyTest, LeaderExitHangsUpForeground) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  pid_t child = Leader(slave_, [&] {
    StartChild([&] {
      signal(SIGHUP, [](int) { _exit(0); });
      CHECK_OR_DIE(write(p[1], "r", 1) == 1);
      for (;;) pause();
      return 0;
    });
    char c;
    CHECK_OR_DIE(read(p[0], &c, 1) == 1);
    return 0;
  });
  EXPECT_EQ(WaitFor(child), 0);
  close(p[1]);
  char c;
  EXPECT_EQ(read(p[0], &c, 1), 0);
  close(p[0]);
}

TEST_F(TtyTest, TcsetpgrpErrors) {
  EXPECT_THAT(tcsetpgrp(slave_.get(), getpgrp()), SyscallFailsWithErrno(ENOTTY));
  EXPECT_THAT(tcgetpgrp(slave_.get()), SyscallFailsWithErrno(ENOTTY));
}

TEST_F(TtyTest, DevptsListsIt) {
  struct stat st;
  EXPECT_THAT(stat(name_.c_str(), &st), SyscallSucceeds());
  slave_.reset();
  master_.reset();
  EXPECT_THAT(stat(name_.c_str(), &st), SyscallFailsWithErrno(ENOENT));
}

}  // namespace
