// wait4, waitid, sessions, process groups, pidfds.
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <string>

#include "test/util/test_util.h"

namespace {
using namespace guest;

constexpr idtype_t kPidfd = static_cast<idtype_t>(3);
int PidfdOpen(pid_t pid, unsigned flags = 0) { return Raw(SYS_pidfd_open, pid, flags); }
int PauseForever() {
  for (;;) pause();
  return 0;
}

TEST(WaitTest, ExitStatus) {
  for (int code : {0, 1, 42, 255, 256 + 7}) {
    int status = InChild([&] { return code; });
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), code & 255);
  }
}

TEST(WaitTest, Errors) {
  int status;
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(wait(&status) == -1 && errno == ECHILD);
    CHECK_OR_DIE(waitpid(1, &status, 0) == -1 && errno == ECHILD);
    CHECK_OR_DIE(waitpid(-1, &status, 1 << 20) == -1 && errno == EINVAL);
    siginfo_t info;
    CHECK_OR_DIE(waitid(P_ALL, 0, &info, 0) == -1 && errno == EINVAL);
    CHECK_OR_DIE(waitid(static_cast<idtype_t>(77), 0, &info, WEXITED) == -1 && errno == EINVAL);
    CHECK_OR_DIE(waitid(P_PID, 0, &info, WEXITED) == -1 && errno == EINVAL);
    return 0;
  });
}

TEST(WaitTest, Nohang) {
  pid_t child = StartChild(PauseForever);
  int status;
  EXPECT_THAT(waitpid(child, &status, WNOHANG), SyscallSucceedsWithValue(0));
  siginfo_t info;
  memset(&info, 1, sizeof info);
  EXPECT_THAT(waitid(P_PID, child, &info, WEXITED | WNOHANG), SyscallSucceeds());
  EXPECT_EQ(info.si_pid, 0);
  kill(child, SIGKILL);
  WaitFor(child);
}

TEST(WaitTest, NowaitLeavesTheZombie) {
  pid_t child = StartChild([] { return 5; });
  siginfo_t info;
  for (int i = 0; i < 2; i++) {
    ASSERT_THAT(waitid(P_PID, child, &info, WEXITED | WNOWAIT), SyscallSucceeds());
    EXPECT_EQ(info.si_signo, SIGCHLD);
    EXPECT_EQ(info.si_code, CLD_EXITED);
    EXPECT_EQ(info.si_status, 5);
    EXPECT_EQ(info.si_pid, child);
  }
  EXPECT_THAT(kill(child, 0), SyscallSucceeds());
  WaitUntilState(child, 'Z');
  EXPECT_EQ(WEXITSTATUS(WaitFor(child)), 5);
  EXPECT_THAT(kill(child, 0), SyscallFailsWithErrno(ESRCH));
}

TEST(WaitTest, AnyChildAndOrder) {
  EXPECT_CHILD_OK([] {
    pid_t a = StartChild(PauseForever), b = StartChild([] { return 3; });
    int status;
    CHECK_OR_DIE(wait(&status) == b && WEXITSTATUS(status) == 3);
    kill(a, SIGKILL);
    CHECK_OR_DIE(waitpid(-1, &status, 0) == a && WTERMSIG(status) == SIGKILL);
    return 0;
  });
}

TEST(WaitTest, ByProcessGroup) {
  EXPECT_CHILD_OK([] {
    pid_t leader = StartChild(PauseForever);
    CHECK_OR_DIE(setpgid(leader, leader) == 0);
    pid_t other = StartChild([] { return 0; });
    int status;
    CHECK_OR_DIE(waitpid(-leader, &status, WNOHANG) == 0);
    CHECK_OR_DIE(waitpid(0, &status, 0) == other);
    kill(-leader, SIGTERM);
    CHECK_OR_DIE(waitpid(-leader, &status, 0) == leader && WTERMSIG(status) == SIGTERM);
    return 0;
  });
}

TEST(WaitTest, UsageIsReported) {
  pid_t child = StartChild([] {
    int64_t start = NowNs(CLOCK_PROCESS_CPUTIME_ID);
    while (NowNs(CLOCK_PROCESS_CPUTIME_ID) - start < 30000000) {
    }
    return 0;
  });
  int status;
  rusage usage = {};
  ASSERT_THAT(wait4(child, &status, 0, &usage), SyscallSucceedsWithValue(child));
  int64_t used = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL +
                 usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
  EXPECT_GE(used, 20000);
  EXPECT_LT(used, 3000000);
  ASSERT_THAT(getrusage(RUSAGE_CHILDREN, &usage), SyscallSucceeds());
  EXPECT_GT(usage.ru_maxrss, 0);
}

