// /proc field by field, as ps, top, free, lsof, uptime, df and mount read it (proc(5)).
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>

#include <map>
#include <sstream>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

// "Key:   value" lines.
std::map<std::string, std::string> Fields(const std::string& path) {
  std::map<std::string, std::string> out;
  std::istringstream text(TryGetFile(path));
  for (std::string line; std::getline(text, line);) {
    size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    size_t start = line.find_first_not_of(" \t", colon + 1);
    size_t end = line.find_last_not_of(" \t", colon - 1);
    out[line.substr(0, end + 1)] = start == std::string::npos ? "" : line.substr(start);
  }
  return out;
}
// /proc/PID/stat from field 3 on; [0] is field 3.
std::vector<std::string> Stat(const std::string& path) {
  std::string text = GetFile(path);
  std::istringstream rest(text.substr(text.rfind(')') + 2));
  std::vector<std::string> out;
  for (std::string word; rest >> word;) out.push_back(word);
  return out;
}
std::string Field(const std::vector<std::string>& stat, int number) { return stat.at(number - 3); }

TEST(ProcStatusTest, HasTheFieldsToolsRead) {
  auto f = Fields("/proc/self/status");
  for (const char* key : {"Name",
                          "Umask",
                          "State",
                          "Tgid",
                          "Ngid",
                          "Pid",
                          "PPid",
                          "TracerPid",
                          "Uid",
                          "Gid",
                          "FDSize",
                          "Groups",
                          "NStgid",
                          "NSpid",
                          "NSpgid",
                          "NSsid",
                          "VmPeak",
                          "VmSize",
                          "VmLck",
                          "VmPin",
                          "VmHWM",
                          "VmRSS",
                          "RssAnon",
                          "RssFile",
                          "RssShmem",
                          "VmData",
                          "VmStk",
                          "VmExe",
                          "VmLib",
                          "VmPTE",
                          "VmSwap",
                          "Threads",
                          "SigQ",
                          "SigPnd",
                          "ShdPnd",
                          "SigBlk",
                          "SigIgn",
                          "SigCgt",
                          "CapInh",
                          "CapPrm",
                          "CapEff",
                          "CapBnd",
                          "CapAmb",
                          "NoNewPrivs",
                          "Seccomp",
                          "Cpus_allowed",
                          "Cpus_allowed_list",
                          "Mems_allowed_list",
                          "voluntary_ctxt_switches",
                          "nonvoluntary_ctxt_switches"}) {
    EXPECT_EQ(f.count(key), 1u) << key;
  }
  EXPECT_EQ(f["Pid"], std::to_string(getpid()));
  EXPECT_EQ(f["PPid"], std::to_string(getppid()));
  EXPECT_EQ(f["State"], "R (running)");
  EXPECT_EQ(f["Threads"], "1");
  EXPECT_EQ(f["Uid"], "0\t0\t0\t0");
}

TEST(ProcStatusTest, MemoryFiguresFollow) {
  auto before = Fields("/proc/self/status");
  size_t size = 16 << 20;
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(at, 1, size);
  auto after = Fields("/proc/self/status");
  munmap(at, size);
  auto grown = [&](const char* key) { return std::stol(after[key]) - std::stol(before[key]); };
  EXPECT_GE(grown("VmSize"), 16384);
  EXPECT_GE(grown("VmRSS"), 15000);
  EXPECT_GE(grown("RssAnon"), 15000);
  EXPECT_GE(grown("VmData"), 16384);
  auto last = Fields("/proc/self/status");
  EXPECT_GE(std::stol(last["VmHWM"]), std::stol(after["VmRSS"]) - 1024);
  EXPECT_GE(std::stol(last["VmPeak"]), std::stol(after["VmSize"]));
  EXPECT_LT(std::stol(last["VmRSS"]), std::stol(after["VmRSS"]) - 12000);
}

TEST(ProcStatTest, FiftyTwoFields) {
  auto s = Stat("/proc/self/stat");
  ASSERT_EQ(s.size(), 50u);
  EXPECT_EQ(Field(s, 3), "R");
  EXPECT_EQ(Field(s, 4), std::to_string(getppid()));
  EXPECT_EQ(Field(s, 5), std::to_string(getpgrp()));
  EXPECT_EQ(Field(s, 6), std::to_string(getsid(0)));
  EXPECT_EQ(Field(s, 18), "20");  // priority
  EXPECT_EQ(Field(s, 19), "0");   // nice
  EXPECT_EQ(Field(s, 20), "1");   // threads
  EXPECT_GT(std::stoul(Field(s, 22)), 0u);
  EXPECT_GT(std::stoul(Field(s, 23)), 100000u);  // bytes
  EXPECT_GT(std::stoul(Field(s, 24)), 10u);      // pages
  EXPECT_NE(Field(s, 26), "0");                  // start of code
  EXPECT_NE(Field(s, 28), "0");                  // start of stack
  EXPECT_EQ(Field(s, 38), "17");                 // exit signal
  EXPECT_NE(Field(s, 48), "0");                  // start of arguments
}

