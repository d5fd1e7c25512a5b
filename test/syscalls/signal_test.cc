// Signals: delivery, queues, masks, stacks, flags, restart, stop and continue, permission.
#include <fcntl.h>
#include <immintrin.h>
#include <math.h>
#include <setjmp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

std::vector<int> g_seen;  // Signal numbers or values in order of delivery.
std::atomic<int> g_count;
void Count(int) { g_count++; }
void Record(int signal, siginfo_t* info, void*) {
  g_seen.push_back(info->si_code == SI_QUEUE ? info->si_value.sival_int : signal);
}

class SignalTest : public testing::Test {
 protected:
  SignalTest() {
    g_seen.clear();
    g_count = 0;
  }
  static int Queue(int signal, int value) {
    sigval v;
    v.sival_int = value;
    return sigqueue(getpid(), signal, v);
  }
  static bool Pending(int signal) {
    sigset_t set;
    CHECK_OR_DIE(sigpending(&set) == 0);
    return sigismember(&set, signal);
  }
  static sigset_t Set(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (int s : signals) sigaddset(&set, s);
    return set;
  }
};

TEST_F(SignalTest, HandlerRunsOnKill) {
  ScopedSigaction handler(SIGUSR1, Count);
  EXPECT_THAT(kill(getpid(), SIGUSR1), SyscallSucceeds());
  EXPECT_EQ(g_count, 1);
}

TEST_F(SignalTest, SiginfoOfKill) {
  static siginfo_t got;
  ScopedSigaction handler(SIGUSR1, [](int, siginfo_t* info, void*) { got = *info; });
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(got.si_signo, SIGUSR1);
  EXPECT_EQ(got.si_code, SI_USER);
  EXPECT_EQ(got.si_pid, getpid());
  EXPECT_EQ(got.si_uid, getuid());
  Raw(SYS_tgkill, getpid(), Raw(SYS_gettid), SIGUSR1);
  EXPECT_EQ(got.si_code, SI_TKILL);
}

TEST_F(SignalTest, KillErrors) {
  EXPECT_THAT(kill(getpid(), 0), SyscallSucceeds());
  EXPECT_THAT(kill(getpid(), 65), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(kill(getpid(), -1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(kill(0x3fffffff, 0), SyscallFailsWithErrno(ESRCH));
  EXPECT_THAT(Raw(SYS_tgkill, getpid(), 0x3fffffff, 0), SyscallFailsWithErrno(ESRCH));
  EXPECT_THAT(Raw(SYS_tgkill, -1, 1, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_tkill, 0, 0), SyscallFailsWithErrno(EINVAL));
}

TEST_F(SignalTest, Permission) {
  pid_t victim = StartChild([] {
    pause();
    return 0;
  });
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setresuid(12345, 12345, 12345) == 0);
    CHECK_OR_DIE(kill(victim, SIGTERM) == -1 && errno == EPERM);
    CHECK_OR_DIE(kill(victim, 0) == -1 && errno == EPERM);
    return 0;
  });
  kill(victim, SIGKILL);
  EXPECT_EQ(WTERMSIG(WaitFor(victim)), SIGKILL);
}

TEST_F(SignalTest, StandardSignalsMergeAndRealtimeOnesQueue) {
  ScopedSigaction usr(SIGUSR1, Record), rt(SIGRTMIN + 1, Record);
  {
    ScopedBlock a(SIGUSR1), b(SIGRTMIN + 1);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    for (int i = 1; i <= 3; i++) Queue(SIGRTMIN + 1, i);
    EXPECT_TRUE(Pending(SIGUSR1));
  }
  EXPECT_EQ(std::count(g_seen.begin(), g_seen.end(), SIGUSR1), 1);
  std::erase(g_seen, SIGUSR1);
  EXPECT_EQ(g_seen, (std::vector<int>{1, 2, 3}));
}

