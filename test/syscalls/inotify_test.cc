// inotify: events of changes made here.
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

class InotifyTest : public testing::Test {
 protected:
  InotifyTest() : fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) { PutFile(dir_ / "file", "data"); }
  int Watch(const std::string& path, uint32_t mask) {
    return inotify_add_watch(fd_.get(), path.c_str(), mask);
  }
  // All events as "mask-bits name" in order.
  std::vector<std::pair<uint32_t, std::string>> Events() {
    std::vector<std::pair<uint32_t, std::string>> events;
    alignas(inotify_event) char buf[4096];
    ssize_t n;
    while ((n = read(fd_.get(), buf, sizeof buf)) > 0) {
      for (char* p = buf; p < buf + n;) {
        auto* event = reinterpret_cast<inotify_event*>(p);
        events.push_back({event->mask, event->len > 0 ? event->name : ""});
        cookies_.push_back(event->cookie);
        p += sizeof *event + event->len;
      }
    }
    return events;
  }
  using List = std::vector<std::pair<uint32_t, std::string>>;
  TempDir dir_;
  Fd fd_;
  std::vector<uint32_t> cookies_;
};

TEST_F(InotifyTest, CreateWriteCloseDelete) {
  ASSERT_THAT(Watch(dir_.path(), IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE | IN_OPEN),
              SyscallSucceeds());
  PutFile(dir_ / "new", "x");
  unlink((dir_ / "new").c_str());
  EXPECT_EQ(Events(), (List{{IN_CREATE, "new"},
                            {IN_OPEN, "new"},
                            {IN_MODIFY, "new"},
                            {IN_CLOSE_WRITE, "new"},
                            {IN_DELETE, "new"}}));
}

TEST_F(InotifyTest, RenamePairsByCookie) {
  ASSERT_THAT(Watch(dir_.path(), IN_MOVE), SyscallSucceeds());
  rename((dir_ / "file").c_str(), (dir_ / "moved").c_str());
  EXPECT_EQ(Events(), (List{{IN_MOVED_FROM, "file"}, {IN_MOVED_TO, "moved"}}));
  EXPECT_NE(cookies_[0], 0u);
  EXPECT_EQ(cookies_[0], cookies_[1]);
}

TEST_F(InotifyTest, FileItself) {
  ASSERT_THAT(Watch(dir_ / "file", IN_ATTRIB | IN_DELETE_SELF | IN_MODIFY), SyscallSucceeds());
  chmod((dir_ / "file").c_str(), 0600);
  truncate((dir_ / "file").c_str(), 0);
  unlink((dir_ / "file").c_str());
  List want{
      {IN_ATTRIB, ""}, {IN_MODIFY, ""}, {IN_ATTRIB, ""}, {IN_DELETE_SELF, ""}, {IN_IGNORED, ""}};
  EXPECT_EQ(Events(), want);
}

TEST_F(InotifyTest, DirectoryFlag) {
  ASSERT_THAT(Watch(dir_.path(), IN_CREATE | IN_DELETE), SyscallSucceeds());
  mkdir((dir_ / "d").c_str(), 0755);
  rmdir((dir_ / "d").c_str());
  EXPECT_EQ(Events(), (List{{IN_CREATE | IN_ISDIR, "d"}, {IN_DELETE | IN_ISDIR, "d"}}));
}

TEST_F(InotifyTest, IdenticalEventsMerge) {
  ASSERT_THAT(Watch(dir_ / "file", IN_MODIFY), SyscallSucceeds());
  Fd fd(open((dir_ / "file").c_str(), O_WRONLY));
  for (int i = 0; i < 5; i++) write(fd.get(), "x", 1);
  EXPECT_EQ(Events().size(), 1u);
}

TEST_F(InotifyTest, RemoveWatch) {
  int wd = Watch(dir_.path(), IN_CREATE);
  ASSERT_THAT(inotify_rm_watch(fd_.get(), wd), SyscallSucceeds());
  PutFile(dir_ / "x", "");
  EXPECT_EQ(Events(), (List{{IN_IGNORED, ""}}));
  EXPECT_THAT(inotify_rm_watch(fd_.get(), wd), SyscallFailsWithErrno(EINVAL));
}

