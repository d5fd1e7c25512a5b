// What wait4 and waitid answer by option, and what a child's signal tells its parent.
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

#include <atomic>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

constexpr idtype_t kPidfd = static_cast<idtype_t>(3);
constexpr int kNoThread = 0x20000000, kAll = 0x40000000, kClone = static_cast<int>(0x80000000);

int PauseForever() {
  for (;;) pause();
  return 0;
}

// A child whose end sends `exit_signal` (0: none).
pid_t CloneChild(int exit_signal, int code) {
  long pid = Raw(SYS_clone, exit_signal, 0, 0, 0, 0);
  if (pid == 0) _exit(code);
  return static_cast<pid_t>(pid);
}

TEST(WaitOptionTest, ContinuedByWait4) {
  pid_t child = StartChild(PauseForever);
  int status = 0;
  kill(child, SIGSTOP);
  ASSERT_THAT(waitpid(child, &status, WUNTRACED), SyscallSucceedsWithValue(child));
  EXPECT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
  // Reported once.
  EXPECT_THAT(waitpid(child, &status, WUNTRACED | WNOHANG), SyscallSucceedsWithValue(0));
  kill(child, SIGCONT);
  ASSERT_THAT(waitpid(child, &status, WCONTINUED), SyscallSucceedsWithValue(child));
  EXPECT_TRUE(WIFCONTINUED(status));
  EXPECT_EQ(status, 0xffff);
  EXPECT_THAT(waitpid(child, &status, WCONTINUED | WNOHANG), SyscallSucceedsWithValue(0));
  kill(child, SIGKILL);
  WaitFor(child);
}

TEST(WaitOptionTest, NowaitKeepsStopAndContinueReports) {
  pid_t child = StartChild(PauseForever);
  siginfo_t info;
  kill(child, SIGSTOP);
  for (int i = 0; i < 3; i++) {
    memset(&info, 0, sizeof info);
    ASSERT_THAT(waitid(P_PID, child, &info, WSTOPPED | (i < 2 ? WNOWAIT : 0)), SyscallSucceeds());
    EXPECT_EQ(info.si_code, CLD_STOPPED);
    EXPECT_EQ(info.si_status, SIGSTOP);
    EXPECT_EQ(info.si_pid, child);
  }
  kill(child, SIGCONT);
  for (int i = 0; i < 3; i++) {
    memset(&info, 0, sizeof info);
    ASSERT_THAT(waitid(P_PID, child, &info, WCONTINUED | (i < 2 ? WNOWAIT : 0)), SyscallSucceeds());
    EXPECT_EQ(info.si_code, CLD_CONTINUED);
    EXPECT_EQ(info.si_status, SIGCONT);
  }
  ASSERT_THAT(waitid(P_PID, child, &info, WCONTINUED | WNOHANG), SyscallSucceeds());
  EXPECT_EQ(info.si_pid, 0);
  kill(child, SIGKILL);
  ASSERT_THAT(waitid(P_PID, child, &info, WEXITED), SyscallSucceeds());
  EXPECT_EQ(info.si_code, CLD_KILLED);
  EXPECT_EQ(info.si_status, SIGKILL);
}

TEST(WaitOptionTest, StopIsNotReportedAfterContinue) {
  pid_t child = StartChild(PauseForever);
  kill(child, SIGSTOP);
  WaitUntilState(child, 'T');
  kill(child, SIGCONT);
  WaitUntilSleeping(child);
  int status;
  EXPECT_THAT(waitpid(child, &status, WUNTRACED | WNOHANG), SyscallSucceedsWithValue(0));
  kill(child, SIGKILL);
  WaitFor(child);
}

