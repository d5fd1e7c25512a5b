// fork, vfork, clone, clone3, execve, execveat, exit.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "test/util/test_util.h"

extern char** environ;

namespace {
using namespace guest;

std::string Self() {
  char path[4096] = {};
  CHECK_OR_DIE(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
  return path;
}

// Runs a program in a child; answers its wait status and what it wrote.
int Exec(const std::string& path, std::vector<std::string> args, std::string* out = nullptr) {
  int p[2];
  CHECK_OR_DIE(pipe(p) == 0);
  pid_t pid = StartChild([&] {
    dup2(p[1], 1);
    close(p[0]);
    close(p[1]);
    std::vector<char*> argv;
    for (auto& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    execve(path.c_str(), argv.data(), environ);
    return errno;
  });
  close(p[1]);
  char buf[4096];
  ssize_t n;
  while ((n = read(p[0], buf, sizeof buf)) > 0) {
    if (out != nullptr) out->append(buf, n);
  }
  close(p[0]);
  return WaitFor(pid);
}

TEST(ForkTest, ChildHasItsOwnMemoryAndPid) {
  int value = 1;
  pid_t parent = getpid();
  pid_t child = StartChild([&] {
    value = 2;
    CHECK_OR_DIE(getppid() == parent && getpid() != parent);
    return 17;
  });
  EXPECT_EQ(WEXITSTATUS(WaitFor(child)), 17);
  EXPECT_EQ(value, 1);
}

TEST(ForkTest, ManyChildren) {
  std::vector<pid_t> pids;
  for (int i = 0; i < 50; i++) pids.push_back(StartChild([i] { return i; }));
  for (int i = 0; i < 50; i++) EXPECT_EQ(WEXITSTATUS(WaitFor(pids[i])), i);
}

TEST(ForkTest, PendingSignalsAndTimersAreNotInherited) {
  ScopedBlock block(SIGUSR1);
  kill(getpid(), SIGUSR1);
  EXPECT_CHILD_OK([] {
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGUSR1);
  });
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  EXPECT_EQ(sigwaitinfo(&set, nullptr), SIGUSR1);
}

TEST(ForkTest, ProcessLimit) {
  EXPECT_CHILD_OK([] {
    rlimit limit = {1, 1};
    CHECK_OR_DIE(setrlimit(RLIMIT_NPROC, &limit) == 0);
    CHECK_OR_DIE(setresuid(54321, 54321, 54321) == 0);
    CHECK_OR_DIE(fork() == -1 && errno == EAGAIN);
    return 0;
  });
}

TEST(ForkTest, GrandchildrenAreReparented) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t me = getpid();
    pid_t child = StartChild([&] {
      StartChild([&] {
        while (getppid() != me) SleepMs(1);
        CHECK_OR_DIE(write(p[1], "x", 1) == 1);
        return 33;
      });
      return 0;
    });
    CHECK_OR_DIE(WaitFor(child) == 0);
    char c;
    CHECK_OR_DIE(read(p[0], &c, 1) == 1);
    int status;
    CHECK_OR_DIE(wait(&status) > 0 && WEXITSTATUS(status) == 33);
    return 0;
  });
  close(p[0]);
  close(p[1]);
}

TEST(VforkTest, ParentWaitsAndSharesMemory) {
  static volatile int value;
  value = 0;
  pid_t pid = vfork();
  if (pid == 0) {
    value = 5;
    _exit(3);
  }
  EXPECT_EQ(value, 5);
  EXPECT_EQ(WEXITSTATUS(WaitFor(pid)), 3);
}

TEST(VforkTest, Exec) {
  static std::string self;
  self = Self();
  pid_t pid = vfork();
  if (pid == 0) {
    execl(self.c_str(), "t", "--child-exit", "9", nullptr);
    _exit(99);
  }
  EXPECT_EQ(WEXITSTATUS(WaitFor(pid)), 9);
}

TEST(CloneTest, FlagErrors) {
  EXPECT_THAT(Raw(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_clone, CLONE_FS | CLONE_NEWNS, 0, 0, 0, 0), SyscallFailsWithErrno(EINVAL));
}

TEST(CloneTest, SharedDescriptorTable) {
  long pid = Raw(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) {
    dup2(2, 77);
    _exit(0);
  }
  EXPECT_EQ(WaitFor(pid), 0);
  EXPECT_EQ(fcntl(77, F_GETFD), 0);
  close(77);
}

