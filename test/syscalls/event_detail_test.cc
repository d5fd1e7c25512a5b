// epoll's re-arming and identity rules, inotify's lesser events, timerfd's odd corners.
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

struct Epoll {
  Fd fd{epoll_create1(0)};
  int Ctl(int op, int target, uint32_t events, uint64_t data = 0) {
    epoll_event e = {events, {.u64 = data}};
    return epoll_ctl(fd.get(), op, target, &e);
  }
  // Events now; -1: none.
  int Now() {
    epoll_event e[8];
    int n = epoll_wait(fd.get(), e, 8, 0);
    return n == 0 ? -1 : static_cast<int>(e[0].events);
  }
};
struct Pipe {
  int fds[2];
  Pipe() { CHECK_OR_DIE(pipe2(fds, O_NONBLOCK) == 0); }
  ~Pipe() {
    for (int fd : fds) close(fd);
  }
};

TEST(EpollDetailTest, EdgeRearmsByEachWrite) {
  Epoll e;
  Pipe p;
  ASSERT_THAT(e.Ctl(EPOLL_CTL_ADD, p.fds[0], EPOLLIN | EPOLLET), SyscallSucceeds());
  EXPECT_EQ(e.Now(), -1);
  write(p.fds[1], "x", 1);
  EXPECT_EQ(e.Now(), EPOLLIN);
  EXPECT_EQ(e.Now(), -1);
  write(p.fds[1], "x", 1);  // nothing was read, and yet it is news
  EXPECT_EQ(e.Now(), EPOLLIN);
  char c;
  read(p.fds[0], &c, 1);  // reading part is no news
  EXPECT_EQ(e.Now(), -1);
  ASSERT_THAT(e.Ctl(EPOLL_CTL_MOD, p.fds[0], EPOLLIN | EPOLLET), SyscallSucceeds());
  EXPECT_EQ(e.Now(), EPOLLIN);
}

TEST(EpollDetailTest, EdgeOfSpace) {
  Epoll e;
  Pipe p;
  char block[4096] = {};
  while (write(p.fds[1], block, sizeof block) > 0) {
  }
  ASSERT_THAT(e.Ctl(EPOLL_CTL_ADD, p.fds[1], EPOLLOUT | EPOLLET), SyscallSucceeds());
  EXPECT_EQ(e.Now(), -1);
  read(p.fds[0], block, sizeof block);
  EXPECT_EQ(e.Now(), EPOLLOUT);
  EXPECT_EQ(e.Now(), -1);
}

TEST(EpollDetailTest, OneshotKeepsHangupSilent) {
  Epoll e;
  Pipe p;
  ASSERT_THAT(e.Ctl(EPOLL_CTL_ADD, p.fds[0], EPOLLIN | EPOLLONESHOT), SyscallSucceeds());
  write(p.fds[1], "x", 1);
  EXPECT_EQ(e.Now(), EPOLLIN);
  close(p.fds[1]);
  p.fds[1] = -1;
  EXPECT_EQ(e.Now(), -1);
  ASSERT_THAT(e.Ctl(EPOLL_CTL_MOD, p.fds[0], EPOLLONESHOT), SyscallSucceeds());
  EXPECT_EQ(e.Now(), EPOLLHUP);
}

