// eventfd, timerfd, signalfd.
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

short Poll(int fd, short events, int timeout = 0) {
  pollfd p = {fd, events, 0};
  return poll(&p, 1, timeout) > 0 ? p.revents : 0;
}

class EventFdTest : public testing::Test {
 protected:
  EventFdTest() : fd_(eventfd(0, EFD_NONBLOCK)) {}
  long Write(uint64_t value) { return write(fd_.get(), &value, 8); }
  uint64_t Read() {
    uint64_t value = 0;
    return read(fd_.get(), &value, 8) == 8 ? value : ~0ULL;
  }
  Fd fd_;
};

TEST_F(EventFdTest, CountsAndResets) {
  ASSERT_THAT(Write(3), SyscallSucceedsWithValue(8));
  ASSERT_THAT(Write(4), SyscallSucceedsWithValue(8));
  EXPECT_EQ(Read(), 7u);
  uint64_t v;
  EXPECT_THAT(read(fd_.get(), &v, 8), SyscallFailsWithErrno(EAGAIN));
}

TEST_F(EventFdTest, InitialValueAndSemaphore) {
  fd_.reset(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
  EXPECT_EQ(Read(), 1u);
  EXPECT_EQ(Read(), 1u);
  EXPECT_EQ(Read(), ~0ULL);
}

TEST_F(EventFdTest, Sizes) {
  char buf[16] = {1};
  Write(1);
  EXPECT_THAT(read(fd_.get(), buf, 4), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(write(fd_.get(), buf, 4), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(read(fd_.get(), buf, 16), SyscallSucceedsWithValue(8));
}

TEST_F(EventFdTest, Limits) {
  EXPECT_THAT(Write(~0ULL), SyscallFailsWithErrno(EINVAL));
  ASSERT_THAT(Write(~0ULL - 1), SyscallSucceedsWithValue(8));
  EXPECT_THAT(Write(1), SyscallFailsWithErrno(EAGAIN));
  EXPECT_EQ(Poll(fd_.get(), POLLIN | POLLOUT), POLLIN);
}

TEST_F(EventFdTest, FlagsAndErrors) {
  EXPECT_THAT(eventfd(0, 1 << 20), SyscallFailsWithErrno(EINVAL));
  Fd cloexec(eventfd(0, EFD_CLOEXEC));
  EXPECT_EQ(fcntl(cloexec.get(), F_GETFD), FD_CLOEXEC);
  char c;

  EXPECT_THAT(pread(fd_.get(), &c, 1, 0), SyscallFailsWithErrno(ESPIPE));
}

TEST_F(EventFdTest, PollFollowsTheCounter) {
  EXPECT_EQ(Poll(fd_.get(), POLLIN | POLLOUT), POLLOUT);
  Write(1);
  EXPECT_EQ(Poll(fd_.get(), POLLIN | POLLOUT), POLLIN | POLLOUT);
}

TEST_F(EventFdTest, BlockingReadIsWoken) {
  fd_.reset(eventfd(0, 0));
  pid_t child = StartChild([&] { return Read() == 5 ? 0 : 1; });
  WaitUntilSleeping(child);
  Write(5);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(EventFdTest, BlockingWriteIsWoken) {
  fd_.reset(eventfd(0, 0));
  Write(~0ULL - 1);
  pid_t child = StartChild([&] { return Write(9) == 8 ? 0 : 1; });
  WaitUntilSleeping(child);
  EXPECT_EQ(Read(), ~0ULL - 1);
  EXPECT_EQ(WaitFor(child), 0);
  EXPECT_EQ(Read(), 9u);
}

class TimerFdTest : public testing::Test {
 protected:
  TimerFdTest() : fd_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)) {}
  int Set(timespec value, timespec interval = {}, int flags = 0) {
    itimerspec spec = {interval, value};
    return timerfd_settime(fd_.get(), flags, &spec, nullptr);
  }
  Fd fd_;
  uint64_t ticks_ = 0;
};

TEST_F(TimerFdTest, FiresOnce) {
  EXPECT_THAT(read(fd_.get(), &ticks_, 8), SyscallFailsWithErrno(EAGAIN));
  int64_t start = NowNs();
  ASSERT_THAT(Set(Millis(20)), SyscallSucceeds());
  EXPECT_EQ(Poll(fd_.get(), POLLIN, 5000), POLLIN);
  EXPECT_GE(NowNs() - start, 20000000);
  EXPECT_THAT(read(fd_.get(), &ticks_, 8), SyscallSucceedsWithValue(8));
  EXPECT_EQ(ticks_, 1u);
  EXPECT_THAT(read(fd_.get(), &ticks_, 8), SyscallFailsWithErrno(EAGAIN));
}

TEST_F(TimerFdTest, BlockingRead) {
  fcntl(fd_.get(), F_SETFL, 0);
  ASSERT_THAT(Set(Millis(5)), SyscallSucceeds());
  EXPECT_THAT(read(fd_.get(), &ticks_, 8), SyscallSucceedsWithValue(8));
}

TEST_F(TimerFdTest, IntervalCountsMissedTicks) {
  ASSERT_THAT(Set(Millis(5), Millis(5)), SyscallSucceeds());
  SleepMs(40);
  ASSERT_THAT(read(fd_.get(), &ticks_, 8), SyscallSucceedsWithValue(8));
  EXPECT_GE(ticks_, 6u);
  itimerspec now;
  ASSERT_THAT(timerfd_gettime(fd_.get(), &now), SyscallSucceeds());
  EXPECT_EQ(now.it_interval.tv_nsec, 5000000);
  EXPECT_LE(now.it_value.tv_nsec, 5000000);
}

TEST_F(TimerFdTest, AbsoluteTimeInThePastFiresAtOnce) {
  ASSERT_THAT(Set({0, 1}, {}, TFD_TIMER_ABSTIME), SyscallSucceeds());
  EXPECT_EQ(Poll(fd_.get(), POLLIN, 5000), POLLIN);
}

TEST_F(TimerFdTest, DisarmAndOldValue) {
  ASSERT_THAT(Set({100, 0}, {7, 0}), SyscallSucceeds());
  itimerspec off = {}, old;
  ASSERT_THAT(timerfd_settime(fd_.get(), 0, &off, &old), SyscallSucceeds());
  EXPECT_EQ(old.it_interval.tv_sec, 7);
  EXPECT_GE(old.it_value.tv_sec, 98);
  ASSERT_THAT(timerfd_gettime(fd_.get(), &old), SyscallSucceeds());
  EXPECT_EQ(old.it_value.tv_sec + old.it_value.tv_nsec, 0);
}

TEST_F(TimerFdTest, Errors) {
  EXPECT_THAT(timerfd_create(99, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(timerfd_create(CLOCK_MONOTONIC, 1 << 20), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Set({0, 1000000000}), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Set({-1, 0}), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Set({1, 0}, {}, 1 << 20), SyscallFailsWithErrno(EINVAL));
  itimerspec spec = {};
  EXPECT_THAT(timerfd_settime(0x7fffffff, 0, &spec, nullptr), SyscallFailsWithErrno(EBADF));
  Fd other(eventfd(0, 0));
  EXPECT_THAT(timerfd_settime(other.get(), 0, &spec, nullptr), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(read(fd_.get(), &ticks_, 4), SyscallFailsWithErrno(EINVAL));
}

TEST_F(TimerFdTest, RealtimeClock) {
  fd_.reset(timerfd_create(CLOCK_REALTIME, 0));
  timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  at.tv_nsec += 5000000;
  if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
  ASSERT_THAT(Set(at, {}, TFD_TIMER_ABSTIME), SyscallSucceeds());
  EXPECT_THAT(read(fd_.get(), &ticks_, 8), SyscallSucceedsWithValue(8));
}

class SignalFdTest : public testing::Test {
 protected:
  SignalFdTest() : block_(SIGUSR1), block2_(SIGUSR2) {
    sigemptyset(&set_);
    sigaddset(&set_, SIGUSR1);
    fd_ = Fd(signalfd(-1, &set_, SFD_NONBLOCK));
  }
  ~SignalFdTest() override {
    timespec zero = {};
    sigset_t both = set_;
    sigaddset(&both, SIGUSR2);
    while (sigtimedwait(&both, nullptr, &zero) > 0) {
    }
  }
  ScopedBlock block_, block2_;
  sigset_t set_;
  Fd fd_;
  signalfd_siginfo info_ = {};
};

TEST_F(SignalFdTest, ReadsASignal) {
  EXPECT_THAT(read(fd_.get(), &info_, sizeof info_), SyscallFailsWithErrno(EAGAIN));
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(Poll(fd_.get(), POLLIN), POLLIN);
  ASSERT_THAT(read(fd_.get(), &info_, sizeof info_), SyscallSucceedsWithValue(sizeof info_));
  EXPECT_EQ(info_.ssi_signo, unsigned{SIGUSR1});
  EXPECT_EQ(info_.ssi_pid, static_cast<uint32_t>(getpid()));
  EXPECT_EQ(info_.ssi_code, SI_USER);
  EXPECT_EQ(Poll(fd_.get(), POLLIN), 0);
}

TEST_F(SignalFdTest, QueuedValue) {
  sigval value;
  value.sival_int = 4711;
  ASSERT_THAT(sigqueue(getpid(), SIGUSR1, value), SyscallSucceeds());
  ASSERT_THAT(read(fd_.get(), &info_, sizeof info_), SyscallSucceedsWithValue(sizeof info_));
  EXPECT_EQ(info_.ssi_int, 4711);
  EXPECT_EQ(info_.ssi_code, SI_QUEUE);
}

TEST_F(SignalFdTest, OnlyItsMask) {
  kill(getpid(), SIGUSR2);
  EXPECT_EQ(Poll(fd_.get(), POLLIN), 0);
  sigaddset(&set_, SIGUSR2);
  ASSERT_THAT(signalfd(fd_.get(), &set_, 0), SyscallSucceedsWithValue(fd_.get()));
  EXPECT_EQ(Poll(fd_.get(), POLLIN), POLLIN);
}

TEST_F(SignalFdTest, SeveralInOneRead) {
  sigaddset(&set_, SIGUSR2);
  signalfd(fd_.get(), &set_, 0);
  kill(getpid(), SIGUSR2);
  kill(getpid(), SIGUSR1);
  signalfd_siginfo infos[3];
  EXPECT_THAT(read(fd_.get(), infos, sizeof infos), SyscallSucceedsWithValue(2 * sizeof info_));
  EXPECT_EQ(infos[0].ssi_signo, unsigned{SIGUSR1});
}

TEST_F(SignalFdTest, Errors) {
  EXPECT_THAT(signalfd(-1, &set_, 1 << 20), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(signalfd(1 << 20, &set_, 0), SyscallFailsWithErrno(EBADF));
  Fd other(eventfd(0, 0));
  EXPECT_THAT(signalfd(other.get(), &set_, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(read(fd_.get(), &info_, 16), SyscallFailsWithErrno(EINVAL));
}

}  // namespace
