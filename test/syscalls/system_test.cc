// uname, sysinfo, getrandom, scheduling, getrusage, times, hostname, getcpu, membarrier, unknown
// calls.
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

TEST(UnameTest, Fields) {
  utsname u;
  ASSERT_THAT(uname(&u), SyscallSucceeds());
  EXPECT_STREQ(u.sysname, "Linux");
  EXPECT_STREQ(u.machine, "x86_64");
  int major = 0;
  EXPECT_EQ(sscanf(u.release, "%d.", &major), 1);
  EXPECT_GE(major, 4);
  EXPECT_EQ(GetFile("/proc/sys/kernel/osrelease"), std::string(u.release) + "\n");
}

TEST(HostnameTest, LengthErrors) {
  EXPECT_THAT(Raw(SYS_sethostname, "x", 65), SyscallFailsWithErrno(EINVAL));
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setresuid(1, 1, 1) == 0);
    CHECK_OR_DIE(sethostname("x", 1) == -1 && errno == EPERM);
    CHECK_OR_DIE(setdomainname("x", 1) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(SysinfoTest, Plausible) {
  struct sysinfo info;
  ASSERT_THAT(sysinfo(&info), SyscallSucceeds());
  EXPECT_GT(info.totalram, 0u);
  EXPECT_LE(info.freeram, info.totalram);
  EXPECT_GE(info.uptime, 0);
  EXPECT_GT(info.procs, 0);
  EXPECT_GT(info.mem_unit, 0u);
  EXPECT_THAT(Raw(SYS_sysinfo, 8), SyscallFailsWithErrno(EFAULT));
}

TEST(GetrandomTest, FillsAndChecks) {
  unsigned char a[64] = {}, b[64] = {};
  EXPECT_THAT(getrandom(a, 64, 0), SyscallSucceedsWithValue(64));
  EXPECT_THAT(getrandom(b, 64, GRND_NONBLOCK), SyscallSucceedsWithValue(64));
  EXPECT_NE(memcmp(a, b, 64), 0);
  EXPECT_THAT(getrandom(a, 64, 1 << 10), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(getrandom(reinterpret_cast<void*>(8), 64, 0), SyscallFailsWithErrno(EFAULT));
  std::string big(1 << 20, 0);
  EXPECT_THAT(getrandom(big.data(), big.size(), 0), SyscallSucceedsWithValue(1 << 20));
}

TEST(SchedTest, Affinity) {
  cpu_set_t set;
  ASSERT_THAT(sched_getaffinity(0, sizeof set, &set), SyscallSucceeds());
  EXPECT_GE(CPU_COUNT(&set), 1);
  EXPECT_CHILD_OK([&] {
    int first = 0;
    while (!CPU_ISSET(first, &set)) first++;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    CHECK_OR_DIE(sched_setaffinity(0, sizeof one, &one) == 0);
    cpu_set_t got;
    CHECK_OR_DIE(sched_getaffinity(0, sizeof got, &got) == 0 && CPU_EQUAL(&got, &one));
    CPU_ZERO(&one);
    CHECK_OR_DIE(sched_setaffinity(0, sizeof one, &one) == -1 && errno == EINVAL);
    CHECK_OR_DIE(sched_getaffinity(0x3fffffff, sizeof got, &got) == -1 && errno == ESRCH);
    CHECK_OR_DIE(sched_getaffinity(-1, sizeof got, &got) == -1 && errno == ESRCH);
    CHECK_OR_DIE(sched_getscheduler(-1) == -1 && errno == EINVAL);
    timespec interval;
    CHECK_OR_DIE(sched_rr_get_interval(-1, &interval) == -1 && errno == EINVAL);
    sched_param param = {};
    CHECK_OR_DIE(sched_getparam(-1, &param) == -1 && errno == EINVAL);
    CHECK_OR_DIE(sched_setparam(-1, &param) == -1 && errno == EINVAL);
    CHECK_OR_DIE(sched_setscheduler(-1, SCHED_OTHER, &param) == -1 && errno == EINVAL);
    CHECK_OR_DIE(Raw(SYS_sched_getaffinity, 0, 1, &got) == -1 && errno == EINVAL);
    return 0;
  });
}

TEST(SchedTest, AffinityMovesTheThread) {
  cpu_set_t set;
  ASSERT_THAT(sched_getaffinity(0, sizeof set, &set), SyscallSucceeds());
  EXPECT_CHILD_OK([&] {
    for (int round = 0; round < 50; round++) {
      for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &set)) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        CHECK_OR_DIE(sched_setaffinity(0, sizeof one, &one) == 0);
        CHECK_OR_DIE(sched_getcpu() == cpu);
      }
    }
    return 0;
  });
}

