// siginfo of each sender, alternate stacks, frames, waiting for signals, restart blocks.
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <ucontext.h>

#include <atomic>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

std::atomic<int> g_count;
siginfo_t g_info;
void Remember(int, siginfo_t* info, void*) {
  g_info = *info;
  g_count++;
}
void Nothing(int) { g_count++; }

sigset_t SetOf(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (int s : signals) sigaddset(&set, s);
  return set;
}

TEST(SiginfoTest, KillTkillAndQueue) {
  ScopedSigaction handler(SIGUSR1, Remember);
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(g_info.si_code, SI_USER);
  EXPECT_EQ(g_info.si_pid, getpid());
  EXPECT_EQ(g_info.si_uid, getuid());
  Raw(SYS_tgkill, getpid(), gettid(), SIGUSR1);
  EXPECT_EQ(g_info.si_code, SI_TKILL);
  EXPECT_EQ(g_info.si_pid, getpid());
  Raw(SYS_tkill, gettid(), SIGUSR1);
  EXPECT_EQ(g_info.si_code, SI_TKILL);
  sigqueue(getpid(), SIGUSR1, sigval{.sival_int = 77});
  EXPECT_EQ(g_info.si_code, SI_QUEUE);
  EXPECT_EQ(g_info.si_value.sival_int, 77);
  EXPECT_EQ(g_info.si_pid, getpid());
  siginfo_t mine = {};
  mine.si_code = -77;
  mine.si_value.sival_int = 5;
  EXPECT_THAT(Raw(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &mine), SyscallSucceeds());
  EXPECT_EQ(g_info.si_code, -77);
  EXPECT_EQ(g_info.si_value.sival_int, 5);
}

TEST(SiginfoTest, PidfdSendSignal) {
  ScopedSigaction handler(SIGUSR1, Remember);
  Fd fd(Raw(SYS_pidfd_open, getpid(), 0));
  EXPECT_THAT(Raw(SYS_pidfd_send_signal, fd.get(), SIGUSR1, nullptr, 0), SyscallSucceeds());
  EXPECT_EQ(g_info.si_code, SI_USER);
  EXPECT_EQ(g_info.si_pid, getpid());
  siginfo_t info = {};
  info.si_signo = SIGUSR2;
  EXPECT_THAT(Raw(SYS_pidfd_send_signal, fd.get(), SIGUSR1, &info, 0),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_pidfd_send_signal, fd.get(), SIGUSR1, nullptr, 64),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_pidfd_send_signal, fd.get(), 0, nullptr, 0), SyscallSucceeds());
}

TEST(SiginfoTest, AlarmAndPipe) {
  {
    ScopedSigaction handler(SIGALRM, Remember);
    g_count = 0;
    itimerval timer = {{0, 0}, {0, 5000}};
    setitimer(ITIMER_REAL, &timer, nullptr);
    while (g_count == 0) SleepMs(1);
    EXPECT_EQ(g_info.si_code, SI_KERNEL);
    EXPECT_EQ(g_info.si_pid, 0);
  }
  ScopedSigaction handler(SIGPIPE, Remember);
  int pipes[2];
  ASSERT_THAT(pipe(pipes), SyscallSucceeds());
  close(pipes[0]);
  EXPECT_THAT(write(pipes[1], "x", 1), SyscallFailsWithErrno(EPIPE));
  EXPECT_EQ(g_info.si_code, SI_USER);
  EXPECT_EQ(g_info.si_pid, getpid());
  close(pipes[1]);
}

TEST(SiginfoTest, PosixTimer) {
  ScopedSigaction handler(SIGRTMIN + 2, Remember);
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN + 2;
  event.sigev_value.sival_int = 31;
  timer_t timer;
  ASSERT_THAT(timer_create(CLOCK_MONOTONIC, &event, &timer), SyscallSucceeds());
  g_count = 0;
  itimerspec spec = {{0, 0}, {0, 3'000'000}};
  timer_settime(timer, 0, &spec, nullptr);
  while (g_count == 0) SleepMs(1);
  EXPECT_EQ(g_info.si_code, SI_TIMER);
  EXPECT_EQ(g_info.si_value.sival_int, 31);
  EXPECT_EQ(g_info.si_overrun, 0);
  timer_delete(timer);
}

