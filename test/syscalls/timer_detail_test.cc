// CPU clocks, timers across fork and exec, clocks that may not be set.
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>

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
void Burn(int ms, clockid_t clock = CLOCK_THREAD_CPUTIME_ID) {
  int64_t until = NowNs(clock) + int64_t{ms} * 1'000'000;
  while (NowNs(clock) < until) {
  }
}

TEST(CpuClockTest, SleepOnProcessClock) {
  std::atomic<bool> stop{false};
  std::thread burner([&] {
    while (!stop) {
    }
  });
  timespec time = Millis(30);
  int64_t before = NowNs(CLOCK_PROCESS_CPUTIME_ID);
  EXPECT_EQ(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &time, nullptr), 0);
  EXPECT_GE(NowNs(CLOCK_PROCESS_CPUTIME_ID) - before, 29'000'000);
  stop = true;
  burner.join();
  EXPECT_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &time, nullptr), EINVAL);
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &time, nullptr), ENOTSUP);
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC_COARSE, 0, &time, nullptr), ENOTSUP);
  EXPECT_EQ(clock_nanosleep(99, 0, &time, nullptr), EINVAL);
  EXPECT_EQ(clock_nanosleep(CLOCK_BOOTTIME, 0, &time, nullptr), 0);
  timespec past = {0, 1};
  EXPECT_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &past, nullptr), 0);
}

TEST(CpuClockTest, TimerOnThreadClock) {
  ScopedSigaction handler(SIGUSR1, Remember);
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGUSR1;
  event._sigev_un._tid = gettid();
  timer_t timer;
  ASSERT_THAT(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer), SyscallSucceeds());
  itimerspec spec = {{0, 0}, {0, 20'000'000}};
  g_count = 0;
  timer_settime(timer, 0, &spec, nullptr);
  SleepMs(50);
  EXPECT_EQ(g_count, 0);  // sleeping uses no time
  Burn(60);
  EXPECT_EQ(g_count, 1);
  EXPECT_THAT(timer_delete(timer), SyscallSucceeds());
  event._sigev_un._tid = 1 << 28;
  EXPECT_THAT(timer_create(CLOCK_MONOTONIC, &event, &timer), SyscallFailsWithErrno(EINVAL));
}

TEST(TimerRulesTest, SetClockIsRefused) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setuid(65534) == 0);
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    CHECK_OR_DIE(clock_settime(CLOCK_REALTIME, &now) == -1 && errno == EPERM);
    timeval tv = {now.tv_sec, 0};
    CHECK_OR_DIE(settimeofday(&tv, nullptr) == -1 && errno == EPERM);
    timex change = {};
    change.modes = ADJ_OFFSET;
    CHECK_OR_DIE(adjtimex(&change) == -1 && errno == EPERM);
    return 0;
  });
  timespec now = {1, 0};
  EXPECT_THAT(clock_settime(CLOCK_MONOTONIC, &now), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(clock_settime(99, &now), SyscallFailsWithErrno(EINVAL));
  now = {0, -1};
  EXPECT_THAT(Raw(SYS_clock_settime, CLOCK_REALTIME, &now), SyscallFailsWithErrno(EINVAL));
}

TEST(TimerRulesTest, OverrunIsCounted) {
  EXPECT_CHILD_OK([] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    sigevent event = {};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMIN;
    timer_t timer;
    CHECK_OR_DIE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    itimerspec spec = {{0, 2'000'000}, {0, 2'000'000}};
    CHECK_OR_DIE(timer_settime(timer, 0, &spec, nullptr) == 0);
    SleepMs(50);
    siginfo_t info;
    CHECK_OR_DIE(sigwaitinfo(&set, &info) == SIGRTMIN);
    CHECK_OR_DIE(info.si_overrun >= 15 && info.si_overrun < 200);
    CHECK_OR_DIE(timer_getoverrun(timer) == info.si_overrun);
    // Disarming drops what is queued but not yet taken.
    SleepMs(10);
    spec = {};
    CHECK_OR_DIE(timer_settime(timer, 0, &spec, nullptr) == 0);
    CHECK_OR_DIE(timer_delete(timer) == 0);
    CHECK_OR_DIE(timer_delete(timer) == -1 && errno == EINVAL);
    return 0;
  });
}

TEST(TimerRulesTest, ForkStartsWithoutThem) {
  EXPECT_CHILD_OK([] {
    sigevent event = {};
    event.sigev_notify = SIGEV_NONE;
    timer_t timer;
    CHECK_OR_DIE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    itimerval value = {{0, 0}, {100, 0}};
    CHECK_OR_DIE(setitimer(ITIMER_REAL, &value, nullptr) == 0);
    CHECK_OR_DIE(setitimer(ITIMER_PROF, &value, nullptr) == 0);
    int status = InChild([&] {
      itimerval mine;
      CHECK_OR_DIE(getitimer(ITIMER_REAL, &mine) == 0 && mine.it_value.tv_sec == 0);
      CHECK_OR_DIE(getitimer(ITIMER_PROF, &mine) == 0 && mine.it_value.tv_sec == 0);
      itimerspec spec;
      CHECK_OR_DIE(timer_gettime(timer, &spec) == -1 && errno == EINVAL);
      return 0;
    });
    CHECK_OR_DIE(status == 0);
    itimerspec left;
    CHECK_OR_DIE(timer_gettime(timer, &left) == 0);
    return 0;
  });
}