TEST(WaitTest, WaitIsInterrupted) {
  EXPECT_CHILD_OK([] {
    pid_t child = StartChild(PauseForever);
    pid_t waiter = StartChild([] {
      pid_t mine = StartChild(PauseForever);
      ScopedSigaction handler(SIGUSR1, [](int) {});
      int status;
      CHECK_OR_DIE(waitpid(mine, &status, 0) == -1 && errno == EINTR);
      kill(mine, SIGKILL);
      WaitFor(mine);
      return 0;
    });
    WaitUntilSleeping(waiter);
    SleepMs(20);
    kill(waiter, SIGUSR1);
    CHECK_OR_DIE(WaitFor(waiter) == 0);
    kill(child, SIGKILL);
    WaitFor(child);
    return 0;
  });
}

TEST(WaitTest, StoppedByWaitid) {
  pid_t child = StartChild(PauseForever);
  kill(child, SIGSTOP);
  siginfo_t info;
  ASSERT_THAT(waitid(P_PID, child, &info, WSTOPPED), SyscallSucceeds());
  EXPECT_EQ(info.si_code, CLD_STOPPED);
  EXPECT_EQ(info.si_status, SIGSTOP);
  kill(child, SIGCONT);
  ASSERT_THAT(waitid(P_PID, child, &info, WCONTINUED), SyscallSucceeds());
  EXPECT_EQ(info.si_code, CLD_CONTINUED);
  kill(child, SIGKILL);
  ASSERT_THAT(waitid(P_PID, child, &info, WEXITED), SyscallSucceeds());
  EXPECT_EQ(info.si_code, CLD_KILLED);
}

TEST(PidfdTest, OpenWaitSend) {
  pid_t child = StartChild(PauseForever);
  Fd fd(PidfdOpen(child));
  ASSERT_TRUE(fd.valid());
  EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  pollfd p = {fd.get(), POLLIN, 0};
  EXPECT_EQ(poll(&p, 1, 0), 0);
  EXPECT_THAT(Raw(SYS_pidfd_send_signal, fd.get(), SIGTERM, nullptr, 0), SyscallSucceeds());
  EXPECT_EQ(poll(&p, 1, 10000), 1);
  siginfo_t info;
  ASSERT_THAT(waitid(kPidfd, fd.get(), &info, WEXITED), SyscallSucceeds());
  EXPECT_EQ(info.si_status, SIGTERM);
  EXPECT_THAT(Raw(SYS_pidfd_send_signal, fd.get(), 0, nullptr, 0), SyscallFailsWithErrno(ESRCH));
}

TEST(PidfdTest, Errors) {
  EXPECT_THAT(PidfdOpen(-1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(PidfdOpen(0x3fffffff), SyscallFailsWithErrno(ESRCH));
  EXPECT_THAT(PidfdOpen(getpid(), 1), SyscallFailsWithErrno(EINVAL));
  Fd null(open("/dev/null", O_RDONLY));
  EXPECT_THAT(Raw(SYS_pidfd_send_signal, null.get(), 0, nullptr, 0), SyscallFailsWithErrno(EBADF));
  siginfo_t info;
  EXPECT_THAT(waitid(kPidfd, null.get(), &info, WEXITED), SyscallFailsWithErrno(EBADF));
}

// As it was before there were pidfds: a directory of /proc names a process too.
TEST(PidfdTest, ProcDirectoryIsATarget) {
  Fd self(open("/proc/self", O_RDONLY | O_DIRECTORY));
  EXPECT_THAT(Raw(SYS_pidfd_send_signal, self.get(), 0, nullptr, 0), SyscallSucceeds());
  pid_t child = StartChild(PauseForever);
  Fd other(open(("/proc/" + std::to_string(child)).c_str(), O_RDONLY | O_DIRECTORY));
  EXPECT_THAT(Raw(SYS_pidfd_send_signal, other.get(), SIGTERM, nullptr, 0), SyscallSucceeds());
  EXPECT_EQ(WaitFor(child), SIGTERM);
  EXPECT_THAT(Raw(SYS_pidfd_send_signal, other.get(), 0, nullptr, 0), SyscallFailsWithErrno(ESRCH));
  Fd thread(open("/proc/thread-self", O_RDONLY | O_DIRECTORY));
  EXPECT_THAT(Raw(SYS_pidfd_send_signal, thread.get(), 0, nullptr, 0), SyscallFailsWithErrno(EBADF));
  Fd proc(open("/proc", O_RDONLY | O_DIRECTORY));
  EXPECT_THAT(Raw(SYS_pidfd_send_signal, proc.get(), 0, nullptr, 0), SyscallFailsWithErrno(EBADF));
}

TEST(PidfdTest, Getfd) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  pid_t child = StartChild(PauseForever);
  Fd fd(PidfdOpen(child));
  Fd got(Raw(SYS_pidfd_getfd, fd.get(), p[1], 0));
  ASSERT_TRUE(got.valid());
  EXPECT_THAT(write(got.get(), "x", 1), SyscallSucceedsWithValue(1));
  EXPECT_THAT(Raw(SYS_pidfd_getfd, fd.get(), 999, 0), SyscallFailsWithErrno(EBADF));
  kill(child, SIGKILL);
  WaitFor(child);
  close(p[0]);
  close(p[1]);
}

TEST(SessionTest, SetsidMakesALeader) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setsid() == getpid());
    CHECK_OR_DIE(getsid(0) == getpid() && getpgrp() == getpid());
    CHECK_OR_DIE(setsid() == -1 && errno == EPERM);
    CHECK_OR_DIE(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
    return 0;
  });
}

