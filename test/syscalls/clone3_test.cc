// clone3: its fields, one by one, and what they refuse.
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "test/util/test_util.h"

namespace {
using namespace guest;

long Clone3(clone_args& args, size_t size = sizeof(clone_args)) {
  return Raw(SYS_clone3, &args, size);
}

// Runs a child that ends with `code`.
long Clone3Exit(clone_args& args, int code) {
  long pid = Clone3(args);
  if (pid == 0) _exit(code);
  return pid;
}

clone_args Args() {
  clone_args args = {};
  args.exit_signal = SIGCHLD;
  return args;
}

TEST(Clone3Test, Sizes) {
  clone_args args = Args();
  EXPECT_THAT(Clone3(args, 63), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Clone3(args, 5000), SyscallFailsWithErrno(E2BIG));
  EXPECT_THAT(Raw(SYS_clone3, 8, sizeof args), SyscallFailsWithErrno(EFAULT));
  long pid = Clone3(args, 64);  // CLONE_ARGS_SIZE_VER0
  if (pid == 0) _exit(0);
  ASSERT_GT(pid, 0);
  EXPECT_EQ(WaitFor(pid), 0);
  char big[256] = {};
  memcpy(big, &args, sizeof args);
  pid = Raw(SYS_clone3, big, sizeof big);
  if (pid == 0) _exit(0);
  ASSERT_GT(pid, 0);
  EXPECT_EQ(WaitFor(pid), 0);
  big[200] = 1;
  EXPECT_THAT(Raw(SYS_clone3, big, sizeof big), SyscallFailsWithErrno(E2BIG));
}

TEST(Clone3Test, FlagErrors) {
  auto expect = [](uint64_t flags, int error) {
    clone_args args = Args();
    args.flags = flags;
    if ((flags & (CLONE_THREAD | CLONE_PARENT)) != 0) args.exit_signal = 0;
    EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(error)) << std::hex << flags;
  };
  expect(1, EINVAL);  // bits of CSIGNAL
  expect(CLONE_DETACHED, EINVAL);
  expect(uint64_t{1} << 40, EINVAL);
  expect(CLONE_CLEAR_SIGHAND | CLONE_SIGHAND | CLONE_VM, EINVAL);
  expect(CLONE_SIGHAND, EINVAL);
  expect(CLONE_THREAD | CLONE_VM, EINVAL);
  expect(CLONE_NEWNS | CLONE_FS, EINVAL);
  expect(CLONE_NEWUSER | CLONE_FS, EINVAL);
}

TEST(Clone3Test, ExitSignal) {
  clone_args args = Args();
  for (uint64_t bad : {65u, 255u, 256u}) {
    args.exit_signal = bad;
    EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EINVAL)) << bad;
  }
  args = Args();
  args.flags = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EINVAL));
  args.flags = CLONE_PARENT;
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EINVAL));
  ScopedBlock block(SIGUSR2);
  args = Args();
  args.exit_signal = SIGUSR2;
  long pid = Clone3Exit(args, 3);
  ASSERT_GT(pid, 0);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  siginfo_t info;
  ASSERT_THAT(sigwaitinfo(&set, &info), SyscallSucceedsWithValue(SIGUSR2));
  EXPECT_EQ(info.si_pid, pid);
  EXPECT_EQ(info.si_code, CLD_EXITED);
  EXPECT_EQ(info.si_status, 3);
  EXPECT_THAT(waitpid(pid, nullptr, __WALL), SyscallSucceedsWithValue(pid));
}

TEST(Clone3Test, StackAndSizeGoTogether) {
  static char stack[65536];
  clone_args args = Args();
  args.stack = reinterpret_cast<uint64_t>(stack);
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EINVAL));
  args = Args();
  args.stack_size = sizeof stack;
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EINVAL));
}

