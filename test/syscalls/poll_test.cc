// epoll, poll, ppoll, select, pselect.
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "test/util/test_util.h"

namespace {
using namespace guest;

class EpollTest : public testing::Test {
 protected:
  EpollTest() : ep_(epoll_create1(0)), ev_(eventfd(0, EFD_NONBLOCK)) {}
  int Ctl(int op, int fd, uint32_t events, uint64_t data = 1) {
    epoll_event event = {};
    event.events = events;
    event.data.u64 = data;
    return epoll_ctl(ep_.get(), op, fd, &event);
  }
  int Wait(int timeout = 0) { return epoll_wait(ep_.get(), events_, 8, timeout); }
  void Post(uint64_t value = 1) { CHECK_OR_DIE(write(ev_.get(), &value, 8) == 8); }
  void Drain() {
    uint64_t value;
    CHECK_OR_DIE(read(ev_.get(), &value, 8) == 8);
  }
  Fd ep_, ev_;
  epoll_event events_[8];
};

TEST_F(EpollTest, LevelTriggered) {
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLIN, 42), SyscallSucceeds());
  EXPECT_EQ(Wait(), 0);
  Post();
  EXPECT_EQ(Wait(), 1);
  EXPECT_EQ(events_[0].events, unsigned{EPOLLIN});
  EXPECT_EQ(events_[0].data.u64, 42u);
  EXPECT_EQ(Wait(), 1);
  Drain();
  EXPECT_EQ(Wait(), 0);
}

TEST_F(EpollTest, EdgeTriggered) {
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLIN | EPOLLET), SyscallSucceeds());
  Post();
  EXPECT_EQ(Wait(), 1);
  EXPECT_EQ(Wait(), 0);
  Post();
  EXPECT_EQ(Wait(), 1);
}

TEST_F(EpollTest, EdgeTriggeredReportsWhatIsReadyWhenAdded) {
  Post();
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLIN | EPOLLET), SyscallSucceeds());
  EXPECT_EQ(Wait(), 1);
  EXPECT_EQ(Wait(), 0);
  ASSERT_THAT(Ctl(EPOLL_CTL_MOD, ev_.get(), EPOLLIN | EPOLLET), SyscallSucceeds());
  EXPECT_EQ(Wait(), 1);
}

TEST_F(EpollTest, Oneshot) {
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLIN | EPOLLONESHOT), SyscallSucceeds());
  Post();
  EXPECT_EQ(Wait(), 1);
  Post();
  EXPECT_EQ(Wait(), 0);
  ASSERT_THAT(Ctl(EPOLL_CTL_MOD, ev_.get(), EPOLLIN | EPOLLONESHOT), SyscallSucceeds());
  EXPECT_EQ(Wait(), 1);
}

TEST_F(EpollTest, ModifyAndDelete) {
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLIN), SyscallSucceeds());
  ASSERT_THAT(Ctl(EPOLL_CTL_MOD, ev_.get(), EPOLLOUT, 7), SyscallSucceeds());
  EXPECT_EQ(Wait(), 1);
  EXPECT_EQ(events_[0].data.u64, 7u);
  ASSERT_THAT(Ctl(EPOLL_CTL_DEL, ev_.get(), 0), SyscallSucceeds());
  EXPECT_EQ(Wait(), 0);
}

TEST_F(EpollTest, Errors) {
  EXPECT_THAT(Ctl(EPOLL_CTL_MOD, ev_.get(), EPOLLIN), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(Ctl(EPOLL_CTL_DEL, ev_.get(), EPOLLIN), SyscallFailsWithErrno(ENOENT));
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLIN), SyscallSucceeds());
  EXPECT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLIN), SyscallFailsWithErrno(EEXIST));
  EXPECT_THAT(Ctl(EPOLL_CTL_ADD, ep_.get(), EPOLLIN), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Ctl(EPOLL_CTL_ADD, -1, EPOLLIN), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(Ctl(99, ev_.get(), EPOLLIN), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(epoll_wait(ep_.get(), events_, 0, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(epoll_wait(ev_.get(), events_, 1, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(epoll_wait(-1, events_, 1, 0), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(epoll_create1(1 << 20), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(epoll_create(0), SyscallFailsWithErrno(EINVAL));
}

TEST_F(EpollTest, RegularFileIsEperm) {
  TempDir dir;
  PutFile(dir / "f", "");
  Fd file(open((dir / "f").c_str(), O_RDONLY));
  EXPECT_THAT(Ctl(EPOLL_CTL_ADD, file.get(), EPOLLIN), SyscallFailsWithErrno(EPERM));
}

TEST_F(EpollTest, CloseRemoves) {
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLOUT), SyscallSucceeds());
  EXPECT_EQ(Wait(), 1);
  ev_.reset();
  EXPECT_EQ(Wait(), 0);
}

TEST_F(EpollTest, DupKeepsTheRegistration) {
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLOUT), SyscallSucceeds());
  Fd copy(dup(ev_.get()));
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, copy.get(), EPOLLOUT), SyscallSucceeds());
  EXPECT_EQ(Wait(), 2);
  ev_.reset();
  EXPECT_EQ(Wait(), 2);
}

TEST_F(EpollTest, HangupIsAlwaysReported) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, p[0], 0), SyscallSucceeds());
  EXPECT_EQ(Wait(), 0);
  close(p[1]);
  EXPECT_EQ(Wait(), 1);
  EXPECT_EQ(events_[0].events, unsigned{EPOLLHUP});
  close(p[0]);
}

