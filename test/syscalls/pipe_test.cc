// pipe, FIFO, splice, tee, vmsplice.
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

class PipeTest : public testing::Test {
 protected:
  explicit PipeTest(int flags = 0) { Make(r_, w_, flags); }
  static void Make(Fd& r, Fd& w, int flags = 0) {
    int p[2];
    CHECK_OR_DIE(pipe2(p, flags) == 0);
    r.reset(p[0]);
    w.reset(p[1]);
  }
  void Nonblock() {
    fcntl(r_.get(), F_SETFL, O_NONBLOCK);
    fcntl(w_.get(), F_SETFL, O_NONBLOCK);
  }
  Fd r_, w_;
  char buf_[70000];
};

TEST_F(PipeTest, CarriesBytes) {
  EXPECT_THAT(write(w_.get(), "hello", 5), SyscallSucceedsWithValue(5));
  EXPECT_THAT(read(r_.get(), buf_, 3), SyscallSucceedsWithValue(3));
  EXPECT_THAT(read(r_.get(), buf_, 100), SyscallSucceedsWithValue(2));
}

TEST_F(PipeTest, WrongEnds) {
  EXPECT_THAT(write(r_.get(), "x", 1), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(read(w_.get(), buf_, 1), SyscallFailsWithErrno(EBADF));
}

TEST_F(PipeTest, CreationErrors) {
  int p[2];
  EXPECT_THAT(pipe2(p, O_APPEND), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_pipe2, 8, 0), SyscallFailsWithErrno(EFAULT));
}

TEST_F(PipeTest, FlagsAreSet) {
  Fd r, w;
  Make(r, w, O_CLOEXEC | O_NONBLOCK);
  EXPECT_EQ(fcntl(r.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(w.get(), F_GETFL), O_WRONLY | O_NONBLOCK);
  EXPECT_EQ(fcntl(r.get(), F_GETFL), O_RDONLY | O_NONBLOCK);
}

TEST_F(PipeTest, EndOfFileWhenWritersAreGone) {
  write(w_.get(), "x", 1);
  w_.reset();
  EXPECT_THAT(read(r_.get(), buf_, 10), SyscallSucceedsWithValue(1));
  EXPECT_THAT(read(r_.get(), buf_, 10), SyscallSucceedsWithValue(0));
}

TEST_F(PipeTest, WriteWithoutReaderIsEpipeAndSigpipe) {
  r_.reset();
  {
    ScopedSigaction ignore(SIGPIPE, SIG_IGN);
    EXPECT_THAT(write(w_.get(), "x", 1), SyscallFailsWithErrno(EPIPE));
  }
  int status = InChild([&] { return static_cast<int>(write(w_.get(), "x", 1)); });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGPIPE);
}

TEST_F(PipeTest, NonblockingEmptyAndFull) {
  Nonblock();
  EXPECT_THAT(read(r_.get(), buf_, 1), SyscallFailsWithErrno(EAGAIN));
  EXPECT_THAT(write(w_.get(), buf_, sizeof buf_), SyscallSucceedsWithValue(65536));
  EXPECT_THAT(write(w_.get(), buf_, 1), SyscallFailsWithErrno(EAGAIN));
}

TEST_F(PipeTest, SmallWritesAreAtomic) {
  Nonblock();
  ASSERT_THAT(write(w_.get(), buf_, 65536 - 100), SyscallSucceedsWithValue(65536 - 100));
  EXPECT_THAT(write(w_.get(), buf_, PIPE_BUF), SyscallFailsWithErrno(EAGAIN));
}

