// open, openat, openat2, creat, close.
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "test/util/test_util.h"

namespace {
using namespace guest;

class OpenTest : public testing::Test {
 protected:
  OpenTest() : file_(dir_ / "file") { PutFile(file_, "hello"); }
  int Open(int flags, mode_t mode = 0) { return open(file_.c_str(), flags, mode); }
  TempDir dir_;
  std::string file_;
};

TEST_F(OpenTest, ReadOnly) {
  Fd fd(Open(O_RDONLY));
  ASSERT_TRUE(fd.valid());
  char buf[8];
  EXPECT_THAT(read(fd.get(), buf, sizeof buf), SyscallSucceedsWithValue(5));
  EXPECT_THAT(write(fd.get(), "x", 1), SyscallFailsWithErrno(EBADF));
}

TEST_F(OpenTest, WriteOnly) {
  Fd fd(Open(O_WRONLY));
  ASSERT_TRUE(fd.valid());
  char c;
  EXPECT_THAT(read(fd.get(), &c, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(write(fd.get(), "J", 1), SyscallSucceedsWithValue(1));
  EXPECT_EQ(GetFile(file_), "Jello");
}

TEST_F(OpenTest, LowestDescriptorIsUsed) {
  int a = Open(O_RDONLY), b = Open(O_RDONLY);
  close(a);
  Fd c(Open(O_RDONLY));
  EXPECT_EQ(c.get(), a);
  close(b);
}

TEST_F(OpenTest, MissingIsEnoent) {
  EXPECT_THAT(open((dir_ / "none").c_str(), O_RDONLY), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(open((dir_ / "none/x").c_str(), O_RDONLY | O_CREAT, 0600),
              SyscallFailsWithErrno(ENOENT));
}

TEST_F(OpenTest, EmptyPathIsEnoent) {
  EXPECT_THAT(open("", O_RDONLY), SyscallFailsWithErrno(ENOENT));
}

TEST_F(OpenTest, BadPointerIsEfault) {
  EXPECT_THAT(open(reinterpret_cast<char*>(8), O_RDONLY), SyscallFailsWithErrno(EFAULT));
}

TEST_F(OpenTest, FileAsDirectoryIsEnotdir) {
  EXPECT_THAT(open((file_ + "/x").c_str(), O_RDONLY), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(open((file_ + "/").c_str(), O_RDONLY), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(Open(O_RDONLY | O_DIRECTORY), SyscallFailsWithErrno(ENOTDIR));
}

TEST_F(OpenTest, DirectoryForWritingIsEisdir) {
  EXPECT_THAT(open(dir_.path().c_str(), O_RDWR), SyscallFailsWithErrno(EISDIR));
  EXPECT_THAT(open(dir_.path().c_str(), O_RDONLY | O_CREAT, 0600), SyscallFailsWithErrno(EISDIR));
}

TEST_F(OpenTest, NameTooLong) {
  std::string name(NAME_MAX + 1, 'a');
  EXPECT_THAT(open((dir_ / name).c_str(), O_RDONLY), SyscallFailsWithErrno(ENAMETOOLONG));
  std::string ok(NAME_MAX, 'a');
  EXPECT_THAT(open((dir_ / ok).c_str(), O_RDONLY), SyscallFailsWithErrno(ENOENT));
  std::string path;
  while (path.size() <= PATH_MAX) path += "./";
  EXPECT_THAT(open(path.c_str(), O_RDONLY), SyscallFailsWithErrno(ENAMETOOLONG));
}

TEST_F(OpenTest, CreateUsesUmask) {
  mode_t old = umask(027);
  Fd fd(open((dir_ / "new").c_str(), O_CREAT | O_WRONLY, 0666));
  umask(old);
  ASSERT_TRUE(fd.valid());
  struct stat st;
  ASSERT_THAT(fstat(fd.get(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_mode, S_IFREG | 0640u);
  EXPECT_EQ(st.st_size, 0);
  EXPECT_EQ(st.st_nlink, 1u);
}

TEST_F(OpenTest, CreateWithReadOnlyModeStillWrites) {
  Fd fd(open((dir_ / "ro").c_str(), O_CREAT | O_RDWR, 0400));
  ASSERT_TRUE(fd.valid());
  EXPECT_THAT(write(fd.get(), "x", 1), SyscallSucceedsWithValue(1));
}

TEST_F(OpenTest, ExclusiveCreate) {
  EXPECT_THAT(Open(O_CREAT | O_EXCL | O_RDWR, 0600), SyscallFailsWithErrno(EEXIST));
  Fd fd(open((dir_ / "n").c_str(), O_CREAT | O_EXCL | O_RDWR, 0600));
  EXPECT_TRUE(fd.valid());
}

TEST_F(OpenTest, ExclusiveCreateDoesNotFollowSymlink) {
  ASSERT_THAT(symlink("nowhere", (dir_ / "link").c_str()), SyscallSucceeds());
  EXPECT_THAT(open((dir_ / "link").c_str(), O_CREAT | O_EXCL | O_RDWR, 0600),
              SyscallFailsWithErrno(EEXIST));
}

TEST_F(OpenTest, CreateThroughDanglingSymlink) {
  ASSERT_THAT(symlink("target", (dir_ / "link").c_str()), SyscallSucceeds());
  Fd fd(open((dir_ / "link").c_str(), O_CREAT | O_RDWR, 0600));
  EXPECT_TRUE(fd.valid());
  EXPECT_THAT(access((dir_ / "target").c_str(), F_OK), SyscallSucceeds());
}

TEST_F(OpenTest, CreateWithTrailingSlashIsEisdir) {
  EXPECT_THAT(open((dir_ / "new/").c_str(), O_CREAT | O_RDWR, 0600), SyscallFailsWithErrno(EISDIR));
}

TEST_F(OpenTest, Truncate) {
  Fd fd(Open(O_WRONLY | O_TRUNC));
  ASSERT_TRUE(fd.valid());
  EXPECT_EQ(GetFile(file_), "");
}

TEST_F(OpenTest, Append) {
  Fd fd(Open(O_WRONLY | O_APPEND));
  ASSERT_THAT(write(fd.get(), "1", 1), SyscallSucceedsWithValue(1));
  ASSERT_THAT(lseek(fd.get(), 0, SEEK_SET), SyscallSucceedsWithValue(0));
  ASSERT_THAT(write(fd.get(), "2", 1), SyscallSucceedsWithValue(1));
  EXPECT_EQ(GetFile(file_), "hello12");
  EXPECT_THAT(lseek(fd.get(), 0, SEEK_CUR), SyscallSucceedsWithValue(7));
}

TEST_F(OpenTest, NofollowOnSymlinkIsEloop) {
  ASSERT_THAT(symlink("file", (dir_ / "link").c_str()), SyscallSucceeds());
  EXPECT_THAT(open((dir_ / "link").c_str(), O_RDONLY | O_NOFOLLOW), SyscallFailsWithErrno(ELOOP));
}

TEST_F(OpenTest, SymlinkLoopIsEloop) {
  ASSERT_THAT(symlink("b", (dir_ / "a").c_str()), SyscallSucceeds());
  ASSERT_THAT(symlink("a", (dir_ / "b").c_str()), SyscallSucceeds());
  EXPECT_THAT(open((dir_ / "a").c_str(), O_RDONLY), SyscallFailsWithErrno(ELOOP));
}

TEST_F(OpenTest, FortyLinksAreFollowedNotMore) {
  for (int i = 0; i < 41; i++) {
    std::string to = i == 0 ? "file" : "l" + std::to_string(i - 1);
    ASSERT_THAT(symlink(to.c_str(), (dir_ / ("l" + std::to_string(i))).c_str()), SyscallSucceeds());
  }
  Fd fd(open((dir_ / "l39").c_str(), O_RDONLY));
  EXPECT_TRUE(fd.valid());
  EXPECT_THAT(open((dir_ / "l40").c_str(), O_RDONLY), SyscallFailsWithErrno(ELOOP));
}

TEST_F(OpenTest, OpenatRelative) {
  Fd dir(open(dir_.path().c_str(), O_RDONLY | O_DIRECTORY));
  Fd fd(openat(dir.get(), "file", O_RDONLY));
  EXPECT_TRUE(fd.valid());
  EXPECT_THAT(openat(-5, "file", O_RDONLY), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(openat(fd.get(), "file", O_RDONLY), SyscallFailsWithErrno(ENOTDIR));
  Fd absolute(openat(-5, file_.c_str(), O_RDONLY));
  EXPECT_TRUE(absolute.valid());
}

TEST_F(OpenTest, PathDescriptorCannotReadOrWrite) {
  Fd fd(Open(O_PATH));
  ASSERT_TRUE(fd.valid());
  char c;
  EXPECT_THAT(read(fd.get(), &c, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(write(fd.get(), &c, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fchmod(fd.get(), 0600), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(ftruncate(fd.get(), 0), SyscallFailsWithErrno(EBADF));
  struct stat st;
  EXPECT_THAT(fstat(fd.get(), &st), SyscallSucceeds());
  EXPECT_EQ(fcntl(fd.get(), F_GETFL) & O_PATH, O_PATH);
}

TEST_F(OpenTest, PathDescriptorOfSymlink) {
  ASSERT_THAT(symlink("file", (dir_ / "link").c_str()), SyscallSucceeds());
  Fd fd(open((dir_ / "link").c_str(), O_PATH | O_NOFOLLOW));
  ASSERT_TRUE(fd.valid());
  struct stat st;
  ASSERT_THAT(fstat(fd.get(), &st), SyscallSucceeds());
  EXPECT_TRUE(S_ISLNK(st.st_mode));
  char buf[16];
  EXPECT_THAT(readlinkat(fd.get(), "", buf, sizeof buf), SyscallSucceedsWithValue(4));
}

TEST_F(OpenTest, ReopenThroughProcSelfFd) {
  Fd path(Open(O_PATH));
  Fd fd(open(("/proc/self/fd/" + std::to_string(path.get())).c_str(), O_RDWR));
  ASSERT_TRUE(fd.valid());
  EXPECT_THAT(write(fd.get(), "J", 1), SyscallSucceedsWithValue(1));
  EXPECT_EQ(GetFile(file_), "Jello");
}

TEST_F(OpenTest, TmpfileHasNoName) {
  Fd fd(open(dir_.path().c_str(), O_TMPFILE | O_RDWR, 0600));
  ASSERT_TRUE(fd.valid());
  struct stat st;
  ASSERT_THAT(fstat(fd.get(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_nlink, 0u);
  ASSERT_THAT(write(fd.get(), "abc", 3), SyscallSucceedsWithValue(3));
  std::string self = "/proc/self/fd/" + std::to_string(fd.get());
  ASSERT_THAT(linkat(AT_FDCWD, self.c_str(), AT_FDCWD, (dir_ / "given").c_str(), AT_SYMLINK_FOLLOW),
              SyscallSucceeds());
  EXPECT_EQ(GetFile(dir_ / "given"), "abc");
}

TEST_F(OpenTest, TmpfileErrors) {
  EXPECT_THAT(open(dir_.path().c_str(), O_TMPFILE | O_RDONLY, 0600), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(open(file_.c_str(), O_TMPFILE | O_RDWR, 0600), SyscallFailsWithErrno(ENOTDIR));
}

TEST_F(OpenTest, TmpfileExclusiveCannotBeLinked) {
  Fd fd(open(dir_.path().c_str(), O_TMPFILE | O_RDWR | O_EXCL, 0600));
  ASSERT_TRUE(fd.valid());
  std::string self = "/proc/self/fd/" + std::to_string(fd.get());
  EXPECT_THAT(linkat(AT_FDCWD, self.c_str(), AT_FDCWD, (dir_ / "given").c_str(), AT_SYMLINK_FOLLOW),
              SyscallFailsWithErrno(ENOENT));
}

TEST_F(OpenTest, CloexecFlag) {
  Fd with(Open(O_RDONLY | O_CLOEXEC)), without(Open(O_RDONLY));
  EXPECT_EQ(fcntl(with.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(without.get(), F_GETFD), 0);
}

TEST_F(OpenTest, CreatTruncatesAndWrites) {
  Fd fd(creat(file_.c_str(), 0600));
  ASSERT_TRUE(fd.valid());
  EXPECT_EQ(fcntl(fd.get(), F_GETFL) & O_ACCMODE, O_WRONLY);
  EXPECT_EQ(GetFile(file_), "");
}

TEST_F(OpenTest, CloseErrors) {
  EXPECT_THAT(close(-1), SyscallFailsWithErrno(EBADF));
  int fd = Open(O_RDONLY);
  EXPECT_THAT(close(fd), SyscallSucceeds());
  EXPECT_THAT(close(fd), SyscallFailsWithErrno(EBADF));
}

TEST_F(OpenTest, DescriptorLimitIsEmfile) {
  EXPECT_CHILD_OK([&] {
    rlimit limit = {20, 20};
    CHECK_OR_DIE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int fd, last = -1;
    while ((fd = Open(O_RDONLY)) >= 0) last = fd;
    CHECK_OR_DIE(errno == EMFILE && last == 19);
    return 0;
  });
}

TEST_F(OpenTest, PermissionDeniedForOthers) {
  ASSERT_THAT(chmod(file_.c_str(), 0600), SyscallSucceeds());
  ASSERT_THAT(chmod(dir_.path().c_str(), 0755), SyscallSucceeds());
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setresuid(12345, 12345, 12345) == 0);
    CHECK_OR_DIE(Open(O_RDONLY) == -1 && errno == EACCES);
    CHECK_OR_DIE(open((dir_ / "new").c_str(), O_CREAT | O_RDWR, 0600) == -1 && errno == EACCES);
    CHECK_OR_DIE(Open(O_PATH) >= 0);
    return 0;
  });
}

TEST_F(OpenTest, SearchPermissionOnDirectory) {
  ASSERT_THAT(chmod(dir_.path().c_str(), 0600), SyscallSucceeds());
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setresuid(12345, 12345, 12345) == 0);
    CHECK_OR_DIE(Open(O_RDONLY) == -1 && errno == EACCES);
    return 0;
  });
}

TEST_F(OpenTest, NoatimeNeedsOwner) {
  ASSERT_THAT(chmod(file_.c_str(), 0644), SyscallSucceeds());
  ASSERT_THAT(chmod(dir_.path().c_str(), 0755), SyscallSucceeds());
  Fd own(Open(O_RDONLY | O_NOATIME));
  EXPECT_TRUE(own.valid());
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setresuid(12345, 12345, 12345) == 0);
    CHECK_OR_DIE(Open(O_RDONLY | O_NOATIME) == -1 && errno == EPERM);
    return 0;
  });
}

TEST_F(OpenTest, OffsetIsPerOpenFile) {
  Fd a(Open(O_RDONLY)), b(Open(O_RDONLY)), c(dup(a.get()));
  char buf[4];
  ASSERT_THAT(read(a.get(), buf, 2), SyscallSucceedsWithValue(2));
  EXPECT_THAT(lseek(b.get(), 0, SEEK_CUR), SyscallSucceedsWithValue(0));
  EXPECT_THAT(lseek(c.get(), 0, SEEK_CUR), SyscallSucceedsWithValue(2));
}

TEST_F(OpenTest, UnlinkedFileStaysUsable) {
  Fd fd(Open(O_RDWR));
  ASSERT_THAT(unlink(file_.c_str()), SyscallSucceeds());
  char buf[8];
  EXPECT_THAT(read(fd.get(), buf, 8), SyscallSucceedsWithValue(5));
  struct stat st;
  ASSERT_THAT(fstat(fd.get(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_nlink, 0u);
}

TEST_F(OpenTest, FifoWriteNonblockWithoutReaderIsEnxio) {
  std::string fifo = dir_ / "fifo";
  ASSERT_THAT(mkfifo(fifo.c_str(), 0600), SyscallSucceeds());
  EXPECT_THAT(open(fifo.c_str(), O_WRONLY | O_NONBLOCK), SyscallFailsWithErrno(ENXIO));
}

class Openat2Test : public OpenTest {
 protected:
  Openat2Test() {
    mkdir((dir_ / "sub").c_str(), 0755);
    symlink("../file", (dir_ / "sub/up").c_str());
    symlink("/etc/passwd", (dir_ / "abs").c_str());
    root_ = Fd(open((dir_ / "sub").c_str(), O_PATH | O_DIRECTORY));
    top_ = Fd(open(dir_.path().c_str(), O_PATH | O_DIRECTORY));
  }
  long Open2(int dirfd, const char* path, uint64_t flags, uint64_t resolve, uint64_t mode = 0) {
    open_how how = {flags, mode, resolve};
    long fd = Raw(SYS_openat2, dirfd, path, &how, sizeof how);
    if (fd >= 0) opened_ = Fd(fd);
    return fd;
  }
  Fd root_, top_, opened_;
};

TEST_F(Openat2Test, Opens) {
  EXPECT_THAT(Open2(top_.get(), "file", O_RDONLY, 0), SyscallSucceeds());
}

TEST_F(Openat2Test, UnknownFlagsAreRefused) {
  EXPECT_THAT(Open2(top_.get(), "file", 1ULL << 40, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Open2(top_.get(), "file", O_RDONLY, 1ULL << 40), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Open2(top_.get(), "file", O_RDONLY, 0, 0600), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Open2(top_.get(), "n", O_CREAT | O_RDWR, 0, 0100600), SyscallFailsWithErrno(EINVAL));
}

TEST_F(Openat2Test, SizeRules) {
  open_how how = {};
  EXPECT_THAT(Raw(SYS_openat2, top_.get(), "file", &how, 8), SyscallFailsWithErrno(EINVAL));
  char big[64] = {};
  Fd fd(Raw(SYS_openat2, top_.get(), "file", big, sizeof big));
  EXPECT_TRUE(fd.valid());
  big[40] = 1;
  EXPECT_THAT(Raw(SYS_openat2, top_.get(), "file", big, sizeof big), SyscallFailsWithErrno(E2BIG));
}

TEST_F(Openat2Test, Beneath) {
  EXPECT_THAT(Open2(root_.get(), "../file", O_RDONLY, RESOLVE_BENEATH),
              SyscallFailsWithErrno(EXDEV));
  EXPECT_THAT(Open2(root_.get(), "up", O_RDONLY, RESOLVE_BENEATH), SyscallFailsWithErrno(EXDEV));
  EXPECT_THAT(Open2(top_.get(), "/etc/passwd", O_RDONLY, RESOLVE_BENEATH),
              SyscallFailsWithErrno(EXDEV));
  EXPECT_THAT(Open2(top_.get(), "sub/../file", O_RDONLY, RESOLVE_BENEATH), SyscallSucceeds());
}

TEST_F(Openat2Test, InRoot) {
  PutFile(dir_ / "sub/file", "inner");
  ASSERT_THAT(Open2(root_.get(), "../../file", O_RDONLY, RESOLVE_IN_ROOT), SyscallSucceeds());
  char buf[8];
  EXPECT_THAT(read(opened_.get(), buf, 8), SyscallSucceedsWithValue(5));
  EXPECT_EQ(memcmp(buf, "inner", 5), 0);
  EXPECT_THAT(Open2(root_.get(), "/file", O_RDONLY, RESOLVE_IN_ROOT), SyscallSucceeds());
}

TEST_F(Openat2Test, NoSymlinks) {
  EXPECT_THAT(Open2(root_.get(), "up", O_RDONLY, RESOLVE_NO_SYMLINKS),
              SyscallFailsWithErrno(ELOOP));
  EXPECT_THAT(Open2(top_.get(), "file", O_RDONLY, RESOLVE_NO_SYMLINKS), SyscallSucceeds());
}

TEST_F(Openat2Test, NoMagicLinks) {
  std::string self = "/proc/self/fd/" + std::to_string(top_.get());
  EXPECT_THAT(Open2(AT_FDCWD, self.c_str(), O_RDONLY, RESOLVE_NO_MAGICLINKS),
              SyscallFailsWithErrno(ELOOP));
  EXPECT_THAT(Open2(root_.get(), "up", O_RDONLY, RESOLVE_NO_MAGICLINKS), SyscallSucceeds());
}

TEST_F(Openat2Test, NoMountCrossing) {
  EXPECT_THAT(Open2(AT_FDCWD, "/proc/version", O_RDONLY, RESOLVE_NO_XDEV),
              SyscallFailsWithErrno(EXDEV));
}

}  // namespace