TEST_F(SignalTest, LowestRealtimeSignalFirst) {
  sigset_t all = Set({SIGRTMIN + 1, SIGRTMIN + 2, SIGRTMIN + 3}), old;
  sigprocmask(SIG_BLOCK, &all, &old);
  Queue(SIGRTMIN + 3, 3);
  Queue(SIGRTMIN + 1, 1);
  Queue(SIGRTMIN + 2, 2);
  for (int i = 1; i <= 3; i++) {
    siginfo_t info;
    EXPECT_EQ(sigwaitinfo(&all, &info), SIGRTMIN + i);
    EXPECT_EQ(info.si_value.sival_int, i);
  }
  sigprocmask(SIG_SETMASK, &old, nullptr);
}

TEST_F(SignalTest, QueueLimit) {
  EXPECT_CHILD_OK([] {
    rlimit limit = {3, 3};
    CHECK_OR_DIE(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
    CHECK_OR_DIE(setresuid(54322, 54322, 54322) == 0);
    ScopedBlock block(SIGRTMIN);
    for (int i = 0; i < 3; i++) CHECK_OR_DIE(Queue(SIGRTMIN, i) == 0);
    CHECK_OR_DIE(Queue(SIGRTMIN, 9) == -1 && errno == EAGAIN);
    _exit(0);  // Before the queued ones are unblocked.
    return 0;
  });
}

TEST_F(SignalTest, SigqueueinfoMayNotForge) {
  EXPECT_CHILD_OK([] {
    siginfo_t info = {};
    info.si_signo = SIGUSR1;
    info.si_code = SI_USER;
    CHECK_OR_DIE(Raw(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &info) == -1 && errno == EPERM);
    return 0;
  });
}

TEST_F(SignalTest, MaskCallErrors) {
  sigset_t set = Set({SIGUSR1});
  EXPECT_THAT(Raw(SYS_rt_sigprocmask, 99, &set, nullptr, 8), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_rt_sigprocmask, SIG_BLOCK, &set, nullptr, 4), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_rt_sigprocmask, SIG_BLOCK, 8, nullptr, 8), SyscallFailsWithErrno(EFAULT));
  sigset_t kill_set = Set({SIGKILL, SIGSTOP}), now;
  ASSERT_THAT(sigprocmask(SIG_BLOCK, &kill_set, nullptr), SyscallSucceeds());
  sigprocmask(SIG_BLOCK, nullptr, &now);
  EXPECT_FALSE(sigismember(&now, SIGKILL));
  EXPECT_FALSE(sigismember(&now, SIGSTOP));
}

