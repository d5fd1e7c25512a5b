// Names: mkdir, rmdir, link, symlink, readlink, unlink, rename, mknod, getdents64, chdir, chroot.
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <set>

#include "test/util/test_util.h"

namespace {
using namespace guest;

class TreeTest : public testing::Test {
 protected:
  TreeTest() {
    PutFile(P("file"), "data");
    CHECK_OR_DIE(mkdir(P("dir").c_str(), 0755) == 0);
    PutFile(P("dir/inner"), "x");
    CHECK_OR_DIE(mkdir(P("empty").c_str(), 0755) == 0);
    CHECK_OR_DIE(chmod(top_.path().c_str(), 0755) == 0);
    dirfd_ = Fd(open(top_.path().c_str(), O_RDONLY | O_DIRECTORY));
  }
  std::string P(std::string_view name) { return top_ / name; }
  bool Exists(std::string_view name) {
    struct stat st;
    return lstat(P(name).c_str(), &st) == 0;
  }
  int Rename(std::string_view from, std::string_view to, unsigned flags = 0) {
    return renameat2(AT_FDCWD, P(from).c_str(), AT_FDCWD, P(to).c_str(), flags);
  }
  TempDir top_;
  Fd dirfd_;
};

TEST_F(TreeTest, Mkdir) {
  mode_t old = umask(022);
  EXPECT_THAT(mkdir(P("new").c_str(), 01777), SyscallSucceeds());
  umask(old);
  struct stat st;
  ASSERT_THAT(stat(P("new").c_str(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_mode, S_IFDIR | 01755u);
  EXPECT_THAT(mkdir(P("new2/").c_str(), 0755), SyscallSucceeds());
  EXPECT_THAT(mkdirat(dirfd_.get(), "new3", 0755), SyscallSucceeds());
  EXPECT_TRUE(Exists("new3"));
}

TEST_F(TreeTest, MkdirErrors) {
  EXPECT_THAT(mkdir(P("dir").c_str(), 0755), SyscallFailsWithErrno(EEXIST));
  EXPECT_THAT(mkdir(P("file").c_str(), 0755), SyscallFailsWithErrno(EEXIST));
  EXPECT_THAT(mkdir(P("a/b").c_str(), 0755), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(mkdir(P("file/b").c_str(), 0755), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(mkdir("/", 0755), SyscallFailsWithErrno(EEXIST));
  EXPECT_THAT(mkdir("", 0755), SyscallFailsWithErrno(ENOENT));
}

TEST_F(TreeTest, Rmdir) {
  EXPECT_THAT(rmdir(P("empty").c_str()), SyscallSucceeds());
  EXPECT_FALSE(Exists("empty"));
  EXPECT_THAT(rmdir(P("dir").c_str()), SyscallFailsWithErrno(ENOTEMPTY));
  EXPECT_THAT(rmdir(P("file").c_str()), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(rmdir(P("none").c_str()), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(rmdir(P("dir/.").c_str()), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(rmdir(P("dir/..").c_str()), SyscallFailsWithErrno(ENOTEMPTY));
  EXPECT_THAT(rmdir("/"), SyscallFailsWithErrno(EBUSY));
}

TEST_F(TreeTest, Unlink) {
  EXPECT_THAT(unlink(P("file").c_str()), SyscallSucceeds());
  EXPECT_FALSE(Exists("file"));
  EXPECT_THAT(unlink(P("file").c_str()), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(unlink(P("dir").c_str()), SyscallFailsWithErrno(EISDIR));
  EXPECT_THAT(unlink(P("dir/inner/").c_str()), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(unlinkat(dirfd_.get(), "empty", AT_REMOVEDIR), SyscallSucceeds());
  EXPECT_THAT(unlinkat(dirfd_.get(), "dir/inner", 0), SyscallSucceeds());
  EXPECT_THAT(unlinkat(dirfd_.get(), "dir", 1), SyscallFailsWithErrno(EINVAL));
}

TEST_F(TreeTest, UnlinkInStickyDirectory) {
  ASSERT_THAT(chmod(P("empty").c_str(), 01777), SyscallSucceeds());
  PutFile(P("empty/f"), "");
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setresuid(12345, 12345, 12345) == 0);
    CHECK_OR_DIE(unlink(P("empty/f").c_str()) == -1 && errno == EPERM);
    CHECK_OR_DIE(rename(P("empty/f").c_str(), P("empty/g").c_str()) == -1 && errno == EPERM);
    PutFile(P("empty/mine"), "");
    CHECK_OR_DIE(unlink(P("empty/mine").c_str()) == 0);
    return 0;
  });
}

TEST_F(TreeTest, Link) {
  ASSERT_THAT(link(P("file").c_str(), P("two").c_str()), SyscallSucceeds());
  EXPECT_EQ(GetFile(P("two")), "data");
  EXPECT_THAT(link(P("file").c_str(), P("two").c_str()), SyscallFailsWithErrno(EEXIST));
  EXPECT_THAT(link(P("dir").c_str(), P("d2").c_str()), SyscallFailsWithErrno(EPERM));
  EXPECT_THAT(link(P("none").c_str(), P("n").c_str()), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(link(P("file").c_str(), "/dev/x-link"), SyscallFailsWithErrno(EXDEV));
  EXPECT_THAT(linkat(AT_FDCWD, P("file").c_str(), AT_FDCWD, P("l").c_str(), 1 << 30),
              SyscallFailsWithErrno(EINVAL));
}

TEST_F(TreeTest, LinkDoesNotFollowUnlessAsked) {
  ASSERT_THAT(symlink("file", P("sym").c_str()), SyscallSucceeds());
  ASSERT_THAT(link(P("sym").c_str(), P("a").c_str()), SyscallSucceeds());
  ASSERT_THAT(linkat(AT_FDCWD, P("sym").c_str(), AT_FDCWD, P("b").c_str(), AT_SYMLINK_FOLLOW),
              SyscallSucceeds());
  struct stat st;
  ASSERT_THAT(lstat(P("a").c_str(), &st), SyscallSucceeds());
  EXPECT_TRUE(S_ISLNK(st.st_mode));
  ASSERT_THAT(lstat(P("b").c_str(), &st), SyscallSucceeds());
  EXPECT_TRUE(S_ISREG(st.st_mode));
}

TEST_F(TreeTest, SymlinkAndReadlink) {
  ASSERT_THAT(symlink("some/target", P("s").c_str()), SyscallSucceeds());
  char buf[64];
  EXPECT_THAT(readlink(P("s").c_str(), buf, sizeof buf), SyscallSucceedsWithValue(11));
  EXPECT_EQ(std::string_view(buf, 11), "some/target");
  EXPECT_THAT(readlink(P("s").c_str(), buf, 4), SyscallSucceedsWithValue(4));
  EXPECT_THAT(readlink(P("s").c_str(), buf, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(readlink(P("file").c_str(), buf, 4), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(readlink(P("none").c_str(), buf, 4), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(symlink("", P("t").c_str()), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(symlink("x", P("s").c_str()), SyscallFailsWithErrno(EEXIST));
  EXPECT_THAT(symlinkat("x", dirfd_.get(), "t"), SyscallSucceeds());
}

TEST_F(TreeTest, RenameFile) {
  EXPECT_THAT(Rename("file", "moved"), SyscallSucceeds());
  EXPECT_FALSE(Exists("file"));
  EXPECT_EQ(GetFile(P("moved")), "data");
  PutFile(P("other"), "other");
  EXPECT_THAT(Rename("moved", "other"), SyscallSucceeds());
  EXPECT_EQ(GetFile(P("other")), "data");
  EXPECT_THAT(Rename("other", "dir/inner"), SyscallSucceeds());
  EXPECT_EQ(GetFile(P("dir/inner")), "data");
}

TEST_F(TreeTest, Renameat) {
  EXPECT_THAT(renameat(dirfd_.get(), "file", dirfd_.get(), "dir/moved"), SyscallSucceeds());
  EXPECT_EQ(GetFile(P("dir/moved")), "data");
  EXPECT_THAT(renameat(-1, "file", dirfd_.get(), "x"), SyscallFailsWithErrno(EBADF));
}

TEST_F(TreeTest, RenameDirectory) {
  EXPECT_THAT(Rename("dir", "empty"), SyscallSucceeds());
  EXPECT_EQ(GetFile(P("empty/inner")), "x");
  ASSERT_THAT(mkdir(P("d2").c_str(), 0755), SyscallSucceeds());
  EXPECT_THAT(Rename("d2", "empty"), SyscallFailsWithErrno(ENOTEMPTY));
}

TEST_F(TreeTest, RenameErrors) {
  EXPECT_THAT(Rename("none", "x"), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(Rename("dir", "dir/sub"), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Rename("dir", "file"), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(Rename("file", "dir"), SyscallFailsWithErrno(EISDIR));
  EXPECT_THAT(Rename("dir/.", "x"), SyscallFailsWithErrno(EBUSY));
  EXPECT_THAT(Rename("file", "x", 1 << 10), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(rename(P("file").c_str(), "/proc/x"), SyscallFailsWithErrno(EXDEV));
}

TEST_F(TreeTest, RenameToItselfDoesNothing) {
  ASSERT_THAT(link(P("file").c_str(), P("two").c_str()), SyscallSucceeds());
  EXPECT_THAT(Rename("file", "two"), SyscallSucceeds());
  EXPECT_TRUE(Exists("file"));
  EXPECT_TRUE(Exists("two"));
}

TEST_F(TreeTest, RenameNoreplace) {
  PutFile(P("other"), "other");
  EXPECT_THAT(Rename("file", "other", RENAME_NOREPLACE), SyscallFailsWithErrno(EEXIST));
  EXPECT_THAT(Rename("file", "fresh", RENAME_NOREPLACE), SyscallSucceeds());
}

TEST_F(TreeTest, RenameExchange) {
  EXPECT_THAT(Rename("file", "dir", RENAME_EXCHANGE), SyscallSucceeds());
  EXPECT_EQ(GetFile(P("dir")), "data");
  EXPECT_EQ(GetFile(P("file/inner")), "x");
  EXPECT_THAT(Rename("file", "none", RENAME_EXCHANGE), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(Rename("file", "dir", RENAME_EXCHANGE | RENAME_NOREPLACE),
              SyscallFailsWithErrno(EINVAL));
}

TEST_F(TreeTest, OpenFileFollowsRename) {
  Fd fd(open(P("file").c_str(), O_RDONLY));
  ASSERT_THAT(Rename("file", "moved"), SyscallSucceeds());
  char link[PATH_MAX] = {};
  ASSERT_THAT(readlink(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), link, PATH_MAX),
              SyscallSucceeds());
  EXPECT_EQ(std::string(link), P("moved"));
}

TEST_F(TreeTest, DeletedMarkInProcFd) {
  Fd fd(open(P("file").c_str(), O_RDONLY));
  ASSERT_THAT(unlink(P("file").c_str()), SyscallSucceeds());
  char link[PATH_MAX] = {};
  ASSERT_THAT(readlink(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), link, PATH_MAX),
              SyscallSucceeds());
  EXPECT_EQ(std::string(link), P("file") + " (deleted)");
}

TEST_F(TreeTest, Mknod) {
  EXPECT_THAT(mknod(P("fifo").c_str(), S_IFIFO | 0600, 0), SyscallSucceeds());
  EXPECT_THAT(mknod(P("reg").c_str(), S_IFREG | 0600, 0), SyscallSucceeds());
  EXPECT_THAT(mknod(P("sock").c_str(), S_IFSOCK | 0600, 0), SyscallSucceeds());
  EXPECT_THAT(mknod(P("dev").c_str(), S_IFDIR | 0600, 0), SyscallFailsWithErrno(EPERM));
  EXPECT_THAT(mknod(P("fifo").c_str(), S_IFIFO | 0600, 0), SyscallFailsWithErrno(EEXIST));
  struct stat st;
  ASSERT_THAT(stat(P("fifo").c_str(), &st), SyscallSucceeds());
  EXPECT_TRUE(S_ISFIFO(st.st_mode));
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(chmod(P("empty").c_str(), 0777) == 0);
    CHECK_OR_DIE(setresuid(12345, 12345, 12345) == 0);
    CHECK_OR_DIE(mknod(P("empty/n").c_str(), S_IFCHR | 0600, makedev(1, 3)) == -1);
    CHECK_OR_DIE(errno == EPERM);
    return 0;
  });
}

std::set<std::string> List(const std::string& path) {
  std::set<std::string> names;
  DIR* dir = opendir(path.c_str());
  CHECK_OR_DIE(dir != nullptr);
  while (dirent* entry = readdir(dir)) CHECK_OR_DIE(names.insert(entry->d_name).second);
  closedir(dir);
  return names;
}

TEST_F(TreeTest, Readdir) {
  EXPECT_EQ(List(top_.path()), (std::set<std::string>{".", "..", "file", "dir", "empty"}));
  EXPECT_EQ(List(P("empty")), (std::set<std::string>{".", ".."}));
}

TEST_F(TreeTest, ReaddirManyAndTypes) {
  for (int i = 0; i < 500; i++) PutFile(P("empty/some-longer-name-" + std::to_string(i)), "");
  ASSERT_THAT(mkdir(P("empty/sub").c_str(), 0755), SyscallSucceeds());
  EXPECT_EQ(List(P("empty")).size(), 503u);
  DIR* dir = opendir(P("empty").c_str());
  while (dirent* entry = readdir(dir)) {
    bool is_dir = entry->d_name[0] == '.' || std::string_view(entry->d_name) == "sub";
    EXPECT_EQ(entry->d_type, is_dir ? DT_DIR : DT_REG) << entry->d_name;
  }
  closedir(dir);
}

TEST_F(TreeTest, GetdentsErrors) {
  char buf[1024];
  Fd file(open(P("file").c_str(), O_RDONLY));
  EXPECT_THAT(Raw(SYS_getdents64, file.get(), buf, sizeof buf), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(Raw(SYS_getdents64, -1, buf, sizeof buf), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(Raw(SYS_getdents64, dirfd_.get(), buf, 1), SyscallFailsWithErrno(EINVAL));
}

TEST_F(TreeTest, SeekdirRewinds) {
  DIR* dir = opendir(top_.path().c_str());
  std::string first = readdir(dir)->d_name;
  long at = telldir(dir);
  std::string second = readdir(dir)->d_name;
  seekdir(dir, at);
  EXPECT_EQ(readdir(dir)->d_name, second);
  rewinddir(dir);
  EXPECT_EQ(readdir(dir)->d_name, first);
  closedir(dir);
}

TEST_F(TreeTest, RemovedDirectoryListsNothing) {
  Fd dir(open(P("empty").c_str(), O_RDONLY | O_DIRECTORY));
  ASSERT_THAT(rmdir(P("empty").c_str()), SyscallSucceeds());
  char buf[1024];
  long n = Raw(SYS_getdents64, dir.get(), buf, sizeof buf);
  EXPECT_TRUE(n == 0 || (n == -1 && errno == ENOENT)) << n;
  EXPECT_THAT(openat(dir.get(), "x", O_CREAT | O_RDWR, 0600), SyscallFailsWithErrno(ENOENT));
}

TEST_F(TreeTest, ChdirAndGetcwd) {
  EXPECT_CHILD_OK([&] {
    char buf[PATH_MAX];
    CHECK_OR_DIE(chdir(P("dir").c_str()) == 0);
    CHECK_OR_DIE(getcwd(buf, sizeof buf) != nullptr && P("dir") == buf);
    CHECK_OR_DIE(access("inner", F_OK) == 0);
    CHECK_OR_DIE(chdir("..") == 0 && access("file", F_OK) == 0);
    CHECK_OR_DIE(Raw(SYS_getcwd, buf, 3) == -1 && errno == ERANGE);
    CHECK_OR_DIE(chdir("file") == -1 && errno == ENOTDIR);
    CHECK_OR_DIE(chdir("none") == -1 && errno == ENOENT);
    CHECK_OR_DIE(fchdir(dirfd_.get()) == 0);
    CHECK_OR_DIE(fchdir(-1) == -1 && errno == EBADF);
    int fd = open("file", O_RDONLY);
    CHECK_OR_DIE(fchdir(fd) == -1 && errno == ENOTDIR);
    return 0;
  });
}

TEST_F(TreeTest, GetcwdOfRemovedDirectoryIsEnoent) {
  EXPECT_CHILD_OK([&] {
    char buf[PATH_MAX];
    CHECK_OR_DIE(chdir(P("empty").c_str()) == 0 && rmdir(P("empty").c_str()) == 0);
    CHECK_OR_DIE(Raw(SYS_getcwd, buf, sizeof buf) == -1 && errno == ENOENT);
    return 0;
  });
}

TEST_F(TreeTest, Chroot) {
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(chroot(P("dir").c_str()) == 0 && chdir("/") == 0);
    CHECK_OR_DIE(access("/inner", F_OK) == 0);
    CHECK_OR_DIE(access("/../../inner", F_OK) == 0);
    char buf[PATH_MAX];
    CHECK_OR_DIE(getcwd(buf, sizeof buf) != nullptr && std::string_view(buf) == "/");
    CHECK_OR_DIE(chroot("/none") == -1 && errno == ENOENT);
    CHECK_OR_DIE(chroot("/inner") == -1 && errno == ENOTDIR);
    CHECK_OR_DIE(setresuid(12345, 12345, 12345) == 0);
    CHECK_OR_DIE(chroot("/") == -1 && errno == EPERM);
    return 0;
  });
}

TEST_F(TreeTest, DotDotAtRootStays) {
  EXPECT_THAT(access("/../../../etc", F_OK), SyscallSucceeds());
}

TEST_F(TreeTest, SymlinkInTheMiddleOfAPath) {
  ASSERT_THAT(symlink("dir", P("via").c_str()), SyscallSucceeds());
  EXPECT_EQ(GetFile(P("via/inner")), "x");
  EXPECT_EQ(GetFile(P("via/../file")), "data");
  ASSERT_THAT(symlink((P("dir")).c_str(), P("abs").c_str()), SyscallSucceeds());
  EXPECT_EQ(GetFile(P("abs/inner")), "x");
}

}  // namespace