TEST(WaitOptionTest, ByPidfd) {
  pid_t child = StartChild([] { return 3; });
  Fd fd(Raw(SYS_pidfd_open, child, 0));
  siginfo_t info = {};
  ASSERT_THAT(waitid(kPidfd, fd.get(), &info, WEXITED), SyscallSucceeds());
  EXPECT_EQ(info.si_pid, child);
  EXPECT_EQ(info.si_status, 3);
  EXPECT_THAT(waitid(kPidfd, fd.get(), &info, WEXITED), SyscallFailsWithErrno(ECHILD));
  Fd null(open("/dev/null", O_RDONLY));
  EXPECT_THAT(waitid(kPidfd, null.get(), &info, WEXITED), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(waitid(kPidfd, 12345, &info, WEXITED), SyscallFailsWithErrno(EBADF));
  Fd self(Raw(SYS_pidfd_open, getpid(), 0));
  EXPECT_THAT(waitid(kPidfd, self.get(), &info, WEXITED), SyscallFailsWithErrno(ECHILD));
}

TEST(WaitOptionTest, NonblockingPidfdIsEagain) {
  pid_t child = StartChild(PauseForever);
  Fd fd(Raw(SYS_pidfd_open, child, O_NONBLOCK));
  siginfo_t info = {};
  EXPECT_THAT(waitid(kPidfd, fd.get(), &info, WEXITED), SyscallFailsWithErrno(EAGAIN));
  info.si_pid = 7;
  EXPECT_THAT(waitid(kPidfd, fd.get(), &info, WEXITED | WNOHANG), SyscallSucceeds());
  EXPECT_EQ(info.si_pid, 0);
  kill(child, SIGKILL);
  WaitFor(child);
}

TEST(WaitOptionTest, OwnGroupByZero) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setpgid(0, 0) == 0);
    pid_t child = StartChild([] { return 0; });
    pid_t other = StartChild([] {
      CHECK_OR_DIE(setpgid(0, 0) == 0);
      return 0;
    });
    siginfo_t info = {};
    CHECK_OR_DIE(waitid(P_PGID, 0, &info, WEXITED) == 0);
    WaitUntilState(other, 'Z');
    if (info.si_pid == child) {
      CHECK_OR_DIE(waitid(P_PGID, 0, &info, WEXITED) == -1 && errno == ECHILD);
      CHECK_OR_DIE(waitpid(-other, nullptr, 0) == other);
    }
    return 0;
  });
}

TEST(WaitOptionTest, CloneChildrenNeedTheirOption) {
  pid_t child = CloneChild(0, 4);
  ASSERT_GT(child, 0);
  int status;
  EXPECT_THAT(waitpid(child, &status, 0), SyscallFailsWithErrno(ECHILD));
  EXPECT_THAT(waitpid(child, &status, kClone), SyscallSucceedsWithValue(child));
  EXPECT_EQ(WEXITSTATUS(status), 4);
  child = CloneChild(SIGUSR1 * 0, 5);
  EXPECT_THAT(waitpid(child, &status, kAll), SyscallSucceedsWithValue(child));
  EXPECT_EQ(WEXITSTATUS(status), 5);
  child = CloneChild(SIGCHLD, 6);
  EXPECT_THAT(waitpid(child, &status, kClone), SyscallFailsWithErrno(ECHILD));
  EXPECT_THAT(waitpid(child, &status, kAll), SyscallSucceedsWithValue(child));
  child = CloneChild(SIGCHLD, 7);
  siginfo_t info;
  EXPECT_THAT(waitid(P_PID, child, &info, WEXITED | kClone), SyscallFailsWithErrno(ECHILD));
  EXPECT_THAT(waitid(P_PID, child, &info, WEXITED | kAll), SyscallSucceeds());
}

TEST(WaitOptionTest, NothreadSeesOnlyOwnChildren) {
  pid_t child = StartChild(PauseForever);
  std::thread([&] {
    EXPECT_THAT(waitpid(child, nullptr, kNoThread | WNOHANG), SyscallFailsWithErrno(ECHILD));
    EXPECT_THAT(waitpid(child, nullptr, WNOHANG), SyscallSucceedsWithValue(0));
    siginfo_t info;
    EXPECT_THAT(waitid(P_PID, child, &info, WEXITED | WNOHANG | kNoThread),
                SyscallFailsWithErrno(ECHILD));
  }).join();
  EXPECT_THAT(waitpid(child, nullptr, kNoThread | WNOHANG), SyscallSucceedsWithValue(0));
  kill(child, SIGKILL);
  EXPECT_THAT(waitpid(child, nullptr, kNoThread), SyscallSucceedsWithValue(child));
}

TEST(WaitOptionTest, ChildOfAnEndedThreadIsStillOurs) {
  std::atomic<pid_t> child{0};
  std::thread([&] { child = StartChild([] { return 9; }); }).join();
  int status;
  EXPECT_THAT(waitpid(child, &status, 0), SyscallSucceedsWithValue(child));
  EXPECT_EQ(WEXITSTATUS(status), 9);
}

TEST(WaitOptionTest, BadPointersAndOptions) {
  pid_t child = StartChild([] { return 0; });
  WaitUntilState(child, 'Z');
  auto* bad = reinterpret_cast<int*>(8);
  EXPECT_THAT(Raw(SYS_wait4, child, nullptr, 0x100, nullptr), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_waitid, P_PID, child, nullptr, WNOHANG, nullptr),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_waitid, P_PID, child, nullptr, WEXITED | 0x100, nullptr),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_waitid, P_PID, -5, nullptr, WEXITED, nullptr), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_waitid, P_PGID, -5, nullptr, WEXITED, nullptr),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_wait4, INT32_MIN, nullptr, 0, nullptr), SyscallFailsWithErrno(ESRCH));
  EXPECT_THAT(Raw(SYS_wait4, child, bad, 0, nullptr), SyscallFailsWithErrno(EFAULT));
  // The child was reaped before the status was stored.
  EXPECT_THAT(waitpid(child, nullptr, WNOHANG), SyscallFailsWithErrno(ECHILD));
}

