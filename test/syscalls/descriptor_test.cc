// fcntl, dup family, close_range, POSIX, OFD and flock locks, ioctl on files.
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "test/util/test_util.h"

namespace {
using namespace guest;

class DescriptorTest : public testing::Test {
 protected:
  DescriptorTest() : file_(dir_ / "file") {
    PutFile(file_, "0123456789");
    fd_ = Open();
  }
  Fd Open(int flags = O_RDWR) { return Fd(open(file_.c_str(), flags)); }
  static struct flock Lock(short type, off_t start = 0, off_t len = 0) {
    struct flock lock = {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = len;
    return lock;
  }
  int Set(int fd, struct flock lock, int command = F_SETLK) { return fcntl(fd, command, &lock); }
  TempDir dir_;
  std::string file_;
  Fd fd_;
};

TEST_F(DescriptorTest, Dup) {
  Fd copy(dup(fd_.get()));
  ASSERT_TRUE(copy.valid());
  EXPECT_THAT(lseek(fd_.get(), 3, SEEK_SET), SyscallSucceeds());
  EXPECT_THAT(lseek(copy.get(), 0, SEEK_CUR), SyscallSucceedsWithValue(3));
  EXPECT_THAT(dup(-1), SyscallFailsWithErrno(EBADF));
}

TEST_F(DescriptorTest, Dup2) {
  EXPECT_THAT(dup2(fd_.get(), 100), SyscallSucceedsWithValue(100));
  EXPECT_THAT(dup2(100, 100), SyscallSucceedsWithValue(100));
  EXPECT_THAT(close(100), SyscallSucceeds());
  EXPECT_THAT(dup2(100, 100), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(dup2(fd_.get(), -1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(dup2(fd_.get(), 1 << 30), SyscallFailsWithErrno(EBADF));
}

TEST_F(DescriptorTest, Dup2ClosesTarget) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  ASSERT_THAT(dup2(fd_.get(), p[1]), SyscallSucceedsWithValue(p[1]));
  char c;
  EXPECT_THAT(read(p[0], &c, 1), SyscallSucceedsWithValue(0));
  close(p[0]);
  close(p[1]);
}

TEST_F(DescriptorTest, Dup3) {
  EXPECT_THAT(dup3(fd_.get(), 100, O_CLOEXEC), SyscallSucceedsWithValue(100));
  EXPECT_EQ(fcntl(100, F_GETFD), FD_CLOEXEC);
  EXPECT_THAT(dup3(100, 100, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(dup3(fd_.get(), 101, O_APPEND), SyscallFailsWithErrno(EINVAL));
  close(100);
}

TEST_F(DescriptorTest, FcntlDup) {
  Fd copy(fcntl(fd_.get(), F_DUPFD, 50));
  EXPECT_EQ(copy.get(), 50);
  Fd cloexec(fcntl(fd_.get(), F_DUPFD_CLOEXEC, 50));
  EXPECT_EQ(cloexec.get(), 51);
  EXPECT_EQ(fcntl(51, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(50, F_GETFD), 0);
  EXPECT_THAT(fcntl(fd_.get(), F_DUPFD, -1), SyscallFailsWithErrno(EINVAL));
}

TEST_F(DescriptorTest, CloexecFlag) {
  ASSERT_THAT(fcntl(fd_.get(), F_SETFD, FD_CLOEXEC), SyscallSucceeds());
  EXPECT_EQ(fcntl(fd_.get(), F_GETFD), FD_CLOEXEC);
  ASSERT_THAT(fcntl(fd_.get(), F_SETFD, 0), SyscallSucceeds());
  EXPECT_EQ(fcntl(fd_.get(), F_GETFD), 0);
  EXPECT_THAT(fcntl(-1, F_GETFD), SyscallFailsWithErrno(EBADF));
}

TEST_F(DescriptorTest, StatusFlags) {
  EXPECT_EQ(fcntl(fd_.get(), F_GETFL) & O_ACCMODE, O_RDWR);
  ASSERT_THAT(fcntl(fd_.get(), F_SETFL, O_APPEND | O_NONBLOCK), SyscallSucceeds());
  EXPECT_EQ(fcntl(fd_.get(), F_GETFL) & (O_APPEND | O_NONBLOCK), O_APPEND | O_NONBLOCK);
  EXPECT_EQ(fcntl(fd_.get(), F_GETFL) & O_ACCMODE, O_RDWR);
  Fd copy(dup(fd_.get()));
  EXPECT_EQ(fcntl(copy.get(), F_GETFL) & O_APPEND, O_APPEND);
  EXPECT_THAT(fcntl(fd_.get(), 9999), SyscallFailsWithErrno(EINVAL));
}

TEST_F(DescriptorTest, OwnerForSignals) {
  EXPECT_THAT(fcntl(fd_.get(), F_SETOWN, getpid()), SyscallSucceeds());
  EXPECT_THAT(fcntl(fd_.get(), F_GETOWN), SyscallSucceedsWithValue(getpid()));
}

TEST_F(DescriptorTest, CloseRange) {
  EXPECT_CHILD_OK([&] {
    for (int i = 60; i < 70; i++) CHECK_OR_DIE(dup2(fd_.get(), i) == i);
    CHECK_OR_DIE(Raw(SYS_close_range, 62, 65, 0) == 0);
    CHECK_OR_DIE(fcntl(61, F_GETFD) == 0 && fcntl(66, F_GETFD) == 0);
    for (int i = 62; i <= 65; i++) CHECK_OR_DIE(fcntl(i, F_GETFD) == -1 && errno == EBADF);
    CHECK_OR_DIE(Raw(SYS_close_range, 66, ~0u, CLOSE_RANGE_CLOEXEC) == 0);
    CHECK_OR_DIE(fcntl(69, F_GETFD) == FD_CLOEXEC);
    CHECK_OR_DIE(Raw(SYS_close_range, 60, ~0u, CLOSE_RANGE_UNSHARE) == 0);
    CHECK_OR_DIE(fcntl(69, F_GETFD) == -1);
    CHECK_OR_DIE(Raw(SYS_close_range, 5, 4, 0) == -1 && errno == EINVAL);
    CHECK_OR_DIE(Raw(SYS_close_range, 4, 5, 1 << 20) == -1 && errno == EINVAL);
    return 0;
  });
}

TEST_F(DescriptorTest, PosixLockConflicts) {
  ASSERT_THAT(Set(fd_.get(), Lock(F_WRLCK, 0, 5)), SyscallSucceeds());
  pid_t me = getpid();
  EXPECT_CHILD_OK([&] {
    Fd mine = Open();
    CHECK_OR_DIE(Set(mine.get(), Lock(F_RDLCK, 4, 1)) == -1 && errno == EAGAIN);
    CHECK_OR_DIE(Set(mine.get(), Lock(F_WRLCK, 5, 5)) == 0);
    struct flock query = Lock(F_RDLCK);
    CHECK_OR_DIE(fcntl(mine.get(), F_GETLK, &query) == 0);
    CHECK_OR_DIE(query.l_type == F_WRLCK && query.l_pid == me && query.l_start == 0);
    CHECK_OR_DIE(query.l_len == 5);
    return 0;
  });
  ASSERT_THAT(Set(fd_.get(), Lock(F_UNLCK)), SyscallSucceeds());
  EXPECT_CHILD_OK([&] { return Set(Open().get(), Lock(F_WRLCK)); });
}

TEST_F(DescriptorTest, PosixLockSplitsAndUpgrades) {
  ASSERT_THAT(Set(fd_.get(), Lock(F_WRLCK, 0, 10)), SyscallSucceeds());
  ASSERT_THAT(Set(fd_.get(), Lock(F_UNLCK, 3, 3)), SyscallSucceeds());
  ASSERT_THAT(Set(fd_.get(), Lock(F_RDLCK, 8, 2)), SyscallSucceeds());
  EXPECT_CHILD_OK([&] {
    Fd mine = Open();
    CHECK_OR_DIE(Set(mine.get(), Lock(F_WRLCK, 3, 3)) == 0);
    CHECK_OR_DIE(Set(mine.get(), Lock(F_WRLCK, 0, 3)) == -1);
    CHECK_OR_DIE(Set(mine.get(), Lock(F_RDLCK, 8, 2)) == 0);
    CHECK_OR_DIE(Set(mine.get(), Lock(F_WRLCK, 6, 2)) == -1);
    return 0;
  });
}

TEST_F(DescriptorTest, PosixLockGoesWithAnyClose) {
  ASSERT_THAT(Set(fd_.get(), Lock(F_WRLCK)), SyscallSucceeds());
  {
    Fd other = Open();
  }
  EXPECT_CHILD_OK([&] { return Set(Open().get(), Lock(F_WRLCK)); });
}

TEST_F(DescriptorTest, PosixLockWaits) {
  ASSERT_THAT(Set(fd_.get(), Lock(F_WRLCK)), SyscallSucceeds());
  pid_t child = StartChild([&] { return Set(Open().get(), Lock(F_WRLCK), F_SETLKW); });
  WaitUntilSleeping(child);
  ASSERT_THAT(Set(fd_.get(), Lock(F_UNLCK)), SyscallSucceeds());
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(DescriptorTest, PosixLockDeadlockIsFound) {
  ASSERT_THAT(Set(fd_.get(), Lock(F_WRLCK, 0, 1)), SyscallSucceeds());
  pid_t child = StartChild([&] {
    Fd mine = Open();
    CHECK_OR_DIE(Set(mine.get(), Lock(F_WRLCK, 1, 1)) == 0);
    CHECK_OR_DIE(Set(mine.get(), Lock(F_WRLCK, 0, 1), F_SETLKW) == 0);
    return 0;
  });
  WaitUntilSleeping(child);
  EXPECT_THAT(Set(fd_.get(), Lock(F_WRLCK, 1, 1), F_SETLKW), SyscallFailsWithErrno(EDEADLK));
  ASSERT_THAT(Set(fd_.get(), Lock(F_UNLCK)), SyscallSucceeds());
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(DescriptorTest, PosixLockErrors) {
  EXPECT_THAT(Set(fd_.get(), Lock(77)), SyscallFailsWithErrno(EINVAL));
  Fd ro = Open(O_RDONLY), wo = Open(O_WRONLY);
  EXPECT_THAT(Set(ro.get(), Lock(F_WRLCK)), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(Set(wo.get(), Lock(F_RDLCK)), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(Set(fd_.get(), Lock(F_RDLCK, -5, 1)), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Set(-1, Lock(F_RDLCK)), SyscallFailsWithErrno(EBADF));
}

TEST_F(DescriptorTest, OfdLocksBelongToTheOpenFile) {
  Fd other = Open();
  ASSERT_THAT(Set(fd_.get(), Lock(F_WRLCK), F_OFD_SETLK), SyscallSucceeds());
  EXPECT_THAT(Set(other.get(), Lock(F_WRLCK), F_OFD_SETLK), SyscallFailsWithErrno(EAGAIN));
  Fd copy(dup(fd_.get()));
  EXPECT_THAT(Set(copy.get(), Lock(F_WRLCK), F_OFD_SETLK), SyscallSucceeds());
  struct flock query = Lock(F_WRLCK);
  ASSERT_THAT(fcntl(other.get(), F_OFD_GETLK, &query), SyscallSucceeds());
  EXPECT_EQ(query.l_pid, -1);
  fd_.reset();
  EXPECT_THAT(Set(other.get(), Lock(F_WRLCK), F_OFD_SETLK), SyscallFailsWithErrno(EAGAIN));
  copy.reset();
  EXPECT_THAT(Set(other.get(), Lock(F_WRLCK), F_OFD_SETLK), SyscallSucceeds());
  struct flock bad = Lock(F_WRLCK);
  bad.l_pid = 1;
  EXPECT_THAT(Set(other.get(), bad, F_OFD_SETLK), SyscallFailsWithErrno(EINVAL));
}

TEST_F(DescriptorTest, Flock) {
  Fd other = Open();
  ASSERT_THAT(flock(fd_.get(), LOCK_SH), SyscallSucceeds());
  EXPECT_THAT(flock(other.get(), LOCK_SH | LOCK_NB), SyscallSucceeds());
  EXPECT_THAT(flock(other.get(), LOCK_EX | LOCK_NB), SyscallFailsWithErrno(EWOULDBLOCK));
  ASSERT_THAT(flock(fd_.get(), LOCK_UN), SyscallSucceeds());
  EXPECT_THAT(flock(other.get(), LOCK_EX | LOCK_NB), SyscallSucceeds());
  EXPECT_THAT(flock(fd_.get(), 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(flock(-1, LOCK_SH), SyscallFailsWithErrno(EBADF));
}

TEST_F(DescriptorTest, FlockWaitsAndSurvivesFork) {
  ASSERT_THAT(flock(fd_.get(), LOCK_EX), SyscallSucceeds());
  pid_t child = StartChild([&] { return flock(Open().get(), LOCK_EX); });
  WaitUntilSleeping(child);
  EXPECT_CHILD_OK([&] { return flock(fd_.get(), LOCK_EX | LOCK_NB); });
  ASSERT_THAT(flock(fd_.get(), LOCK_UN), SyscallSucceeds());
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(DescriptorTest, Ioctl) {
  int left;
  EXPECT_THAT(ioctl(fd_.get(), FIONREAD, &left), SyscallSucceeds());
  EXPECT_EQ(left, 10);
  EXPECT_THAT(ioctl(fd_.get(), FIOCLEX), SyscallSucceeds());
  EXPECT_EQ(fcntl(fd_.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_THAT(ioctl(fd_.get(), TIOCGWINSZ, &left), SyscallFailsWithErrno(ENOTTY));
  EXPECT_THAT(ioctl(-1, FIONREAD, &left), SyscallFailsWithErrno(EBADF));
  int on = 1;
  EXPECT_THAT(ioctl(fd_.get(), FIONBIO, &on), SyscallSucceeds());
  EXPECT_EQ(fcntl(fd_.get(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

TEST_F(DescriptorTest, ForkSharesOffsetsNotTables) {
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(lseek(fd_.get(), 7, SEEK_SET) == 7);
    close(fd_.get());
    return 0;
  });
  EXPECT_THAT(lseek(fd_.get(), 0, SEEK_CUR), SyscallSucceedsWithValue(7));
}

}  // namespace