// An interval timer lives on over exec; POSIX timers do not.
TEST(TimerRulesTest, ExecKeepsIntervalTimersOnly) {
  int status = InChild([] {
    itimerval value = {{0, 0}, {0, 60'000}};
    CHECK_OR_DIE(setitimer(ITIMER_REAL, &value, nullptr) == 0);
    execl("/bin/sleep", "sleep", "2", nullptr);
    return 1;
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGALRM);
  status = InChild([] {
    sigevent event = {};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    timer_t timer;
    CHECK_OR_DIE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    itimerspec spec = {{0, 0}, {1, 0}};  // an exec takes less, even on a busy machine
    CHECK_OR_DIE(timer_settime(timer, 0, &spec, nullptr) == 0);
    execl("/bin/sleep", "sleep", "1.2", nullptr);
    return 1;
  });
  EXPECT_EQ(status, 0);
}

TEST(TimerRulesTest, IntervalTimerErrorsAndRest) {
  EXPECT_CHILD_OK([] {
    itimerval value = {{0, 0}, {0, 1'000'000}};
    CHECK_OR_DIE(setitimer(ITIMER_REAL, &value, nullptr) == -1 && errno == EINVAL);
    value = {{0, 0}, {-1, 0}};
    CHECK_OR_DIE(setitimer(ITIMER_REAL, &value, nullptr) == -1 && errno == EINVAL);
    CHECK_OR_DIE(Raw(SYS_setitimer, 7, &value, nullptr) == -1 && errno == EINVAL);
    CHECK_OR_DIE(alarm(50) == 0);
    unsigned left = alarm(0);
    CHECK_OR_DIE(left == 49 || left == 50);
    value = {{3, 5}, {50, 0}};
    CHECK_OR_DIE(setitimer(ITIMER_REAL, &value, nullptr) == 0);
    itimerval old;
    CHECK_OR_DIE(Raw(SYS_setitimer, ITIMER_REAL, nullptr, &old) == 0);
    CHECK_OR_DIE(old.it_interval.tv_sec == 3 && old.it_value.tv_sec >= 49);
    CHECK_OR_DIE(getitimer(ITIMER_REAL, &old) == 0 && old.it_value.tv_sec == 0);
    return 0;
  });
}

// A timer that is set to a time gone by has expired when the call returns.
TEST(DueTimerTest, PosixTimerInThePast) {
  EXPECT_CHILD_OK([] {
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_OR_DIE(sigprocmask(SIG_BLOCK, &set, nullptr) == 0);
    sigevent event = {};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    for (clockid_t clock : {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME}) {
      timer_t timer;
      CHECK_OR_DIE(timer_create(clock, &event, &timer) == 0);
      for (int i = 0; i < 50; ++i) {
        itimerspec spec = {{0, 0}, {0, 1}};
        CHECK_OR_DIE(timer_settime(timer, TIMER_ABSTIME, &spec, nullptr) == 0);
        CHECK_OR_DIE(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 1);
        int signal;
        CHECK_OR_DIE(sigwait(&set, &signal) == 0);
        CHECK_OR_DIE(timer_gettime(timer, &spec) == 0 && spec.it_value.tv_nsec == 0);
      }
      CHECK_OR_DIE(timer_delete(timer) == 0);
    }
    return 0;
  });
}

TEST(DueTimerTest, PeriodicTimerFromThePastGoesOn) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  for (int i = 0; i < 50; ++i) {
    int64_t start = NowNs(CLOCK_MONOTONIC) - 35'000'000;
    itimerspec spec = {{0, 10'000'000}, {start / 1'000'000'000, start % 1'000'000'000}};
    ASSERT_THAT(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, nullptr), SyscallSucceeds());
    pollfd p = {fd, POLLIN, 0};
    ASSERT_EQ(poll(&p, 1, 0), 1);
    uint64_t ticks = 0;
    ASSERT_EQ(read(fd, &ticks, 8), 8);
    ASSERT_GE(ticks, 4u);
  }
  pollfd p = {fd, POLLIN, 0};
  EXPECT_EQ(poll(&p, 1, 5'000), 1);
  close(fd);
}

TEST(DueTimerTest, ShortestIntervalTimer) {
  EXPECT_CHILD_OK([] {
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    CHECK_OR_DIE(sigprocmask(SIG_BLOCK, &set, nullptr) == 0);
    int late = 0;
    for (int i = 0; i < 100; ++i) {
      itimerval value = {{0, 0}, {0, 1}};
      CHECK_OR_DIE(setitimer(ITIMER_REAL, &value, nullptr) == 0);
      for (int j = 0; j < 3; ++j) CHECK_OR_DIE(sigpending(&pending) == 0);
      late += sigismember(&pending, SIGALRM) == 1 ? 0 : 1;
      int signal;
      CHECK_OR_DIE(sigwait(&set, &signal) == 0);
    }
    CHECK_OR_DIE(late < 50);
    return 0;
  });
}

}  // namespace
