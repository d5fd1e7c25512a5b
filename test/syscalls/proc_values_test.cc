// Files of /proc/PID that count, that can be written, and that list sockets.
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <map>
#include <sstream>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

std::map<std::string, long> Io(const std::string& path = "/proc/self/io") {
  std::map<std::string, long> out;
  std::istringstream text(TryGetFile(path));
  std::string key;
  for (long value; text >> key >> value;) out[key.substr(0, key.size() - 1)] = value;
  return out;
}

// write(2) of all of `text`; the error, or 0.
int Put(const std::string& path, std::string_view text) {
  int fd = open(path.c_str(), O_WRONLY);
  if (fd < 0) return errno;
  ssize_t n = write(fd, text.data(), text.size());
  int error = n == static_cast<ssize_t>(text.size()) ? 0 : errno;
  close(fd);
  return error;
}

TEST(ProcIoTest, CallsAndBytes) {
  Fd file(memfd_create("x", 0));
  auto before = Io();
  ASSERT_EQ(before.size(), 7u);
  char data[3000] = {};
  ASSERT_EQ(write(file.get(), data, 3000), 3000);
  ASSERT_EQ(pwrite(file.get(), data, 500, 100), 500);
  iovec iov[2] = {{data, 100}, {data + 100, 200}};
  ASSERT_EQ(writev(file.get(), iov, 2), 300);
  auto after = Io();
  EXPECT_EQ(after["wchar"] - before["wchar"], 3800);
  EXPECT_EQ(after["syscw"] - before["syscw"], 3);
  // Read by the look itself is what the one before it said, and its end.
  long look = after["rchar"] - before["rchar"], calls = after["syscr"] - before["syscr"];
  EXPECT_GT(look, 60);
  EXPECT_LT(look, 400);
  ASSERT_EQ(pread(file.get(), data, 1000, 0), 1000);
  ASSERT_EQ(preadv(file.get(), iov, 2, 0), 300);
  EXPECT_EQ(read(file.get(), data, 10), 0);
  EXPECT_EQ(read(file.get(), reinterpret_cast<char*>(8), 0), 0);
  auto last = Io();
  EXPECT_NEAR(last["rchar"] - after["rchar"] - look, 1300, 20);
  EXPECT_EQ(last["syscr"] - after["syscr"] - calls, 4);
}

TEST(ProcIoTest, FailuresAndOtherCalls) {
  int p[2];
  ASSERT_EQ(pipe2(p, O_NONBLOCK), 0);
  Fd from(memfd_create("from", 0)), to(memfd_create("to", 0));
  char data[1000] = {};
  ASSERT_EQ(write(from.get(), data, 1000), 1000);
  auto before = Io();
  auto middle = Io();
  char byte;
  EXPECT_THAT(read(p[0], &byte, 1), SyscallFailsWithErrno(EAGAIN));
  off_t offset = 0;
  ASSERT_EQ(sendfile(to.get(), from.get(), &offset, 700), 700);
  auto after = Io();
  long look = middle["rchar"] - before["rchar"], calls = middle["syscr"] - before["syscr"];
  EXPECT_NEAR(after["rchar"] - middle["rchar"] - look, 700, 20);
  EXPECT_EQ(after["syscr"] - middle["syscr"] - calls, 2);
  EXPECT_EQ(after["wchar"] - middle["wchar"], 700);
  EXPECT_EQ(after["syscw"] - middle["syscw"], 1);
  close(p[0]);
  close(p[1]);
}

TEST(ProcIoTest, ThreadsAndChildrenCount) {
  EXPECT_CHILD_OK([] {
    Fd file(memfd_create("x", 0));
    char data[100] = {};
    std::thread([&] {
      for (int i = 0; i < 10; ++i) write(file.get(), data, 100);
      std::string own = "/proc/self/task/" + std::to_string(gettid()) + "/io";
      CHECK_OR_DIE(Io(own)["wchar"] == 1000);
    }).join();
    CHECK_OR_DIE(Io()["wchar"] == 1000);
    pid_t child = StartChild([&] { return write(file.get(), data, 50) == 50 ? 0 : 1; });
    CHECK_OR_DIE(WaitFor(child) == 0);
    CHECK_OR_DIE(Io()["wchar"] == 1050 && Io()["syscw"] == 11);
    return 0;
  });
}

TEST(ProcValueTest, TimerSlack) {
  EXPECT_CHILD_OK([] {
    const std::string path = "/proc/self/timerslack_ns";
    long start = prctl(PR_GET_TIMERSLACK);
    CHECK_OR_DIE(GetFile(path) == std::to_string(start) + "\n");
    CHECK_OR_DIE(Put(path, "12345\n") == 0 && prctl(PR_GET_TIMERSLACK) == 12345);
    CHECK_OR_DIE(Put(path, "256") == 0 && prctl(PR_GET_TIMERSLACK) == 256);
    for (const char* bad : {"", "x", "-1", "5 6", "1x", "0x10"}) {
      CHECK_OR_DIE(Put(path, bad) == EINVAL);
    }
    CHECK_OR_DIE(Put(path, "99999999999999999999999") == ERANGE);
    // What a child starts with is what 0 puts back.
    pid_t child = StartChild([&] {
      CHECK_OR_DIE(prctl(PR_SET_TIMERSLACK, 777) == 0 && prctl(PR_SET_TIMERSLACK, 0) == 0);
      CHECK_OR_DIE(prctl(PR_GET_TIMERSLACK) == 256);
      CHECK_OR_DIE(Put(path, "9") == 0 && Put(path, "0") == 0);
      return prctl(PR_GET_TIMERSLACK) == 256 ? 0 : 1;
    });
    CHECK_OR_DIE(WaitFor(child) == 0);
    return 0;
  });
}

