// read and write in all forms, lseek, truncate, fallocate, sync, sendfile, copy_file_range.
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include <vector>

#include "test/util/test_util.h"

namespace {
using namespace guest;

class IoTest : public testing::Test {
 protected:
  IoTest() : file_(dir_ / "file") {
    PutFile(file_, "0123456789");
    fd_ = Fd(open(file_.c_str(), O_RDWR));
  }
  int fd() { return fd_.get(); }
  int64_t Size() {
    struct stat st;
    CHECK_OR_DIE(fstat(fd(), &st) == 0);
    return st.st_size;
  }
  TempDir dir_;
  std::string file_;
  Fd fd_;
};

TEST_F(IoTest, ReadAdvancesAndEnds) {
  char buf[16];
  EXPECT_THAT(read(fd(), buf, 4), SyscallSucceedsWithValue(4));
  EXPECT_EQ(std::string_view(buf, 4), "0123");
  EXPECT_THAT(read(fd(), buf, 16), SyscallSucceedsWithValue(6));
  EXPECT_THAT(read(fd(), buf, 16), SyscallSucceedsWithValue(0));
}

TEST_F(IoTest, ReadErrors) {
  char c;
  EXPECT_THAT(read(-1, &c, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(read(fd(), reinterpret_cast<void*>(8), 1), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(read(fd(), reinterpret_cast<void*>(8), 0), SyscallSucceedsWithValue(0));
  Fd dir(open(dir_.path().c_str(), O_RDONLY));
  EXPECT_THAT(read(dir.get(), &c, 1), SyscallFailsWithErrno(EISDIR));
}

TEST_F(IoTest, ReadIntoReadOnlyMemoryIsEfault) {
  void* page = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_THAT(read(fd(), page, 4), SyscallFailsWithErrno(EFAULT));
  munmap(page, 4096);
}

TEST_F(IoTest, PartialReadBeforeFault) {
  char* pages = static_cast<char*>(
      mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_THAT(munmap(pages + 4096, 4096), SyscallSucceeds());
  ssize_t n = read(fd(), pages + 4096 - 4, 10);
  EXPECT_TRUE(n == 4 || (n == -1 && errno == EFAULT)) << n;
  munmap(pages, 4096);
}

TEST_F(IoTest, WriteErrors) {
  EXPECT_THAT(write(-1, "x", 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(write(fd(), reinterpret_cast<void*>(8), 1), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(write(fd(), "x", 0), SyscallSucceedsWithValue(0));
  EXPECT_EQ(GetFile(file_), "0123456789");
}

TEST_F(IoTest, WritePastEndLeavesZeroes) {
  ASSERT_THAT(lseek(fd(), 12, SEEK_SET), SyscallSucceedsWithValue(12));
  ASSERT_THAT(write(fd(), "x", 1), SyscallSucceedsWithValue(1));
  EXPECT_EQ(GetFile(file_), std::string("0123456789\0\0x", 13));
}

TEST_F(IoTest, BigTransfer) {
  std::string data(3 << 20, 'a');
  for (size_t i = 0; i < data.size(); i++) data[i] = static_cast<char>(i * 31 + (i >> 12));
  ASSERT_THAT(pwrite(fd(), data.data(), data.size(), 5), SyscallSucceedsWithValue(data.size()));
  std::string back(data.size(), 0);
  ASSERT_THAT(pread(fd(), back.data(), back.size(), 5), SyscallSucceedsWithValue(data.size()));
  EXPECT_TRUE(data == back);
}

TEST_F(IoTest, PreadPwriteKeepOffset) {
  char buf[4];
  EXPECT_THAT(pread(fd(), buf, 4, 6), SyscallSucceedsWithValue(4));
  EXPECT_EQ(std::string_view(buf, 4), "6789");
  EXPECT_THAT(pwrite(fd(), "ab", 2, 1), SyscallSucceedsWithValue(2));
  EXPECT_THAT(lseek(fd(), 0, SEEK_CUR), SyscallSucceedsWithValue(0));
  EXPECT_EQ(GetFile(file_), "0ab3456789");
  EXPECT_THAT(pread(fd(), buf, 4, 100), SyscallSucceedsWithValue(0));
}

TEST_F(IoTest, PreadErrors) {
  char c;
  EXPECT_THAT(pread(fd(), &c, 1, -1), SyscallFailsWithErrno(EINVAL));
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  EXPECT_THAT(pread(p[0], &c, 1, 0), SyscallFailsWithErrno(ESPIPE));
  EXPECT_THAT(pwrite(p[1], &c, 1, 0), SyscallFailsWithErrno(ESPIPE));
  close(p[0]);
  close(p[1]);
}

TEST_F(IoTest, Vectors) {
  char a[3], b[4];
  iovec in[] = {{a, 3}, {nullptr, 0}, {b, 4}};
  EXPECT_THAT(readv(fd(), in, 3), SyscallSucceedsWithValue(7));
  EXPECT_EQ(std::string_view(b, 4), "3456");
  char x[] = "XY", y[] = "Z";
  iovec out[] = {{x, 2}, {y, 1}};
  EXPECT_THAT(writev(fd(), out, 2), SyscallSucceedsWithValue(3));
  EXPECT_EQ(GetFile(file_), "0123456XYZ");
  EXPECT_THAT(preadv(fd(), in, 3, 1), SyscallSucceedsWithValue(7));
  EXPECT_THAT(pwritev(fd(), out, 2, 0), SyscallSucceedsWithValue(3));
  EXPECT_EQ(GetFile(file_), "XYZ3456XYZ");
}

TEST_F(IoTest, VectorErrors) {
  char c;
  iovec v = {&c, 1};
  EXPECT_THAT(readv(fd(), &v, -1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(readv(fd(), &v, IOV_MAX + 1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(readv(fd(), &v, 0), SyscallSucceedsWithValue(0));
  iovec negative = {&c, static_cast<size_t>(SSIZE_MAX) + 1};
  EXPECT_THAT(readv(fd(), &negative, 1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(readv(fd(), reinterpret_cast<iovec*>(8), 1), SyscallFailsWithErrno(EFAULT));
}

TEST_F(IoTest, Preadv2Flags) {
  char buf[4];
  iovec v = {buf, 4};
  EXPECT_THAT(preadv2(fd(), &v, 1, 0, 0), SyscallSucceedsWithValue(4));
  EXPECT_THAT(preadv2(fd(), &v, 1, -1, 0), SyscallSucceedsWithValue(4));
  EXPECT_THAT(lseek(fd(), 0, SEEK_CUR), SyscallSucceedsWithValue(4));
  EXPECT_THAT(preadv2(fd(), &v, 1, 0, 1 << 30), SyscallFailsWithErrno(EOPNOTSUPP));
}

TEST_F(IoTest, Pwritev2Append) {
  char x[] = "ab";
  iovec v = {x, 2};
  EXPECT_THAT(pwritev2(fd(), &v, 1, 0, RWF_APPEND), SyscallSucceedsWithValue(2));
  EXPECT_EQ(GetFile(file_), "0123456789ab");
  EXPECT_THAT(pwritev2(fd(), &v, 1, 0, RWF_DSYNC | RWF_SYNC), SyscallSucceedsWithValue(2));
}

TEST_F(IoTest, Lseek) {
  EXPECT_THAT(lseek(fd(), 3, SEEK_SET), SyscallSucceedsWithValue(3));
  EXPECT_THAT(lseek(fd(), 2, SEEK_CUR), SyscallSucceedsWithValue(5));
  EXPECT_THAT(lseek(fd(), -1, SEEK_END), SyscallSucceedsWithValue(9));
  EXPECT_THAT(lseek(fd(), 1000, SEEK_END), SyscallSucceedsWithValue(1010));
  EXPECT_THAT(lseek(fd(), -1, SEEK_SET), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(lseek(fd(), 0, 99), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(lseek(-1, 0, SEEK_SET), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(lseek(fd(), 0, SEEK_CUR), SyscallSucceedsWithValue(1010));
}

TEST_F(IoTest, SeekHoleAndData) {
  EXPECT_THAT(lseek(fd(), 0, SEEK_DATA), SyscallSucceedsWithValue(0));
  EXPECT_THAT(lseek(fd(), 0, SEEK_HOLE), SyscallSucceedsWithValue(10));
  EXPECT_THAT(lseek(fd(), 10, SEEK_DATA), SyscallFailsWithErrno(ENXIO));
  EXPECT_THAT(lseek(fd(), 10, SEEK_HOLE), SyscallFailsWithErrno(ENXIO));
}

TEST_F(IoTest, LseekOnPipeIsEspipe) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  EXPECT_THAT(lseek(p[0], 0, SEEK_CUR), SyscallFailsWithErrno(ESPIPE));
  close(p[0]);
  close(p[1]);
}

TEST_F(IoTest, Truncate) {
  ASSERT_THAT(truncate(file_.c_str(), 4), SyscallSucceeds());
  EXPECT_EQ(GetFile(file_), "0123");
  ASSERT_THAT(ftruncate(fd(), 6), SyscallSucceeds());
  EXPECT_EQ(GetFile(file_), std::string("0123\0\0", 6));
  EXPECT_THAT(truncate(file_.c_str(), -1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(ftruncate(fd(), -1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(truncate(dir_.path().c_str(), 0), SyscallFailsWithErrno(EISDIR));
  EXPECT_THAT(truncate((dir_ / "no").c_str(), 0), SyscallFailsWithErrno(ENOENT));
  Fd ro(open(file_.c_str(), O_RDONLY));
  EXPECT_THAT(ftruncate(ro.get(), 0), SyscallFailsWithErrno(EINVAL));
}

TEST_F(IoTest, TruncateGrownPartIsZeroAfterShrink) {
  std::string big(10000, 'x');
  ASSERT_THAT(pwrite(fd(), big.data(), big.size(), 0), SyscallSucceeds());
  ASSERT_THAT(ftruncate(fd(), 5000), SyscallSucceeds());
  ASSERT_THAT(ftruncate(fd(), 10000), SyscallSucceeds());
  std::string got = GetFile(file_);
  EXPECT_EQ(got.substr(0, 5000), big.substr(0, 5000));
  EXPECT_EQ(got.substr(5000), std::string(5000, 0));
}

TEST_F(IoTest, FileSizeLimit) {
  EXPECT_CHILD_OK([&] {
    rlimit limit = {12, 12};
    CHECK_OR_DIE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    signal(SIGXFSZ, SIG_IGN);
    CHECK_OR_DIE(pwrite(fd(), "abcdef", 6, 10) == 2);
    CHECK_OR_DIE(pwrite(fd(), "abcdef", 6, 12) == -1 && errno == EFBIG);
    CHECK_OR_DIE(ftruncate(fd(), 13) == -1 && errno == EFBIG);
    return 0;
  });
  int status = InChild([&] {
    rlimit limit = {12, 12};
    rlimit core = {0, 0};
    setrlimit(RLIMIT_CORE, &core);
    CHECK_OR_DIE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    pwrite(fd(), "abcdef", 6, 12);
    return 0;
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGXFSZ);
}

TEST_F(IoTest, Fallocate) {
  ASSERT_THAT(fallocate(fd(), 0, 0, 100), SyscallSucceeds());
  EXPECT_EQ(Size(), 100);
  ASSERT_THAT(fallocate(fd(), FALLOC_FL_KEEP_SIZE, 0, 10000), SyscallSucceeds());
  EXPECT_EQ(Size(), 100);
  EXPECT_THAT(fallocate(fd(), 0, -1, 10), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(fallocate(fd(), 0, 0, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(fallocate(fd(), 0, INT64_MAX, 10), SyscallFailsWithErrno(EFBIG));
  Fd ro(open(file_.c_str(), O_RDONLY));
  EXPECT_THAT(fallocate(ro.get(), 0, 0, 10), SyscallFailsWithErrno(EBADF));
}

TEST_F(IoTest, PunchHole) {
  std::string big(16384, 'x');
  ASSERT_THAT(pwrite(fd(), big.data(), big.size(), 0), SyscallSucceeds());
  ASSERT_THAT(fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096),
              SyscallSucceeds());
  std::string got = GetFile(file_);
  EXPECT_EQ(got.size(), 16384u);
  EXPECT_EQ(got.substr(4096, 4096), std::string(4096, 0));
  EXPECT_EQ(got[4095], 'x');
  EXPECT_EQ(got[8192], 'x');
  EXPECT_THAT(fallocate(fd(), FALLOC_FL_PUNCH_HOLE, 0, 4096), SyscallFailsWithErrno(EOPNOTSUPP));
}

TEST_F(IoTest, SyncFamily) {
  EXPECT_THAT(fsync(fd()), SyscallSucceeds());
  EXPECT_THAT(fdatasync(fd()), SyscallSucceeds());
  EXPECT_THAT(syncfs(fd()), SyscallSucceeds());
  EXPECT_THAT(sync_file_range(fd(), 0, 0, SYNC_FILE_RANGE_WRITE), SyscallSucceeds());
  EXPECT_THAT(sync_file_range(fd(), 0, 0, 1 << 20), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(fsync(-1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(fdatasync(-1), SyscallFailsWithErrno(EBADF));
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  EXPECT_THAT(fsync(p[0]), SyscallFailsWithErrno(EINVAL));
  close(p[0]);
  close(p[1]);
}

TEST_F(IoTest, Fadvise) {
  EXPECT_EQ(posix_fadvise(fd(), 0, 0, POSIX_FADV_WILLNEED), 0);
  EXPECT_EQ(posix_fadvise(fd(), 0, 0, 99), EINVAL);
  EXPECT_EQ(posix_fadvise(-1, 0, 0, POSIX_FADV_NORMAL), EBADF);
  EXPECT_THAT(readahead(fd(), 0, 4096), SyscallSucceeds());
}

TEST_F(IoTest, SendfileToFile) {
  Fd out(open((dir_ / "out").c_str(), O_CREAT | O_RDWR, 0600));
  EXPECT_THAT(sendfile(out.get(), fd(), nullptr, 100), SyscallSucceedsWithValue(10));
  EXPECT_EQ(GetFile(dir_ / "out"), "0123456789");
  off_t offset = 4;
  EXPECT_THAT(sendfile(out.get(), fd(), &offset, 3), SyscallSucceedsWithValue(3));
  EXPECT_EQ(offset, 7);
  EXPECT_THAT(lseek(fd(), 0, SEEK_CUR), SyscallSucceedsWithValue(10));
}

TEST_F(IoTest, SendfileErrors) {
  Fd out(open((dir_ / "out").c_str(), O_CREAT | O_WRONLY, 0600));
  EXPECT_THAT(sendfile(out.get(), -1, nullptr, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(sendfile(-1, fd(), nullptr, 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(sendfile(out.get(), out.get(), nullptr, 1), SyscallFailsWithErrno(EBADF));
  Fd append(open((dir_ / "out").c_str(), O_WRONLY | O_APPEND));
  EXPECT_THAT(sendfile(append.get(), fd(), nullptr, 1), SyscallFailsWithErrno(EINVAL));
}

TEST_F(IoTest, SendfileToPipe) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  EXPECT_THAT(sendfile(p[1], fd(), nullptr, 4), SyscallSucceedsWithValue(4));
  char buf[8];
  EXPECT_THAT(read(p[0], buf, 8), SyscallSucceedsWithValue(4));
  EXPECT_EQ(std::string_view(buf, 4), "0123");
  close(p[0]);
  close(p[1]);
}

TEST_F(IoTest, CopyFileRange) {
  Fd out(open((dir_ / "out").c_str(), O_CREAT | O_RDWR, 0600));
  off_t in_off = 2, out_off = 1;
  EXPECT_THAT(copy_file_range(fd(), &in_off, out.get(), &out_off, 4, 0),
              SyscallSucceedsWithValue(4));
  EXPECT_EQ(in_off, 6);
  EXPECT_EQ(out_off, 5);
  EXPECT_EQ(GetFile(dir_ / "out"), std::string("\0"
                                               "2345",
                                               5));
  EXPECT_THAT(copy_file_range(fd(), nullptr, out.get(), nullptr, 100, 0),
              SyscallSucceedsWithValue(10));
  EXPECT_THAT(copy_file_range(fd(), nullptr, out.get(), nullptr, 100, 0),
              SyscallSucceedsWithValue(0));
}

TEST_F(IoTest, CopyFileRangeErrors) {
  Fd out(open((dir_ / "out").c_str(), O_CREAT | O_RDWR, 0600));
  EXPECT_THAT(copy_file_range(fd(), nullptr, out.get(), nullptr, 1, 1),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(copy_file_range(-1, nullptr, out.get(), nullptr, 1, 0), SyscallFailsWithErrno(EBADF));
  Fd ro(open(file_.c_str(), O_RDONLY));
  EXPECT_THAT(copy_file_range(fd(), nullptr, ro.get(), nullptr, 1, 0),
              SyscallFailsWithErrno(EBADF));
  off_t a = 0, b = 2;
  EXPECT_THAT(copy_file_range(fd(), &a, fd(), &b, 5, 0), SyscallFailsWithErrno(EINVAL));
  Fd dir(open(dir_.path().c_str(), O_RDONLY));
  EXPECT_THAT(copy_file_range(dir.get(), nullptr, out.get(), nullptr, 1, 0),
              SyscallFailsWithErrno(EISDIR));
}

TEST_F(IoTest, WriteClearsSetuid) {
  ASSERT_THAT(chmod(file_.c_str(), 06755), SyscallSucceeds());
  ASSERT_THAT(fchown(fd(), 12345, 12345), SyscallSucceeds());
  ASSERT_THAT(chmod(file_.c_str(), 06755), SyscallSucceeds());
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setresgid(12345, 12345, 12345) == 0);
    CHECK_OR_DIE(setresuid(12345, 12345, 12345) == 0);
    CHECK_OR_DIE(write(fd(), "x", 1) == 1);
    struct stat st;
    CHECK_OR_DIE(fstat(fd(), &st) == 0 && (st.st_mode & 07777) == 0755);
    return 0;
  });
}

TEST_F(IoTest, DevNullZeroFull) {
  char buf[4] = {1, 1, 1, 1};
  Fd null(open("/dev/null", O_RDWR)), zero(open("/dev/zero", O_RDWR)),
      full(open("/dev/full", O_RDWR));
  EXPECT_THAT(read(null.get(), buf, 4), SyscallSucceedsWithValue(0));
  EXPECT_THAT(write(null.get(), buf, 4), SyscallSucceedsWithValue(4));
  EXPECT_THAT(read(zero.get(), buf, 4), SyscallSucceedsWithValue(4));
  EXPECT_EQ(buf[0] + buf[1] + buf[2] + buf[3], 0);
  EXPECT_THAT(write(full.get(), buf, 4), SyscallFailsWithErrno(ENOSPC));
  EXPECT_THAT(lseek(null.get(), 5, SEEK_SET), SyscallSucceeds());
  struct stat st;
  ASSERT_THAT(fstat(null.get(), &st), SyscallSucceeds());
  EXPECT_TRUE(S_ISCHR(st.st_mode));
  EXPECT_EQ(st.st_rdev, makedev(1, 3));
}

TEST_F(IoTest, DevRandom) {
  char a[32] = {}, b[32] = {};
  for (const char* path : {"/dev/urandom", "/dev/random"}) {
    Fd fd(open(path, O_RDONLY));
    EXPECT_THAT(read(fd.get(), a, 32), SyscallSucceedsWithValue(32));
    EXPECT_THAT(read(fd.get(), b, 32), SyscallSucceedsWithValue(32));
    EXPECT_NE(memcmp(a, b, 32), 0);
  }
}

TEST_F(IoTest, ConcurrentAppendsAllArrive) {
  std::vector<pid_t> children;
  for (int i = 0; i < 4; i++) {
    children.push_back(StartChild([&] {
      Fd fd(open(file_.c_str(), O_WRONLY | O_APPEND));
      for (int j = 0; j < 100; j++) CHECK_OR_DIE(write(fd.get(), "abcd", 4) == 4);
      return 0;
    }));
  }
  for (pid_t pid : children) EXPECT_EQ(WaitFor(pid), 0);
  EXPECT_EQ(Size(), 10 + 4 * 100 * 4);
}

}  // namespace
