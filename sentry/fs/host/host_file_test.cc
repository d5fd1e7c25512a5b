#include "sentry/fs/host/host_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "sentry/vfs/inode.h"
#include "sentry/wait/wait.h"

namespace runsc {
namespace {

class HostFileTest : public testing::Test {
 protected:
  HostFileTest() : creds_(Credentials::NewRoot(UserNamespace::NewRoot())) {}
  // `fd` as the guest's stdin.
  Ref<File> Guest(int fd) {
    std::array<Fd, 3> fds{Fd(fd), Fd(dup(fd)), Fd(dup(fd))};
    return host_fs::NewStdio(std::move(fds), creds_, nullptr).value()[0];
  }
  ErrnoOr<std::string> Read(File& f, size_t n = 100) {
    std::string out(n, '?');
    IoContext io{*creds_};
    UserOut dst(out.data(), n);
    out.resize(TRY(f.Read(io, dst)));
    return out;
  }
  ErrnoOr<size_t> Write(File& f, std::string_view text) {
    IoContext io{*creds_};
    UserIn src(text.data(), text.size());
    return f.Write(io, src);
  }
  Ref<Credentials> creds_;
};

TEST_F(HostFileTest, PipeNeverSleepsAndWakesWaiters) {
  int p[2];
  ASSERT_EQ(pipe(p), 0);
  Ref<File> in = Guest(p[0]);
  EXPECT_EQ(Read(*in).error(), Errno::kWouldBlock);
  Blocker blocker;
  BlockerWaiter waiter(&blocker);
  in->AddWaiter(&waiter, EPOLLIN, false);
  blocker.ClearWake();
  EXPECT_EQ(in->Poll(EPOLLIN), 0u);
  ASSERT_EQ(write(p[1], "abc", 3), 3);
  EXPECT_EQ(blocker.Wait(Blocker::kForever), Blocker::Result::kWoken);
  in->RemoveWaiter(&waiter);
  EXPECT_EQ(Read(*in).value(), "abc");
  close(p[1]);
  EXPECT_EQ(Read(*in).value(), "");
  EXPECT_FALSE(in->seekable());
}

TEST_F(HostFileTest, FullPipeIsWouldBlock) {
  int p[2];
  ASSERT_EQ(pipe(p), 0);
  Ref<File> out = Guest(p[1]);
  std::string big(1 << 20, 'x');
  size_t total = 0;
  for (;;) {
    ErrnoOr<size_t> n = Write(*out, big);
    if (!n.ok()) {
      EXPECT_EQ(n.error(), Errno::kWouldBlock);
      break;
    }
    total += *n;
  }
  EXPECT_EQ(total, 65536u);
  close(p[0]);
}

TEST_F(HostFileTest, RegularFileSharesTheHostOffset) {
  char name[] = "/tmp/host_file_testXXXXXX";
  int fd = mkstemp(name);
  unlink(name);
  int mine = dup(fd);
  Ref<File> f = Guest(fd);
  ASSERT_EQ(Write(*f, "hello").value(), 5u);
  EXPECT_EQ(lseek(mine, 0, SEEK_CUR), 5);
  EXPECT_EQ(f->Seek(1, SEEK_SET).value(), 1);
  EXPECT_EQ(Read(*f).value(), "ello");
  EXPECT_EQ(f->inode().GetAttr()->size, 5u);
  close(mine);
}

TEST_F(HostFileTest, TerminalIsRecognised) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0) GTEST_SKIP();
  grantpt(master);
  unlockpt(master);
  int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  ASSERT_GE(slave, 0);
  Ref<File> tty = Guest(slave);
  EXPECT_TRUE(host_fs::IsTerminal(*tty));
  EXPECT_EQ(Read(*tty).error(), Errno::kWouldBlock);
  ASSERT_EQ(write(master, "line\n", 5), 5);
  EXPECT_EQ(Read(*tty).value(), "line\n");
  close(master);
}

}  // namespace
}  // namespace runsc