TEST(SiginfoTest, ChildTimesAndUser) {
  ScopedSigaction handler(SIGCHLD, Remember);
  g_count = 0;
  pid_t child = StartChild([] {
    CHECK_OR_DIE(setuid(65534) == 0);
    int64_t until = NowNs(CLOCK_PROCESS_CPUTIME_ID) + 200'000'000;  // Linux only samples
    while (NowNs(CLOCK_PROCESS_CPUTIME_ID) < until) {
    }
    return 5;
  });
  while (g_count == 0) SleepMs(1);
  EXPECT_EQ(g_info.si_uid, 65534u);
  EXPECT_EQ(g_info.si_pid, child);
  EXPECT_EQ(g_info.si_status, 5);
  EXPECT_GE(g_info.si_utime + g_info.si_stime, 4);  // ticks of 10 ms
  WaitFor(child);
}

TEST(SiginfoTest, SigioOfPipeAndSocket) {
  ScopedSigaction handler(SIGIO, Remember);
  int sockets[2];
  ASSERT_THAT(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), SyscallSucceeds());
  ASSERT_THAT(fcntl(sockets[0], F_SETOWN, getpid()), SyscallSucceeds());
  ASSERT_THAT(fcntl(sockets[0], F_SETFL, O_ASYNC), SyscallSucceeds());
  g_count = 0;
  ASSERT_THAT(write(sockets[1], "x", 1), SyscallSucceedsWithValue(1));
  for (int i = 0; i < 1000 && g_count == 0; i++) SleepMs(1);
  EXPECT_GE(g_count, 1);
  EXPECT_EQ(g_info.si_code, SI_KERNEL);
  ASSERT_THAT(fcntl(sockets[0], F_SETFL, 0), SyscallSucceeds());
  g_count = 0;
  ASSERT_THAT(write(sockets[1], "x", 1), SyscallSucceedsWithValue(1));
  SleepMs(20);
  EXPECT_EQ(g_count, 0);
  close(sockets[0]);
  close(sockets[1]);
}

TEST(SiginfoTest, ChosenIoSignalCarriesBandAndDescriptor) {
  ScopedSigaction handler(SIGRTMIN + 5, Remember);
  int pipes[2];
  ASSERT_THAT(pipe(pipes), SyscallSucceeds());
  ASSERT_THAT(fcntl(pipes[0], F_SETSIG, SIGRTMIN + 5), SyscallSucceeds());
  EXPECT_THAT(fcntl(pipes[0], F_GETSIG), SyscallSucceedsWithValue(SIGRTMIN + 5));
  EXPECT_THAT(fcntl(pipes[0], F_SETSIG, 65), SyscallFailsWithErrno(EINVAL));
  f_owner_ex owner = {F_OWNER_TID, gettid()};
  ASSERT_THAT(fcntl(pipes[0], F_SETOWN_EX, &owner), SyscallSucceeds());
  ASSERT_THAT(fcntl(pipes[0], F_SETFL, O_ASYNC | O_NONBLOCK), SyscallSucceeds());
  g_count = 0;
  ASSERT_THAT(write(pipes[1], "x", 1), SyscallSucceedsWithValue(1));
  for (int i = 0; i < 1000 && g_count == 0; i++) SleepMs(1);
  EXPECT_GE(g_count, 1);
  EXPECT_EQ(g_info.si_code, POLL_IN);
  EXPECT_EQ(g_info.si_fd, pipes[0]);
  EXPECT_NE(g_info.si_band & POLLIN, 0);
  close(pipes[0]);
  close(pipes[1]);
}

char g_stack[65536];
stack_t g_during;
void OnStack(int, siginfo_t*, void*) {
  g_count++;
  sigaltstack(nullptr, &g_during);
}

TEST(AlternateStackTest, AutodisarmFreesItInTheHandler) {
  constexpr int kAutodisarm = static_cast<int>(1u << 31);
  EXPECT_CHILD_OK([&] {
    stack_t stack = {};
    stack.ss_sp = g_stack;
    stack.ss_size = sizeof g_stack;
    stack.ss_flags = kAutodisarm;
    CHECK_OR_DIE(sigaltstack(&stack, nullptr) == 0);
    ScopedSigaction handler(SIGUSR1, OnStack, SA_ONSTACK);
    raise(SIGUSR1);
    CHECK_OR_DIE((g_during.ss_flags & SS_DISABLE) != 0);
    stack_t after;
    CHECK_OR_DIE(sigaltstack(nullptr, &after) == 0);
    CHECK_OR_DIE(after.ss_sp == g_stack && after.ss_size == sizeof g_stack);
    CHECK_OR_DIE(after.ss_flags == kAutodisarm);
    return 0;
  });
}

