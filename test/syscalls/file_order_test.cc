// Which error comes first, and who may do what: found by playing the same random calls natively and
// in the sandbox.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <string>

#include "test/util/test_util.h"

namespace {
using namespace guest;

class FileOrderTest : public testing::Test {
 protected:
  FileOrderTest() {
    PutFile(P("file"), "data");
    CHECK_OR_DIE(mkdir(P("dir").c_str(), 0755) == 0);
    CHECK_OR_DIE(mkdir(P("open").c_str(), 0777) == 0);
    CHECK_OR_DIE(chmod(P("open").c_str(), 0777) == 0);
    CHECK_OR_DIE(chmod(top_.path().c_str(), 0755) == 0);
  }
  std::string P(std::string_view name) { return top_ / name; }

  // Runs `body` as somebody without privileges; it answers whether all was as expected.
  template <typename Body>
  bool AsNobody(Body body) {
    return InChild([&] {
             CHECK_OR_DIE(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0);
             return body() ? 0 : 1;
           }) == 0;
  }
  // Runs `body` in a mount namespace of its own, with a tmpfs on "dir".
  template <typename Body>
  bool WithTmpfs(Body body) {
    return InChild([&] {
             CHECK_OR_DIE(unshare(CLONE_NEWNS) == 0);
             CHECK_OR_DIE(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
             CHECK_OR_DIE(mount("t", P("dir").c_str(), "tmpfs", 0, nullptr) == 0);
             return body() ? 0 : 1;
           }) == 0;
  }
  static bool Fails(int64_t result, int error) { return result == -1 && errno == error; }

  TempDir top_;
};

TEST_F(FileOrderTest, UtimensatFindsTheFileFirst) {
  timespec bad[2] = {{0, 2000000000}, {0, 0}};
  EXPECT_THAT(utimensat(AT_FDCWD, P("none").c_str(), bad, 0), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(utimensat(AT_FDCWD, P("file/x").c_str(), bad, 0), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(utimensat(AT_FDCWD, P("file").c_str(), bad, 0), SyscallFailsWithErrno(EINVAL));
}

TEST_F(FileOrderTest, MknodLooksAtThePathBeforeThePrivilege) {
  EXPECT_TRUE(AsNobody([&] {
    return Fails(mknod(P("file").c_str(), S_IFCHR, makedev(1, 3)), EEXIST) &&
           Fails(mknod(P("file/x").c_str(), S_IFCHR, makedev(1, 3)), ENOTDIR) &&
           Fails(mknod(P("dir/x").c_str(), S_IFCHR, makedev(1, 3)), EACCES) &&
           Fails(mknod(P("open/x").c_str(), S_IFBLK, makedev(1, 3)), EPERM);
  }));
}

TEST_F(FileOrderTest, XattrsOfNoNamespaceAskForPermissionFirst) {
  EXPECT_THAT(setxattr(P("file").c_str(), "bad", "v", 1, 0), SyscallFailsWithErrno(EOPNOTSUPP));
  EXPECT_THAT(removexattr(P("file").c_str(), "no.such"), SyscallFailsWithErrno(EOPNOTSUPP));
  EXPECT_TRUE(AsNobody([&] {
    return Fails(setxattr(P("file").c_str(), "bad", "v", 1, 0), EACCES) &&
           Fails(removexattr(P("file").c_str(), "no.such"), EACCES);
  }));
}

TEST_F(FileOrderTest, UserXattrsAskForTheTypeBeforeTheName) {
  ASSERT_THAT(mkfifo(P("fifo").c_str(), 0666), SyscallSucceeds());
  char buffer[8];
  EXPECT_THAT(setxattr(P("fifo").c_str(), "user.", "v", 1, 0), SyscallFailsWithErrno(EPERM));
  EXPECT_THAT(getxattr(P("fifo").c_str(), "user.", buffer, 8), SyscallFailsWithErrno(ENODATA));
  EXPECT_TRUE(
      AsNobody([&] { return Fails(setxattr(P("file").c_str(), "user.", "v", 1, 0), EACCES); }));
}

TEST_F(FileOrderTest, RenameReportsTheOldPathFirst) {
  std::string is_long = P(std::string(256, 'x'));
  EXPECT_THAT(rename(P("file/x").c_str(), ""), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(rename(P("none/x").c_str(), P("file/x").c_str()), SyscallFailsWithErrno(ENOENT));
  // The last name's length is looked at when it is looked up, after both walks.
  EXPECT_THAT(rename(is_long.c_str(), P("file/x").c_str()), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(rename(is_long.c_str(), P("x").c_str()), SyscallFailsWithErrno(ENAMETOOLONG));
  EXPECT_THAT(rename(P("file").c_str(), ""), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(
      renameat2(AT_FDCWD, P("file").c_str(), AT_FDCWD, "", RENAME_EXCHANGE | RENAME_NOREPLACE),
      SyscallFailsWithErrno(EINVAL));
}

TEST_F(FileOrderTest, LinkReportsTheOldPathFirst) {
  EXPECT_THAT(link(P("file/x").c_str(), ""), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(link(P("file").c_str(), ""), SyscallFailsWithErrno(ENOENT));
}

TEST_F(FileOrderTest, RenameOfTwoNamesOfOneFileNeedsNoPermission) {
  ASSERT_THAT(link(P("file").c_str(), P("dir/name").c_str()), SyscallSucceeds());
  EXPECT_TRUE(AsNobody([&] { return rename(P("file").c_str(), P("dir/name").c_str()) == 0; }));
  EXPECT_THAT(access(P("file").c_str(), F_OK), SyscallSucceeds());
}

TEST_F(FileOrderTest, AbsolutePathsNeedNoDirectoryDescriptor) {
  open_how how{};
  how.flags = O_PATH;
  how.resolve = RESOLVE_NO_SYMLINKS;
  Fd fd(static_cast<int>(Raw(SYS_openat2, -1, "/", &how, sizeof(how))));
  EXPECT_GE(fd.get(), 0);
  how.resolve = RESOLVE_NO_XDEV;  // what counts is from the root on
  Fd other(static_cast<int>(Raw(SYS_openat2, -1, "/", &how, sizeof(how))));
  EXPECT_GE(other.get(), 0);
  how.resolve = RESOLVE_BENEATH;
  EXPECT_THAT(Raw(SYS_openat2, -1, "/", &how, sizeof(how)), SyscallFailsWithErrno(EXDEV));
  how.resolve = RESOLVE_IN_ROOT;
  EXPECT_THAT(Raw(SYS_openat2, -1, "/", &how, sizeof(how)), SyscallFailsWithErrno(EBADF));
}

TEST_F(FileOrderTest, ChownToNobodyNewIsNoWayToClearSetIdBits) {
  ASSERT_THAT(chmod(P("file").c_str(), 04755), SyscallSucceeds());
  EXPECT_TRUE(AsNobody([&] { return Fails(chown(P("file").c_str(), -1, -1), EPERM); }));
  struct stat st;
  ASSERT_THAT(stat(P("file").c_str(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_mode & 07777, 04755u);
  ASSERT_THAT(chmod(P("file").c_str(), 0755), SyscallSucceeds());
  EXPECT_TRUE(AsNobody([&] { return chown(P("file").c_str(), -1, -1) == 0; }));
}

TEST_F(FileOrderTest, FallocateThatFailsLeavesSetIdBits) {
  EXPECT_TRUE(WithTmpfs([&] {
    PutFile(P("dir/f"), "data");
    CHECK_OR_DIE(chmod(P("dir/f").c_str(), 06777) == 0 && chmod(P("dir").c_str(), 0777) == 0);
    CHECK_OR_DIE(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0);
    Fd fd(open(P("dir/f").c_str(), O_RDWR));
    CHECK_OR_DIE(fd.get() >= 0);
    struct stat st;
    return Fails(fallocate(fd.get(), 8 /* FALLOC_FL_COLLAPSE_RANGE */, 0, 4096), EOPNOTSUPP) &&
           fstat(fd.get(), &st) == 0 && (st.st_mode & 07777) == 06777 &&
           write(fd.get(), "x", 1) == 1 && fstat(fd.get(), &st) == 0 &&
           (st.st_mode & 07777) == 0777;
  }));
}

// A directory that is moved out of what a bind mount shows is no way out of it.
TEST_F(FileOrderTest, NoWayUpOutOfABindMount) {
  EXPECT_TRUE(WithTmpfs([&] {
    CHECK_OR_DIE(mkdir(P("dir/shown").c_str(), 0755) == 0);
    CHECK_OR_DIE(mkdir(P("dir/shown/sub").c_str(), 0755) == 0);
    CHECK_OR_DIE(mount(P("dir/shown").c_str(), P("open").c_str(), nullptr, MS_BIND, nullptr) == 0);
    Fd sub(open(P("open/sub").c_str(), O_RDONLY | O_DIRECTORY));
    CHECK_OR_DIE(sub.get() >= 0 && openat(sub.get(), "../sub", O_RDONLY) >= 0);
    CHECK_OR_DIE(rename(P("dir/shown/sub").c_str(), P("dir/moved").c_str()) == 0);
    return Fails(openat(sub.get(), "..", O_RDONLY), ENOENT) &&
           Fails(openat(sub.get(), "../shown", O_RDONLY), ENOENT) &&
           openat(sub.get(), ".", O_RDONLY) >= 0;
  }));
}

TEST_F(FileOrderTest, ReadOnlyMountsSaySoBeforeTheNameIsLookedUp) {
  EXPECT_TRUE(WithTmpfs([&] {
    CHECK_OR_DIE(mkdir(P("dir/sub").c_str(), 0755) == 0);
    CHECK_OR_DIE(mount("t", P("dir").c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0);
    return Fails(unlink(P("dir/none").c_str()), EROFS) &&
           Fails(rmdir(P("dir/none").c_str()), EROFS) &&
           Fails(rename(P("dir/none").c_str(), P("dir/x").c_str()), EROFS) &&
           Fails(mkdir(P("dir/sub").c_str(), 0755), EEXIST);
  }));
}

// relatime: a change after the last read makes the next one count.
TEST_F(FileOrderTest, ReadingAfterALinkSetsAtime) {
  EXPECT_TRUE(WithTmpfs([&] {
    std::string file = P("dir/f");
    auto atime = [&] {
      struct stat st;
      CHECK_OR_DIE(stat(file.c_str(), &st) == 0);
      return st.st_atim.tv_sec * 1000000000 + st.st_atim.tv_nsec;
    };
    PutFile(file, "data");
    SleepMs(20);
    GetFile(file);
    int64_t before = atime();
    SleepMs(20);
    CHECK_OR_DIE(link(file.c_str(), P("dir/g").c_str()) == 0);
    SleepMs(20);
    GetFile(file);
    return atime() > before;
  }));
}

}  // namespace