// A thread that makes no calls is moved while it runs, by another; a child starts where its parent
// is.
TEST(SchedTest, AffinityOfAnotherThread) {
  cpu_set_t set;
  ASSERT_THAT(sched_getaffinity(0, sizeof set, &set), SyscallSucceeds());
  std::atomic<pid_t> tid{0};
  std::atomic<int> cpu{-1};
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    tid = gettid();
    while (!stop) cpu = sched_getcpu();
  });
  while (tid == 0) usleep(100);
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < CPU_SETSIZE; i++) {
      if (!CPU_ISSET(i, &set)) continue;
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(i, &one);
      EXPECT_THAT(sched_setaffinity(tid, sizeof one, &one), SyscallSucceeds());
      for (int ms = 0; cpu != i && ms < 5000; ms++) usleep(1000);
      usleep(1000);
      EXPECT_EQ(cpu, i);
    }
  }
  stop = true;
  busy.join();
  EXPECT_CHILD_OK([&] {
    cpu_set_t one, seen;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    CHECK_OR_DIE(sched_setaffinity(0, sizeof one, &one) == 0);
    int mine = sched_getcpu();
    std::thread child([&] {
      CHECK_OR_DIE(sched_getcpu() == mine);
      CHECK_OR_DIE(sched_getaffinity(0, sizeof seen, &seen) >= 0 && CPU_EQUAL(&seen, &one));
    });
    child.join();
    return 0;
  });
}

TEST(SchedTest, PolicyAndPriorities) {
  EXPECT_THAT(sched_getscheduler(0), SyscallSucceedsWithValue(SCHED_OTHER));
  EXPECT_EQ(sched_get_priority_max(SCHED_FIFO), 99);
  EXPECT_EQ(sched_get_priority_min(SCHED_RR), 1);
  EXPECT_EQ(sched_get_priority_max(SCHED_OTHER), 0);
  EXPECT_THAT(sched_get_priority_max(77), SyscallFailsWithErrno(EINVAL));
  sched_param param = {};
  EXPECT_THAT(sched_getparam(0, &param), SyscallSucceeds());
  EXPECT_EQ(param.sched_priority, 0);
  EXPECT_THAT(sched_setscheduler(0, SCHED_OTHER, &param), SyscallSucceeds());
  param.sched_priority = 5;
  EXPECT_THAT(sched_setscheduler(0, SCHED_OTHER, &param), SyscallFailsWithErrno(EINVAL));
  EXPECT_CHILD_OK([] {
    sched_param zero = {};
    CHECK_OR_DIE(sched_setscheduler(0, SCHED_BATCH, &zero) == 0);
    CHECK_OR_DIE(sched_getscheduler(0) == SCHED_BATCH);
    return 0;
  });
  EXPECT_THAT(sched_yield(), SyscallSucceeds());
  timespec interval;
  EXPECT_THAT(sched_rr_get_interval(0, &interval), SyscallSucceeds());
}

TEST(SchedTest, Getcpu) {
  unsigned cpu = 999, node = 999;
  ASSERT_THAT(Raw(SYS_getcpu, &cpu, &node, nullptr), SyscallSucceeds());
  EXPECT_LT(cpu, 4096u);
  EXPECT_LT(node, 64u);
}

TEST(RusageTest, CountsCpu) {
  rusage a, b;
  ASSERT_THAT(getrusage(RUSAGE_SELF, &a), SyscallSucceeds());
  int64_t start = NowNs(CLOCK_PROCESS_CPUTIME_ID);
  while (NowNs(CLOCK_PROCESS_CPUTIME_ID) - start < 30000000) {
  }
  ASSERT_THAT(getrusage(RUSAGE_SELF, &b), SyscallSucceeds());
  auto total = [](const rusage& u) {
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000LL + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
  };
  EXPECT_GE(total(b) - total(a), 20000);
  EXPECT_GT(b.ru_maxrss, 500);
  EXPECT_THAT(getrusage(RUSAGE_THREAD, &a), SyscallSucceeds());
  EXPECT_THAT(getrusage(99, &a), SyscallFailsWithErrno(EINVAL));
}