TEST(ProcStatTest, StatesAndChildTimes) {
  pid_t child = StartChild([] {
    int64_t until = NowNs(CLOCK_PROCESS_CPUTIME_ID) + 120'000'000;
    while (NowNs(CLOCK_PROCESS_CPUTIME_ID) < until) {
    }
    return 3;
  });
  WaitUntilState(child, 'Z');
  std::string path = "/proc/" + std::to_string(child);
  auto s = Stat(path + "/stat");
  EXPECT_EQ(Field(s, 3), "Z");
  EXPECT_GE(std::stol(Field(s, 14)) + std::stol(Field(s, 15)), 10);
  EXPECT_EQ(Field(s, 23), "0");
  EXPECT_EQ(GetFile(path + "/cmdline"), "");
  EXPECT_EQ(TryGetFile(path + "/maps"), "");
  EXPECT_EQ(Fields(path + "/status")["State"], "Z (zombie)");
  char link[16];
  EXPECT_THAT(readlink((path + "/exe").c_str(), link, sizeof link), SyscallFailsWithErrno(ENOENT));
  auto before = Stat("/proc/self/stat");
  WaitFor(child);
  auto after = Stat("/proc/self/stat");
  EXPECT_GE(std::stol(Field(after, 16)) + std::stol(Field(after, 17)),
            std::stol(Field(before, 16)) + std::stol(Field(before, 17)) + 10);
  EXPECT_THAT(open((path + "/stat").c_str(), O_RDONLY), SyscallFailsWithErrno(ENOENT));
}

TEST(ProcMachineTest, StatAndUptime) {
  std::istringstream text(GetFile("/proc/stat"));
  std::map<std::string, std::string> lines;
  int cpus = 0;
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    lines[key] = line;
    if (key.substr(0, 3) == "cpu" && key != "cpu") cpus++;
    if (key.substr(0, 3) == "cpu") {
      int numbers = 0;
      for (std::string n; words >> n;) numbers++;
      EXPECT_EQ(numbers, 10) << line;
    }
  }
  EXPECT_EQ(cpus, get_nprocs());
  for (const char* key :
       {"cpu", "intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked", "softirq"}) {
    EXPECT_EQ(lines.count(key), 1u) << key;
  }
  double up = 0, idle = 0;
  ASSERT_EQ(sscanf(GetFile("/proc/uptime").c_str(), "%lf %lf\n", &up, &idle), 2);
  EXPECT_NEAR(up, static_cast<double>(NowNs(CLOCK_BOOTTIME)) / 1e9, 1.0);
  long boot = 0;
  sscanf(lines["btime"].c_str(), "btime %ld", &boot);
  EXPECT_NEAR(static_cast<double>(boot), static_cast<double>(time(nullptr)) - up, 2.0);
}

TEST(ProcMachineTest, MeminfoAgreesWithSysinfo) {
  auto f = Fields("/proc/meminfo");
  for (const char* key : {"MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapCached",
                          "Active", "Inactive", "SwapTotal", "SwapFree", "Dirty", "AnonPages",
                          "Mapped", "Shmem", "Slab", "SReclaimable"}) {
    ASSERT_EQ(f.count(key), 1u) << key;
    EXPECT_NE(f[key].find(" kB"), std::string::npos) << key;
  }
  struct sysinfo info;
  ASSERT_THAT(sysinfo(&info), SyscallSucceeds());
  EXPECT_EQ(std::stoul(f["MemTotal"]), info.totalram * info.mem_unit / 1024);
  EXPECT_LE(std::stoul(f["MemFree"]), std::stoul(f["MemTotal"]));
}