TEST_F(PipeTest, BlockingReadWaits) {
  pid_t child = StartChild([&] {
    char c;
    CHECK_OR_DIE(read(r_.get(), &c, 1) == 1 && c == 'z');
    return 0;
  });
  WaitUntilSleeping(child);
  ASSERT_THAT(write(w_.get(), "z", 1), SyscallSucceedsWithValue(1));
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(PipeTest, BlockingWriteOfMoreThanFits) {
  pid_t child = StartChild([&] {
    CHECK_OR_DIE(write(w_.get(), buf_, sizeof buf_) == sizeof buf_);
    return 0;
  });
  w_.reset();
  size_t total = 0;
  ssize_t n;
  while ((n = read(r_.get(), buf_, 5000)) > 0) total += n;
  EXPECT_EQ(total, sizeof buf_);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(PipeTest, BlockedWriterGetsEpipe) {
  pid_t child = StartChild([&] {
    r_.reset();
    signal(SIGPIPE, SIG_IGN);
    ssize_t n = write(w_.get(), buf_, sizeof buf_);
    CHECK_OR_DIE(n == 65536 || (n == -1 && errno == EPIPE));
    CHECK_OR_DIE(write(w_.get(), buf_, 1) == -1 && errno == EPIPE);
    return 0;
  });
  WaitUntilSleeping(child);
  r_.reset();
  EXPECT_EQ(WaitFor(child), 0);
}

TEST_F(PipeTest, Fionread) {
  int n = -1;
  write(w_.get(), "abc", 3);
  ASSERT_THAT(ioctl(r_.get(), FIONREAD, &n), SyscallSucceeds());
  EXPECT_EQ(n, 3);
}

TEST_F(PipeTest, Size) {
  EXPECT_THAT(fcntl(w_.get(), F_GETPIPE_SZ), SyscallSucceedsWithValue(65536));
  EXPECT_THAT(fcntl(w_.get(), F_SETPIPE_SZ, 5000), SyscallSucceedsWithValue(8192));
  EXPECT_THAT(fcntl(r_.get(), F_GETPIPE_SZ), SyscallSucceedsWithValue(8192));
  Nonblock();
  ASSERT_THAT(write(w_.get(), buf_, 8192), SyscallSucceedsWithValue(8192));
  EXPECT_THAT(fcntl(w_.get(), F_SETPIPE_SZ, 4096), SyscallFailsWithErrno(EBUSY));
}

TEST_F(PipeTest, PollEvents) {
  pollfd p[2] = {{r_.get(), POLLIN, 0}, {w_.get(), POLLOUT, 0}};
  EXPECT_EQ(poll(p, 2, 0), 1);
  EXPECT_EQ(p[1].revents, POLLOUT);
  write(w_.get(), "x", 1);
  EXPECT_EQ(poll(p, 1, 0), 1);
  EXPECT_EQ(p[0].revents, POLLIN);
  w_.reset();
  EXPECT_EQ(poll(p, 1, 0), 1);
  EXPECT_EQ(p[0].revents, POLLIN | POLLHUP);
  Fd r, w;
  Make(r, w);
  r.reset();
  p[0] = {w.get(), POLLOUT, 0};
  EXPECT_EQ(poll(p, 1, 0), 1);
  EXPECT_EQ(p[0].revents, POLLOUT | POLLERR);
}

TEST_F(PipeTest, StatSaysFifo) {
  struct stat st;
  ASSERT_THAT(fstat(r_.get(), &st), SyscallSucceeds());
  EXPECT_TRUE(S_ISFIFO(st.st_mode));
}

TEST_F(PipeTest, ReadvSpansWrites) {
  write(w_.get(), "ab", 2);
  write(w_.get(), "cd", 2);
  char x[3], y[3];
  iovec v[] = {{x, 3}, {y, 3}};
  EXPECT_THAT(readv(r_.get(), v, 2), SyscallSucceedsWithValue(4));
  EXPECT_EQ(std::string_view(x, 3), "abc");
}

TEST_F(PipeTest, FifoOpensMeet) {
  TempDir dir;
  std::string fifo = dir / "fifo";
  ASSERT_THAT(mkfifo(fifo.c_str(), 0600), SyscallSucceeds());
  pid_t child = StartChild([&] {
    Fd w(open(fifo.c_str(), O_WRONLY));
    CHECK_OR_DIE(write(w.get(), "hi", 2) == 2);
    return 0;
  });
  WaitUntilSleeping(child);
  Fd r(open(fifo.c_str(), O_RDONLY));
  EXPECT_THAT(read(r.get(), buf_, 10), SyscallSucceedsWithValue(2));
  EXPECT_EQ(WaitFor(child), 0);
  EXPECT_THAT(read(r.get(), buf_, 10), SyscallSucceedsWithValue(0));
}

TEST_F(PipeTest, FifoNonblockingOpens) {
  TempDir dir;
  std::string fifo = dir / "fifo";
  ASSERT_THAT(mkfifo(fifo.c_str(), 0600), SyscallSucceeds());
  EXPECT_THAT(open(fifo.c_str(), O_WRONLY | O_NONBLOCK), SyscallFailsWithErrno(ENXIO));
  Fd r(open(fifo.c_str(), O_RDONLY | O_NONBLOCK));
  ASSERT_TRUE(r.valid());
  EXPECT_THAT(read(r.get(), buf_, 1), SyscallSucceedsWithValue(0));
  Fd w(open(fifo.c_str(), O_WRONLY | O_NONBLOCK));
  ASSERT_TRUE(w.valid());
  EXPECT_THAT(read(r.get(), buf_, 1), SyscallFailsWithErrno(EAGAIN));
  Fd both(open(fifo.c_str(), O_RDWR));
  EXPECT_TRUE(both.valid());
}

TEST_F(PipeTest, SpliceFileToPipeToFile) {
  TempDir dir;
  PutFile(dir / "in", "0123456789");
  Fd in(open((dir / "in").c_str(), O_RDONLY)),
      out(open((dir / "out").c_str(), O_CREAT | O_RDWR, 0600));
  loff_t offset = 2;
  EXPECT_THAT(splice(in.get(), &offset, w_.get(), nullptr, 5, 0), SyscallSucceedsWithValue(5));
  EXPECT_EQ(offset, 7);
  EXPECT_THAT(splice(r_.get(), nullptr, out.get(), nullptr, 100, 0), SyscallSucceedsWithValue(5));
  EXPECT_EQ(GetFile(dir / "out"), "23456");
}

TEST_F(PipeTest, SpliceErrors) {
  TempDir dir;
  PutFile(dir / "in", "0123456789");
  Fd in(open((dir / "in").c_str(), O_RDWR)), in2(open((dir / "in").c_str(), O_RDWR));
  EXPECT_THAT(splice(in.get(), nullptr, in2.get(), nullptr, 1, 0), SyscallFailsWithErrno(EINVAL));
  loff_t offset = 0;
  EXPECT_THAT(splice(r_.get(), &offset, in.get(), nullptr, 1, 0), SyscallFailsWithErrno(ESPIPE));
  EXPECT_THAT(splice(-1, nullptr, w_.get(), nullptr, 1, 0), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(splice(r_.get(), nullptr, in.get(), nullptr, 1, 1 << 20),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(splice(r_.get(), nullptr, in.get(), nullptr, 1, SPLICE_F_NONBLOCK),
              SyscallFailsWithErrno(EAGAIN));
}

TEST_F(PipeTest, TeeCopiesWithoutTaking) {
  Fd r2, w2;
  Make(r2, w2);
  write(w_.get(), "abcd", 4);
  EXPECT_THAT(tee(r_.get(), w2.get(), 100, 0), SyscallSucceedsWithValue(4));
  EXPECT_THAT(read(r2.get(), buf_, 100), SyscallSucceedsWithValue(4));
  EXPECT_THAT(read(r_.get(), buf_, 100), SyscallSucceedsWithValue(4));
  EXPECT_THAT(tee(r_.get(), w2.get(), 100, SPLICE_F_NONBLOCK), SyscallFailsWithErrno(EAGAIN));
  EXPECT_THAT(tee(r_.get(), w_.get(), 1, 0), SyscallFailsWithErrno(EINVAL));
}

TEST_F(PipeTest, Vmsplice) {
  char data[] = "spliced";
  iovec v = {data, 7};
  EXPECT_THAT(vmsplice(w_.get(), &v, 1, 0), SyscallSucceedsWithValue(7));
  EXPECT_THAT(read(r_.get(), buf_, 100), SyscallSucceedsWithValue(7));
  EXPECT_EQ(std::string_view(buf_, 7), "spliced");
}

TEST_F(PipeTest, ManyThreadsThroughOnePipe) {
  constexpr int kThreads = 4, kEach = 500;
  std::vector<std::thread> writers;
  for (int i = 0; i < kThreads; i++) {
    writers.emplace_back([&] {
      for (int j = 0; j < kEach; j++) CHECK_OR_DIE(write(w_.get(), "12345678", 8) == 8);
    });
  }
  size_t total = 0;
  while (total < kThreads * kEach * 8) {
    ssize_t n = read(r_.get(), buf_, 64);
    ASSERT_GT(n, 0);
    for (ssize_t i = 0; i < n; i++) ASSERT_EQ(buf_[i], '1' + (total + i) % 8);
    total += n;
  }
  for (auto& thread : writers) thread.join();
}

// A packet takes a page's place however short it is.
TEST(PipePacketTest, AsManyAsPages) {
  int p[2];
  ASSERT_THAT(pipe2(p, O_DIRECT | O_NONBLOCK), SyscallSucceeds());
  auto fill = [&] {
    int n = 0;
    while (n < 100'000 && write(p[1], "x", 1) == 1) ++n;
    EXPECT_EQ(errno, EAGAIN);
    return n;
  };
  EXPECT_EQ(fill(), 16);
  pollfd q = {p[1], POLLOUT, 0};
  EXPECT_EQ(poll(&q, 1, 0), 0);
  EXPECT_THAT(fcntl(p[1], F_SETPIPE_SZ, 4096), SyscallFailsWithErrno(EBUSY));
  char byte[10];
  EXPECT_EQ(read(p[0], byte, 10), 1);
  EXPECT_EQ(poll(&q, 1, 0), 1);
  EXPECT_EQ(fill(), 1);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(read(p[0], byte, 10), 1);
  ASSERT_THAT(fcntl(p[1], F_SETPIPE_SZ, 4096), SyscallSucceeds());
  EXPECT_EQ(fill(), 1);
  close(p[0]);
  close(p[1]);
}

}  // namespace
