// fcntl(2) commands on hints, direct I/O, pipes, creation, and what is no command.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/util/test_util.h"

namespace {
using namespace guest;

constexpr int kDupQuery = 1027, kCreatedQuery = 1028;

TEST(FcntlTest, WriteHintIsKeptWithTheFile) {
  TempDir dir;
  Fd a(open((dir / "f").c_str(), O_RDWR | O_CREAT, 0644));
  Fd b(open((dir / "f").c_str(), O_RDONLY));
  uint64_t hint = 77;
  ASSERT_THAT(fcntl(a.get(), F_GET_RW_HINT, &hint), SyscallSucceeds());
  EXPECT_EQ(hint, static_cast<uint64_t>(RWH_WRITE_LIFE_NOT_SET));
  hint = RWH_WRITE_LIFE_MEDIUM;
  ASSERT_THAT(fcntl(a.get(), F_SET_RW_HINT, &hint), SyscallSucceeds());
  hint = 0;
  ASSERT_THAT(fcntl(b.get(), F_GET_RW_HINT, &hint), SyscallSucceeds());
  EXPECT_EQ(hint, static_cast<uint64_t>(RWH_WRITE_LIFE_MEDIUM));
  hint = RWH_WRITE_LIFE_EXTREME + 1;
  EXPECT_THAT(fcntl(a.get(), F_SET_RW_HINT, &hint), SyscallFailsWithErrno(EINVAL));
  hint = (1ull << 32) | RWH_WRITE_LIFE_SHORT;
  EXPECT_THAT(fcntl(a.get(), F_SET_RW_HINT, &hint), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(fcntl(a.get(), F_SET_RW_HINT, nullptr), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(fcntl(a.get(), F_GET_RW_HINT, nullptr), SyscallFailsWithErrno(EFAULT));
}

TEST(FcntlTest, WriteHintIsTheOwnersToSet) {
  TempDir dir;
  Fd fd(open((dir / "f").c_str(), O_RDWR | O_CREAT, 0666));
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setresuid(1001, 1001, 1001) == 0);
    uint64_t hint = 1;
    CHECK_OR_DIE(fcntl(fd.get(), F_SET_RW_HINT, &hint) == -1 && errno == EPERM);
    return 0;
  });
}

// Hints of a description are no more since Linux 5.17.
TEST(FcntlTest, NoCommands) {
  Fd fd(open("/", O_RDONLY));
  uint64_t hint = 0;
  for (int command : {F_GET_FILE_RW_HINT, F_SET_FILE_RW_HINT, 1039, -1, 500}) {
    EXPECT_THAT(fcntl(fd.get(), command, &hint), SyscallFailsWithErrno(EINVAL)) << command;
  }
}

TEST(FcntlTest, DirectIoIsForCachedFiles) {
  int s[2], p[2];
  ASSERT_THAT(socketpair(AF_UNIX, SOCK_STREAM, 0, s), SyscallSucceeds());
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  Fd no[] = {Fd(s[0]),
             Fd(s[1]),
             Fd(eventfd(0, 0)),
             Fd(open("/", O_RDONLY)),
             Fd(open("/dev/null", O_RDWR)),
             Fd(open("/proc/self/maps", O_RDONLY))};
  for (const Fd& fd : no) {
    EXPECT_THAT(fcntl(fd.get(), F_SETFL, O_DIRECT), SyscallFailsWithErrno(EINVAL));
  }
  EXPECT_THAT(fcntl(p[1], F_SETFL, O_DIRECT), SyscallSucceeds());
  TempDir dir;
  Fd file(open((dir / "f").c_str(), O_RDWR | O_CREAT, 0600));
  EXPECT_THAT(fcntl(file.get(), F_SETFL, O_DIRECT), SyscallSucceeds());
  EXPECT_NE(fcntl(file.get(), F_GETFL) & O_DIRECT, 0);
  for (const char* path : {"/", "/dev/null", "/proc/self/maps"}) {
    EXPECT_THAT(open(path, O_RDONLY | O_DIRECT), SyscallFailsWithErrno(EINVAL)) << path;
  }
  ASSERT_THAT(mkfifo((dir / "p").c_str(), 0600), SyscallSucceeds());
  EXPECT_THAT(open((dir / "p").c_str(), O_RDWR | O_DIRECT), SyscallFailsWithErrno(EINVAL));
  close(p[0]);
  close(p[1]);
}

