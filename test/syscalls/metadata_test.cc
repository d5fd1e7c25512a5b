// stat family, statx, chmod, chown, utimensat, access, xattrs, statfs.
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

#include "test/util/test_util.h"

namespace {
using namespace guest;

class MetadataTest : public testing::Test {
 protected:
  MetadataTest() : file_(dir_ / "file"), link_(dir_ / "link") {
    PutFile(file_, "hello");
    chmod(dir_.path().c_str(), 0755);
    CHECK_OR_DIE(symlink("file", link_.c_str()) == 0);
    dirfd_ = Fd(open(dir_.path().c_str(), O_RDONLY | O_DIRECTORY));
  }
  const char* file() { return file_.c_str(); }
  struct stat Stat() {
    struct stat st;
    CHECK_OR_DIE(stat(file(), &st) == 0);
    return st;
  }
  TempDir dir_;
  std::string file_, link_;
  Fd dirfd_;
};

int AsUser(uid_t uid, const std::function<int()>& body) {
  return InChild([&] {
    CHECK_OR_DIE(setgroups(0, nullptr) == 0);
    CHECK_OR_DIE(setresgid(uid, uid, uid) == 0);
    CHECK_OR_DIE(setresuid(uid, uid, uid) == 0);
    return body();
  });
}

TEST_F(MetadataTest, StatFields) {
  struct stat st = Stat();
  EXPECT_EQ(st.st_mode, S_IFREG | 0644u);
  EXPECT_EQ(st.st_size, 5);
  EXPECT_EQ(st.st_nlink, 1u);
  EXPECT_EQ(st.st_uid, geteuid());
  EXPECT_GT(st.st_ino, 0u);
  EXPECT_GT(st.st_blksize, 0);
}

TEST_F(MetadataTest, StatErrors) {
  struct stat st;
  EXPECT_THAT(stat((dir_ / "none").c_str(), &st), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(stat((file_ + "/x").c_str(), &st), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(Raw(SYS_stat, file(), 8), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_fstat, -1, &st), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fstatat(AT_FDCWD, file(), &st, 0x40000000), SyscallFailsWithErrno(EINVAL));
}

TEST_F(MetadataTest, LstatSeesTheLink) {
  struct stat st;
  ASSERT_THAT(lstat(link_.c_str(), &st), SyscallSucceeds());
  EXPECT_TRUE(S_ISLNK(st.st_mode));
  EXPECT_EQ(st.st_size, 4);
  ASSERT_THAT(stat(link_.c_str(), &st), SyscallSucceeds());
  EXPECT_TRUE(S_ISREG(st.st_mode));
  ASSERT_THAT(fstatat(dirfd_.get(), "link", &st, AT_SYMLINK_NOFOLLOW), SyscallSucceeds());
  EXPECT_TRUE(S_ISLNK(st.st_mode));
  ASSERT_THAT(lstat((link_ + "/").c_str(), &st), SyscallFailsWithErrno(ENOTDIR));
}

TEST_F(MetadataTest, FstatatEmptyPath) {
  Fd fd(open(file(), O_RDONLY));
  struct stat st;
  ASSERT_THAT(fstatat(fd.get(), "", &st, AT_EMPTY_PATH), SyscallSucceeds());
  EXPECT_EQ(st.st_ino, Stat().st_ino);
  EXPECT_THAT(fstatat(fd.get(), "", &st, 0), SyscallFailsWithErrno(ENOENT));
}

TEST_F(MetadataTest, HardLinksShareTheInode) {
  ASSERT_THAT(link(file(), (dir_ / "other").c_str()), SyscallSucceeds());
  struct stat st;
  ASSERT_THAT(stat((dir_ / "other").c_str(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_ino, Stat().st_ino);
  EXPECT_EQ(st.st_nlink, 2u);
}

TEST_F(MetadataTest, DirectoryLinkCountsSubdirectories) {
  struct stat st;
  ASSERT_THAT(mkdir((dir_ / "d").c_str(), 0755), SyscallSucceeds());
  ASSERT_THAT(mkdir((dir_ / "d/a").c_str(), 0755), SyscallSucceeds());
  ASSERT_THAT(stat((dir_ / "d").c_str(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_nlink, 3u);
}

TEST_F(MetadataTest, Statx) {
  struct statx sx;
  ASSERT_THAT(statx(AT_FDCWD, file(), 0, STATX_BASIC_STATS, &sx), SyscallSucceeds());
  EXPECT_EQ(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
  EXPECT_EQ(sx.stx_mode, S_IFREG | 0644);
  EXPECT_EQ(sx.stx_size, 5u);
  struct stat st = Stat();
  EXPECT_EQ(sx.stx_ino, st.st_ino);
  EXPECT_EQ(makedev(sx.stx_dev_major, sx.stx_dev_minor), st.st_dev);
  EXPECT_EQ(sx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
}

TEST_F(MetadataTest, StatxErrors) {
  struct statx sx;
  EXPECT_THAT(statx(AT_FDCWD, file(), 1 << 30, STATX_BASIC_STATS, &sx),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(statx(AT_FDCWD, file(), 0, 0x80000000u, &sx), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(statx(AT_FDCWD, file(), AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, 0, &sx),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(statx(-1, "x", 0, STATX_BASIC_STATS, &sx), SyscallFailsWithErrno(EBADF));
}

TEST_F(MetadataTest, Chmod) {
  ASSERT_THAT(chmod(file(), 04711), SyscallSucceeds());
  EXPECT_EQ(Stat().st_mode, S_IFREG | 04711u);
  Fd fd(open(file(), O_RDONLY));
  ASSERT_THAT(fchmod(fd.get(), 0600), SyscallSucceeds());
  EXPECT_EQ(Stat().st_mode, S_IFREG | 0600u);
  ASSERT_THAT(fchmodat(dirfd_.get(), "file", 0640, 0), SyscallSucceeds());
  EXPECT_EQ(Stat().st_mode, S_IFREG | 0640u);
  ASSERT_THAT(chmod(link_.c_str(), 0644), SyscallSucceeds());
  EXPECT_EQ(Stat().st_mode, S_IFREG | 0644u);
}

TEST_F(MetadataTest, ChmodErrors) {
  EXPECT_THAT(chmod((dir_ / "no").c_str(), 0600), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(fchmod(-1, 0600), SyscallFailsWithErrno(EBADF));
  EXPECT_EQ(AsUser(12345,
                   [&] {
                     CHECK_OR_DIE(chmod(file(), 0777) == -1 && errno == EPERM);
                     return 0;
                   }),
            0);
}

TEST_F(MetadataTest, Chown) {
  ASSERT_THAT(chown(file(), 1000, 1001), SyscallSucceeds());
  EXPECT_EQ(Stat().st_uid, 1000u);
  EXPECT_EQ(Stat().st_gid, 1001u);
  ASSERT_THAT(chown(file(), -1, 7), SyscallSucceeds());
  EXPECT_EQ(Stat().st_uid, 1000u);
  EXPECT_EQ(Stat().st_gid, 7u);
  Fd fd(open(file(), O_RDONLY));
  ASSERT_THAT(fchown(fd.get(), 5, -1), SyscallSucceeds());
  EXPECT_EQ(Stat().st_uid, 5u);
  ASSERT_THAT(lchown(link_.c_str(), 9, 9), SyscallSucceeds());
  EXPECT_EQ(Stat().st_uid, 5u);
  ASSERT_THAT(fchownat(fd.get(), "", 6, 6, AT_EMPTY_PATH), SyscallSucceeds());
  EXPECT_EQ(Stat().st_uid, 6u);
}

TEST_F(MetadataTest, ChownClearsSetuid) {
  ASSERT_THAT(chmod(file(), 06755), SyscallSucceeds());
  ASSERT_THAT(chown(file(), 1000, 1000), SyscallSucceeds());
  EXPECT_EQ(Stat().st_mode & 07777, 0755u);
}

TEST_F(MetadataTest, ChownErrors) {
  EXPECT_THAT(chown((dir_ / "no").c_str(), 0, 0), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(fchown(-1, 0, 0), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fchownat(AT_FDCWD, file(), 0, 0, 1 << 30), SyscallFailsWithErrno(EINVAL));
  EXPECT_EQ(AsUser(12345,
                   [&] {
                     CHECK_OR_DIE(chown(file(), 12345, -1) == -1 && errno == EPERM);
                     return 0;
                   }),
            0);
}

TEST_F(MetadataTest, OwnerMayGiveToOwnGroupOnly) {
  ASSERT_THAT(chown(file(), 12345, 12345), SyscallSucceeds());
  EXPECT_EQ(AsUser(12345,
                   [&] {
                     CHECK_OR_DIE(chown(file(), -1, 12345) == 0);
                     CHECK_OR_DIE(chown(file(), -1, 1) == -1 && errno == EPERM);
                     return 0;
                   }),
            0);
}

TEST_F(MetadataTest, Utimensat) {
  timespec times[2] = {{1000, 111}, {2000, 222}};
  ASSERT_THAT(utimensat(AT_FDCWD, file(), times, 0), SyscallSucceeds());
  struct stat st = Stat();
  EXPECT_EQ(st.st_atim.tv_sec, 1000);
  EXPECT_EQ(st.st_mtim.tv_sec, 2000);
  EXPECT_EQ(st.st_mtim.tv_nsec, 222);
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_nsec = UTIME_NOW;
  ASSERT_THAT(utimensat(AT_FDCWD, file(), times, 0), SyscallSucceeds());
  st = Stat();
  EXPECT_EQ(st.st_atim.tv_sec, 1000);
  EXPECT_GT(st.st_mtim.tv_sec, 1600000000);
  ASSERT_THAT(utimensat(AT_FDCWD, file(), nullptr, 0), SyscallSucceeds());
  EXPECT_GT(Stat().st_atim.tv_sec, 1600000000);
}

TEST_F(MetadataTest, UtimensatErrors) {
  timespec times[2] = {{1, 1000000000}, {1, 0}};
  EXPECT_THAT(utimensat(AT_FDCWD, file(), times, 0), SyscallFailsWithErrno(EINVAL));
  times[0].tv_nsec = 0;
  EXPECT_THAT(utimensat(AT_FDCWD, (dir_ / "no").c_str(), times, 0), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(utimensat(AT_FDCWD, file(), times, 1 << 30), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(futimens(-1, times), SyscallFailsWithErrno(EBADF));
  EXPECT_EQ(AsUser(12345,
                   [&] {
                     CHECK_OR_DIE(utimensat(AT_FDCWD, file(), times, 0) == -1 && errno == EPERM);
                     CHECK_OR_DIE(utimensat(AT_FDCWD, file(), nullptr, 0) == -1 && errno == EACCES);
                     return 0;
                   }),
            0);
}

TEST_F(MetadataTest, UtimesAndLutimes) {
  timeval times[2] = {{5, 6}, {7, 8}};
  ASSERT_THAT(utimes(file(), times), SyscallSucceeds());
  EXPECT_EQ(Stat().st_mtim.tv_sec, 7);
  EXPECT_EQ(Stat().st_mtim.tv_nsec, 8000);
  utimbuf buf = {11, 12};
  ASSERT_THAT(Raw(SYS_utime, file(), &buf), SyscallSucceeds());
  EXPECT_EQ(Stat().st_mtim.tv_sec, 12);
  ASSERT_THAT(lutimes(link_.c_str(), times), SyscallSucceeds());
  EXPECT_EQ(Stat().st_mtim.tv_sec, 12);
}

TEST_F(MetadataTest, WriteUpdatesMtimeAndCtime) {
  timespec times[2] = {{1000, 0}, {1000, 0}};
  ASSERT_THAT(utimensat(AT_FDCWD, file(), times, 0), SyscallSucceeds());
  Fd fd(open(file(), O_WRONLY));
  ASSERT_THAT(write(fd.get(), "x", 1), SyscallSucceeds());
  EXPECT_GT(Stat().st_mtim.tv_sec, 1600000000);
  EXPECT_GT(Stat().st_ctim.tv_sec, 1600000000);
}

TEST_F(MetadataTest, Access) {
  EXPECT_THAT(access(file(), F_OK | R_OK | W_OK), SyscallSucceeds());
  EXPECT_THAT(access(file(), X_OK), SyscallFailsWithErrno(EACCES));
  EXPECT_THAT(access((dir_ / "no").c_str(), F_OK), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(access(file(), 8), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(access(dir_.path().c_str(), X_OK), SyscallSucceeds());
}

TEST_F(MetadataTest, AccessUsesRealIds) {
  ASSERT_THAT(chmod(file(), 0600), SyscallSucceeds());
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setresuid(12345, 0, 0) == 0);
    CHECK_OR_DIE(access(file(), R_OK) == -1 && errno == EACCES);
    CHECK_OR_DIE(Raw(SYS_faccessat2, AT_FDCWD, file(), R_OK, AT_EACCESS) == 0);
    return 0;
  });
}

TEST_F(MetadataTest, Faccessat2) {
  ASSERT_THAT(unlink(file()), SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_faccessat2, dirfd_.get(), "link", F_OK, 0), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(Raw(SYS_faccessat2, dirfd_.get(), "link", F_OK, AT_SYMLINK_NOFOLLOW),
              SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_faccessat2, dirfd_.get(), "link", F_OK, 1 << 30),
              SyscallFailsWithErrno(EINVAL));
}

TEST_F(MetadataTest, GroupAndOtherBits) {
  ASSERT_THAT(chown(file(), 0, 777), SyscallSucceeds());
  ASSERT_THAT(chmod(file(), 0604), SyscallSucceeds());
  EXPECT_EQ(AsUser(777,
                   [&] {  // In the group: the group's bits decide, not the others'.
                     CHECK_OR_DIE(open(file(), O_RDONLY) == -1 && errno == EACCES);
                     return 0;
                   }),
            0);
  EXPECT_EQ(AsUser(778, [&] { return open(file(), O_RDONLY) >= 0 ? 0 : 1; }), 0);
}

TEST_F(MetadataTest, SetgidDirectoryGivesItsGroup) {
  ASSERT_THAT(mkdir((dir_ / "d").c_str(), 0755), SyscallSucceeds());
  ASSERT_THAT(chown((dir_ / "d").c_str(), 0, 777), SyscallSucceeds());
  ASSERT_THAT(chmod((dir_ / "d").c_str(), 02755), SyscallSucceeds());
  PutFile(dir_ / "d/f", "");
  ASSERT_THAT(mkdir((dir_ / "d/sub").c_str(), 0755), SyscallSucceeds());
  struct stat st;
  ASSERT_THAT(stat((dir_ / "d/f").c_str(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_gid, 777u);
  ASSERT_THAT(stat((dir_ / "d/sub").c_str(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_gid, 777u);
  EXPECT_EQ(st.st_mode & S_ISGID, unsigned{S_ISGID});
}

TEST_F(MetadataTest, Xattrs) {
  char buf[64];
  ASSERT_THAT(setxattr(file(), "user.a", "one", 3, 0), SyscallSucceeds());
  EXPECT_THAT(getxattr(file(), "user.a", buf, sizeof buf), SyscallSucceedsWithValue(3));
  EXPECT_EQ(memcmp(buf, "one", 3), 0);
  EXPECT_THAT(getxattr(file(), "user.a", nullptr, 0), SyscallSucceedsWithValue(3));
  EXPECT_THAT(getxattr(file(), "user.a", buf, 2), SyscallFailsWithErrno(ERANGE));
  EXPECT_THAT(setxattr(file(), "user.a", "x", 1, XATTR_CREATE), SyscallFailsWithErrno(EEXIST));
  EXPECT_THAT(setxattr(file(), "user.b", "x", 1, XATTR_REPLACE), SyscallFailsWithErrno(ENODATA));
  EXPECT_THAT(setxattr(file(), "user.b", "x", 1, 99), SyscallFailsWithErrno(EINVAL));
  ASSERT_THAT(setxattr(file(), "user.b", "", 0, 0), SyscallSucceeds());
  ssize_t n = listxattr(file(), buf, sizeof buf);
  ASSERT_THAT(n, SyscallSucceeds());
  std::string list(buf, n);
  EXPECT_NE(list.find(std::string("user.a\0", 7)), std::string::npos);
  EXPECT_NE(list.find(std::string("user.b\0", 7)), std::string::npos);
  EXPECT_THAT(removexattr(file(), "user.a"), SyscallSucceeds());
  EXPECT_THAT(removexattr(file(), "user.a"), SyscallFailsWithErrno(ENODATA));
  EXPECT_THAT(getxattr(file(), "user.a", buf, sizeof buf), SyscallFailsWithErrno(ENODATA));
}

TEST_F(MetadataTest, XattrErrors) {
  char buf[8];
  EXPECT_THAT(setxattr(file(), "", "x", 1, 0), SyscallFailsWithErrno(ERANGE));
  std::string name = "user." + std::string(256, 'a');
  EXPECT_THAT(setxattr(file(), name.c_str(), "x", 1, 0), SyscallFailsWithErrno(ERANGE));
  EXPECT_THAT(setxattr(file(), "user.x", buf, 65537, 0), SyscallFailsWithErrno(E2BIG));
  EXPECT_THAT(setxattr(file(), "nonsense.x", "x", 1, 0), SyscallFailsWithErrno(EOPNOTSUPP));
  EXPECT_THAT(lsetxattr(link_.c_str(), "user.x", "x", 1, 0), SyscallFailsWithErrno(EPERM));
  Fd fd(open(file(), O_RDONLY));
  ASSERT_THAT(fsetxattr(fd.get(), "user.f", "1", 1, 0), SyscallSucceeds());
  EXPECT_THAT(fgetxattr(fd.get(), "user.f", buf, 8), SyscallSucceedsWithValue(1));
  EXPECT_THAT(fremovexattr(fd.get(), "user.f"), SyscallSucceeds());
  EXPECT_THAT(flistxattr(-1, buf, 8), SyscallFailsWithErrno(EBADF));
}

TEST_F(MetadataTest, Statfs) {
  struct statfs a, b;
  ASSERT_THAT(statfs(file(), &a), SyscallSucceeds());
  Fd fd(open(file(), O_RDONLY));
  ASSERT_THAT(fstatfs(fd.get(), &b), SyscallSucceeds());
  EXPECT_EQ(a.f_type, b.f_type);
  EXPECT_GT(a.f_bsize, 0);
  EXPECT_EQ(a.f_namelen, 255);
  EXPECT_THAT(statfs((dir_ / "no").c_str(), &a), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(fstatfs(-1, &a), SyscallFailsWithErrno(EBADF));
  ASSERT_THAT(statfs("/proc", &a), SyscallSucceeds());
  EXPECT_EQ(a.f_type, 0x9fa0);
}

TEST_F(MetadataTest, UmaskIsMasked) {
  mode_t old = umask(0);
  EXPECT_EQ(umask(07777), 0u);
  EXPECT_EQ(umask(old), 0777u);
}

}  // namespace