TEST(ProcMachineTest, LoadavgVersionFilesystems) {
  double a, b, c;
  int running, total, last;
  ASSERT_EQ(sscanf(GetFile("/proc/loadavg").c_str(), "%lf %lf %lf %d/%d %d", &a, &b, &c, &running,
                   &total, &last),
            6);
  EXPECT_GE(running, 1);
  EXPECT_GE(total, running);
  EXPECT_EQ(GetFile("/proc/version").substr(0, 14), "Linux version ");
  EXPECT_NE(GetFile("/proc/filesystems").find("nodev\ttmpfs"), std::string::npos);
  for (const char* path : {"/proc/sys/kernel/pid_max",
                           "/proc/sys/kernel/threads-max",
                           "/proc/sys/fs/file-max",
                           "/proc/sys/fs/nr_open",
                           "/proc/sys/fs/file-nr",
                           "/proc/sys/vm/overcommit_memory",
                           "/proc/sys/vm/max_map_count",
                           "/proc/sys/kernel/ngroups_max",
                           "/proc/sys/kernel/cap_last_cap",
                           "/proc/sys/kernel/random/boot_id",
                           "/proc/sys/kernel/random/uuid",
                           "/proc/sys/kernel/hostname",
                           "/proc/sys/kernel/osrelease",
                           "/proc/sys/fs/pipe-max-size",
                           "/proc/sys/vm/swappiness",
                           "/proc/vmstat",
                           "/proc/cpuinfo",
                           "/proc/swaps",
                           "/proc/devices",
                           "/proc/diskstats",
                           "/proc/partitions",
                           "/proc/cmdline"}) {
    EXPECT_THAT(access(path, R_OK), SyscallSucceeds()) << path;
    EXPECT_NE(TryGetFile(path) + (strstr(path, "stats") || strstr(path, "partitions") ? "x" : ""),
              "")
        << path;
  }
  EXPECT_NE(GetFile("/proc/sys/kernel/random/uuid"), GetFile("/proc/sys/kernel/random/uuid"));
}

TEST(ProcMountTest, FormsAgree) {
  std::istringstream text(GetFile("/proc/self/mountinfo"));
  int lines = 0, roots = 0;
  for (std::string line; std::getline(text, line); lines++) {
    int id, parent;
    unsigned major, minor;
    char root[256], point[256], options[512];
    ASSERT_EQ(sscanf(line.c_str(), "%d %d %u:%u %255s %255s %511s", &id, &parent, &major, &minor,
                     root, point, options),
              7)
        << line;
    EXPECT_NE(line.find(" - "), std::string::npos);
    struct stat st;
    if (stat(point, &st) == 0 && strcmp(point, "/") == 0) {
      roots++;
      EXPECT_EQ(st.st_dev, makedev(major, minor));
    }
  }
  EXPECT_GE(roots, 1);
  std::string mounts = GetFile("/proc/mounts");
  EXPECT_EQ(std::count(mounts.begin(), mounts.end(), '\n'), lines);
  for (const char* point : {"/proc", "/sys", "/dev"}) {
    EXPECT_NE(mounts.find(std::string(" ") + point + " "), std::string::npos) << point;
  }
}

