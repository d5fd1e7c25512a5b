// Many tasks at once on the same objects: what is right must stay right.
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "test/util/send_fds.h"
#include "test/util/test_util.h"

namespace {
using namespace guest;

template <typename F>
void InThreads(int count, F body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; i++) threads.emplace_back([=] { body(i); });
  for (auto& t : threads) t.join();
}

TEST(StressTest, CreateRenameUnlinkInOneDirectory) {
  TempDir dir;
  InThreads(6, [&](int me) {
    for (int i = 0; i < 100; i++) {
      std::string a = dir / ("a" + std::to_string(me)), b = dir / ("b" + std::to_string(i % 5));
      PutFile(a, "x");
      CHECK_OR_DIE(rename(a.c_str(), b.c_str()) == 0);
      if (i % 3 == 0) unlink(b.c_str());
      struct stat st;
      stat(b.c_str(), &st);
    }
  });
}

// The last descriptors of an epoll and of what it watches go at the same moment.
TEST(StressTest, EpollsAndWhatTheyWatchCloseAtOnce) {
  constexpr int kEach = 200;
  for (int round = 0; round < 20; round++) {
    int fds[2][kEach];
    for (int i = 0; i < kEach; i++) {
      fds[0][i] = epoll_create1(0);
      fds[1][i] = i % 2 == 0 ? eventfd(0, 0) : epoll_create1(0);
      epoll_event e = {.events = EPOLLIN, .data = {}};
      ASSERT_EQ(epoll_ctl(fds[0][i], EPOLL_CTL_ADD, fds[1][i], &e), 0);
    }
    InThreads(2, [&](int me) {
      for (int fd : fds[me]) close(fd);
    });
  }
}

// Chains of epolls lose their middle and their top at the same moment, while their foot is given more
// to watch, for which the ways up from it are followed.
TEST(StressTest, EpollChainsBreakWhileTheyAreFollowed) {
  constexpr int kEach = 100;
  Fd foot(epoll_create1(0)), leaf(epoll_create1(0));
  std::atomic<bool> done{false};
  std::thread follower([&] {
    epoll_event e = {.events = EPOLLIN, .data = {}};
    while (!done) {
      epoll_ctl(foot.get(), EPOLL_CTL_ADD, leaf.get(), &e);
      epoll_ctl(foot.get(), EPOLL_CTL_DEL, leaf.get(), &e);
    }
  });
  for (int round = 0; round < 20; round++) {
    int fds[2][kEach];
    for (int i = 0; i < kEach; i++) {
      epoll_event e = {.events = EPOLLIN, .data = {}};
      fds[0][i] = epoll_create1(0);
      fds[1][i] = epoll_create1(0);
      EXPECT_EQ(epoll_ctl(fds[0][i], EPOLL_CTL_ADD, foot.get(), &e), 0);
      EXPECT_EQ(epoll_ctl(fds[1][i], EPOLL_CTL_ADD, fds[0][i], &e), 0);
    }
    InThreads(2, [&](int me) {
      for (int fd : fds[me]) close(fd);
    });
  }
  done = true;
  follower.join();
}

// A listing and a removal of the same directory want its locks at the same time.
TEST(StressTest, ListDirectoriesThatAreRemoved) {
  TempDir dir;
  InThreads(4, [&](int me) {
    char entries[1024];
    for (int i = 0; i < 3000; i++) {
      std::string path = dir / std::to_string(i % 3);
      if (me % 2 == 0) {
        mkdir(path.c_str(), 0755);
        rmdir(path.c_str());
        continue;
      }
      int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY);
      if (fd < 0) continue;
      while (syscall(SYS_getdents64, fd, entries, sizeof entries) > 0) {
      }
      close(fd);
    }
  });
}