int g_errno;
void ChangeOnStack(int, siginfo_t*, void*) {
  stack_t stack = {};
  stack.ss_flags = SS_DISABLE;
  g_errno = sigaltstack(&stack, nullptr) == -1 ? errno : 0;
  sigaltstack(nullptr, &g_during);
}

TEST(AlternateStackTest, Errors) {
  EXPECT_CHILD_OK([&] {
    stack_t stack = {};
    stack.ss_sp = g_stack;
    stack.ss_size = 1024;
    CHECK_OR_DIE(sigaltstack(&stack, nullptr) == -1 && errno == ENOMEM);
    stack.ss_size = sizeof g_stack;
    stack.ss_flags = 1 << 5;
    CHECK_OR_DIE(sigaltstack(&stack, nullptr) == -1 && errno == EINVAL);
    stack.ss_flags = 0;
    CHECK_OR_DIE(sigaltstack(&stack, nullptr) == 0);
    ScopedSigaction handler(SIGUSR1, ChangeOnStack, SA_ONSTACK);
    raise(SIGUSR1);
    CHECK_OR_DIE(g_errno == EPERM && g_during.ss_flags == SS_ONSTACK);
    // A new process has none; a thread has none.
    std::thread([] {
      stack_t mine;
      CHECK_OR_DIE(sigaltstack(nullptr, &mine) == 0 && mine.ss_flags == SS_DISABLE);
    }).join();
    return InChild([] {
      stack_t mine;
      CHECK_OR_DIE(sigaltstack(nullptr, &mine) == 0 && mine.ss_sp == g_stack);
      return 0;
    });
  });
}