TEST(EpollDetailTest, ExclusiveRules) {
  Epoll e, other;
  Pipe p;
  EXPECT_THAT(e.Ctl(EPOLL_CTL_ADD, p.fds[0], EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(e.Ctl(EPOLL_CTL_ADD, p.fds[0], EPOLLIN | EPOLLRDHUP | EPOLLEXCLUSIVE),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(e.Ctl(EPOLL_CTL_ADD, other.fd.get(), EPOLLIN | EPOLLEXCLUSIVE),
              SyscallFailsWithErrno(EINVAL));
  ASSERT_THAT(e.Ctl(EPOLL_CTL_ADD, p.fds[0], EPOLLIN | EPOLLEXCLUSIVE | EPOLLET | EPOLLWAKEUP),
              SyscallSucceeds());
  EXPECT_THAT(e.Ctl(EPOLL_CTL_MOD, p.fds[0], EPOLLIN), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(e.Ctl(EPOLL_CTL_MOD, p.fds[0], EPOLLIN | EPOLLEXCLUSIVE),
              SyscallFailsWithErrno(EINVAL));
}

TEST(EpollDetailTest, NestingDepth) {
  // Five levels are the most (epoll_ctl(2), ELOOP).
  Epoll e[8];
  Pipe p;
  ASSERT_THAT(e[0].Ctl(EPOLL_CTL_ADD, p.fds[0], EPOLLIN), SyscallSucceeds());
  int i = 1;
  int result = 0;
  for (; i < 8 && result == 0; i++) result = e[i].Ctl(EPOLL_CTL_ADD, e[i - 1].fd.get(), EPOLLIN);
  EXPECT_THAT(result, SyscallFailsWithErrno(ELOOP));
  EXPECT_EQ(i, 6);
  write(p.fds[1], "x", 1);
  EXPECT_EQ(e[4].Now(), EPOLLIN);
  EXPECT_EQ(e[4].Now(), EPOLLIN);
  EXPECT_THAT(e[0].Ctl(EPOLL_CTL_ADD, e[3].fd.get(), EPOLLIN), SyscallFailsWithErrno(ELOOP));
  EXPECT_THAT(e[0].Ctl(EPOLL_CTL_ADD, e[0].fd.get(), EPOLLIN), SyscallFailsWithErrno(EINVAL));
}

// The same bound for a chain that grows at its lower end, and for two that are joined.
TEST(EpollDetailTest, NestingDepthFromAbove) {
  Epoll e[8];
  int i = 1;
  int result = 0;
  for (; i < 8 && result == 0; i++) result = e[i - 1].Ctl(EPOLL_CTL_ADD, e[i].fd.get(), EPOLLIN);
  EXPECT_THAT(result, SyscallFailsWithErrno(ELOOP));
  EXPECT_EQ(i, 6);
  Epoll f[6];
  for (int j : {1, 2, 4, 5}) {
    ASSERT_THAT(f[j - 1].Ctl(EPOLL_CTL_ADD, f[j].fd.get(), EPOLLIN), SyscallSucceeds());
  }
  EXPECT_THAT(f[2].Ctl(EPOLL_CTL_ADD, f[3].fd.get(), EPOLLIN), SyscallFailsWithErrno(ELOOP));
}

// Layers that all watch the next would wake exponentially many.
TEST(EpollDetailTest, LayersAreBounded) {
  constexpr int kWide = 40;
  std::vector<Epoll> layers[4];
  for (auto& layer : layers) layer = std::vector<Epoll>(kWide);
  int error = 0;
  for (int i = 0; i < 3 && error == 0; ++i) {
    for (Epoll& upper : layers[i + 1]) {
      for (Epoll& lower : layers[i]) {
        if (error == 0 && upper.Ctl(EPOLL_CTL_ADD, lower.fd.get(), EPOLLIN) != 0) error = errno;
      }
    }
  }
  Pipe p;
  for (Epoll& e : layers[0]) {
    if (error == 0 && e.Ctl(EPOLL_CTL_ADD, p.fds[0], EPOLLIN) != 0) error = errno;
  }
  EXPECT_EQ(error, EINVAL);
  ASSERT_EQ(write(p.fds[1], "x", 1), 1);
}

TEST(EpollDetailTest, SameFileTwoNumbersAreTwo) {
  Epoll e;
  Pipe p;
  Fd copy(dup(p.fds[0]));
  ASSERT_THAT(e.Ctl(EPOLL_CTL_ADD, p.fds[0], EPOLLIN, 1), SyscallSucceeds());
  ASSERT_THAT(e.Ctl(EPOLL_CTL_ADD, copy.get(), EPOLLIN, 2), SyscallSucceeds());
  EXPECT_THAT(e.Ctl(EPOLL_CTL_ADD, copy.get(), EPOLLIN), SyscallFailsWithErrno(EEXIST));
  write(p.fds[1], "x", 1);
  epoll_event got[4];
  EXPECT_THAT(epoll_wait(e.fd.get(), got, 4, 0), SyscallSucceedsWithValue(2));
  // The number is free and reused, but the registration of the old file stays.
  int number = copy.get();
  copy.reset();
  EXPECT_THAT(epoll_wait(e.fd.get(), got, 4, 0), SyscallSucceedsWithValue(2));
  Fd fresh(eventfd(1, 0));
  if (fresh.get() != number) {
    dup2(fresh.get(), number);
    fresh.reset(number);
  }
  ASSERT_THAT(e.Ctl(EPOLL_CTL_ADD, number, EPOLLIN, 3), SyscallSucceeds());
  EXPECT_THAT(epoll_wait(e.fd.get(), got, 4, 0), SyscallSucceedsWithValue(3));
}

TEST(EpollDetailTest, WaitErrors) {
  Epoll e;
  epoll_event got[2];
  EXPECT_THAT(epoll_wait(e.fd.get(), got, 0, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(epoll_wait(e.fd.get(), got, INT_MAX, 0), SyscallFailsWithErrno(EINVAL));
  Pipe p;
  EXPECT_THAT(epoll_wait(p.fds[0], got, 2, 0), SyscallFailsWithErrno(EINVAL));
  ASSERT_THAT(e.Ctl(EPOLL_CTL_ADD, p.fds[1], EPOLLOUT), SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_epoll_wait, e.fd.get(), 8, 2, 0), SyscallFailsWithErrno(EFAULT));
  EXPECT_EQ(e.Now(), EPOLLOUT);  // the failed copy lost nothing
  EXPECT_THAT(epoll_create(0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(epoll_create1(1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(e.Ctl(77, p.fds[0], EPOLLIN), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(epoll_ctl(e.fd.get(), EPOLL_CTL_ADD, p.fds[0], nullptr),
              SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(epoll_ctl(e.fd.get(), EPOLL_CTL_DEL, p.fds[1], nullptr), SyscallSucceeds());
  EXPECT_THAT(epoll_ctl(e.fd.get(), EPOLL_CTL_DEL, p.fds[1], nullptr),
              SyscallFailsWithErrno(ENOENT));
}

TEST(EpollDetailTest, FdinfoListsTargets) {
  Epoll e;
  Pipe p;
  ASSERT_THAT(e.Ctl(EPOLL_CTL_ADD, p.fds[0], EPOLLIN, 0xabc), SyscallSucceeds());
  std::string info = GetFile("/proc/self/fdinfo/" + std::to_string(e.fd.get()));
  EXPECT_NE(info.find("tfd:"), std::string::npos);
  EXPECT_NE(info.find("abc"), std::string::npos);
}

struct Watch {
  Fd fd{inotify_init1(IN_NONBLOCK)};
  int Add(const std::string& path, uint32_t mask) {
    return inotify_add_watch(fd.get(), path.c_str(), mask);
  }
  // Waits for an event, up to a second.
  void Await() {
    pollfd p = {fd.get(), POLLIN, 0};
    poll(&p, 1, 1000);
  }
  // "mask name" of each event, masks in hexadecimal, joined by commas.
  std::string Take() {
    alignas(8) char buffer[8192];
    ssize_t n = read(fd.get(), buffer, sizeof buffer);
    std::string out;
    for (ssize_t at = 0; at < n;) {
      auto* e = reinterpret_cast<inotify_event*>(buffer + at);
      char text[32];
      snprintf(text, sizeof text, "%s%x", out.empty() ? "" : ",", e->mask);
      out += text;
      if (e->len > 0) out += std::string(" ") + e->name;
      at += sizeof(inotify_event) + e->len;
    }
    return out;
  }
};

TEST(InotifyDetailTest, SelfEvents) {
  TempDir dir;
  PutFile(dir / "f", "x");
  Watch w;
  w.Add(dir / "f", IN_ALL_EVENTS);
  chmod((dir / "f").c_str(), 0600);
  EXPECT_EQ(w.Take(), "4");
  rename((dir / "f").c_str(), (dir / "g").c_str());
  EXPECT_EQ(w.Take(), "800");
  link((dir / "g").c_str(), (dir / "h").c_str());
  EXPECT_EQ(w.Take(), "4");
  unlink((dir / "h").c_str());
  EXPECT_EQ(w.Take(), "4");
  Fd open_file(open((dir / "g").c_str(), O_RDONLY));
  EXPECT_EQ(w.Take(), "20");
  unlink((dir / "g").c_str());
  EXPECT_EQ(w.Take(), "4");  // still open: not yet gone
  open_file.reset();
  EXPECT_EQ(w.Take(), "10,400,8000");
}

TEST(InotifyDetailTest, DirectoryEvents) {
  TempDir dir;
  Watch w;
  w.Add(dir.path(), IN_ALL_EVENTS);
  mkdir((dir / "d").c_str(), 0755);
  EXPECT_EQ(w.Take(), "40000100 d");
  rmdir((dir / "d").c_str());
  EXPECT_EQ(w.Take(), "40000200 d");
  PutFile(dir / "f", "x");
  EXPECT_EQ(w.Take(), "100 f,20 f,2 f,8 f");
  GetFile(dir / "f");
  EXPECT_EQ(w.Take(), "20 f,1 f,10 f");
  truncate((dir / "f").c_str(), 0);
  EXPECT_EQ(w.Take(), "2 f");
  symlink("f", (dir / "s").c_str());
  EXPECT_EQ(w.Take(), "100 s");
  link((dir / "f").c_str(), (dir / "l").c_str());
  EXPECT_EQ(w.Take(), "100 l");
  PutFile(dir / "t", "");
  w.Take();
  rename((dir / "t").c_str(), (dir / "l").c_str());
  EXPECT_EQ(w.Take(), "40 t,80 l");
  mkfifo((dir / "p").c_str(), 0600);
  EXPECT_EQ(w.Take(), "100 p");
}

TEST(InotifyDetailTest, FlagsOfAdd) {
  TempDir dir;
  PutFile(dir / "f", "");
  symlink("f", (dir / "s").c_str());
  Watch w;
  EXPECT_THAT(w.Add(dir / "f", IN_ALL_EVENTS | IN_ONLYDIR), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(w.Add(dir / "f", 0), SyscallFailsWithErrno(EINVAL));
  int wd = w.Add(dir / "f", IN_OPEN);
  EXPECT_THAT(w.Add(dir / "f", IN_OPEN | IN_MASK_CREATE), SyscallFailsWithErrno(EEXIST));
  EXPECT_THAT(w.Add(dir / "f", IN_OPEN | IN_MASK_CREATE | IN_MASK_ADD),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(w.Add(dir / "s", IN_OPEN), SyscallSucceedsWithValue(wd));
  int link = w.Add(dir / "s", IN_OPEN | IN_DONT_FOLLOW);
  EXPECT_NE(link, wd);
  int other = w.Add(dir.path(), IN_CREATE);
  EXPECT_GT(other, link);
  EXPECT_THAT(inotify_rm_watch(w.fd.get(), other), SyscallSucceeds());
  EXPECT_GT(w.Add(dir.path(), IN_CREATE), other);  // numbers are not reused
  EXPECT_THAT(inotify_rm_watch(w.fd.get(), 999), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(inotify_rm_watch(0, 1), SyscallFailsWithErrno(EINVAL));
}

TEST(InotifyDetailTest, ExclUnlinkAndSmallBuffer) {
  TempDir dir;
  PutFile(dir / "f", "");
  Watch w;
  w.Add(dir.path(), IN_MODIFY | IN_EXCL_UNLINK);
  Fd fd(open((dir / "f").c_str(), O_WRONLY));
  write(fd.get(), "x", 1);
  EXPECT_EQ(w.Take(), "2 f");
  unlink((dir / "f").c_str());
  write(fd.get(), "x", 1);
  EXPECT_EQ(w.Take(), "");
  PutFile(dir / "g", "x");
  char small[16];
  int waiting = 0;
  EXPECT_THAT(ioctl(w.fd.get(), FIONREAD, &waiting), SyscallSucceeds());
  EXPECT_EQ(waiting, 32);
  EXPECT_THAT(read(w.fd.get(), small, sizeof small), SyscallFailsWithErrno(EINVAL));
  EXPECT_EQ(w.Take(), "2 g");
}

TEST(InotifyDetailTest, Overflow) {
  TempDir dir;
  Watch w;
  w.Add(dir.path(), IN_CREATE | IN_DELETE);
  std::string path = dir / "f";
  int limit = atoi(GetFile("/proc/sys/fs/inotify/max_queued_events").c_str());
  ASSERT_GT(limit, 0);
  for (int i = 0; i < limit / 2 + 100; i++) {
    close(open(path.c_str(), O_CREAT, 0600));
    unlink(path.c_str());
  }
  alignas(8) static char buffer[1 << 20];
  int events = 0, overflow = 0, last_wd = 0;
  for (ssize_t n; (n = read(w.fd.get(), buffer, sizeof buffer)) > 0;) {
    for (ssize_t at = 0; at < n;) {
      auto* e = reinterpret_cast<inotify_event*>(buffer + at);
      events++;
      last_wd = e->wd;
      overflow += (e->mask & IN_Q_OVERFLOW) != 0;
      at += sizeof(inotify_event) + e->len;
    }
  }
  EXPECT_EQ(overflow, 1);
  EXPECT_EQ(last_wd, -1);
  EXPECT_EQ(events, limit + 1);
}

TEST(InotifyDetailTest, UnmountIsReported) {
  EXPECT_CHILD_OK([] {
    TempDir dir;
    CHECK_OR_DIE(unshare(CLONE_NEWNS) == 0);
    CHECK_OR_DIE(mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) == 0);
    CHECK_OR_DIE(mount("t", dir.path().c_str(), "tmpfs", 0, nullptr) == 0);
    PutFile(dir / "f", "");
    Watch w;
    w.Add(dir / "f", IN_ALL_EVENTS);
    CHECK_OR_DIE(umount(dir.path().c_str()) == 0);
    CHECK_OR_DIE(w.Take() == "2000,8000");
    return 0;
  });
}

// With MNT_DETACH the file system lives until its last user goes.
TEST(InotifyDetailTest, DetachedFileSystemEndsWithItsLastUser) {
  EXPECT_CHILD_OK([] {
    TempDir dir;
    CHECK_OR_DIE(unshare(CLONE_NEWNS) == 0);
    CHECK_OR_DIE(mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) == 0);
    CHECK_OR_DIE(mount("t", dir.path().c_str(), "tmpfs", 0, nullptr) == 0);
    mkdir((dir / "d").c_str(), 0700);
    PutFile(dir / "f", "");
    Watch w;
    w.Add(dir / "d", IN_CREATE);
    int user = open((dir / "f").c_str(), O_RDONLY);
    CHECK_OR_DIE(umount2(dir.path().c_str(), MNT_DETACH) == 0);
    CHECK_OR_DIE(w.Take() == "");
    close(user);
    w.Await();
    CHECK_OR_DIE(w.Take() == "40002000,8000");
    return 0;
  });
}

// Another mount of the same file system keeps it, and its watches.
TEST(InotifyDetailTest, OneOfTwoMountsGoesQuietly) {
  EXPECT_CHILD_OK([] {
    TempDir dir, other;
    CHECK_OR_DIE(unshare(CLONE_NEWNS) == 0);
    CHECK_OR_DIE(mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) == 0);
    CHECK_OR_DIE(mount("t", dir.path().c_str(), "tmpfs", 0, nullptr) == 0);
    CHECK_OR_DIE(mount(dir.path().c_str(), other.path().c_str(), "", MS_BIND, nullptr) == 0);
    Watch w;
    w.Add(dir.path(), IN_CREATE);
    CHECK_OR_DIE(umount(dir.path().c_str()) == 0);
    PutFile(other / "f", "");
    CHECK_OR_DIE(w.Take() == "100 f");
    CHECK_OR_DIE(umount(other.path().c_str()) == 0);
    CHECK_OR_DIE(w.Take() == "40002000,8000");
    return 0;
  });
}

TEST(TimerfdDetailTest, ClocksAndFlags) {
  EXPECT_THAT(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(timerfd_create(CLOCK_MONOTONIC, 1), SyscallFailsWithErrno(EINVAL));
  for (int clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM,
                    CLOCK_BOOTTIME_ALARM}) {
    Fd fd(timerfd_create(clock, TFD_NONBLOCK));
    EXPECT_TRUE(fd.valid()) << clock;
    itimerspec spec = {{0, 0}, {0, 1'000'000}};
    EXPECT_THAT(timerfd_settime(fd.get(), 0, &spec, nullptr), SyscallSucceeds());
    pollfd poller = {fd.get(), POLLIN, 0};
    EXPECT_THAT(poll(&poller, 1, 1000), SyscallSucceedsWithValue(1));
  }
  Fd fd(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
  itimerspec spec = {{0, 0}, {NowNs(CLOCK_REALTIME) / 1'000'000'000 + 100, 0}};
  EXPECT_THAT(
      timerfd_settime(fd.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &spec, nullptr),
      SyscallSucceeds());
  EXPECT_THAT(timerfd_settime(fd.get(), 8, &spec, nullptr), SyscallFailsWithErrno(EINVAL));
  std::string info = GetFile("/proc/self/fdinfo/" + std::to_string(fd.get()));
  EXPECT_NE(info.find("clockid: 0"), std::string::npos);
  EXPECT_NE(info.find("ticks: 0"), std::string::npos);
}

TEST(EventfdDetailTest, FdinfoAndSemaphore) {
  Fd fd(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
  std::string info = GetFile("/proc/self/fdinfo/" + std::to_string(fd.get()));
  EXPECT_NE(info.find("eventfd-count:"), std::string::npos);
  uint64_t value;
  for (int i = 0; i < 3; i++) {
    EXPECT_THAT(read(fd.get(), &value, 8), SyscallSucceedsWithValue(8));
    EXPECT_EQ(value, 1u);
  }
  EXPECT_THAT(read(fd.get(), &value, 8), SyscallFailsWithErrno(EAGAIN));
}

}  // namespace