TEST(ProcFdTest, FdinfoAndLinks) {
  TempDir dir;
  PutFile(dir / "f", "0123456789");
  Fd fd(open((dir / "f").c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
  ASSERT_THAT(lseek(fd.get(), 7, SEEK_SET), SyscallSucceeds());
  struct flock lock = {F_WRLCK, SEEK_SET, 2, 3, 0};
  ASSERT_THAT(fcntl(fd.get(), F_SETLK, &lock), SyscallSucceeds());
  auto f = Fields("/proc/self/fdinfo/" + std::to_string(fd.get()));
  EXPECT_EQ(f["pos"], "7");
  EXPECT_EQ(std::stol(f["flags"], nullptr, 8) & ~0100000, O_RDWR | O_APPEND | O_CLOEXEC);
  EXPECT_EQ(f.count("mnt_id"), 1u);
  struct stat st;
  fstat(fd.get(), &st);
  EXPECT_EQ(f["ino"], std::to_string(st.st_ino));
  EXPECT_NE(f["lock"].find("POSIX  ADVISORY  WRITE"), std::string::npos) << f["lock"];
  std::string locks = TryGetFile("/proc/locks");
  EXPECT_NE(locks.find("POSIX  ADVISORY  WRITE " + std::to_string(getpid())), std::string::npos);
  // Link permissions say how the file is open.
  std::string link = "/proc/self/fd/" + std::to_string(fd.get());
  ASSERT_THAT(lstat(link.c_str(), &st), SyscallSucceeds());
  EXPECT_EQ(st.st_mode, S_IFLNK | 0700u);
  Fd reader(open((dir / "f").c_str(), O_RDONLY));
  lstat(("/proc/self/fd/" + std::to_string(reader.get())).c_str(), &st);
  EXPECT_EQ(st.st_mode, S_IFLNK | 0500u);
}

TEST(ProcPidTest, MapsAndSmaps) {
  size_t size = 1 << 20;
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(at, 1, size);
  std::string maps = GetFile("/proc/self/maps");
  for (const char* name : {"[heap]", "[stack]", "[vdso]", "[vvar"}) {
    EXPECT_NE(maps.find(name), std::string::npos) << name;
  }
  auto rollup = Fields("/proc/self/smaps_rollup");
  EXPECT_GE(std::stol(rollup["Rss"]), 1024);
  EXPECT_GE(std::stol(rollup["Pss"]), 1024);
  EXPECT_GE(std::stol(rollup["Anonymous"]), 1024);
  std::string smaps = GetFile("/proc/self/smaps");
  for (const char* name : {"Size:", "Rss:", "Pss:", "Private_Dirty:", "Anonymous:", "VmFlags:"}) {
    EXPECT_NE(smaps.find(name), std::string::npos) << name;
  }
  munmap(at, size);
}

TEST(ProcPidTest, FilesThatExist) {
  std::string self = "/proc/self/";
  for (const char* name :
       {"auxv",      "cgroup",    "cmdline",       "comm",        "coredump_filter", "environ",
        "limits",    "loginuid",  "maps",          "mountinfo",   "mounts",          "mountstats",
        "oom_adj",   "oom_score", "oom_score_adj", "personality", "sched",           "schedstat",
        "sessionid", "setgroups", "smaps",         "stat",        "statm",           "status",
        "syscall",   "timers",    "uid_map",       "wchan"}) {
    if (access((std::string("/proc/1/") + name).c_str(), F_OK) != 0) continue;
    EXPECT_THAT(access((self + name).c_str(), R_OK), SyscallSucceeds()) << name;
  }
  for (const char* name :
       {"auxv",      "cgroup", "cmdline",   "comm",          "environ",     "limits",    "maps",
        "mountinfo", "mounts", "oom_score", "oom_score_adj", "personality", "setgroups", "smaps",
        "stat",      "statm",  "status",    "uid_map",       "gid_map",     "wchan"}) {
    EXPECT_THAT(access((self + name).c_str(), R_OK), SyscallSucceeds()) << name;
  }
  for (const char* name : {"cwd", "exe", "root"}) {
    char link[PATH_MAX];
    EXPECT_THAT(readlink((self + name).c_str(), link, sizeof link), SyscallSucceeds()) << name;
  }
}

TEST(ProcPidTest, IoCountsBytes) {
  auto before = Fields("/proc/self/io");
  int pipes[2];
  ASSERT_THAT(pipe(pipes), SyscallSucceeds());
  char block[4096] = {};
  for (int i = 0; i < 10; i++) {
    ASSERT_EQ(write(pipes[1], block, 4096), 4096);
    ASSERT_EQ(read(pipes[0], block, 4096), 4096);
  }
  auto after = Fields("/proc/self/io");
  EXPECT_GE(std::stol(after["wchar"]) - std::stol(before["wchar"]), 40960);
  EXPECT_GE(std::stol(after["rchar"]) - std::stol(before["rchar"]), 40960);
  EXPECT_GE(std::stol(after["syscw"]) - std::stol(before["syscw"]), 10);
  close(pipes[0]);
  close(pipes[1]);
}

TEST(ProcPidTest, OthersMayNotLook) {
  EXPECT_CHILD_OK([] {
    std::string parent = "/proc/" + std::to_string(getpid());
    return InChild([&] {
      CHECK_OR_DIE(setuid(65534) == 0);
      for (const char* name : {"/environ", "/maps", "/mem", "/auxv"}) {
        int fd = open((parent + name).c_str(), O_RDONLY);
        char c;
        CHECK_OR_DIE((fd == -1 || read(fd, &c, 1) == -1) && errno == EACCES);
      }
      char link[64];
      CHECK_OR_DIE(readlink((parent + "/exe").c_str(), link, 64) == -1 && errno == EACCES);
      CHECK_OR_DIE(opendir((parent + "/fd").c_str()) == nullptr && errno == EACCES);
      CHECK_OR_DIE(open((parent + "/stat").c_str(), O_RDONLY) >= 0);
      CHECK_OR_DIE(open((parent + "/status").c_str(), O_RDONLY) >= 0);
      CHECK_OR_DIE(open((parent + "/cmdline").c_str(), O_RDONLY) >= 0);
      return 0;
    });
  });
}

TEST(ProcThreadTest, TaskDirectory) {
  std::thread([] {
    std::string path = "/proc/thread-self";
    char link[64] = {};
    ASSERT_THAT(readlink(path.c_str(), link, sizeof link), SyscallSucceeds());
    EXPECT_EQ(std::string(link), std::to_string(getpid()) + "/task/" + std::to_string(gettid()));
    auto f = Fields(path + "/status");
    EXPECT_EQ(f["Pid"], std::to_string(gettid()));
    EXPECT_EQ(f["Tgid"], std::to_string(getpid()));
    EXPECT_EQ(f["Threads"], "2");
    EXPECT_EQ(GetFile("/proc/self/task/" + std::to_string(gettid()) + "/children"), "");
  }).join();
}

}  // namespace