TEST_F(SignalTest, SigactionErrors) {
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  EXPECT_THAT(sigaction(SIGKILL, &action, nullptr), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(sigaction(SIGSTOP, &action, nullptr), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(sigaction(65, &action, nullptr), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(sigaction(SIGKILL, nullptr, &action), SyscallSucceeds());
}

TEST_F(SignalTest, MaskInHandler) {
  static bool usr1_blocked, usr2_blocked;
  struct sigaction action = {};
  action.sa_handler = [](int) {
    sigset_t now;
    sigprocmask(SIG_BLOCK, nullptr, &now);
    usr1_blocked = sigismember(&now, SIGUSR1);
    usr2_blocked = sigismember(&now, SIGUSR2);
  };
  sigaddset(&action.sa_mask, SIGUSR2);
  ScopedSigaction restore(SIGUSR1, SIG_DFL);
  sigaction(SIGUSR1, &action, nullptr);
  raise(SIGUSR1);
  EXPECT_TRUE(usr1_blocked);
  EXPECT_TRUE(usr2_blocked);
  action.sa_flags = SA_NODEFER;
  sigaction(SIGUSR1, &action, nullptr);
  raise(SIGUSR1);
  EXPECT_FALSE(usr1_blocked);
  sigset_t after;
  sigprocmask(SIG_BLOCK, nullptr, &after);
  EXPECT_FALSE(sigismember(&after, SIGUSR2));
}

TEST_F(SignalTest, Resethand) {
  struct sigaction action = {};
  action.sa_handler = Count;
  action.sa_flags = SA_RESETHAND;
  ScopedSigaction restore(SIGUSR1, SIG_DFL);
  sigaction(SIGUSR1, &action, nullptr);
  raise(SIGUSR1);
  sigaction(SIGUSR1, nullptr, &action);
  EXPECT_EQ(action.sa_handler, SIG_DFL);
}

TEST_F(SignalTest, Nested) {
  static std::vector<int> order;
  order.clear();
  ScopedSigaction a(SIGUSR1, [](int) {
    order.push_back(1);
    raise(SIGUSR2);
    order.push_back(3);
  });
  ScopedSigaction b(SIGUSR2, [](int) { order.push_back(2); });
  raise(SIGUSR1);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST_F(SignalTest, AlternateStack) {
  static char stack[65536];
  static void* where;
  static stack_t inside;
  stack_t ss = {}, old;
  ss.ss_sp = stack;
  ss.ss_size = sizeof stack;
  ASSERT_THAT(sigaltstack(&ss, nullptr), SyscallSucceeds());
  ScopedSigaction handler(
      SIGUSR1,
      [](int) {
        int local;
        where = &local;
        sigaltstack(nullptr, &inside);
        stack_t change = {};
        change.ss_sp = stack;
        change.ss_size = sizeof stack;
        CHECK_OR_DIE(sigaltstack(&change, nullptr) == -1 && errno == EPERM);
      },
      SA_ONSTACK);
  raise(SIGUSR1);
  EXPECT_GE(where, stack);
  EXPECT_LT(where, stack + sizeof stack);
  EXPECT_EQ(inside.ss_flags, SS_ONSTACK);
  ASSERT_THAT(sigaltstack(nullptr, &old), SyscallSucceeds());
  EXPECT_EQ(old.ss_flags, 0);
  EXPECT_EQ(old.ss_sp, stack);
  ss.ss_size = 100;
  EXPECT_THAT(sigaltstack(&ss, nullptr), SyscallFailsWithErrno(ENOMEM));
  ss.ss_flags = 1234;
  EXPECT_THAT(sigaltstack(&ss, nullptr), SyscallFailsWithErrno(EINVAL));
  ss.ss_flags = SS_DISABLE;
  EXPECT_THAT(sigaltstack(&ss, nullptr), SyscallSucceeds());
}

TEST_F(SignalTest, ReadIsInterruptedOrRestarted) {
  for (bool restart : {false, true}) {
    int p[2];
    ASSERT_THAT(pipe(p), SyscallSucceeds());
    pid_t child = StartChild([&] {
      ScopedSigaction handler(SIGUSR1, Count, restart ? SA_RESTART : 0);
      char c;
      ssize_t n = read(p[0], &c, 1);
      if (restart) return n == 1 && g_count == 1 ? 0 : 1;
      return n == -1 && errno == EINTR && g_count == 1 ? 0 : 2;
    });
    WaitUntilSleeping(child);
    kill(child, SIGUSR1);
    if (restart) {
      SleepMs(5);
      WaitUntilSleeping(child);
      write(p[1], "x", 1);
    }
    EXPECT_EQ(WaitFor(child), 0) << restart;
    close(p[0]);
    close(p[1]);
  }
}

TEST_F(SignalTest, NanosleepIsInterruptedWithRemainder) {
  pid_t child = StartChild([] {
    ScopedSigaction handler(SIGUSR1, Count, SA_RESTART);
    timespec want = {100, 0}, left = {};
    CHECK_OR_DIE(nanosleep(&want, &left) == -1 && errno == EINTR);
    CHECK_OR_DIE(left.tv_sec >= 90 && left.tv_sec < 100);
    return 0;
  });
  WaitUntilSleeping(child);
  kill(child, SIGUSR1);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(SignalTest, StopAndContinueRestartsSleep) {
  pid_t child = StartChild([] {
    int64_t start = NowNs();
    timespec want = Millis(60);
    CHECK_OR_DIE(nanosleep(&want, nullptr) == 0);
    CHECK_OR_DIE(NowNs() - start >= 60000000);
    return 0;
  });
  WaitUntilSleeping(child);
  kill(child, SIGSTOP);
  WaitUntilState(child, 'T');
  kill(child, SIGCONT);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(SignalTest, Pause) {
  pid_t child = StartChild([] {
    ScopedSigaction handler(SIGUSR1, Count, SA_RESTART);
    CHECK_OR_DIE(pause() == -1 && errno == EINTR && g_count == 1);
    return 0;
  });
  WaitUntilSleeping(child);
  kill(child, SIGUSR1);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(SignalTest, Sigsuspend) {
  ScopedSigaction handler(SIGUSR1, Count);
  ScopedBlock block(SIGUSR1);
  raise(SIGUSR1);
  EXPECT_EQ(g_count, 0);
  sigset_t none = Set({});
  EXPECT_THAT(sigsuspend(&none), SyscallFailsWithErrno(EINTR));
  EXPECT_EQ(g_count, 1);
  sigset_t now;
  sigprocmask(SIG_BLOCK, nullptr, &now);
  EXPECT_TRUE(sigismember(&now, SIGUSR1));
}

TEST_F(SignalTest, Sigtimedwait) {
  ScopedBlock block(SIGUSR1);
  sigset_t set = Set({SIGUSR1});
  timespec t = Millis(10);
  int64_t start = NowNs();
  EXPECT_THAT(sigtimedwait(&set, nullptr, &t), SyscallFailsWithErrno(EAGAIN));
  EXPECT_GE(NowNs() - start, 10000000);
  Queue(SIGUSR1, 12);
  siginfo_t info;
  EXPECT_EQ(sigtimedwait(&set, &info, &t), SIGUSR1);
  EXPECT_EQ(info.si_code, SI_QUEUE);
  EXPECT_EQ(info.si_value.sival_int, 12);
  t = {-1, 0};
  EXPECT_THAT(sigtimedwait(&set, nullptr, &t), SyscallFailsWithErrno(EINVAL));
}

TEST_F(SignalTest, FatalStatusAndCoreFlag) {
  for (int signal : {SIGTERM, SIGKILL, SIGHUP, SIGALRM, SIGUSR1, SIGPIPE, SIGRTMIN}) {
    int status = InChild([&] {
      raise(signal);
      return 0;
    });
    EXPECT_TRUE(WIFSIGNALED(status)) << signal;
    EXPECT_EQ(WTERMSIG(status), signal);
    EXPECT_FALSE(WCOREDUMP(status)) << signal;
  }
  for (int signal : {SIGABRT, SIGQUIT, SIGSYS}) {
    int status = InChild([&] {
      rlimit core = {0, 0};
      setrlimit(RLIMIT_CORE, &core);
      raise(signal);
      return 0;
    });
    EXPECT_EQ(WTERMSIG(status), signal);
    EXPECT_FALSE(WCOREDUMP(status));
  }
}

TEST_F(SignalTest, DefaultIgnored) {
  EXPECT_CHILD_OK([] {
    for (int signal : {SIGCHLD, SIGURG, SIGWINCH, SIGCONT}) raise(signal);
    return 0;
  });
}

TEST_F(SignalTest, IgnoringDropsPending) {
  ScopedBlock block(SIGUSR1);
  raise(SIGUSR1);
  EXPECT_TRUE(Pending(SIGUSR1));
  ScopedSigaction ignore(SIGUSR1, SIG_IGN);
  EXPECT_FALSE(Pending(SIGUSR1));
}

TEST_F(SignalTest, StopAndContinueAreReported) {
  pid_t child = StartChild([] {
    for (;;) pause();
    return 0;
  });
  int status;
  kill(child, SIGSTOP);
  EXPECT_THAT(waitpid(child, &status, WUNTRACED), SyscallSucceedsWithValue(child));
  EXPECT_TRUE(WIFSTOPPED(status));
  EXPECT_EQ(WSTOPSIG(status), SIGSTOP);
  EXPECT_THAT(waitpid(child, &status, WUNTRACED | WNOHANG), SyscallSucceedsWithValue(0));
  kill(child, SIGCONT);
  EXPECT_THAT(waitpid(child, &status, WCONTINUED), SyscallSucceedsWithValue(child));
  EXPECT_TRUE(WIFCONTINUED(status));
  kill(child, SIGKILL);
  EXPECT_EQ(WTERMSIG(WaitFor(child)), SIGKILL);
}

TEST_F(SignalTest, SigkillEndsAStoppedProcess) {
  pid_t child = StartChild([] {
    raise(SIGSTOP);
    return 0;
  });
  int status;
  waitpid(child, &status, WUNTRACED);
  kill(child, SIGKILL);
  EXPECT_EQ(WTERMSIG(WaitFor(child)), SIGKILL);
}

TEST_F(SignalTest, SigchldInfo) {
  static siginfo_t got;
  ScopedSigaction handler(SIGCHLD, [](int, siginfo_t* info, void*) { got = *info; });
  pid_t child = StartChild([] { return 9; });
  WaitFor(child);
  EXPECT_EQ(got.si_code, CLD_EXITED);
  EXPECT_EQ(got.si_pid, child);
  EXPECT_EQ(got.si_status, 9);
  child = StartChild([] {
    raise(SIGKILL);
    return 0;
  });
  WaitFor(child);
  EXPECT_EQ(got.si_code, CLD_KILLED);
  EXPECT_EQ(got.si_status, SIGKILL);
}

TEST_F(SignalTest, NocldstopAndNocldwait) {
  EXPECT_CHILD_OK([] {
    ScopedSigaction handler(SIGCHLD, Count, SA_NOCLDSTOP);
    pid_t child = StartChild([] {
      for (;;) pause();
      return 0;
    });
    int status;
    kill(child, SIGSTOP);
    CHECK_OR_DIE(waitpid(child, &status, WUNTRACED) == child && g_count == 0);
    kill(child, SIGKILL);
    WaitFor(child);
    CHECK_OR_DIE(g_count == 1);
    ScopedSigaction ignore(SIGCHLD, SIG_IGN);
    StartChild([] { return 0; });
    CHECK_OR_DIE(wait(&status) == -1 && errno == ECHILD);
    return 0;
  });
}

TEST_F(SignalTest, FloatingPointStateSurvivesHandlers) {
  ScopedSigaction handler(SIGUSR1, [](int) {
    volatile double x = 1.5;
    for (int i = 0; i < 100; i++) x = sqrt(x) * 1.1;
    asm volatile("pxor %%xmm5, %%xmm5; fninit" ::: "xmm5");
  });
  uint64_t in[2] = {0x1122334455667788, 0x99aabbccddeeff00}, out[2] = {};
  pid_t pid = getpid();
  long result;
  asm volatile(
      "movdqu %[in], %%xmm5\n"
      "syscall\n"
      "movdqu %%xmm5, %[out]\n"
      : "=a"(result), [out] "=m"(out)
      : [in] "m"(in), "a"(SYS_kill), "D"(pid), "S"(SIGUSR1)
      : "rcx", "r11", "xmm5", "memory");
  EXPECT_EQ(result, 0);
  EXPECT_EQ(memcmp(in, out, 16), 0);
}

TEST_F(SignalTest, HandlerMayChangeTheContext) {
  ScopedSigaction handler(SIGUSR1, [](int, siginfo_t*, void* context) {
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RBX] = 4711;
  });
  long rbx = 1, result;
  asm volatile("syscall"
               : "=a"(result), "+b"(rbx)
               : "a"(SYS_kill), "D"(getpid()), "S"(SIGUSR1)
               : "rcx", "r11", "memory");
  EXPECT_EQ(rbx, 4711);
}

TEST_F(SignalTest, ContextMaskIsRestored) {
  ScopedSigaction handler(SIGUSR1, [](int, siginfo_t*, void* context) {
    sigaddset(&static_cast<ucontext_t*>(context)->uc_sigmask, SIGUSR2);
  });
  raise(SIGUSR1);
  sigset_t now;
  sigprocmask(SIG_BLOCK, nullptr, &now);
  EXPECT_TRUE(sigismember(&now, SIGUSR2));
  sigset_t usr2 = Set({SIGUSR2});
  sigprocmask(SIG_UNBLOCK, &usr2, nullptr);
}

TEST_F(SignalTest, ProcessSignalGoesToAThreadThatTakesIt) {
  static std::atomic<long> who;
  who = 0;
  ScopedSigaction handler(SIGUSR1, [](int) { who = Raw(SYS_gettid); });
  ScopedBlock block(SIGUSR1);
  std::atomic<bool> ready{false};
  std::atomic<long> tid{0};
  std::thread other([&] {
    sigset_t set = Set({SIGUSR1});
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    tid = Raw(SYS_gettid);
    ready = true;
    while (who == 0) SleepMs(1);
  });
  while (!ready) SleepMs(1);
  kill(getpid(), SIGUSR1);
  other.join();
  EXPECT_EQ(who, tid);
}

TEST_F(SignalTest, ThreadDirectedSignalStaysWithItsThread) {
  static std::atomic<long> who;
  who = 0;
  ScopedSigaction handler(SIGUSR1, [](int) { who = Raw(SYS_gettid); });
  std::atomic<long> tid{0};
  std::thread other([&] {
    tid = Raw(SYS_gettid);
    while (who == 0) SleepMs(1);
  });
  while (tid == 0) SleepMs(1);
  Raw(SYS_tgkill, getpid(), tid.load(), SIGUSR1);
  other.join();
  EXPECT_EQ(who, tid);
}

TEST_F(SignalTest, ManySignalsToABusyThread) {
  ScopedSigaction handler(SIGRTMIN, Count);
  std::atomic<bool> stop{false};
  std::atomic<long> tid{0};
  std::thread busy([&] {
    tid = Raw(SYS_gettid);
    double x = 1;
    while (!stop) x = sqrt(x + 1);
    EXPECT_NEAR(x, 1.618, 0.1);
  });
  while (tid == 0) SleepMs(1);
  for (int i = 0; i < 200; i++) Raw(SYS_tgkill, getpid(), tid.load(), SIGRTMIN);
  while (g_count < 200) SleepMs(1);
  stop = true;
  busy.join();
  EXPECT_EQ(g_count, 200);
}

TEST_F(SignalTest, SiglongjmpOutOfHandler) {
  static sigjmp_buf jump;
  ScopedSigaction handler(SIGUSR1, [](int) { siglongjmp(jump, 1); });
  volatile int rounds = 0;
  if (sigsetjmp(jump, 1) == 0 || rounds < 3) {
    rounds = rounds + 1;
    raise(SIGUSR1);
  }
  EXPECT_EQ(rounds, 3);
}

TEST_F(SignalTest, AlarmAndItimer) {
  ScopedSigaction handler(SIGALRM, Count);
  alarm(100);
  EXPECT_GE(alarm(0), 99u);
  itimerval timer = {{0, 0}, {0, 5000}}, old;
  ASSERT_THAT(setitimer(ITIMER_REAL, &timer, nullptr), SyscallSucceeds());
  while (g_count == 0) SleepMs(1);
  ASSERT_THAT(getitimer(ITIMER_REAL, &old), SyscallSucceeds());
  EXPECT_EQ(old.it_value.tv_sec + old.it_value.tv_usec, 0);
  EXPECT_THAT(setitimer(99, &timer, nullptr), SyscallFailsWithErrno(EINVAL));
  timer.it_value.tv_usec = 1000000;
  EXPECT_THAT(setitimer(ITIMER_REAL, &timer, nullptr), SyscallFailsWithErrno(EINVAL));
}

TEST_F(SignalTest, CpuTimers) {
  ScopedSigaction prof(SIGPROF, Count), virt(SIGVTALRM, Count);
  for (int which : {ITIMER_PROF, ITIMER_VIRTUAL}) {
    g_count = 0;
    itimerval timer = {{0, 0}, {0, 10000}};
    ASSERT_THAT(setitimer(which, &timer, nullptr), SyscallSucceeds());
    int64_t start = NowNs();
    while (g_count == 0 && NowNs() - start < 5000000000LL) {
    }
    EXPECT_EQ(g_count, 1) << which;
  }
}

TEST_F(SignalTest, KillProcessGroup) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setpgid(0, 0) == 0);
    ScopedSigaction ignore(SIGUSR1, SIG_IGN);
    pid_t child = StartChild([] {
      signal(SIGUSR1, SIG_DFL);
      CHECK_OR_DIE(kill(0, SIGUSR1) == 0);
      pause();
      return 0;
    });
    CHECK_OR_DIE(WTERMSIG(WaitFor(child)) == SIGUSR1);
    CHECK_OR_DIE(kill(-getpid(), SIGUSR1) == 0);
    CHECK_OR_DIE(kill(-0x3fffffff, 0) == -1 && errno == ESRCH);
    return 0;
  });
}

}  // namespace