TEST(StressTest, MapAndUnmapUnderRunningThreads) {
  InThreads(6, [](int) {
    for (int i = 0; i < 300; i++) {
      auto* p = static_cast<volatile char*>(
          mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      CHECK_OR_DIE(p != MAP_FAILED);
      for (int j = 0; j < 16; j++) {
        CHECK_OR_DIE(p[j * 4096] == 0);
        p[j * 4096] = static_cast<char>(j);
      }
      mprotect(const_cast<char*>(p), 4096, PROT_READ);
      CHECK_OR_DIE(p[4096] == 1);
      munmap(const_cast<char*>(p), 65536);
    }
  });
}

TEST(StressTest, ForkWhileThreadsWrite) {
  std::atomic<bool> stop{false};
  std::vector<int> data(100000, 1);
  std::thread writer([&] {
    for (int v = 2; !stop; v++) {
      for (int& x : data) x = v;
    }
  });
  for (int i = 0; i < 30; i++) {
    EXPECT_CHILD_OK([&] { return data[5] > 0 && data[99999] > 0 ? 0 : 1; });
  }
  stop = true;
  writer.join();
}

TEST(StressTest, ForkStorm) {
  InThreads(4, [](int) {
    for (int i = 0; i < 30; i++) {
      pid_t pid = fork();
      if (pid == 0) _exit(i);
      int status;
      CHECK_OR_DIE(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == i);
    }
  });
}

TEST(StressTest, ThreadStorm) {
  std::atomic<int> ran{0};
  InThreads(4, [&](int) {
    for (int i = 0; i < 100; i++) std::thread([&] { ran++; }).join();
  });
  EXPECT_EQ(ran, 400);
}

TEST(StressTest, DescriptorsComeAndGo) {
  InThreads(6, [](int) {
    for (int i = 0; i < 500; i++) {
      int fd = eventfd(1, EFD_NONBLOCK);
      CHECK_OR_DIE(fd >= 0);
      uint64_t v;
      CHECK_OR_DIE(read(fd, &v, 8) == 8);
      CHECK_OR_DIE(close(fd) == 0);
    }
  });
}

TEST(StressTest, CloseWhileAnotherReads) {
  for (int i = 0; i < 50; i++) {
    int p[2];
    ASSERT_THAT(pipe(p), SyscallSucceeds());
    std::thread reader([&] {
      char c;
      ssize_t n = read(p[0], &c, 1);
      CHECK_OR_DIE(n == 0 || (n == -1 && errno == EBADF));
    });
    close(p[1]);
    reader.join();
    close(p[0]);
  }
}

TEST(StressTest, SignalsToAllThreads) {
  static std::atomic<int> count;
  count = 0;
  ScopedSigaction handler(SIGRTMIN + 3, [](int) { count++; }, SA_RESTART);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  std::vector<std::atomic<pid_t>> tids(8);
  for (int i = 0; i < 8; i++) {
    threads.emplace_back([&, i] {
      tids[i] = static_cast<pid_t>(Raw(SYS_gettid));
      volatile int x = 0;
      while (!stop) {
        x = x + 1;
        if (i % 2 == 0) SleepMs(1);
      }
    });
  }
  for (auto& tid : tids) {
    while (tid == 0) SleepMs(1);
  }
  for (int round = 0; round < 50; round++) {
    for (auto& tid : tids) Raw(SYS_tgkill, getpid(), tid.load(), SIGRTMIN + 3);
  }
  for (int i = 0; i < 5000 && count < 400; i++) SleepMs(1);
  stop = true;
  for (auto& t : threads) t.join();
  EXPECT_EQ(count, 400);
}

TEST(StressTest, DescriptorsInFlightAreFreed) {
  for (int i = 0; i < 200; i++) {
    int s[2];
    ASSERT_THAT(socketpair(AF_UNIX, SOCK_STREAM, 0, s), SyscallSucceeds());
    // A socket sent to itself: a cycle that only garbage collection ends.
    ASSERT_THAT(SendFds(s[1], {s[0]}), SyscallSucceedsWithValue(1));
    close(s[0]);
    close(s[1]);
  }
}

TEST(StressTest, KillWhileManyThreadsWork) {
  for (int i = 0; i < 10; i++) {
    pid_t child = StartChild([] {
      InThreads(8, [](int me) {
        for (;;) {
          if (me % 2 == 0) {
            Raw(SYS_getppid);
          } else {
            SleepMs(1);
          }
        }
      });
      return 0;
    });
    SleepMs(3 * i);
    kill(child, SIGKILL);
    EXPECT_EQ(WTERMSIG(WaitFor(child)), SIGKILL);
  }
}

TEST(StressTest, ExecWhileManyThreadsWork) {
  for (int i = 0; i < 10; i++) {
    int status = InChild([&] {
      for (int t = 0; t < 6; t++) {
        std::thread([] {
          for (;;) Raw(SYS_getppid);
        }).detach();
      }
      SleepMs(i);
      execl("/bin/sh", "sh", "-c", "exit 5", nullptr);
      return 1;
    });
    EXPECT_EQ(WEXITSTATUS(status), 5);
  }
}

TEST(StressTest, SharedFileMappingManyProcesses) {
  Fd fd(memfd_create("shared", 0));
  ASSERT_THAT(ftruncate(fd.get(), 1 << 20), SyscallSucceeds());
  auto* p = static_cast<std::atomic<int>*>(
      mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  std::vector<pid_t> children;
  for (int i = 0; i < 4; i++) {
    children.push_back(StartChild([&] {
      for (int j = 0; j < 10000; j++) p[(j % 256) * 1024]++;
      return 0;
    }));
  }
  for (pid_t pid : children) EXPECT_EQ(WaitFor(pid), 0);
  int total = 0;
  for (int j = 0; j < 256; j++) total += p[j * 1024];
  EXPECT_EQ(total, 40000);
  munmap(p, 1 << 20);
}

}  // namespace
