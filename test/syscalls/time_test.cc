// Clocks, sleeping, POSIX timers, the vDSO against the calls.
#include <sys/time.h>
#include <sys/timex.h>

#include <atomic>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

class ClockTest : public testing::TestWithParam<clockid_t> {};
INSTANTIATE_TEST_SUITE_P(All, ClockTest,
                         testing::Values(CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,
                                         CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE,
                                         CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID,
                                         CLOCK_THREAD_CPUTIME_ID, CLOCK_TAI));

TEST_P(ClockTest, GoesForwardAndHasAResolution) {
  timespec ts, res;
  ASSERT_THAT(clock_gettime(GetParam(), &ts), SyscallSucceeds());
  ASSERT_THAT(clock_getres(GetParam(), &res), SyscallSucceeds());
  EXPECT_EQ(res.tv_sec, 0);
  EXPECT_GT(res.tv_nsec, 0);
  int64_t last = NowNs(GetParam());
  for (int i = 0; i < 1000; i++) {
    int64_t now = NowNs(GetParam());
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST_P(ClockTest, LibraryAndCallAgree) {
  timespec call;
  for (int i = 0; i < 100; i++) {
    int64_t before = NowNs(GetParam());
    ASSERT_THAT(Raw(SYS_clock_gettime, GetParam(), &call), SyscallSucceeds());
    int64_t after = NowNs(GetParam());
    int64_t middle = call.tv_sec * 1000000000LL + call.tv_nsec;
    // Coarse clocks tick every few milliseconds.
    ASSERT_LE(before, middle + 1000);
    ASSERT_LE(middle, after + 1000);
  }
}

TEST(TimeTest, OtherForms) {
  timeval tv;
  ASSERT_THAT(gettimeofday(&tv, nullptr), SyscallSucceeds());
  time_t now = time(nullptr);
  EXPECT_LE(now - tv.tv_sec, 1);
  EXPECT_GT(now, 1600000000);
  timeval raw;
  ASSERT_THAT(Raw(SYS_gettimeofday, &raw, nullptr), SyscallSucceeds());
  EXPECT_LE(raw.tv_sec - tv.tv_sec, 1);
  EXPECT_LE(Raw(SYS_time, nullptr) - now, 1);
}

TEST(TimeTest, Errors) {
  timespec ts;
  EXPECT_THAT(Raw(SYS_clock_gettime, 99, &ts), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_clock_getres, 99, &ts), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(clock_settime(CLOCK_MONOTONIC, &ts), SyscallFailsWithErrno(EINVAL));
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setresuid(1, 1, 1) == 0);
    timespec now = {1, 0};
    CHECK_OR_DIE(clock_settime(CLOCK_REALTIME, &now) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(TimeTest, CpuClocksCountWork) {
  int64_t process = NowNs(CLOCK_PROCESS_CPUTIME_ID), thread = NowNs(CLOCK_THREAD_CPUTIME_ID);
  std::thread([] {
    int64_t start = NowNs(CLOCK_THREAD_CPUTIME_ID);
    while (NowNs(CLOCK_THREAD_CPUTIME_ID) - start < 20000000) {
    }
  }).join();
  EXPECT_GE(NowNs(CLOCK_PROCESS_CPUTIME_ID) - process, 19000000);
  EXPECT_LT(NowNs(CLOCK_THREAD_CPUTIME_ID) - thread, 15000000);
}

TEST(TimeTest, CpuClockOfAnotherProcess) {
  pid_t child = StartChild([] {
    for (;;) asm volatile("");
    return 0;
  });
  SleepMs(20);
  clockid_t clock;
  ASSERT_EQ(clock_getcpuclockid(child, &clock), 0);
  timespec ts;
  EXPECT_THAT(clock_gettime(clock, &ts), SyscallSucceeds());
  kill(child, SIGKILL);
  WaitFor(child);
}

TEST(SleepTest, Nanosleep) {
  int64_t start = NowNs();
  timespec t = Millis(10);
  EXPECT_THAT(nanosleep(&t, nullptr), SyscallSucceeds());
  int64_t took = NowNs() - start;
  EXPECT_GE(took, 10000000);
  EXPECT_LT(took, 2000000000);
}

TEST(SleepTest, Errors) {
  timespec t = {0, 1000000000};
  EXPECT_THAT(nanosleep(&t, nullptr), SyscallFailsWithErrno(EINVAL));
  t = {-1, 0};
  EXPECT_THAT(nanosleep(&t, nullptr), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_nanosleep, 8, 0), SyscallFailsWithErrno(EFAULT));
  EXPECT_EQ(clock_nanosleep(99, 0, &t, nullptr), EINVAL);
}

TEST(SleepTest, AbsoluteClockNanosleep) {
  for (clockid_t clock : {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME}) {
    int64_t at = NowNs(clock) + 10000000;
    timespec t = {at / 1000000000, at % 1000000000};
    EXPECT_EQ(clock_nanosleep(clock, TIMER_ABSTIME, &t, nullptr), 0);
    EXPECT_GE(NowNs(clock), at);
    t = {1, 0};
    EXPECT_EQ(clock_nanosleep(clock, TIMER_ABSTIME, &t, nullptr), 0);
  }
}

// In no order of their own: on a busy machine one may run later than it woke.
TEST(SleepTest, ManySleepersWakeWhenDue) {
  std::vector<int64_t> early(5);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < early.size(); i++) {
    threads.emplace_back([&early, i] {
      int ms = 20 + 40 * static_cast<int>(early.size() - i);
      int64_t due = NowNs(CLOCK_MONOTONIC) + ms * 1000000;
      SleepMs(ms);
      early[i] = due - NowNs(CLOCK_MONOTONIC);
    });
  }
  int64_t start = NowNs(CLOCK_MONOTONIC);
  for (auto& t : threads) t.join();
  EXPECT_LT(NowNs(CLOCK_MONOTONIC) - start, 10000000000);
  for (int64_t ns : early) EXPECT_LE(ns, 0);
}

class PosixTimerTest : public testing::Test {
 protected:
  ~PosixTimerTest() override {
    if (created_) timer_delete(timer_);
  }
  int Create(int signal, clockid_t clock = CLOCK_MONOTONIC) {
    sigevent event = {};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = signal;
    event.sigev_value.sival_int = 77;
    int result = timer_create(clock, &event, &timer_);
    created_ = result == 0;
    return result;
  }
  int Set(timespec value, timespec interval = {}, int flags = 0) {
    itimerspec spec = {interval, value};
    return timer_settime(timer_, flags, &spec, nullptr);
  }
  timer_t timer_;
  bool created_ = false;
};

TEST_F(PosixTimerTest, DeliversItsSignal) {
  ScopedBlock block(SIGUSR1);
  ASSERT_THAT(Create(SIGUSR1), SyscallSucceeds());
  ASSERT_THAT(Set(Millis(5)), SyscallSucceeds());
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  siginfo_t info;
  EXPECT_EQ(sigwaitinfo(&set, &info), SIGUSR1);
  EXPECT_EQ(info.si_code, SI_TIMER);
  EXPECT_EQ(info.si_value.sival_int, 77);
}

TEST_F(PosixTimerTest, IntervalAndOverrun) {
  ScopedBlock block(SIGUSR1);
  ASSERT_THAT(Create(SIGUSR1), SyscallSucceeds());
  ASSERT_THAT(Set(Millis(2), Millis(2)), SyscallSucceeds());
  SleepMs(30);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  EXPECT_EQ(sigwaitinfo(&set, nullptr), SIGUSR1);
  EXPECT_GE(timer_getoverrun(timer_), 5);
  ASSERT_THAT(Set({}), SyscallSucceeds());
  timespec zero = {};
  sigtimedwait(&set, nullptr, &zero);
}

TEST_F(PosixTimerTest, GettimeAndAbsolute) {
  ASSERT_THAT(Create(SIGUSR1), SyscallSucceeds());
  ASSERT_THAT(Set({100, 0}, {3, 0}), SyscallSucceeds());
  itimerspec now;
  ASSERT_THAT(timer_gettime(timer_, &now), SyscallSucceeds());
  EXPECT_GE(now.it_value.tv_sec, 99);
  EXPECT_EQ(now.it_interval.tv_sec, 3);
  ScopedSigaction ignore(SIGUSR1, SIG_IGN);
  ASSERT_THAT(Set({0, 1}, {}, TIMER_ABSTIME), SyscallSucceeds());
  // While the signal is still ignored: the expiry may come a little after the call.
  EXPECT_THAT(timer_delete(timer_), SyscallSucceeds());
  created_ = false;
}

TEST_F(PosixTimerTest, Errors) {
  timer_t bad = reinterpret_cast<timer_t>(12345);
  EXPECT_THAT(Raw(SYS_timer_delete, 12345), SyscallFailsWithErrno(EINVAL));
  itimerspec spec = {};
  EXPECT_THAT(Raw(SYS_timer_settime, 12345, 0, &spec, nullptr), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_timer_gettime, 12345, &spec), SyscallFailsWithErrno(EINVAL));
  (void)bad;
  EXPECT_THAT(Create(SIGUSR1, 99), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Create(99), SyscallFailsWithErrno(EINVAL));
  ASSERT_THAT(Create(SIGUSR1), SyscallSucceeds());
  EXPECT_THAT(Set({0, 1000000000}), SyscallFailsWithErrno(EINVAL));
}

TEST_F(PosixTimerTest, ToAThread) {
  ScopedBlock block(SIGUSR2);
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGUSR2;
  event._sigev_un._tid = static_cast<int>(Raw(SYS_gettid));
  ASSERT_THAT(timer_create(CLOCK_MONOTONIC, &event, &timer_), SyscallSucceeds());
  created_ = true;
  ASSERT_THAT(Set(Millis(2)), SyscallSucceeds());
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  EXPECT_EQ(sigwaitinfo(&set, nullptr), SIGUSR2);
}

TEST(AdjtimexTest, ReadOnlyWorks) {
  timex t = {};
  EXPECT_GE(adjtimex(&t), 0);
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setresuid(1, 1, 1) == 0);
    timex change = {};
    change.modes = ADJ_FREQUENCY;
    CHECK_OR_DIE(adjtimex(&change) == -1 && errno == EPERM);
    return 0;
  });
}

}  // namespace