TEST(FcntlTest, CreatedSaysWhoMadeTheFile) {
  TempDir dir;
  Fd first(open((dir / "f").c_str(), O_RDWR | O_CREAT, 0600));
  int made = fcntl(first.get(), kCreatedQuery);
  if (made == -1 && errno == EINVAL) GTEST_SKIP() << "before Linux 6.12";
  EXPECT_EQ(made, 1);
  Fd second(open((dir / "f").c_str(), O_RDWR | O_CREAT, 0600));
  EXPECT_THAT(fcntl(second.get(), kCreatedQuery), SyscallSucceedsWithValue(0));
  Fd unnamed(open(dir.path().c_str(), O_RDWR | O_TMPFILE, 0600));
  EXPECT_THAT(fcntl(unnamed.get(), kCreatedQuery), SyscallSucceedsWithValue(0));
  Fd place(open((dir / "f").c_str(), O_PATH));
  EXPECT_THAT(fcntl(place.get(), kCreatedQuery), SyscallSucceedsWithValue(0));
}

TEST(FcntlTest, DupQueryComparesDescriptions) {
  Fd a(open("/", O_RDONLY)), b(open("/", O_RDONLY)), copy(dup(a.get()));
  int same = fcntl(a.get(), kDupQuery, copy.get());
  if (same == -1 && errno == EINVAL) GTEST_SKIP() << "before Linux 6.10";
  EXPECT_EQ(same, 1);
  EXPECT_THAT(fcntl(a.get(), kDupQuery, a.get()), SyscallSucceedsWithValue(1));
  EXPECT_THAT(fcntl(a.get(), kDupQuery, b.get()), SyscallSucceedsWithValue(0));
  EXPECT_THAT(fcntl(a.get(), kDupQuery, -1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fcntl(-1, kDupQuery, a.get()), SyscallFailsWithErrno(EBADF));
}

TEST(FcntlTest, PipeSizes) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  Fd r(p[0]), w(p[1]);
  EXPECT_THAT(fcntl(p[0], F_SETPIPE_SZ, 0), SyscallSucceedsWithValue(4096));
  EXPECT_THAT(fcntl(p[0], F_SETPIPE_SZ, 4097), SyscallSucceedsWithValue(8192));
  EXPECT_THAT(fcntl(p[0], F_SETPIPE_SZ, -1), SyscallFailsWithErrno(EINVAL));
  // The argument is an unsigned int.
  EXPECT_THAT(Raw(SYS_fcntl, p[0], F_SETPIPE_SZ, 0x100004000ul), SyscallSucceedsWithValue(16384));
  EXPECT_THAT(fcntl(p[1], F_GETPIPE_SZ), SyscallSucceedsWithValue(16384));
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setresuid(1001, 1001, 1001) == 0);
    CHECK_OR_DIE(fcntl(p[0], F_SETPIPE_SZ, 1 << 20) == 1 << 20);
    CHECK_OR_DIE(fcntl(p[0], F_SETPIPE_SZ, (1 << 20) + 1) == -1 && errno == EPERM);
    CHECK_OR_DIE(fcntl(p[0], F_SETPIPE_SZ, 1u << 31) == -1 && errno == EPERM);
    return 0;
  });
  Fd other(eventfd(0, 0));
  EXPECT_THAT(fcntl(other.get(), F_GETPIPE_SZ), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fcntl(other.get(), F_SETPIPE_SZ, 4096), SyscallFailsWithErrno(EBADF));
}

TEST(FcntlTest, SealsAreForMemoryFiles) {
  TempDir dir;
  Fd file(open((dir / "f").c_str(), O_RDWR | O_CREAT, 0600));
  Fd reader(open((dir / "f").c_str(), O_RDONLY));
  EXPECT_THAT(fcntl(file.get(), F_GET_SEALS), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(fcntl(reader.get(), F_ADD_SEALS, F_SEAL_SEAL), SyscallFailsWithErrno(EPERM));
}

TEST(FcntlTest, LeasesThatAreNot) {
  TempDir dir;
  Fd file(open((dir / "f").c_str(), O_RDWR | O_CREAT, 0600));
  Fd event(eventfd(0, 0));
  EXPECT_THAT(fcntl(file.get(), F_GETLEASE), SyscallSucceedsWithValue(F_UNLCK));
  EXPECT_THAT(fcntl(file.get(), F_SETLEASE, F_UNLCK), SyscallFailsWithErrno(EAGAIN));
  EXPECT_THAT(fcntl(event.get(), F_SETLEASE, F_RDLCK), SyscallFailsWithErrno(EINVAL));
}

TEST(FcntlTest, DirectoryNotifyOfOthers) {
  TempDir dir;
  Fd file(open((dir / "f").c_str(), O_RDWR | O_CREAT, 0600));
  Fd directory(open(dir.path().c_str(), O_RDONLY));
  EXPECT_THAT(fcntl(file.get(), F_NOTIFY, DN_CREATE), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(fcntl(directory.get(), F_NOTIFY, 0), SyscallSucceeds());
}

}  // namespace