TEST(CloneTest, SharedFsContext) {
  EXPECT_CHILD_OK([] {
    long pid = Raw(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
      chdir("/proc");
      umask(0123);
      _exit(0);
    }
    CHECK_OR_DIE(WaitFor(pid) == 0);
    char buf[100];
    CHECK_OR_DIE(getcwd(buf, 100) != nullptr && strcmp(buf, "/proc") == 0);
    CHECK_OR_DIE(umask(0) == 0123);
    return 0;
  });
}

TEST(CloneTest, ParentAndChildTid) {
  pid_t parent_tid = 0;
  auto* child_tid = static_cast<pid_t*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  long pid = Raw(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, &parent_tid,
                 child_tid, 0);
  if (pid == 0) _exit(*child_tid == getpid() ? 0 : 1);
  EXPECT_EQ(parent_tid, pid);
  EXPECT_EQ(WaitFor(pid), 0);
  EXPECT_EQ(*child_tid, pid);
  munmap(child_tid, 4096);
}

TEST(CloneTest, ExitSignal) {
  ScopedBlock block(SIGUSR1);
  long pid = Raw(SYS_clone, SIGUSR1, 0, 0, 0, 0);
  if (pid == 0) _exit(4);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  siginfo_t info;
  EXPECT_EQ(sigwaitinfo(&set, &info), SIGUSR1);
  EXPECT_EQ(info.si_pid, pid);
  int status;
  EXPECT_THAT(waitpid(pid, &status, 0), SyscallFailsWithErrno(ECHILD));
  EXPECT_THAT(waitpid(pid, &status, __WALL), SyscallSucceedsWithValue(pid));
  EXPECT_EQ(WEXITSTATUS(status), 4);
}

TEST(Clone3Test, PidfdAndErrors) {
  int pidfd = -1;
  clone_args args = {};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  long pid = Raw(SYS_clone3, &args, sizeof args);
  if (pid == 0) _exit(6);
  ASSERT_THAT(pid, SyscallSucceeds());
  siginfo_t info;
  ASSERT_THAT(waitid(static_cast<idtype_t>(3) /* P_PIDFD */, pidfd, &info, WEXITED),
              SyscallSucceeds());
  EXPECT_EQ(info.si_pid, pid);
  EXPECT_EQ(info.si_status, 6);
  close(pidfd);
  args.flags = 1ULL << 50;
  EXPECT_THAT(Raw(SYS_clone3, &args, sizeof args), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_clone3, &args, 8), SyscallFailsWithErrno(EINVAL));
  args = {};
  args.exit_signal = 1000;
  EXPECT_THAT(Raw(SYS_clone3, &args, sizeof args), SyscallFailsWithErrno(EINVAL));
}

TEST(ThreadTest, SharesProcessAndHasOwnTid) {
  pid_t pid = getpid(), tid = 0, ppid = getppid();
  std::thread([&] {
    tid = static_cast<pid_t>(Raw(SYS_gettid));
    CHECK_OR_DIE(getpid() == pid && getppid() == ppid);
  }).join();
  EXPECT_NE(tid, pid);
}