TEST(Clone3Test, PidfdRefersToTheChild) {
  int pidfd = -1;
  clone_args args = Args();
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  long pid = Clone3Exit(args, 7);
  ASSERT_GT(pid, 0);
  Fd fd(pidfd);
  EXPECT_THAT(fcntl(pidfd, F_GETFD), SyscallSucceedsWithValue(FD_CLOEXEC));
  pollfd poller = {pidfd, POLLIN, 0};
  EXPECT_THAT(poll(&poller, 1, -1), SyscallSucceedsWithValue(1));
  siginfo_t info;
  ASSERT_THAT(waitid(static_cast<idtype_t>(3), pidfd, &info, WEXITED), SyscallSucceeds());
  EXPECT_EQ(info.si_pid, pid);
  EXPECT_EQ(info.si_status, 7);
}

void Handler(int) {}

TEST(Clone3Test, ClearSighandResetsHandlersOnly) {
  ScopedSigaction handler(SIGUSR1, Handler);
  ScopedSigaction ignored(SIGUSR2, SIG_IGN);
  clone_args args = Args();
  args.flags = CLONE_CLEAR_SIGHAND;
  long pid = Clone3(args);
  if (pid == 0) {
    struct sigaction now;
    CHECK_OR_DIE(sigaction(SIGUSR1, nullptr, &now) == 0 && now.sa_handler == SIG_DFL);
    CHECK_OR_DIE(sigaction(SIGUSR2, nullptr, &now) == 0 && now.sa_handler == SIG_IGN);
    _exit(0);
  }
  ASSERT_GT(pid, 0);
  EXPECT_EQ(WaitFor(pid), 0);
}

TEST(Clone3Test, ChosenPid) {
  // An id that was just free again.
  pid_t gone = StartChild([] { return 0; });
  WaitFor(gone);
  pid_t want = gone;
  clone_args args = Args();
  args.set_tid = reinterpret_cast<uint64_t>(&want);
  args.set_tid_size = 1;
  long pid = Clone3Exit(args, 1);
  ASSERT_THAT(pid, SyscallSucceedsWithValue(gone));
  EXPECT_EQ(WEXITSTATUS(WaitFor(pid)), 1);
  want = getpid();
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EEXIST));
  want = 0;
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EINVAL));
  want = 1 << 30;
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EINVAL));
  args.set_tid_size = 33;
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EINVAL));
  args.set_tid_size = 0;
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EINVAL));
  args.set_tid = 0;
  args.set_tid_size = 1;
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EINVAL));
}

TEST(Clone3Test, ChosenPidNeedsPrivilege) {
  pid_t gone = StartChild([] { return 0; });
  WaitFor(gone);
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setuid(65534) == 0);
    clone_args args = Args();
    args.set_tid = reinterpret_cast<uint64_t>(&gone);
    args.set_tid_size = 1;
    CHECK_OR_DIE(Clone3Exit(args, 0) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(Clone3Test, CgroupDescriptorIsChecked) {
  clone_args args = Args();
  args.flags = CLONE_INTO_CGROUP;
  args.cgroup = 54321;
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EBADF));
  Fd null(open("/dev/null", O_RDONLY));
  args.cgroup = null.get();
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EBADF));
  args.cgroup = uint64_t{1} << 33;
  EXPECT_THAT(Clone3Exit(args, 0), SyscallFailsWithErrno(EINVAL));
  // Without the flag the field does not matter.
  args.flags = 0;
  long pid = Clone3Exit(args, 0);
  ASSERT_GT(pid, 0);
  WaitFor(pid);
}

TEST(Clone3Test, ParentMakesASibling) {
  EXPECT_CHILD_OK([] {
    int pipes[2];
    CHECK_OR_DIE(pipe(pipes) == 0);
    pid_t child = StartChild([&] {
      clone_args args = {};
      args.flags = CLONE_PARENT;
      long sibling = Clone3Exit(args, 12);
      CHECK_OR_DIE(write(pipes[1], &sibling, sizeof sibling) == sizeof sibling);
      return 0;
    });
    long sibling = 0;
    CHECK_OR_DIE(read(pipes[0], &sibling, sizeof sibling) == sizeof sibling);
    int status = 0;
    CHECK_OR_DIE(WaitFor(child) == 0);
    CHECK_OR_DIE(waitpid(sibling, &status, __WALL) == sibling && WEXITSTATUS(status) == 12);
    return 0;
  });
}

}  // namespace
