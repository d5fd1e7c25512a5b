// /proc, /sys and /dev as programs read them.
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <set>
#include <sstream>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

std::string Link(const std::string& path) {
  char buf[PATH_MAX] = {};
  return readlink(path.c_str(), buf, sizeof buf - 1) < 0 ? "" : buf;
}

// The value after `key` in a "Key:\tvalue" file.
std::string Field(const std::string& text, const std::string& key) {
  size_t at = text.find("\n" + key + ":");
  if (text.rfind(key + ":", 0) == 0) at = 0;
  if (at == std::string::npos) return "";
  at = text.find(':', at) + 1;
  size_t end = text.find('\n', at);
  std::string value = text.substr(at, end - at);
  value.erase(0, value.find_first_not_of(" \t"));
  return value;
}

std::set<std::string> List(const char* path) {
  std::set<std::string> names;
  DIR* dir = opendir(path);
  CHECK_OR_DIE(dir != nullptr);
  while (dirent* entry = readdir(dir)) names.insert(entry->d_name);
  closedir(dir);
  return names;
}

TEST(ProcTest, SelfLinks) {
  EXPECT_EQ(Link("/proc/self"), std::to_string(getpid()));
  EXPECT_EQ(Link("/proc/thread-self"),
            std::to_string(getpid()) + "/task/" + std::to_string(Raw(SYS_gettid)));
  EXPECT_EQ(Link("/proc/self/cwd"), [] {
    char b[PATH_MAX];
    return std::string(getcwd(b, PATH_MAX));
  }());
  EXPECT_EQ(Link("/proc/self/root"), "/");
  EXPECT_NE(Link("/proc/self/exe").find("proc_test"), std::string::npos);
}

TEST(ProcTest, Status) {
  std::string s = GetFile("/proc/self/status");
  EXPECT_EQ(Field(s, "Pid"), std::to_string(getpid()));
  EXPECT_EQ(Field(s, "PPid"), std::to_string(getppid()));
  EXPECT_EQ(Field(s, "Name"), "proc_test");
  EXPECT_EQ(Field(s, "State"), "R (running)");
  EXPECT_EQ(Field(s, "Threads"), "1");
  EXPECT_EQ(Field(s, "Uid"), "0\t0\t0\t0");
  EXPECT_NE(Field(s, "VmRSS"), "");
  EXPECT_NE(Field(s, "VmSize"), "");
  EXPECT_NE(Field(s, "SigBlk"), "");
  EXPECT_NE(Field(s, "CapEff"), "");
  EXPECT_NE(Field(s, "Cpus_allowed_list"), "");
}

TEST(ProcTest, Stat) {
  std::string s = GetFile("/proc/self/stat");
  EXPECT_EQ(s.rfind(std::to_string(getpid()) + " (proc_test) R " + std::to_string(getppid()), 0),
            0u)
      << s;
  std::istringstream in(s.substr(s.rfind(')') + 2));
  int fields = 2;
  std::string word;
  while (in >> word) fields++;
  EXPECT_EQ(fields, 52);
}

TEST(ProcTest, StatmAndSchedulingFiles) {
  long size = 0, resident = 0;
  EXPECT_EQ(sscanf(GetFile("/proc/self/statm").c_str(), "%ld %ld", &size, &resident), 2);
  EXPECT_GT(resident, 0);
  EXPECT_GE(size, resident);
  EXPECT_EQ(GetFile("/proc/self/comm"), "proc_test\n");
}

TEST(ProcTest, CmdlineAndEnviron) {
  std::string cmdline = GetFile("/proc/self/cmdline");
  EXPECT_NE(cmdline.find("proc_test"), std::string::npos);
  EXPECT_EQ(cmdline.back(), '\0');
  EXPECT_NE(GetFile("/proc/self/environ").find("PATH="), std::string::npos);
}