TEST(FrameTest, GarbageSigreturnIsSegv) {
  int status = InChild([] {
    Raw(SYS_rt_sigreturn);
    return 0;
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
}

void SpoilFpPointer(int, siginfo_t*, void* context) {
  static_cast<ucontext_t*>(context)->uc_mcontext.fpregs = reinterpret_cast<fpregset_t>(0x1001);
}
void SpoilRip(int, siginfo_t*, void* context) {
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP] = 0x8000'0000'0000'0000;
}
void NoFpState(int, siginfo_t*, void* context) {
  static_cast<ucontext_t*>(context)->uc_mcontext.fpregs = nullptr;
}
void SpoilFlags(int, siginfo_t*, void* context) {
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= 0x3000 | 0x20000;  // IOPL, VM
}
void SpoilXstate(int, siginfo_t*, void* context) {
  auto* fp = reinterpret_cast<char*>(static_cast<ucontext_t*>(context)->uc_mcontext.fpregs);
  memset(fp + 512, 0xff, 64);  // the XSAVE header
}
int SignalOf(void (*handler)(int, siginfo_t*, void*)) {
  int status = InChild([&] {
    struct sigaction action = {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGUSR1, &action, nullptr);
    raise(SIGUSR1);
    return 0;
  });
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(FrameTest, SpoiltContexts) {
  EXPECT_EQ(SignalOf(SpoilFpPointer), SIGSEGV);
  EXPECT_EQ(SignalOf(SpoilRip), SIGSEGV);
  EXPECT_EQ(SignalOf(NoFpState), 0);
  EXPECT_EQ(SignalOf(SpoilFlags), 0);
  EXPECT_EQ(SignalOf(SpoilXstate), SIGSEGV);
}

TEST(FrameTest, NoRoomForTheFrameIsSegv) {
  int status = InChild([] {
    stack_t stack = {};
    stack.ss_sp = reinterpret_cast<void*>(0x10000);
    stack.ss_size = 65536;
    CHECK_OR_DIE(sigaltstack(&stack, nullptr) == 0);
    ScopedSigaction handler(SIGUSR1, Nothing, SA_ONSTACK);
    raise(SIGUSR1);
    return 0;
  });
  EXPECT_EQ(WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGSEGV);
}

TEST(SigwaitTest, OrderAndErrors) {
  EXPECT_CHILD_OK([] {
    sigset_t set = SetOf({SIGUSR1, SIGUSR2, SIGHUP, SIGRTMIN, SIGRTMIN + 1});
    sigprocmask(SIG_BLOCK, &set, nullptr);
    sigqueue(getpid(), SIGRTMIN + 1, sigval{.sival_int = 1});
    sigqueue(getpid(), SIGRTMIN, sigval{.sival_int = 2});
    sigqueue(getpid(), SIGRTMIN, sigval{.sival_int = 3});
    kill(getpid(), SIGUSR2);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGHUP);
    siginfo_t info;
    timespec none = {};
    for (int want : {SIGHUP, SIGUSR1, SIGUSR2}) {
      CHECK_OR_DIE(sigtimedwait(&set, &info, &none) == want);
    }
    CHECK_OR_DIE(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_value.sival_int == 2);
    CHECK_OR_DIE(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_value.sival_int == 3);
    CHECK_OR_DIE(sigwaitinfo(&set, &info) == SIGRTMIN + 1 && info.si_value.sival_int == 1);
    CHECK_OR_DIE(sigtimedwait(&set, &info, &none) == -1 && errno == EAGAIN);
    timespec bad = {0, 1'000'000'000};
    CHECK_OR_DIE(sigtimedwait(&set, &info, &bad) == -1 && errno == EINVAL);
    bad = {-1, 0};
    CHECK_OR_DIE(sigtimedwait(&set, &info, &bad) == -1 && errno == EINVAL);
    return 0;
  });
}

TEST(SigwaitTest, ThreadSignalsBeforeProcessSignals) {
  EXPECT_CHILD_OK([] {
    sigset_t set = SetOf({SIGUSR1, SIGUSR2});
    sigprocmask(SIG_BLOCK, &set, nullptr);
    kill(getpid(), SIGUSR1);
    Raw(SYS_tgkill, getpid(), gettid(), SIGUSR2);
    siginfo_t info;
    CHECK_OR_DIE(sigwaitinfo(&set, &info) == SIGUSR2);
    CHECK_OR_DIE(sigwaitinfo(&set, &info) == SIGUSR1);
    return 0;
  });
}

TEST(SigwaitTest, HandlerOfAnotherSignalInterrupts) {
  ScopedSigaction handler(SIGUSR2, Nothing, SA_RESTART);
  ScopedBlock block(SIGUSR1);
  pid_t self = getpid();
  pid_t child = StartChild([&] {
    WaitUntilSleeping(self);
    kill(self, SIGUSR2);
    return 0;
  });
  sigset_t set = SetOf({SIGUSR1});
  siginfo_t info;
  EXPECT_THAT(sigwaitinfo(&set, &info), SyscallFailsWithErrno(EINTR));
  WaitFor(child);
}

// What `call` answers when a handler with SA_RESTART runs while it sleeps: its errno, or 0.
int Interrupted(int flags, const std::function<int()>& call) {
  ScopedSigaction handler(SIGUSR2, Nothing, flags);
  pid_t self = getpid();
  pid_t child = StartChild([&] {
    WaitUntilSleeping(self);
    kill(self, SIGUSR2);
    return 0;
  });
  int result = call();
  int error = result == -1 ? errno : 0;
  WaitFor(child);
  return error;
}

TEST(RestartTest, NeverRestartedEvenWithFlag) {
  // signal(7): these fail with EINTR whatever SA_RESTART says.
  int epoll = epoll_create1(0);
  epoll_event event;
  pollfd none = {-1, 0, 0};
  timespec second = {1, 0};
  timeval time = {1, 0};
  EXPECT_EQ(Interrupted(SA_RESTART, [&] { return poll(&none, 1, 1000); }), EINTR);
  EXPECT_EQ(Interrupted(SA_RESTART, [&] { return ppoll(&none, 1, &second, nullptr); }), EINTR);
  EXPECT_EQ(Interrupted(SA_RESTART, [&] { return select(0, nullptr, nullptr, nullptr, &time); }),
            EINTR);
  EXPECT_EQ(Interrupted(SA_RESTART, [&] { return epoll_wait(epoll, &event, 1, 1000); }), EINTR);
  EXPECT_EQ(Interrupted(SA_RESTART, [&] { return nanosleep(&second, nullptr); }), EINTR);
  EXPECT_EQ(Interrupted(SA_RESTART, [&] { return pause(); }), EINTR);
  uint32_t word = 0;
  EXPECT_EQ(
      Interrupted(SA_RESTART, [&] { return Raw(SYS_futex, &word, FUTEX_WAIT, 0, &second, 0, 0); }),
      EINTR);
  int sockets[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
  setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  char c;
  EXPECT_EQ(Interrupted(SA_RESTART, [&] { return recv(sockets[0], &c, 1, 0); }), EINTR);
  close(sockets[0]);
  close(sockets[1]);
  close(epoll);
}

TEST(RestartTest, RestartedWithFlag) {
  int pipes[2];
  ASSERT_THAT(pipe(pipes), SyscallSucceeds());
  auto later = [&] {
    return std::thread([&] {
      SleepMs(60);
      CHECK_OR_DIE(write(pipes[1], "x", 1) == 1);
    });
  };
  char c;
  std::thread writer = later();
  EXPECT_EQ(Interrupted(SA_RESTART, [&] { return read(pipes[0], &c, 1); }), 0);
  writer.join();
  uint32_t word = 0;
  std::thread waker([&] {
    SleepMs(60);
    Raw(SYS_futex, &word, FUTEX_WAKE, 1, 0, 0, 0);
  });
  EXPECT_EQ(Interrupted(SA_RESTART, [&] { return Raw(SYS_futex, &word, FUTEX_WAIT, 0, 0, 0, 0); }),
            0);
  waker.join();
  EXPECT_EQ(Interrupted(SA_RESTART,
                        [&] {
                          pid_t child = StartChild([] {
                            SleepMs(60);
                            return 0;
                          });
                          return waitpid(child, nullptr, 0);
                        }),
            0);
  close(pipes[0]);
  close(pipes[1]);
}

// Stops and continues this process while `call` sleeps; it must go on as if nothing had been.
void Continued(const std::function<void()>& call) {
  EXPECT_CHILD_OK([&] {
    pid_t self = getpid();
    pid_t child = StartChild([&] {
      WaitUntilSleeping(self);
      kill(self, SIGSTOP);
      WaitUntilState(self, 'T');
      kill(self, SIGCONT);
      return 0;
    });
    call();
    WaitFor(child);
    return 0;
  });
}

TEST(RestartTest, StopAndContinueAreTransparent) {
  Continued([] {
    int64_t start = NowNs();
    pollfd none = {-1, 0, 0};
    CHECK_OR_DIE(poll(&none, 1, 150) == 0);
    CHECK_OR_DIE(NowNs() - start >= 150'000'000 && NowNs() - start < 290'000'000);
  });
  Continued([] {
    uint32_t word = 0;
    timespec time = Millis(150);
    int64_t start = NowNs();
    CHECK_OR_DIE(Raw(SYS_futex, &word, FUTEX_WAIT, 0, &time, 0, 0) == -1 && errno == ETIMEDOUT);
    CHECK_OR_DIE(NowNs() - start >= 150'000'000 && NowNs() - start < 290'000'000);
  });
  Continued([] {
    timespec time = Millis(150);
    int64_t start = NowNs();
    CHECK_OR_DIE(clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr) == 0);
    CHECK_OR_DIE(NowNs() - start >= 150'000'000 && NowNs() - start < 290'000'000);
  });
  Continued([] {
    timeval time = {0, 150'000};
    int64_t start = NowNs();
    CHECK_OR_DIE(select(0, nullptr, nullptr, nullptr, &time) == 0);
    CHECK_OR_DIE(NowNs() - start >= 150'000'000 && NowNs() - start < 290'000'000);
  });
}

TEST(RestartTest, RestartSyscallAloneIsEintr) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(Raw(SYS_restart_syscall) == -1 && errno == EINTR);
    return 0;
  });
}