TEST(ThreadTest, ManyThreads) {
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 64; i++) threads.emplace_back([&] { sum++; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(sum, 64);
}

TEST(ThreadTest, ExitOfMainThreadLeavesOthers) {
  int status = InChild([] {
    std::thread([] {
      SleepMs(10);
      _exit(21);
    }).detach();
    Raw(SYS_exit, 1);
    return 0;
  });
  EXPECT_EQ(WEXITSTATUS(status), 21);
}

TEST(ThreadTest, ExitGroupEndsAll) {
  int status = InChild([] {
    for (int i = 0; i < 4; i++) std::thread([] { pause(); }).detach();
    std::thread([] {
      for (;;) asm volatile("pause");
    }).detach();
    SleepMs(5);
    return 22;
  });
  EXPECT_EQ(WEXITSTATUS(status), 22);
}

TEST(ThreadTest, ExecFromThreadKeepsThePid) {
  std::string self = Self();
  pid_t pid = StartChild([&] {
    std::thread([&] {
      execl(self.c_str(), "t", "--child-exit", "31", nullptr);
      _exit(99);
    }).join();
    return 98;
  });
  EXPECT_EQ(WEXITSTATUS(WaitFor(pid)), 31);
}

TEST(ExecTest, ArgumentsArrive) {
  std::string out;
  EXPECT_EQ(Exec(Self(), {"zero", "--child-args", "two words", ""}, &out), 0);
  EXPECT_EQ(out, "zero\n--child-args\ntwo words\n\n");
}

TEST(ExecTest, Errors) {
  TempDir dir;
  PutFile(dir / "plain", "not a program");
  PutFile(dir / "empty", "");
  chmod((dir / "empty").c_str(), 0755);
  char* argv[] = {nullptr};
  auto exec = [&](const std::string& path) { return execve(path.c_str(), argv, environ); };
  EXPECT_THAT(exec(dir / "none"), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(exec(dir / "plain"), SyscallFailsWithErrno(EACCES));
  EXPECT_THAT(exec(dir.path()), SyscallFailsWithErrno(EACCES));
  EXPECT_THAT(exec(dir / "plain/x"), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(exec(dir / "empty"), SyscallFailsWithErrno(ENOEXEC));
  chmod((dir / "plain").c_str(), 0755);
  EXPECT_THAT(exec(dir / "plain"), SyscallFailsWithErrno(ENOEXEC));
  PutFile(dir / "elf", std::string("\177ELF\2\1\1", 7) + std::string(50, 0));
  chmod((dir / "elf").c_str(), 0755);
  EXPECT_THAT(exec(dir / "elf"), SyscallFailsWithErrno(ENOEXEC));
  EXPECT_THAT(execve(reinterpret_cast<char*>(8), argv, environ), SyscallFailsWithErrno(EFAULT));
}

TEST(ExecTest, Scripts) {
  TempDir dir;
  std::string self = Self(), script = dir / "script";
  PutFile(script, "#!" + self + " --child-args\nrest\n");
  chmod(script.c_str(), 0755);
  std::string out;
  EXPECT_EQ(Exec(script, {"ignored", "a", "b"}, &out), 0);
  EXPECT_EQ(out, self + "\n--child-args\n" + script + "\na\nb\n");
  // All after the first word is one argument.
  PutFile(script, "#! " + self + "  --child-args x  \n");
  out.clear();
  Exec(script, {"i"}, &out);
  EXPECT_EQ(out, self + "\n--child-args x\n" + script + "\n");
}

TEST(ExecTest, ScriptErrors) {
  TempDir dir;
  auto put = [&](const char* name, const std::string& text) {
    PutFile(dir / name, text);
    chmod((dir / name).c_str(), 0755);
  };
  put("missing", "#!/no/such/interpreter\n");
  EXPECT_EQ(WEXITSTATUS(Exec(dir / "missing", {"x"})), ENOENT);
  put("blank", "#!\n");
  EXPECT_EQ(WEXITSTATUS(Exec(dir / "blank", {"x"})), ENOEXEC);
  put("loop", "#!" + (dir / "loop") + "\n");
  EXPECT_EQ(WEXITSTATUS(Exec(dir / "loop", {"x"})), ELOOP);
}

TEST(ExecTest, CloseOnExecAndSignals) {
  std::string self = Self();
  EXPECT_CHILD_OK([&] {
    Fd keep(open("/dev/null", O_RDONLY)), lose(open("/dev/null", O_RDONLY | O_CLOEXEC));
    dup2(keep.get(), 60);
    fcntl(lose.get(), F_DUPFD_CLOEXEC, 61);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, [](int) {});
    std::string script =
        "test -e /proc/self/fd/60 && ! test -e /proc/self/fd/61 && "
        "grep -q '^SigIgn:.*[2367abef]..$' /proc/self/status && "
        "grep -q '^SigCgt:.*[0145]00$\\|^SigCgt:' /proc/self/status";
    execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
    return 1;
  });
}

TEST(ExecTest, ArgumentListTooLong) {
  std::string big(200 * 1024, 'x');
  char* one[] = {big.data(), nullptr};
  std::string self = Self();
  EXPECT_THAT(execve(self.c_str(), one, environ), SyscallFailsWithErrno(E2BIG));
  std::string part(100 * 1024, 'x');
  std::vector<char*> many(100, part.data());
  many.push_back(nullptr);
  EXPECT_THAT(execve(self.c_str(), many.data(), environ), SyscallFailsWithErrno(E2BIG));
}

TEST(ExecTest, Execveat) {
  std::string self = Self();
  char a[] = "t", b[] = "--child-exit", c[] = "13";
  char* argv[] = {a, b, c, nullptr};
  Fd fd(open(self.c_str(), O_PATH | O_CLOEXEC));
  int status = InChild([&] {
    Raw(SYS_execveat, fd.get(), "", argv, environ, AT_EMPTY_PATH);
    return 99;
  });
  EXPECT_EQ(WEXITSTATUS(status), 13);
  EXPECT_THAT(Raw(SYS_execveat, fd.get(), "", argv, environ, 0), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(Raw(SYS_execveat, -1, "x", argv, environ, 0), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(Raw(SYS_execveat, AT_FDCWD, self.c_str(), argv, environ, 1 << 20),
              SyscallFailsWithErrno(EINVAL));
  TempDir dir;
  ASSERT_THAT(symlink(self.c_str(), (dir / "l").c_str()), SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_execveat, AT_FDCWD, (dir / "l").c_str(), argv, environ, AT_SYMLINK_NOFOLLOW),
              SyscallFailsWithErrno(ELOOP));
}

TEST(ExecTest, RunningProgramIsTextBusy) {
  TempDir dir;
  std::string copy = dir / "copy";
  PutFile(copy, GetFile(Self()));
  chmod(copy.c_str(), 0755);
  Fd writer(open(copy.c_str(), O_WRONLY));
  EXPECT_EQ(WEXITSTATUS(Exec(copy, {"t", "--child-exit", "0"})), ETXTBSY);
  writer.reset();
  EXPECT_EQ(Exec(copy, {"t", "--child-exit", "0"}), 0);
}

TEST(ExecTest, EmptyArgvGetsOneEmptyString) {
  char* argv[] = {nullptr};
  char* env[] = {nullptr};
  EXPECT_CHILD_OK([&] {
    execve("/bin/true", argv, env);
    return 1;
  });
}

TEST(ExecTest, CommandNameAndCmdline) {
  TempDir dir;
  std::string program = dir / "a-rather-long-name";
  ASSERT_THAT(symlink("/bin/sh", program.c_str()), SyscallSucceeds());
  std::string out;
  EXPECT_EQ(Exec(program, {"zero", "-c", "read c < /proc/$$/comm; echo $c"}, &out), 0);
  EXPECT_EQ(out, "a-rather-long-n\n");
}

TEST(ExecTest, SetuidProgramRaisesEffectiveUid) {
  TempDir dir;
  chmod(dir.path().c_str(), 0755);
  std::string copy = dir / "suid";
  PutFile(copy, GetFile("/usr/bin/id"));
  chmod(copy.c_str(), 04755);
  std::string out;
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  pid_t pid = StartChild([&] {
    dup2(p[1], 1);
    CHECK_OR_DIE(setresuid(12345, 12345, 12345) == 0);
    execl(copy.c_str(), "id", "-u", nullptr);
    return errno;
  });
  close(p[1]);
  char buf[16] = {};
  read(p[0], buf, 15);
  close(p[0]);
  EXPECT_EQ(WaitFor(pid), 0);
  EXPECT_STREQ(buf, "0\n");
}

TEST(CloneTest, ExitSignalOfAnyNumber) {
  // Only clone3(2) checks it; one that is no signal is not sent.
  long child = Raw(SYS_clone, 100, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) _exit(3);
  ASSERT_GT(child, 0);
  int status = 0;
  EXPECT_THAT(waitpid(static_cast<pid_t>(child), &status, 0), SyscallFailsWithErrno(ECHILD));
  EXPECT_EQ(waitpid(static_cast<pid_t>(child), &status, __WALL), child);
  EXPECT_EQ(WEXITSTATUS(status), 3);
}

// A program found below a descriptor is told a name that goes through it.
TEST(ExecveatTest, BelowADirectory) {
  TempDir dir;
  PutFile(dir / "script", "#!/bin/echo\n");
  ASSERT_THAT(chmod((dir / "script").c_str(), 0755), SyscallSucceeds());
  int out[2];
  ASSERT_THAT(pipe(out), SyscallSucceeds());
  char* const argv[] = {const_cast<char*>("x"), nullptr};
  EXPECT_CHILD_OK([&] {
    Fd lost(open(dir.path().c_str(), O_RDONLY | O_CLOEXEC));
    CHECK_OR_DIE(Raw(SYS_execveat, lost.get(), "script", argv, environ, 0) == -1);
    CHECK_OR_DIE(errno == ENOENT);
    Fd kept(open(dir.path().c_str(), O_RDONLY));
    CHECK_OR_DIE(dup2(kept.get(), 50) == 50 && dup2(out[1], 1) == 1);
    Raw(SYS_execveat, 50, "script", argv, environ, 0);
    return 1;
  });
  char text[100] = {};
  EXPECT_GT(read(out[0], text, sizeof(text) - 1), 0);
  EXPECT_STREQ(text, "/dev/fd/50/script\n");
  close(out[0]);
  close(out[1]);
}

}  // namespace