TEST(RusageTest, CountsPageFaults) {
  rusage a, b;
  getrusage(RUSAGE_SELF, &a);
  std::string big(8 << 20, 'x');
  getrusage(RUSAGE_SELF, &b);
  EXPECT_GE(b.ru_maxrss, 8 << 10);
}

TEST(TimesTest, Works) {
  tms t;
  clock_t now = times(&t);
  EXPECT_GT(now, 0);
  EXPECT_GE(t.tms_utime, 0);
  EXPECT_THAT(Raw(SYS_times, 8), SyscallFailsWithErrno(EFAULT));
}

TEST(MembarrierTest, Query) {
  long commands = Raw(SYS_membarrier, 0, 0, 0);
  EXPECT_TRUE(commands > 0 || errno == ENOSYS);
  if (commands > 0) EXPECT_THAT(Raw(SYS_membarrier, 1 << 30, 0, 0), SyscallFailsWithErrno(EINVAL));
}

TEST(UnknownCallTest, IsEnosys) {
  EXPECT_THAT(Raw(9999), SyscallFailsWithErrno(ENOSYS));
  EXPECT_THAT(Raw(-2), SyscallFailsWithErrno(ENOSYS));
  EXPECT_THAT(Raw(0x40000000), SyscallFailsWithErrno(ENOSYS));
}

TEST(RegistersTest, SyscallKeepsAllButThree) {
  long result;
  uint64_t kept[6];
  asm volatile(
      "mov $11, %%rbx; mov $12, %%r12; mov $13, %%r13; mov $14, %%r14; mov $15, %%r15\n"
      "mov $0x5555, %%r8; mov $0x6666, %%r9; mov $0x7777, %%r10\n"
      "mov $39, %%eax; syscall\n"
      "mov %%rbx, 0(%1); mov %%r12, 8(%1); mov %%r15, 16(%1)\n"
      "mov %%r8, 24(%1); mov %%r9, 32(%1); mov %%r10, 40(%1)\n"
      : "=&a"(result)
      : "D"(kept)
      : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory");
  EXPECT_EQ(result, getpid());
  EXPECT_EQ(kept[0], 11u);
  EXPECT_EQ(kept[1], 12u);
  EXPECT_EQ(kept[2], 15u);
  EXPECT_EQ(kept[3], 0x5555u);
  EXPECT_EQ(kept[4], 0x6666u);
  EXPECT_EQ(kept[5], 0x7777u);
}

TEST(ArchPrctlTest, FsAndGs) {
  unsigned long fs = 0, gs = 0;
  EXPECT_THAT(Raw(SYS_arch_prctl, 0x1003 /* GET_FS */, &fs), SyscallSucceeds());
  EXPECT_NE(fs, 0u);
  EXPECT_CHILD_OK([&] {
    static uint64_t value = 0xabcdef;
    CHECK_OR_DIE(Raw(SYS_arch_prctl, 0x1001 /* SET_GS */, &value) == 0);
    uint64_t read;
    asm volatile("mov %%gs:0, %0" : "=r"(read));
    CHECK_OR_DIE(read == 0xabcdef);
    sched_yield();
    asm volatile("mov %%gs:0, %0" : "=r"(read));
    CHECK_OR_DIE(read == 0xabcdef);
    CHECK_OR_DIE(Raw(SYS_arch_prctl, 0x1004 /* GET_GS */, &gs) == 0);
    CHECK_OR_DIE(gs == reinterpret_cast<unsigned long>(&value));
    CHECK_OR_DIE(Raw(SYS_arch_prctl, 0x1001, 1UL << 63) == -1 && errno == EPERM);
    return 0;
  });
  EXPECT_THAT(Raw(SYS_arch_prctl, 0x9999, 0), SyscallFailsWithErrno(EINVAL));
}

}  // namespace