TEST_F(InotifyTest, OneshotAndMaskAdd) {
  int wd = Watch(dir_.path(), IN_CREATE | IN_ONESHOT);
  PutFile(dir_ / "x", "");
  PutFile(dir_ / "y", "");
  EXPECT_EQ(Events(), (List{{IN_CREATE, "x"}, {IN_IGNORED, ""}}));
  wd = Watch(dir_.path(), IN_CREATE);
  EXPECT_EQ(Watch(dir_.path(), IN_DELETE | IN_MASK_ADD), wd);
  PutFile(dir_ / "z", "");
  unlink((dir_ / "z").c_str());
  EXPECT_EQ(Events().size(), 2u);
}

TEST_F(InotifyTest, PollAndBlockingRead) {
  ASSERT_THAT(Watch(dir_.path(), IN_CREATE), SyscallSucceeds());
  pollfd p = {fd_.get(), POLLIN, 0};
  EXPECT_EQ(poll(&p, 1, 0), 0);
  PutFile(dir_ / "x", "");
  EXPECT_EQ(poll(&p, 1, 0), 1);
}

// An instance goes while the last event of its watch is on the way to it.
TEST_F(InotifyTest, ClosedWhileItsFileGoes) {
  std::string path = dir_ / "victim";
  std::atomic<bool> stop{false};
  std::vector<std::thread> watchers;
  for (int i = 0; i < 3; i++) {
    watchers.emplace_back([&, i] {
      while (!stop) {
        Fd fd(inotify_init1(IN_NONBLOCK));
        inotify_add_watch(fd.get(), path.c_str(),
                          IN_DELETE_SELF | IN_ATTRIB | (i == 0 ? IN_ONESHOT : 0));
        sched_yield();
      }
    });
  }
  for (int i = 0; i < 3000; i++) {
    PutFile(path, "x");
    chmod(path.c_str(), 0600);
    unlink(path.c_str());
  }
  stop = true;
  for (auto& t : watchers) t.join();
}

TEST_F(InotifyTest, OldInit) {
  Fd fd(Raw(SYS_inotify_init));
  EXPECT_TRUE(fd.valid());
  EXPECT_EQ(fcntl(fd.get(), F_GETFD), 0);
}

TEST_F(InotifyTest, Errors) {
  EXPECT_THAT(Watch(dir_ / "none", IN_CREATE), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(Watch(dir_.path(), 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Watch(dir_ / "file", IN_CREATE | IN_ONLYDIR), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(inotify_add_watch(-1, "/", IN_CREATE), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(inotify_init1(1 << 20), SyscallFailsWithErrno(EINVAL));
  char small[4];
  ASSERT_THAT(Watch(dir_.path(), IN_CREATE), SyscallSucceeds());
  PutFile(dir_ / "x", "");
  EXPECT_THAT(read(fd_.get(), small, sizeof small), SyscallFailsWithErrno(EINVAL));
  Fd null(open("/dev/null", O_RDONLY));
  EXPECT_THAT(inotify_add_watch(null.get(), "/", IN_CREATE), SyscallFailsWithErrno(EINVAL));
}

// The user's instances are counted, whichever process has them.
TEST_F(InotifyTest, InstancesOfAUserAreLimited) {
  int limit = std::stoi(GetFile("/proc/sys/fs/inotify/max_user_instances"));
  if (limit > 900) GTEST_SKIP() << "as many as there may be descriptors";
  EXPECT_EQ(InChild([&] {
              CHECK_OR_DIE(setresuid(54321, 54321, 54321) == 0);
              int last = -1;
              for (int i = 0; i < limit; ++i) {
                CHECK_OR_DIE((last = inotify_init1(IN_CLOEXEC)) >= 0);
              }
              CHECK_OR_DIE(inotify_init1(0) == -1 && errno == EMFILE);
              int other = InChild([] { return inotify_init1(0) == -1 && errno == EMFILE ? 0 : 1; });
              close(last);
              return other == 0 && inotify_init1(0) >= 0 ? 0 : 1;
            }),
            0);
}

}  // namespace
