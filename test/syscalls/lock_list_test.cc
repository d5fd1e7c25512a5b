// /proc/locks and the lock lines of /proc/PID/fdinfo.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "test/util/test_util.h"

namespace {
using namespace guest;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    out.push_back(text.substr(at, end - at));
  }
  return out;
}

class LockListTest : public ::testing::Test {
 protected:
  void SetUp() override {
    PutFile(path_, "0123456789");
    struct stat st;
    ASSERT_THAT(stat(path_.c_str(), &st), SyscallSucceeds());
    char place[64];
    snprintf(place, sizeof place, "%02x:%02x:%lu ", major(st.st_dev), minor(st.st_dev),
             static_cast<unsigned long>(st.st_ino));
    place_ = place;
  }
  void TearDown() override {
    for (pid_t child : children_) {
      kill(child, SIGKILL);
      WaitFor(child);
    }
  }
  Fd Open() { return Fd(open(path_.c_str(), O_RDWR)); }
  static struct flock Range(short type, off_t start, off_t length) {
    return {type, SEEK_SET, start, length, 0};
  }
  // Lines of /proc/locks on the file, without number and place.
  std::vector<std::string> Listed() {
    std::vector<std::string> out;
    for (const std::string& line : Lines(GetFile("/proc/locks"))) {
      size_t at = line.find(place_);
      if (at == std::string::npos) continue;
      size_t text = line.find(": ") + 2;
      out.push_back(line.substr(text, at - text) + line.substr(at + place_.size()));
    }
    return out;
  }
  std::vector<std::string> OfDescriptor(const Fd& fd) {
    std::vector<std::string> out;
    for (std::string& line : Lines(GetFile("/proc/self/fdinfo/" + std::to_string(fd.get())))) {
      if (line.rfind("lock:", 0) == 0) out.push_back(std::move(line));
    }
    return out;
  }
  // A child that sleeps in `lock`, which does not return.
  pid_t Blocked(const std::function<void()>& lock) {
    children_.push_back(StartChild([&] {
      lock();
      return 1;
    }));
    WaitUntilSleeping(children_.back());
    return children_.back();
  }
  std::string me_ = std::to_string(getpid());
  TempDir dir_;
  std::string path_ = dir_ / "f";
  std::string place_;
  std::vector<pid_t> children_;
};

using Rows = std::vector<std::string>;

TEST_F(LockListTest, NothingWithoutLocks) {
  Fd fd = Open();
  EXPECT_EQ(Listed(), Rows());
  EXPECT_EQ(OfDescriptor(fd), Rows());
}

TEST_F(LockListTest, PosixRanges) {
  Fd fd = Open();
  struct flock lock = Range(F_WRLCK, 2, 3);
  ASSERT_THAT(fcntl(fd.get(), F_SETLK, &lock), SyscallSucceeds());
  EXPECT_EQ(Listed(), Rows({"POSIX  ADVISORY  WRITE " + me_ + " 2 4"}));
  lock = Range(F_RDLCK, 0, 0);
  ASSERT_THAT(fcntl(fd.get(), F_SETLK, &lock), SyscallSucceeds());
  EXPECT_EQ(Listed(), Rows({"POSIX  ADVISORY  READ " + me_ + " 0 EOF"}));
  EXPECT_EQ(OfDescriptor(fd),
            Rows({"lock:\t1: POSIX  ADVISORY  READ " + me_ + " " + place_ + "0 EOF"}));
  lock = Range(F_UNLCK, 0, 0);
  ASSERT_THAT(fcntl(fd.get(), F_SETLK, &lock), SyscallSucceeds());
  EXPECT_EQ(Listed(), Rows());
}

