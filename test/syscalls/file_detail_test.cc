// renameat2 and statx flags, directory positions, fallocate modes, leases, locks, xattr classes.
#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <set>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

long Rename2(const std::string& from, const std::string& to, unsigned flags) {
  return Raw(SYS_renameat2, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags);
}

TEST(Rename2Test, FlagCombinations) {
  TempDir dir;
  PutFile(dir / "a", "a");
  PutFile(dir / "b", "b");
  EXPECT_THAT(Rename2(dir / "a", dir / "b", 3), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Rename2(dir / "a", dir / "b", 6), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Rename2(dir / "a", dir / "b", 64), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Rename2(dir / "a", dir / "b", 1), SyscallFailsWithErrno(EEXIST));
  EXPECT_THAT(Rename2(dir / "a", dir / "none", 2), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(Rename2(dir / "a", dir / "a", 1), SyscallFailsWithErrno(EEXIST));
  mkdir((dir / "d").c_str(), 0755);
  PutFile(dir / "d/x", "x");
  EXPECT_THAT(Rename2(dir / "a", dir / "d", 2), SyscallSucceeds());
  EXPECT_EQ(GetFile(dir / "d"), "a");
  EXPECT_EQ(GetFile(dir / "a/x"), "x");
  EXPECT_THAT(Rename2(dir / "a", dir / "a/x", 2), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Rename2(dir / "a/x", dir / "a", 2), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Rename2(dir / "a/.", dir / "q", 0), SyscallFailsWithErrno(EBUSY));
  EXPECT_THAT(Rename2(dir / "a/..", dir / "q", 0), SyscallFailsWithErrno(EBUSY));
  EXPECT_THAT(Rename2(dir / "b/", dir / "q", 0), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(Rename2(dir / "b", dir / "q/", 0), SyscallFailsWithErrno(ENOTDIR));
  EXPECT_THAT(Rename2(dir / "a", dir / "q/", 0), SyscallSucceeds());
}

TEST(StatxDetailTest, MasksAndSyncFlags) {
  TempDir dir;
  PutFile(dir / "a", "abc");
  std::string a = dir / "a";
  struct statx st;
  auto call = [&](unsigned flags, unsigned mask) {
    memset(&st, 0xee, sizeof st);
    return Raw(SYS_statx, AT_FDCWD, a.c_str(), flags, mask, &st);
  };
  EXPECT_THAT(call(AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_ALL),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(call(0, STATX__RESERVED), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(call(0x4000000, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(call(AT_STATX_DONT_SYNC, 0), SyscallSucceeds());
  EXPECT_EQ(st.stx_size, 3u);
  EXPECT_THAT(call(AT_STATX_FORCE_SYNC, STATX_ALL | 0x1000), SyscallSucceeds());
  EXPECT_NE(st.stx_mask & STATX_BTIME, 0u);
  EXPECT_NE(st.stx_mask & 0x1000u, 0u);  // STATX_MNT_ID
  EXPECT_GT(st.stx_btime.tv_sec, 1'000'000'000);
  EXPECT_EQ(st.stx_size, 3u);
  a = "/";
  EXPECT_THAT(call(0, STATX_BASIC_STATS), SyscallSucceeds());
  EXPECT_NE(st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT, 0u);
  EXPECT_NE(st.stx_attributes & STATX_ATTR_MOUNT_ROOT, 0u);
}

struct Dirents {
  explicit Dirents(const std::string& path) : fd(open(path.c_str(), O_RDONLY | O_DIRECTORY)) {}
  // Names, each with the position after it; at most one buffer.
  std::vector<std::pair<std::string, int64_t>> Next(size_t size = 120) {
    alignas(8) char buffer[65536];
    long n = Raw(SYS_getdents64, fd.get(), buffer, size);
    std::vector<std::pair<std::string, int64_t>> out;
    for (long at = 0; at < n;) {
      auto* d = reinterpret_cast<dirent64*>(buffer + at);
      out.emplace_back(d->d_name, d->d_off);
      at += d->d_reclen;
    }
    return out;
  }
  Fd fd;
};

class DirectoryPositions : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (*GetParam())
      setenv("TEST_TMPDIR", GetParam(), 1);
    else
      unsetenv("TEST_TMPDIR");
  }
  void TearDown() override { unsetenv("TEST_TMPDIR"); }
};
INSTANTIATE_TEST_SUITE_P(On, DirectoryPositions, testing::Values("", "/dev/shm"),
                         [](const auto& info) { return *info.param ? "Tmpfs" : "Root"; });

TEST_P(DirectoryPositions, SeekToAnyEntryContinuesThere) {
  TempDir dir;
  for (int i = 0; i < 40; i++) PutFile(dir / ("file" + std::to_string(i)), "");
  Dirents list(dir.path());
  std::vector<std::pair<std::string, int64_t>> all;
  for (auto part = list.Next(); !part.empty(); part = list.Next()) {
    all.insert(all.end(), part.begin(), part.end());
  }
  ASSERT_EQ(all.size(), 42u);
  for (size_t i : {0u, 5u, 20u, 40u}) {
    ASSERT_THAT(lseek(list.fd.get(), all[i].second, SEEK_SET), SyscallSucceeds());
    auto part = list.Next();
    ASSERT_FALSE(part.empty());
    EXPECT_EQ(part[0].first, all[i + 1].first);
  }
  ASSERT_THAT(lseek(list.fd.get(), 0, SEEK_SET), SyscallSucceeds());
  EXPECT_EQ(list.Next()[0].first, all[0].first);
}

TEST_P(DirectoryPositions, RemovalWhileListingSkipsNothing) {
  TempDir dir;
  std::set<std::string> want;
  for (int i = 0; i < 300; i++) {
    PutFile(dir / ("f" + std::to_string(i)), "");
    want.insert("f" + std::to_string(i));
  }
  // rm -r: removes what it has just read, goes on reading.
  Dirents list(dir.path());
  std::set<std::string> seen;
  for (auto part = list.Next(256); !part.empty(); part = list.Next(256)) {
    for (auto& [name, pos] : part) {
      if (name[0] == '.') continue;
      EXPECT_TRUE(seen.insert(name).second) << name;
      EXPECT_THAT(unlink((dir / name).c_str()), SyscallSucceeds());
    }
  }
  EXPECT_EQ(seen, want);
}

TEST_P(DirectoryPositions, CreationWhileListingRepeatsNothing) {
  TempDir dir;
  for (int i = 0; i < 100; i++) PutFile(dir / ("f" + std::to_string(i)), "");
  Dirents list(dir.path());
  std::multiset<std::string> seen;
  int made = 0;
  for (auto part = list.Next(256); !part.empty() && made < 500; part = list.Next(256)) {
    for (auto& [name, pos] : part) seen.insert(name);
    PutFile(dir / ("new" + std::to_string(made++)), "");
  }
  for (int i = 0; i < 100; i++) EXPECT_EQ(seen.count("f" + std::to_string(i)), 1u) << i;
}

TEST_P(DirectoryPositions, FallocateModes) {
  TempDir dir;
  Fd fd(open((dir / "f").c_str(), O_RDWR | O_CREAT, 0644));
  std::string data(16384, 'x');
  ASSERT_THAT(write(fd.get(), data.data(), data.size()), SyscallSucceedsWithValue(16384));
  struct stat st;
  EXPECT_THAT(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE, 0, 4096),
              SyscallFailsWithErrno(EOPNOTSUPP));
  EXPECT_THAT(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096),
              SyscallSucceeds());
  char page[4096];
  EXPECT_THAT(pread(fd.get(), page, 4096, 4096), SyscallSucceedsWithValue(4096));
  EXPECT_EQ(page[0], 0);
  EXPECT_EQ(page[4095], 0);
  EXPECT_THAT(pread(fd.get(), page, 4096, 8192), SyscallSucceedsWithValue(4096));
  EXPECT_EQ(page[0], 'x');
  EXPECT_THAT(fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 16384, 65536), SyscallSucceeds());
  fstat(fd.get(), &st);
  EXPECT_EQ(st.st_size, 16384);
  EXPECT_THAT(fallocate(fd.get(), 0, 0, 20000), SyscallSucceeds());
  fstat(fd.get(), &st);
  EXPECT_EQ(st.st_size, 20000);
  EXPECT_THAT(pread(fd.get(), page, 1, 0), SyscallSucceedsWithValue(1));
  EXPECT_EQ(page[0], 'x');
  EXPECT_THAT(fallocate(fd.get(), 0, -1, 10), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(fallocate(fd.get(), 0, 0, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(fallocate(fd.get(), 0x4000, 0, 1), SyscallFailsWithErrno(EOPNOTSUPP));
  EXPECT_THAT(fallocate(fd.get(), 0, INT64_MAX, 1), SyscallFailsWithErrno(EFBIG));
  Fd reader(open((dir / "f").c_str(), O_RDONLY));
  EXPECT_THAT(fallocate(reader.get(), 0, 0, 1), SyscallFailsWithErrno(EBADF));
  int pipes[2];
  pipe(pipes);
  EXPECT_THAT(fallocate(pipes[1], 0, 0, 1), SyscallFailsWithErrno(ESPIPE));
  close(pipes[0]);
  close(pipes[1]);
}

TEST_P(DirectoryPositions, HolesAreFound) {
  TempDir dir;
  Fd fd(open((dir / "f").c_str(), O_RDWR | O_CREAT, 0644));
  ASSERT_THAT(ftruncate(fd.get(), 1 << 20), SyscallSucceeds());
  ASSERT_THAT(pwrite(fd.get(), "x", 1, 524288), SyscallSucceedsWithValue(1));
  EXPECT_THAT(lseek(fd.get(), 0, SEEK_DATA), SyscallSucceedsWithValue(524288));
  EXPECT_THAT(lseek(fd.get(), 0, SEEK_HOLE), SyscallSucceedsWithValue(0));
  EXPECT_THAT(lseek(fd.get(), 524288, SEEK_HOLE), SyscallSucceedsWithValue(524288 + 4096));
  EXPECT_THAT(lseek(fd.get(), 600000, SEEK_DATA), SyscallFailsWithErrno(ENXIO));
  EXPECT_THAT(lseek(fd.get(), 1 << 20, SEEK_HOLE), SyscallFailsWithErrno(ENXIO));
  EXPECT_THAT(lseek(fd.get(), -1, SEEK_DATA), SyscallFailsWithErrno(ENXIO));
  EXPECT_THAT(lseek(fd.get(), 0, 9), SyscallFailsWithErrno(EINVAL));
  struct stat st;
  fstat(fd.get(), &st);
  EXPECT_LE(st.st_blocks, 64);
}

TEST_P(DirectoryPositions, XattrClasses) {
  TempDir dir;
  PutFile(dir / "f", "");
  std::string f = dir / "f";
  char value[16];
  ASSERT_THAT(setxattr(f.c_str(), "trusted.t", "1", 1, 0), SyscallSucceeds());
  ASSERT_THAT(setxattr(f.c_str(), "user.u", "22", 2, XATTR_CREATE), SyscallSucceeds());
  EXPECT_THAT(setxattr(f.c_str(), "user.u", "22", 2, XATTR_CREATE), SyscallFailsWithErrno(EEXIST));
  EXPECT_THAT(setxattr(f.c_str(), "user.v", "22", 2, XATTR_REPLACE),
              SyscallFailsWithErrno(ENODATA));
  EXPECT_THAT(setxattr(f.c_str(), "user.v", "22", 2, 3), SyscallFailsWithErrno(ENODATA));
  EXPECT_THAT(setxattr(f.c_str(), "user.", "22", 2, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(setxattr(f.c_str(), "bogus.x", "2", 1, 0), SyscallFailsWithErrno(EOPNOTSUPP));
  EXPECT_THAT(setxattr(f.c_str(), "", "2", 1, 0), SyscallFailsWithErrno(ERANGE));
  EXPECT_THAT(getxattr(f.c_str(), "user.u", value, 1), SyscallFailsWithErrno(ERANGE));
  EXPECT_THAT(getxattr(f.c_str(), "user.u", nullptr, 0), SyscallSucceedsWithValue(2));
  EXPECT_THAT(getxattr(f.c_str(), "trusted.t", value, 16), SyscallSucceedsWithValue(1));
  chmod(dir.path().c_str(), 0777);
  chmod(f.c_str(), 0666);
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setuid(65534) == 0);
    char list[256] = {};
    ssize_t n = listxattr(f.c_str(), list, sizeof list);
    CHECK_OR_DIE(n > 0 && memmem(list, n, "user.u", 7) && !memmem(list, n, "trusted.t", 10));
    CHECK_OR_DIE(getxattr(f.c_str(), "trusted.t", list, 16) == -1 && errno == ENODATA);
    CHECK_OR_DIE(setxattr(f.c_str(), "trusted.t", "2", 1, 0) == -1 && errno == EPERM);
    CHECK_OR_DIE(setxattr(f.c_str(), "user.mine", "2", 1, 0) == 0);
    return 0;
  });
  symlink("f", (dir / "l").c_str());
  EXPECT_THAT(lsetxattr((dir / "l").c_str(), "user.x", "1", 1, 0), SyscallFailsWithErrno(EPERM));
  EXPECT_THAT(lgetxattr((dir / "l").c_str(), "user.x", value, 16), SyscallFailsWithErrno(ENODATA));
  mkfifo((dir / "p").c_str(), 0666);
  EXPECT_THAT(setxattr((dir / "p").c_str(), "user.x", "1", 1, 0), SyscallFailsWithErrno(EPERM));
  std::string longest = "user." + std::string(300, 'n');
  EXPECT_THAT(setxattr(f.c_str(), longest.c_str(), "1", 1, 0), SyscallFailsWithErrno(ERANGE));
  EXPECT_THAT(setxattr(f.c_str(), "user.big", f.c_str(), 65537, 0), SyscallFailsWithErrno(E2BIG));
  EXPECT_THAT(removexattr(f.c_str(), "user.u"), SyscallSucceeds());
  EXPECT_THAT(removexattr(f.c_str(), "user.u"), SyscallFailsWithErrno(ENODATA));
}

TEST(LeaseTest, UnlockedFileHasNone) {
  TempDir dir;
  PutFile(dir / "f", "");
  Fd fd(open((dir / "f").c_str(), O_RDONLY));
  EXPECT_THAT(fcntl(fd.get(), F_GETLEASE), SyscallSucceedsWithValue(F_UNLCK));
  EXPECT_THAT(fcntl(fd.get(), F_SETLEASE, 77), SyscallFailsWithErrno(EINVAL));
}

TEST(LockDetailTest, OfdDeadlockIsNotDetectedAndGetlkFields) {
  TempDir dir;
  PutFile(dir / "f", "0123456789");
  Fd a(open((dir / "f").c_str(), O_RDWR)), b(open((dir / "f").c_str(), O_RDWR));
  struct flock lock = {F_WRLCK, SEEK_SET, 2, 3, 0};
  EXPECT_THAT(fcntl(a.get(), F_OFD_SETLK, &lock), SyscallSucceeds());
  struct flock ask = {F_RDLCK, SEEK_SET, 0, 0, 0};
  EXPECT_THAT(fcntl(b.get(), F_OFD_GETLK, &ask), SyscallSucceeds());
  EXPECT_EQ(ask.l_type, F_WRLCK);
  EXPECT_EQ(ask.l_start, 2);
  EXPECT_EQ(ask.l_len, 3);
  EXPECT_EQ(ask.l_pid, -1);
  ask = {F_RDLCK, SEEK_SET, 0, 0, 5};
  EXPECT_THAT(fcntl(b.get(), F_OFD_GETLK, &ask), SyscallFailsWithErrno(EINVAL));
  // A POSIX lock conflicts with an OFD lock of the same process.
  struct flock posix = {F_WRLCK, SEEK_SET, 4, 1, 0};
  EXPECT_THAT(fcntl(b.get(), F_SETLK, &posix), SyscallFailsWithErrno(EAGAIN));
  // Relative forms: from the end, backwards.
  ASSERT_THAT(lseek(b.get(), 8, SEEK_SET), SyscallSucceedsWithValue(8));
  posix = {F_WRLCK, SEEK_CUR, 0, -2, 0};
  EXPECT_THAT(fcntl(b.get(), F_SETLK, &posix), SyscallSucceeds());
  ask = {F_WRLCK, SEEK_END, -4, 0, 0};
  EXPECT_THAT(fcntl(a.get(), F_OFD_GETLK, &ask), SyscallSucceeds());
  EXPECT_EQ(ask.l_start, 6);
  EXPECT_EQ(ask.l_len, 2);
  EXPECT_EQ(ask.l_pid, getpid());
  posix = {F_WRLCK, SEEK_SET, -1, 1, 0};
  EXPECT_THAT(fcntl(b.get(), F_SETLK, &posix), SyscallFailsWithErrno(EINVAL));
  posix = {9, SEEK_SET, 0, 1, 0};
  EXPECT_THAT(fcntl(b.get(), F_SETLK, &posix), SyscallFailsWithErrno(EINVAL));
  Fd reader(open((dir / "f").c_str(), O_RDONLY));
  posix = {F_WRLCK, SEEK_SET, 0, 1, 0};
  EXPECT_THAT(fcntl(reader.get(), F_SETLK, &posix), SyscallFailsWithErrno(EBADF));
}

TEST(CloseRangeTest, FlagsAndErrors) {
  EXPECT_CHILD_OK([] {
    int base = 100;
    for (int i = 0; i < 5; i++) CHECK_OR_DIE(dup2(0, base + i) >= 0 || dup2(2, base + i) >= 0);
    CHECK_OR_DIE(Raw(SYS_close_range, 5, 4, 0) == -1 && errno == EINVAL);
    CHECK_OR_DIE(Raw(SYS_close_range, base, base, 1) == -1 && errno == EINVAL);
    CHECK_OR_DIE(Raw(SYS_close_range, base, base + 1, 4) == 0);
    CHECK_OR_DIE(fcntl(base, F_GETFD) == FD_CLOEXEC && fcntl(base + 2, F_GETFD) == 0);
    CHECK_OR_DIE(Raw(SYS_close_range, base + 1, ~0u, 2) == 0);
    CHECK_OR_DIE(fcntl(base, F_GETFD) == FD_CLOEXEC && fcntl(base + 1, F_GETFD) == -1);
    return 0;
  });
}

TEST(CopyRulesTest, CopyFileRange) {
  TempDir dir;
  PutFile(dir / "f", "0123456789");
  Fd f(open((dir / "f").c_str(), O_RDWR));
  Fd appender(open((dir / "g").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644));
  Fd folder(open(dir.path().c_str(), O_RDONLY));
  auto copy = [](int in, loff_t ino, int out, loff_t outo, size_t n, unsigned flags = 0) {
    return Raw(SYS_copy_file_range, in, &ino, out, &outo, n, flags);
  };
  EXPECT_THAT(copy(f.get(), 0, f.get(), 5, 5), SyscallSucceedsWithValue(5));
  EXPECT_EQ(GetFile(dir / "f"), "0123401234");
  EXPECT_THAT(copy(f.get(), 0, f.get(), 3, 5), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(copy(f.get(), 0, appender.get(), 0, 5), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(copy(f.get(), 0, folder.get(), 0, 5), SyscallFailsWithErrno(EISDIR));
  EXPECT_THAT(copy(folder.get(), 0, f.get(), 0, 5), SyscallFailsWithErrno(EISDIR));
  EXPECT_THAT(copy(f.get(), 0, f.get(), 5, 5, 1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(copy(f.get(), 50, f.get(), 5, 5), SyscallSucceedsWithValue(0));
  int pipes[2];
  pipe(pipes);
  EXPECT_THAT(Raw(SYS_copy_file_range, pipes[0], nullptr, f.get(), nullptr, 5, 0),
              SyscallFailsWithErrno(EINVAL));
  off_t offset = -1;
  EXPECT_THAT(sendfile(pipes[1], f.get(), &offset, 5), SyscallFailsWithErrno(EINVAL));
  offset = 3;
  EXPECT_THAT(sendfile(pipes[1], f.get(), &offset, 50), SyscallSucceedsWithValue(7));
  EXPECT_EQ(offset, 10);
  EXPECT_THAT(lseek(f.get(), 0, SEEK_CUR), SyscallSucceedsWithValue(0));
  EXPECT_THAT(sendfile(appender.get(), f.get(), nullptr, 5), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_splice, pipes[0], nullptr, appender.get(), nullptr, 5, 0),
              SyscallFailsWithErrno(EINVAL));
  loff_t at = 0;
  EXPECT_THAT(Raw(SYS_splice, pipes[0], &at, f.get(), nullptr, 5, 0),
              SyscallFailsWithErrno(ESPIPE));
  EXPECT_THAT(Raw(SYS_splice, f.get(), nullptr, appender.get(), nullptr, 5, 0),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_splice, pipes[0], nullptr, pipes[1], nullptr, 5, 0),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_tee, pipes[0], pipes[1], 5, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_tee, f.get(), pipes[1], 5, 0), SyscallFailsWithErrno(EINVAL));
  close(pipes[0]);
  close(pipes[1]);
}

}  // namespace