TEST_F(EpollTest, PeerShutdownIsRdhup) {
  int s[2];
  ASSERT_THAT(socketpair(AF_UNIX, SOCK_STREAM, 0, s), SyscallSucceeds());
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, s[0], EPOLLRDHUP), SyscallSucceeds());
  EXPECT_EQ(Wait(), 0);
  shutdown(s[1], SHUT_WR);
  EXPECT_EQ(Wait(), 1);
  EXPECT_EQ(events_[0].events, unsigned{EPOLLRDHUP});
  close(s[0]);
  close(s[1]);
}

TEST_F(EpollTest, Nested) {
  Fd outer(epoll_create1(EPOLL_CLOEXEC));
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLIN), SyscallSucceeds());
  epoll_event event = {};
  event.events = EPOLLIN;
  ASSERT_THAT(epoll_ctl(outer.get(), EPOLL_CTL_ADD, ep_.get(), &event), SyscallSucceeds());
  EXPECT_EQ(epoll_wait(outer.get(), events_, 8, 0), 0);
  Post();
  EXPECT_EQ(epoll_wait(outer.get(), events_, 8, 0), 1);
  pollfd p = {outer.get(), POLLIN, 0};
  EXPECT_EQ(poll(&p, 1, 0), 1);
  Drain();
  EXPECT_EQ(epoll_wait(outer.get(), events_, 8, 0), 0);
}

TEST_F(EpollTest, NestingLoopIsEloop) {
  Fd outer(epoll_create1(0));
  epoll_event event = {};
  event.events = EPOLLIN;
  ASSERT_THAT(epoll_ctl(outer.get(), EPOLL_CTL_ADD, ep_.get(), &event), SyscallSucceeds());
  EXPECT_THAT(epoll_ctl(ep_.get(), EPOLL_CTL_ADD, outer.get(), &event),
              SyscallFailsWithErrno(ELOOP));
}

TEST_F(EpollTest, MaxeventsAndRotation) {
  Fd other(eventfd(1, 0));
  Post();
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLIN, 1), SyscallSucceeds());
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, other.get(), EPOLLIN, 2), SyscallSucceeds());
  ASSERT_EQ(epoll_wait(ep_.get(), events_, 1, 0), 1);
  uint64_t first = events_[0].data.u64;
  ASSERT_EQ(epoll_wait(ep_.get(), events_, 1, 0), 1);
  EXPECT_NE(events_[0].data.u64, first);
}

// More than a page of events, and a descriptor that becomes ready again meanwhile is told once.
TEST_F(EpollTest, ManyAtOnce) {
  constexpr int kMany = 1500;
  rlimit limit;
  ASSERT_THAT(getrlimit(RLIMIT_NOFILE, &limit), SyscallSucceeds());
  rlimit enough = {std::max<rlim_t>(limit.rlim_cur, kMany + 100), limit.rlim_max};
  ASSERT_THAT(setrlimit(RLIMIT_NOFILE, &enough), SyscallSucceeds());
  std::vector<Fd> fds;
  for (int i = 0; i < kMany; ++i) {
    fds.emplace_back(eventfd(1, EFD_NONBLOCK));
    epoll_event e = {EPOLLIN, {.u64 = static_cast<uint64_t>(i)}};
    ASSERT_THAT(epoll_ctl(ep_.get(), EPOLL_CTL_ADD, fds.back().get(), &e), SyscallSucceeds());
  }
  std::vector<epoll_event> events(2 * kMany);
  EXPECT_THAT(epoll_wait(ep_.get(), events.data(), 2 * kMany, 0), SyscallSucceedsWithValue(kMany));
  setrlimit(RLIMIT_NOFILE, &limit);
}