TEST_F(LockListTest, OfdAndFlock) {
  Fd fd = Open();
  struct flock lock = Range(F_WRLCK, 5, 1);
  ASSERT_THAT(fcntl(fd.get(), F_OFD_SETLK, &lock), SyscallSucceeds());
  EXPECT_EQ(Listed(), Rows({"OFDLCK ADVISORY  WRITE -1 5 5"}));
  lock.l_type = F_UNLCK;
  ASSERT_THAT(fcntl(fd.get(), F_OFD_SETLK, &lock), SyscallSucceeds());
  ASSERT_THAT(flock(fd.get(), LOCK_SH), SyscallSucceeds());
  EXPECT_EQ(Listed(), Rows({"FLOCK  ADVISORY  READ " + me_ + " 0 EOF"}));
  ASSERT_THAT(flock(fd.get(), LOCK_EX), SyscallSucceeds());
  EXPECT_EQ(Listed(), Rows({"FLOCK  ADVISORY  WRITE " + me_ + " 0 EOF"}));
}

// Locks are listed by the descriptor that took them; flocks come first.
TEST_F(LockListTest, DescriptorsShowTheirOwn) {
  Fd a = Open(), b = Open();
  struct flock lock = Range(F_WRLCK, 0, 1);
  ASSERT_THAT(fcntl(a.get(), F_SETLK, &lock), SyscallSucceeds());
  lock = Range(F_WRLCK, 4, 1);
  ASSERT_THAT(fcntl(b.get(), F_OFD_SETLK, &lock), SyscallSucceeds());
  ASSERT_THAT(flock(a.get(), LOCK_SH), SyscallSucceeds());
  EXPECT_EQ(OfDescriptor(a),
            Rows({"lock:\t1: FLOCK  ADVISORY  READ " + me_ + " " + place_ + "0 EOF",
                  "lock:\t2: POSIX  ADVISORY  WRITE " + me_ + " " + place_ + "0 0"}));
  EXPECT_EQ(OfDescriptor(b), Rows({"lock:\t1: OFDLCK ADVISORY  WRITE -1 " + place_ + "4 4"}));
}

TEST_F(LockListTest, WaitsStandBehindTheirLock) {
  Fd fd = Open();
  struct flock lock = Range(F_WRLCK, 0, 10);
  ASSERT_THAT(fcntl(fd.get(), F_SETLK, &lock), SyscallSucceeds());
  auto wait = [&] {
    Fd own = Open();
    fcntl(own.get(), F_SETLKW, &lock);
  };
  pid_t first = Blocked(wait);
  pid_t second = Blocked(wait);  // it is in the way of the first, too
  EXPECT_EQ(Listed(), Rows({"POSIX  ADVISORY  WRITE " + me_ + " 0 9",
                            "-> POSIX  ADVISORY  WRITE " + std::to_string(first) + " 0 9",
                            " -> POSIX  ADVISORY  WRITE " + std::to_string(second) + " 0 9"}));
  EXPECT_EQ(OfDescriptor(fd).size(), 1u);
}

TEST_F(LockListTest, ReadersWaitSideBySide) {
  Fd fd = Open();
  ASSERT_THAT(flock(fd.get(), LOCK_EX), SyscallSucceeds());
  auto wait = [&] {
    Fd own = Open();
    flock(own.get(), LOCK_SH);
  };
  pid_t first = Blocked(wait);
  pid_t second = Blocked(wait);
  EXPECT_EQ(Listed(), Rows({"FLOCK  ADVISORY  WRITE " + me_ + " 0 EOF",
                            "-> FLOCK  ADVISORY  READ " + std::to_string(first) + " 0 EOF",
                            "-> FLOCK  ADVISORY  READ " + std::to_string(second) + " 0 EOF"}));
  kill(first, SIGKILL);
  WaitUntilState(first, 'Z');
  EXPECT_EQ(Listed().size(), 2u);
}

TEST_F(LockListTest, WhoseProcessEndedIsStillNamed) {
  Fd fd = Open();
  pid_t child = StartChild([&] { return flock(fd.get(), LOCK_EX); });
  EXPECT_EQ(WaitFor(child), 0);
  EXPECT_EQ(Listed(), Rows({"FLOCK  ADVISORY  WRITE " + std::to_string(child) + " 0 EOF"}));
}

}  // namespace
