#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

#include "platform/base/errno.h"
#include "platform/host/file.h"
#include "platform/host/process.h"
#include "platform/host/pty.h"
#include "platform/host/socket.h"
#include "platform/host/thread.h"

namespace runsc::host {
namespace {

class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/host_test.XXXXXX";
    path_ = mkdtemp(name);
    fd_ = Fd(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~TempDir() { EXPECT_TRUE(RemoveFlatDir(AT_FDCWD, path_).ok()); }
  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  Fd fd_;
};

TEST(FileTest, AtomicWriteReplaces) {
  TempDir dir;
  ASSERT_TRUE(WriteFileAtomic(dir.fd(), "a", "one").ok());
  ASSERT_TRUE(WriteFileAtomic(dir.fd(), "a", "two").ok());
  EXPECT_EQ(*ReadFile(dir.fd(), "a", 10), "two");
  EXPECT_EQ(ListDir(dir.fd())->size(), 1u);
}

TEST(FileTest, ReadFileHasALimitAndNamesTheFile) {
  TempDir dir;
  ASSERT_TRUE(WriteFileAtomic(dir.fd(), "a", "12345").ok());
  EXPECT_FALSE(ReadFile(dir.fd(), "a", 4).ok());
  HostOr<std::string> missing = ReadFile(dir.fd(), "nosuch", 4);
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_NE(missing.error().text.find("nosuch"), std::string::npos);
}

TEST(SocketTest, DescriptorsTravelWithTheFirstByte) {
  auto pair = StreamPair();
  ASSERT_TRUE(pair.ok());
  int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  ASSERT_TRUE(SendWithFds(pair->first.get(), {"abc", 3}, std::span<const int>(&zero, 1)).ok());
  close(zero);
  char data[8];
  std::vector<Fd> fds;
  EXPECT_EQ(*RecvWithFds(pair->second.get(), data, fds), 3u);
  ASSERT_EQ(fds.size(), 1u);
  EXPECT_EQ(read(fds[0].get(), data, 8), 8);
}

TEST(SocketTest, ListenAtWorksUnderALongPathAndIsPrivate) {
  TempDir dir;
  std::string name(100, 'x');
  auto listener = ListenAt(dir.fd(), "s");
  ASSERT_TRUE(listener.ok()) << listener.error().text;
  struct stat st{};
  ASSERT_EQ(fstatat(dir.fd(), "s", &st, 0), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  auto client = ConnectAt(dir.fd(), "s");
  ASSERT_TRUE(client.ok()) << client.error().text;
  EXPECT_TRUE(Accept(listener->get()).ok());
  EXPECT_EQ(Accept(listener->get()).error().code, EAGAIN);
}

TEST(ProcessTest, ExitCodesAreAsInAShell) {
  auto child = CloneProcess(0, [] { return 7; });
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(*WaitChild(child->pid), 7);
  child = CloneProcess(0, [] { return raise(SIGTERM); });
  EXPECT_EQ(*WaitChild(child->pid), 128 + SIGTERM);
}

TEST(ProcessTest, StartTimeGuardsAgainstReuse) {
  uint64_t start = StartTime(getpid());
  EXPECT_NE(start, 0u);
  EXPECT_TRUE(OpenProcess(getpid(), start).ok());
  EXPECT_EQ(OpenProcess(getpid(), start + 1).error().code, ESRCH);
}

TEST(ProcessTest, RunProgramPassesInputAndStopsSlowOnes) {
  ProgramOptions options{"/bin/sh", {"sh", "-c", "read x; test \"$x\" = hello"}, {}, "hello\n"};
  EXPECT_TRUE(RunProgram(options).ok());
  options.argv[2] = "exit 3";
  EXPECT_NE(RunProgram(options).error().text.find("status 3"), std::string::npos);
  options.argv[2] = "exec sleep 20";
  options.timeout_ms = 50;
  EXPECT_NE(RunProgram(options).error().text.find("killed"), std::string::npos);
}

TEST(PtyTest, SlaveIsATerminal) {
  auto pty = OpenPty();
  ASSERT_TRUE(pty.ok()) << pty.error().text;
  EXPECT_TRUE(IsTerminal(pty->slave.get()));
  EXPECT_TRUE(SetWindowSize(pty->slave.get(), 24, 80).ok());
}

TEST(ThreadTest, RunsAndMayBeRefused) {
  int value = 0;
  Thread thread;
  ASSERT_TRUE(thread.Start([&] { value = 1; }).ok());
  thread.Join();
  EXPECT_EQ(value, 1);

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "the sanitizer itself ends a process that cannot have another thread";
#endif
  // glibc keeps stacks of threads that ended, and some more threads can use those.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  const rlimit none{4096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &none), 0);
  Status refused = Ok();
  std::atomic<bool> end{false};
  Thread many[64];
  for (Thread& t : many) {
    refused = t.Start([&] { end.wait(false); });
    if (!refused.ok()) break;
  }
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(refused.error(), Errno::kAgain);
  end.store(true);
  end.notify_all();
  for (Thread& t : many) {
    if (t.joinable()) t.Join();
  }
}

}  // namespace
}  // namespace runsc::host