TEST(WaitOptionTest, WaitidGivesUsage) {
  pid_t child = StartChild([] {
    int64_t until = NowNs(CLOCK_PROCESS_CPUTIME_ID) + 60'000'000;
    while (NowNs(CLOCK_PROCESS_CPUTIME_ID) < until) {
    }
    return 0;
  });
  rusage usage = {};
  siginfo_t info;
  ASSERT_THAT(Raw(SYS_waitid, P_PID, child, &info, WEXITED, &usage), SyscallSucceeds());
  EXPECT_GE(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec + usage.ru_utime.tv_sec * 1000000,
            50'000);
  EXPECT_GT(usage.ru_maxrss, 0);
}

TEST(WaitOptionTest, IgnoredSigchldReapsAndWaitsForAll) {
  EXPECT_CHILD_OK([] {
    signal(SIGCHLD, SIG_IGN);
    pid_t fast = StartChild([] { return 1; });
    pid_t slow = StartChild([] {
      SleepMs(60);
      return 2;
    });
    int64_t start = NowNs();
    CHECK_OR_DIE(waitpid(-1, nullptr, 0) == -1 && errno == ECHILD);
    CHECK_OR_DIE(NowNs() - start > 40'000'000);
    CHECK_OR_DIE(kill(fast, 0) == -1 && kill(slow, 0) == -1);
    return 0;
  });
}

std::atomic<int> g_signals;
siginfo_t g_info;
void Remember(int, siginfo_t* info, void*) {
  g_info = *info;
  g_signals++;
}

TEST(WaitOptionTest, NocldwaitStillSignals) {
  EXPECT_CHILD_OK([] {
    ScopedSigaction handler(SIGCHLD, Remember, SA_NOCLDWAIT);
    g_signals = 0;
    pid_t child = StartChild([] { return 11; });
    while (g_signals == 0) SleepMs(1);
    CHECK_OR_DIE(g_info.si_pid == child && g_info.si_code == CLD_EXITED && g_info.si_status == 11);
    CHECK_OR_DIE(waitpid(-1, nullptr, 0) == -1 && errno == ECHILD);
    return 0;
  });
}

TEST(WaitOptionTest, StopsSignalUnlessNocldstop) {
  EXPECT_CHILD_OK([] {
    pid_t child = StartChild(PauseForever);
    {
      ScopedSigaction handler(SIGCHLD, Remember);
      g_signals = 0;
      kill(child, SIGSTOP);
      while (g_signals < 1) SleepMs(1);
      CHECK_OR_DIE(g_info.si_code == CLD_STOPPED && g_info.si_status == SIGSTOP);
      CHECK_OR_DIE(g_info.si_pid == child && g_info.si_uid == getuid());
      kill(child, SIGCONT);
      while (g_signals < 2) SleepMs(1);
      CHECK_OR_DIE(g_info.si_code == CLD_CONTINUED && g_info.si_status == SIGCONT);
    }
    ScopedSigaction handler(SIGCHLD, Remember, SA_NOCLDSTOP);
    g_signals = 0;
    kill(child, SIGSTOP);
    CHECK_OR_DIE(waitpid(child, nullptr, WUNTRACED) == child);
    kill(child, SIGCONT);
    CHECK_OR_DIE(waitpid(child, nullptr, WCONTINUED) == child);
    CHECK_OR_DIE(g_signals == 0);
    kill(child, SIGKILL);
    while (g_signals < 1) SleepMs(1);
    CHECK_OR_DIE(g_info.si_code == CLD_KILLED && g_info.si_status == SIGKILL);
    CHECK_OR_DIE(waitpid(child, nullptr, 0) == child);
    return 0;
  });
}

TEST(WaitOptionTest, ThreadsShareTheReport) {
  // Two threads wait for one child: exactly one gets it.
  for (int i = 0; i < 20; i++) {
    pid_t child = StartChild([] { return 1; });
    std::atomic<int> got{0}, none{0};
    auto body = [&] {
      pid_t pid = waitpid(child, nullptr, 0);
      (pid == child ? got : none)++;
    };
    std::thread a(body), b(body);
    a.join();
    b.join();
    EXPECT_EQ(got, 1);
    EXPECT_EQ(none, 1);
  }
}

}  // namespace