TEST(SignalfdDetailTest, OrderAndFields) {
  EXPECT_CHILD_OK([] {
    sigset_t set = SetOf({SIGUSR1, SIGUSR2, SIGCHLD, SIGRTMIN});
    sigprocmask(SIG_BLOCK, &set, nullptr);
    Fd fd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    sigqueue(getpid(), SIGRTMIN, sigval{.sival_int = 9});
    kill(getpid(), SIGUSR2);
    Raw(SYS_tgkill, getpid(), gettid(), SIGUSR1);
    pid_t child = StartChild([] { return 3; });
    WaitUntilState(child, 'Z');
    signalfd_siginfo info[8] = {};
    CHECK_OR_DIE(read(fd.get(), info, sizeof info) == 4 * sizeof info[0]);
    CHECK_OR_DIE(info[0].ssi_signo == SIGUSR1 && info[0].ssi_code == SI_TKILL);
    CHECK_OR_DIE(info[1].ssi_signo == SIGUSR2 && info[1].ssi_pid == uint32_t(getpid()));
    CHECK_OR_DIE(info[2].ssi_signo == SIGCHLD && info[2].ssi_pid == uint32_t(child));
    CHECK_OR_DIE(info[2].ssi_status == 3 && info[2].ssi_code == CLD_EXITED);
    CHECK_OR_DIE(info[3].ssi_signo == uint32_t(SIGRTMIN) && info[3].ssi_int == 9);
    CHECK_OR_DIE(read(fd.get(), info, sizeof info) == -1 && errno == EAGAIN);
    CHECK_OR_DIE(read(fd.get(), info, 10) == -1 && errno == EINVAL);
    return 0;
  });
}

}  // namespace