TEST_F(EpollTest, WaitIsWokenByAThread) {
  ASSERT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLIN), SyscallSucceeds());
  std::thread poster([&] {
    SleepMs(5);
    Post();
  });
  EXPECT_EQ(Wait(10000), 1);
  poster.join();
}

TEST_F(EpollTest, Timeout) {
  int64_t start = NowNs();
  EXPECT_EQ(Wait(15), 0);
  EXPECT_GE(NowNs() - start, 15000000);
}

TEST_F(EpollTest, AddWhileWaiting) {
  Post();
  std::thread adder([&] {
    SleepMs(5);
    Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLIN);
  });
  EXPECT_EQ(Wait(10000), 1);
  adder.join();
}

TEST_F(EpollTest, SignalInterruptsWait) {
  pid_t child = StartChild([&] {
    ScopedSigaction handler(SIGUSR1, [](int) {}, SA_RESTART);
    CHECK_OR_DIE(Wait(10000) == -1 && errno == EINTR);
    return 0;
  });
  WaitUntilSleeping(child);
  kill(child, SIGUSR1);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(EpollTest, PwaitSetsTheMask) {
  ScopedBlock block(SIGUSR1);
  ScopedSigaction handler(SIGUSR1, [](int) {});
  kill(getpid(), SIGUSR1);
  sigset_t none;
  sigemptyset(&none);
  EXPECT_THAT(epoll_pwait(ep_.get(), events_, 8, 10000, &none), SyscallFailsWithErrno(EINTR));
}

TEST_F(EpollTest, Pwait2) {
  timespec t = Millis(5);
  int64_t start = NowNs();
  EXPECT_THAT(Raw(SYS_epoll_pwait2, ep_.get(), events_, 8, &t, nullptr, 8),
              SyscallSucceedsWithValue(0));
  EXPECT_GE(NowNs() - start, 5000000);
  t = {0, -1};
  EXPECT_THAT(Raw(SYS_epoll_pwait2, ep_.get(), events_, 8, &t, nullptr, 8),
              SyscallFailsWithErrno(EINVAL));
}

TEST_F(EpollTest, ExclusiveWakesSomeone) {
  constexpr int kThreads = 4;
  std::atomic<int> woken{0};
  std::vector<std::thread> threads;
  std::atomic<int> ready{0};
  for (int i = 0; i < kThreads; i++) {
    threads.emplace_back([&] {
      Fd ep(epoll_create1(0));
      epoll_event event = {};
      event.events = EPOLLIN | EPOLLEXCLUSIVE;
      CHECK_OR_DIE(epoll_ctl(ep.get(), EPOLL_CTL_ADD, ev_.get(), &event) == 0);
      ready++;
      if (epoll_wait(ep.get(), &event, 1, 300) == 1) woken++;
    });
  }
  while (ready < kThreads) SleepMs(1);
  SleepMs(20);
  Post();
  for (auto& thread : threads) thread.join();
  EXPECT_GE(woken, 1);
  EXPECT_THAT(Ctl(EPOLL_CTL_ADD, ev_.get(), EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT),
              SyscallFailsWithErrno(EINVAL));
}

class PollTest : public testing::Test {
 protected:
  PollTest() {
    int p[2];
    CHECK_OR_DIE(pipe(p) == 0);
    r_.reset(p[0]);
    w_.reset(p[1]);
  }
  Fd r_, w_;
};

TEST_F(PollTest, NegativeAndBadDescriptors) {
  pollfd p[2] = {{-1, POLLIN, 99}, {900, POLLIN, 0}};
  EXPECT_EQ(poll(p, 2, 0), 1);
  EXPECT_EQ(p[0].revents, 0);
  EXPECT_EQ(p[1].revents, POLLNVAL);
}

TEST_F(PollTest, Timeout) {
  int64_t start = NowNs();
  EXPECT_EQ(poll(nullptr, 0, 12), 0);
  EXPECT_GE(NowNs() - start, 12000000);
  timespec t = Millis(12);
  start = NowNs();
  EXPECT_EQ(ppoll(nullptr, 0, &t, nullptr), 0);
  EXPECT_GE(NowNs() - start, 12000000);
}

TEST_F(PollTest, Errors) {
  EXPECT_THAT(poll(reinterpret_cast<pollfd*>(8), 1, 0), SyscallFailsWithErrno(EFAULT));
  EXPECT_CHILD_OK([] {
    rlimit limit = {10, 10};
    setrlimit(RLIMIT_NOFILE, &limit);
    pollfd p[11] = {};
    CHECK_OR_DIE(poll(p, 11, 0) == -1 && errno == EINVAL);
    return 0;
  });
  timespec bad = {0, 1000000000};
  EXPECT_THAT(Raw(SYS_ppoll, nullptr, 0, &bad, nullptr, 8), SyscallFailsWithErrno(EINVAL));
}

TEST_F(PollTest, WokenByWrite) {
  pid_t child = StartChild([&] {
    pollfd p = {r_.get(), POLLIN, 0};
    CHECK_OR_DIE(poll(&p, 1, 10000) == 1 && p.revents == POLLIN);
    return 0;
  });
  WaitUntilSleeping(child);
  write(w_.get(), "x", 1);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(PollTest, RegularFileIsAlwaysReady) {
  TempDir dir;
  PutFile(dir / "f", "");
  Fd file(open((dir / "f").c_str(), O_RDWR));
  pollfd p = {file.get(), POLLIN | POLLOUT, 0};
  EXPECT_EQ(poll(&p, 1, 0), 1);
  EXPECT_EQ(p.revents, POLLIN | POLLOUT);
}

TEST_F(PollTest, PpollMask) {
  ScopedBlock block(SIGUSR1);
  ScopedSigaction handler(SIGUSR1, [](int) {});
  kill(getpid(), SIGUSR1);
  sigset_t none;
  sigemptyset(&none);
  timespec t = {10, 0};
  EXPECT_THAT(ppoll(nullptr, 0, &t, &none), SyscallFailsWithErrno(EINTR));
  sigset_t now;
  sigprocmask(SIG_SETMASK, nullptr, &now);
  EXPECT_TRUE(sigismember(&now, SIGUSR1));
}

TEST_F(PollTest, Select) {
  fd_set read_set, write_set;
  FD_ZERO(&read_set);
  FD_ZERO(&write_set);
  FD_SET(r_.get(), &read_set);
  FD_SET(w_.get(), &write_set);
  int nfds = std::max(r_.get(), w_.get()) + 1;
  timeval t = {0, 0};
  EXPECT_EQ(select(nfds, &read_set, &write_set, nullptr, &t), 1);
  EXPECT_FALSE(FD_ISSET(r_.get(), &read_set));
  EXPECT_TRUE(FD_ISSET(w_.get(), &write_set));
  write(w_.get(), "x", 1);
  FD_SET(r_.get(), &read_set);
  EXPECT_EQ(select(nfds, &read_set, nullptr, nullptr, nullptr), 1);
}

TEST_F(PollTest, SelectErrors) {
  fd_set set;
  FD_ZERO(&set);
  timeval t = {0, 0};
  EXPECT_THAT(select(-1, &set, nullptr, nullptr, &t), SyscallFailsWithErrno(EINVAL));
  t = {-1, 0};
  EXPECT_THAT(select(0, nullptr, nullptr, nullptr, &t), SyscallFailsWithErrno(EINVAL));
  Fd closed(dup2(r_.get(), 500));
  FD_SET(500, &set);
  closed.reset();
  t = {0, 0};
  EXPECT_THAT(select(501, &set, nullptr, nullptr, &t), SyscallFailsWithErrno(EBADF));
}

TEST_F(PollTest, SelectTimeoutLeavesNothingSet) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(r_.get(), &set);
  timeval t = {0, 10000};
  int64_t start = NowNs();
  EXPECT_EQ(select(r_.get() + 1, &set, nullptr, nullptr, &t), 0);
  EXPECT_GE(NowNs() - start, 10000000);
  EXPECT_FALSE(FD_ISSET(r_.get(), &set));
  EXPECT_EQ(t.tv_sec + t.tv_usec, 0);
}

TEST_F(PollTest, Pselect) {
  ScopedBlock block(SIGUSR1);
  ScopedSigaction handler(SIGUSR1, [](int) {});
  kill(getpid(), SIGUSR1);
  sigset_t none;
  sigemptyset(&none);
  timespec t = {10, 0};
  EXPECT_THAT(pselect(0, nullptr, nullptr, nullptr, &t, &none), SyscallFailsWithErrno(EINTR));
  t = Millis(3);
  EXPECT_EQ(pselect(0, nullptr, nullptr, nullptr, &t, nullptr), 0);
}

}  // namespace