TEST(ProcTest, Maps) {
  char* p =
      static_cast<char*>(mmap(nullptr, 3 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mprotect(p + 4096, 4096, PROT_READ | PROT_WRITE);
  std::string maps = GetFile("/proc/self/maps");
  char line[64];
  snprintf(line, sizeof line, "%lx-%lx rw-p", reinterpret_cast<long>(p) + 4096,
           reinterpret_cast<long>(p) + 8192);
  EXPECT_NE(maps.find(line), std::string::npos) << maps;
  EXPECT_NE(maps.find("[stack]"), std::string::npos);
  EXPECT_NE(maps.find("proc_test"), std::string::npos);
  EXPECT_NE(maps.find("[vdso]"), std::string::npos);
  std::string smaps = GetFile("/proc/self/smaps");
  EXPECT_NE(smaps.find("Rss:"), std::string::npos);
  munmap(p, 3 * 4096);
}

TEST(ProcTest, FdDirectory) {
  Fd fd(open("/dev/null", O_RDONLY));
  EXPECT_TRUE(List("/proc/self/fd").contains(std::to_string(fd.get())));
  EXPECT_EQ(Link("/proc/self/fd/" + std::to_string(fd.get())), "/dev/null");
  std::string info = GetFile("/proc/self/fdinfo/" + std::to_string(fd.get()));
  EXPECT_EQ(Field(info, "pos"), "0");
  EXPECT_NE(Field(info, "flags"), "");
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  EXPECT_EQ(Link("/proc/self/fd/" + std::to_string(p[0])).rfind("pipe:[", 0), 0u);
  close(p[0]);
  close(p[1]);
  EXPECT_EQ(Link("/proc/self/fd/9999"), "");
}

TEST(ProcTest, TasksAreListed) {
  std::atomic<long> tid{0};
  std::atomic<bool> stop{false};
  std::thread t([&] {
    prctl(PR_SET_NAME, "worker");
    tid = Raw(SYS_gettid);
    while (!stop) SleepMs(1);
  });
  while (tid == 0) SleepMs(1);
  auto tasks = List("/proc/self/task");
  EXPECT_EQ(tasks.size(), 4u);
  EXPECT_EQ(GetFile("/proc/self/task/" + std::to_string(tid) + "/comm"), "worker\n");
  EXPECT_EQ(Field(GetFile("/proc/self/status"), "Threads"), "2");
  stop = true;
  t.join();
}

TEST(ProcTest, OtherProcesses) {
  pid_t child = StartChild([] {
    pause();
    return 0;
  });
  std::string dir = "/proc/" + std::to_string(child);
  EXPECT_TRUE(List("/proc").contains(std::to_string(child)));
  EXPECT_EQ(Field(GetFile(dir + "/status"), "PPid"), std::to_string(getpid()));
  WaitUntilSleeping(child);
  kill(child, SIGKILL);
  siginfo_t info;
  waitid(P_PID, child, &info, WEXITED | WNOWAIT);
  EXPECT_EQ(Field(GetFile(dir + "/status"), "State"), "Z (zombie)");
  WaitFor(child);
  EXPECT_THAT(access(dir.c_str(), F_OK), SyscallFailsWithErrno(ENOENT));
}

TEST(ProcTest, Mounts) {
  std::string mounts = GetFile("/proc/mounts");
  EXPECT_NE(mounts.find(" /proc proc "), std::string::npos);
  EXPECT_NE(mounts.find(" / "), std::string::npos);
  std::string info = GetFile("/proc/self/mountinfo");
  EXPECT_NE(info.find(" - proc "), std::string::npos);
}

TEST(ProcTest, MachineFiles) {
  EXPECT_NE(Field(GetFile("/proc/meminfo"), "MemTotal"), "");
  EXPECT_NE(Field(GetFile("/proc/meminfo"), "MemAvailable"), "");
  EXPECT_NE(GetFile("/proc/cpuinfo").find("processor"), std::string::npos);
  EXPECT_NE(GetFile("/proc/cpuinfo").find("flags"), std::string::npos);
  std::string stat = GetFile("/proc/stat");
  EXPECT_EQ(stat.rfind("cpu ", 0), 0u);
  EXPECT_NE(stat.find("\nbtime "), std::string::npos);
  EXPECT_NE(stat.find("\nctxt "), std::string::npos);
  double up = 0, idle = 0;
  EXPECT_EQ(sscanf(GetFile("/proc/uptime").c_str(), "%lf %lf", &up, &idle), 2);
  double a = -1, b = -1, c = -1;
  EXPECT_EQ(sscanf(GetFile("/proc/loadavg").c_str(), "%lf %lf %lf", &a, &b, &c), 3);
  EXPECT_NE(GetFile("/proc/version").find("Linux version"), std::string::npos);
  EXPECT_NE(GetFile("/proc/filesystems").find("tmpfs"), std::string::npos);
}

TEST(ProcTest, SysFiles) {
  EXPECT_GT(atoi(GetFile("/proc/sys/kernel/pid_max").c_str()), 300);
  EXPECT_EQ(GetFile("/proc/sys/kernel/ostype"), "Linux\n");
  EXPECT_EQ(GetFile("/proc/sys/kernel/random/uuid").size(), 37u);
  EXPECT_NE(GetFile("/proc/sys/kernel/random/uuid"), GetFile("/proc/sys/kernel/random/uuid"));
  EXPECT_EQ(GetFile("/proc/sys/kernel/random/boot_id"), GetFile("/proc/sys/kernel/random/boot_id"));
  EXPECT_GT(atoi(GetFile("/proc/sys/fs/pipe-max-size").c_str()), 4096);
  EXPECT_GE(atoi(GetFile("/proc/sys/vm/max_map_count").c_str()), 65530);
  EXPECT_NE(TryGetFile("/proc/sys/vm/overcommit_memory"), "");
  EXPECT_NE(TryGetFile("/proc/sys/kernel/cap_last_cap"), "");
}

TEST(ProcTest, LimitsAndIdMaps) {
  std::string limits = GetFile("/proc/self/limits");
  EXPECT_NE(limits.find("Max open files"), std::string::npos);
  EXPECT_NE(GetFile("/proc/self/uid_map").find("0"), std::string::npos);
  EXPECT_NE(TryGetFile("/proc/self/oom_score_adj"), "");
}

TEST(ProcTest, OomScoreAdjWrites) {
  EXPECT_CHILD_OK([] {
    PutFile("/proc/self/oom_score_adj", "500");
    CHECK_OR_DIE(GetFile("/proc/self/oom_score_adj") == "500\n");
    Fd fd(open("/proc/self/oom_score_adj", O_WRONLY));
    CHECK_OR_DIE(write(fd.get(), "5000", 4) == -1 && errno == EINVAL);
    return 0;
  });
}

TEST(ProcTest, Namespaces) {
  for (const char* ns : {"mnt", "pid", "user", "net", "ipc", "uts"}) {
    std::string link = Link(std::string("/proc/self/ns/") + ns);
    EXPECT_EQ(link.rfind(std::string(ns) + ":[", 0), 0u) << link;
  }
}

TEST(ProcTest, SignalMasksInStatus) {
  ScopedBlock block(SIGUSR1);
  std::string mask = Field(GetFile("/proc/self/status"), "SigBlk");
  EXPECT_EQ(strtoull(mask.c_str(), nullptr, 16), 1ULL << (SIGUSR1 - 1));
}

TEST(ProcTest, ErrorsOnBadNames) {
  EXPECT_THAT(open("/proc/nonsense", O_RDONLY), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(open("/proc/999999999/status", O_RDONLY), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(open("/proc/new", O_CREAT | O_RDWR, 0600), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(mkdir("/proc/dir", 0755), SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(unlink("/proc/version"), SyscallFailsWithErrno(EPERM));
}

TEST(ProcTest, ReadInSmallPieces) {
  std::string whole = GetFile("/proc/self/limits"), pieces;
  Fd fd(open("/proc/self/limits", O_RDONLY));
  char buf[7];
  ssize_t n;
  while ((n = read(fd.get(), buf, sizeof buf)) > 0) pieces.append(buf, n);
  EXPECT_EQ(whole, pieces);
  EXPECT_THAT(lseek(fd.get(), 0, SEEK_SET), SyscallSucceedsWithValue(0));
  EXPECT_GT(read(fd.get(), buf, sizeof buf), 0);
}

TEST(SysTest, CpuFiles) {
  EXPECT_NE(TryGetFile("/sys/devices/system/cpu/online"), "");
  EXPECT_NE(TryGetFile("/sys/devices/system/cpu/possible"), "");
}

TEST(DevTest, Entries) {
  for (const char* name : {"null", "zero", "full", "random", "urandom", "tty", "ptmx"}) {
    struct stat st;
    ASSERT_THAT(stat((std::string("/dev/") + name).c_str(), &st), SyscallSucceeds()) << name;
    EXPECT_TRUE(S_ISCHR(st.st_mode)) << name;
  }
  EXPECT_EQ(Link("/dev/fd"), "/proc/self/fd");
  EXPECT_EQ(Link("/dev/stdin"), "/proc/self/fd/0");
  struct stat st;
  ASSERT_THAT(stat("/dev/shm", &st), SyscallSucceeds());
  EXPECT_EQ(st.st_mode, S_IFDIR | 01777u);
}

TEST(DevTest, PosixSharedMemory) {
  std::string name = "/guest-shm-" + std::to_string(getpid());
  Fd fd(shm_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600));
  ASSERT_TRUE(fd.valid());
  ASSERT_THAT(ftruncate(fd.get(), 4096), SyscallSucceeds());
  auto* p =
      static_cast<char*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  EXPECT_CHILD_OK([&] {
    Fd other(shm_open(name.c_str(), O_RDWR, 0));
    return pwrite(other.get(), "hi", 2, 0) == 2 ? 0 : 1;
  });
  EXPECT_EQ(p[1], 'i');
  EXPECT_THAT(shm_unlink(name.c_str()), SyscallSucceeds());
  munmap(p, 4096);
}

}  // namespace