TEST(SessionTest, Setpgid) {
  EXPECT_CHILD_OK([] {
    pid_t child = StartChild(PauseForever);
    CHECK_OR_DIE(getpgid(child) == getpgrp());
    CHECK_OR_DIE(setpgid(child, child) == 0 && getpgid(child) == child);
    CHECK_OR_DIE(setpgid(child, getpgrp()) == 0 && getpgid(child) == getpgrp());
    CHECK_OR_DIE(setpgid(child, 0x3ffffff) == -1 && errno == EPERM);
    CHECK_OR_DIE(setpgid(0x3ffffff, 0) == -1 && errno == ESRCH);
    CHECK_OR_DIE(setpgid(child, -1) == -1 && errno == EINVAL);
    CHECK_OR_DIE(getpgid(0x3ffffff) == -1 && errno == ESRCH);
    CHECK_OR_DIE(getsid(0x3ffffff) == -1 && errno == ESRCH);
    kill(child, SIGKILL);
    WaitFor(child);
    return 0;
  });
}

TEST(SessionTest, SetpgidAfterExecIsEacces) {
  int p[2];
  ASSERT_THAT(pipe2(p, O_CLOEXEC), SyscallSucceeds());
  pid_t child = StartChild([] {
    execl("/bin/sleep", "sleep", "100", nullptr);
    return 1;
  });
  close(p[1]);
  char c;
  EXPECT_EQ(read(p[0], &c, 1), 0);  // The pipe's copy closes at execve.
  EXPECT_THAT(setpgid(child, child), SyscallFailsWithErrno(EACCES));
  kill(child, SIGKILL);
  WaitFor(child);
  close(p[0]);
}

TEST(SessionTest, OrphanedStoppedGroupGetsHangup) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t parent = StartChild([&] {
      pid_t job = StartChild([] {
        setpgid(0, 0);
        raise(SIGSTOP);
        return 0;
      });
      int status;
      CHECK_OR_DIE(waitpid(job, &status, WUNTRACED) == job);
      CHECK_OR_DIE(write(p[1], &job, sizeof job) == sizeof job);
      return 0;
    });
    CHECK_OR_DIE(setpgid(parent, parent) == 0 || errno == EACCES || errno == ESRCH);
    pid_t job;
    CHECK_OR_DIE(read(p[0], &job, sizeof job) == sizeof job);
    CHECK_OR_DIE(WaitFor(parent) == 0);
    // We are of the same session and its new parent, so the group is orphaned only when we die;
    // until then it stays stopped.
    int status;
    CHECK_OR_DIE(waitpid(job, &status, WNOHANG) == 0);
    kill(job, SIGKILL);
    CHECK_OR_DIE(WTERMSIG(WaitFor(job)) == SIGKILL);
    return 0;
  });
  close(p[0]);
  close(p[1]);
}

TEST(SubreaperTest, Prctl) {
  EXPECT_CHILD_OK([] {
    int value = 9;
    CHECK_OR_DIE(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value == 0);
    CHECK_OR_DIE(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    CHECK_OR_DIE(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value == 1);
    return 0;
  });
}

TEST(ParentDeathTest, SignalIsSent) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  pid_t middle = StartChild([&] {
    StartChild([&] {
      signal(SIGUSR1, [](int) { _exit(0); });
      CHECK_OR_DIE(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
      CHECK_OR_DIE(write(p[1], "r", 1) == 1);
      return PauseForever();
    });
    char c;
    CHECK_OR_DIE(read(p[0], &c, 1) == 1);
    return 0;
  });
  EXPECT_EQ(WaitFor(middle), 0);
  close(p[1]);
  char c;
  EXPECT_EQ(read(p[0], &c, 1), 0);  // The grandchild is gone too.
  close(p[0]);
}

}  // namespace