TEST(ProcValueTest, TimerSlackOfOthersNeedsCapSysNice) {
  if (getuid() != 0) GTEST_SKIP() << "needs root";
  pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  std::string path = "/proc/" + std::to_string(child) + "/timerslack_ns";
  EXPECT_EQ(Put(path, "4321"), 0);
  EXPECT_EQ(GetFile(path), "4321\n");
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setresuid(1000, 1000, 1000) == 0);
    CHECK_OR_DIE(Put(path, "1") == EPERM);
    int fd = open(path.c_str(), O_RDONLY);
    char byte;
    CHECK_OR_DIE(read(fd, &byte, 1) == -1 && errno == EPERM);
    return 0;
  });
  kill(child, SIGKILL);
  WaitFor(child);
}

TEST(ProcValueTest, CoredumpFilter) {
  EXPECT_CHILD_OK([] {
    const std::string path = "/proc/self/coredump_filter";
    CHECK_OR_DIE(GetFile(path) == "00000033\n");
    CHECK_OR_DIE(Put(path, "0xfff") == 0 && GetFile(path) == "000001ff\n");
    CHECK_OR_DIE(Put(path, "9\n") == 0 && GetFile(path) == "00000009\n");
    CHECK_OR_DIE(Put(path, "x") == EINVAL && Put(path, "0x100000000") == ERANGE);
    // Kept over fork and exec.
    pid_t child = StartChild([] {
      execl("/bin/sh", "sh", "-c", "test $(cat /proc/$$/coredump_filter) = 00000009", nullptr);
      return 1;
    });
    CHECK_OR_DIE(WaitFor(child) == 0);
    return 0;
  });
}

TEST(ProcValueTest, OomScoreFollowsAdjustment) {
  EXPECT_CHILD_OK([] {
    long plain = std::stol(GetFile("/proc/self/oom_score"));
    CHECK_OR_DIE(plain >= 600 && plain <= 1334);
    CHECK_OR_DIE(Put("/proc/self/oom_score_adj", "500") == 0);
    long more = std::stol(GetFile("/proc/self/oom_score"));
    CHECK_OR_DIE(more > plain + 300 && more < plain + 350);
    return 0;
  });
}

TEST(ProcMountTextTest, OddNamesAreOneField) {
  if (getuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(unshare(CLONE_NEWNS) == 0);
    CHECK_OR_DIE(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    TempDir temp;
    std::string dir = temp / "a b\tc\nd\\e#f";
    CHECK_OR_DIE(mkdir(dir.c_str(), 0755) == 0);
    CHECK_OR_DIE(mount("my #source", dir.c_str(), "tmpfs", 0, nullptr) == 0);
    const std::string shown = "/a\\040b\\011c\\012d\\134e#f ";
    std::string mounts = GetFile("/proc/self/mounts");
    CHECK_OR_DIE(mounts.find(shown) != std::string::npos);
    CHECK_OR_DIE(mounts.find("\nmy\\040\\043source /") != std::string::npos);
    std::string info = GetFile("/proc/self/mountinfo");
    CHECK_OR_DIE(info.find(shown) != std::string::npos);
    CHECK_OR_DIE(info.find(" my\\040\\043source ") != std::string::npos);
    std::string stats = GetFile("/proc/self/mountstats");
    CHECK_OR_DIE(stats.find("device my\\040\\043source mounted on ") != std::string::npos);
    umount(dir.c_str());
    return 0;
  });
}

std::string UnixLine(int fd) {
  struct stat st;
  EXPECT_EQ(fstat(fd, &st), 0);
  std::istringstream text(GetFile("/proc/self/net/unix"));
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    std::string word;
    for (int i = 0; i < 7; ++i) words >> word;
    if (word == std::to_string(st.st_ino)) return line.substr(line.find(' ') + 1);
  }
  return "";
}

TEST(ProcNetTest, UnixSockets) {
  struct stat link;
  ASSERT_EQ(lstat("/proc/net", &link), 0);
  EXPECT_TRUE(S_ISLNK(link.st_mode));
  Fd fd(socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_EQ(UnixLine(fd.get()).substr(9, 32),
            "00000000 00000000 0001 01 " + UnixLine(fd.get()).substr(35, 6));
  sockaddr_un at = {};
  at.sun_family = AF_UNIX;
  std::string name("\0proc net\0test", 14);
  memcpy(at.sun_path, name.data(), name.size());
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&at),
                 offsetof(sockaddr_un, sun_path) + name.size()),
            0);
  ASSERT_EQ(listen(fd.get(), 5), 0);
  std::string line = UnixLine(fd.get());
  EXPECT_EQ(line.substr(9, 26), "00000000 00010000 0001 01 ");
  EXPECT_NE(line.find(" @proc net@test"), std::string::npos);
  int s[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
  EXPECT_EQ(UnixLine(s[0]).substr(0, 35), "00000003 00000000 00000000 0005 03 ");
  close(s[0]);
  close(s[1]);
}

TEST(ProcNetTest, TablesHaveHeadings) {
  for (const char* name :
       {"arp", "dev", "netlink", "packet", "raw", "route", "tcp", "udp", "sockstat"}) {
    std::string path = std::string("/proc/net/") + name;
    EXPECT_GT(GetFile(path).size(), 20u) << name;
  }
  EXPECT_EQ(GetFile("/proc/net/tcp").substr(0, 32), "  sl  local_address rem_address ");
}

TEST(SysNodeTest, CpuMasks) {
  std::string map = GetFile("/sys/devices/system/node/node0/cpumap");
  EXPECT_NE(std::stoul(map.substr(map.size() - 2), nullptr, 16), 0u);
  EXPECT_EQ(GetFile("/sys/devices/system/cpu/cpu0/topology/thread_siblings").size(), map.size());
}

}  // namespace
