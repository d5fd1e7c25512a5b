// prlimit on other processes, getrusage's numbers, scheduling parameters.
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

int PauseForever() {
  for (;;) pause();
  return 0;
}

TEST(PrlimitTest, OtherUsersNeedPrivilege) {
  pid_t child = StartChild(PauseForever);
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(setuid(65534) == 0);
    rlimit64 limit;
    CHECK_OR_DIE(Raw(SYS_prlimit64, child, RLIMIT_CORE, nullptr, &limit) == -1 && errno == EPERM);
    CHECK_OR_DIE(Raw(SYS_prlimit64, 99999999, RLIMIT_CORE, nullptr, &limit) == -1 &&
                 errno == ESRCH);
    CHECK_OR_DIE(Raw(SYS_prlimit64, getpid(), RLIMIT_CORE, nullptr, &limit) == 0);
    return 0;
  });
  kill(child, SIGKILL);
  WaitFor(child);
}

TEST(PrlimitTest, ChangesShowInTheOther) {
  int pipes[2];
  ASSERT_THAT(pipe(pipes), SyscallSucceeds());
  pid_t child = StartChild([&] {
    char c;
    CHECK_OR_DIE(read(pipes[0], &c, 1) == 1);
    rlimit limit;
    CHECK_OR_DIE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    return limit.rlim_cur == 77 && limit.rlim_max == 99 ? 0 : 1;
  });
  rlimit64 want = {77, 99}, old = {};
  EXPECT_THAT(Raw(SYS_prlimit64, child, RLIMIT_NOFILE, &want, &old), SyscallSucceeds());
  EXPECT_GT(old.rlim_cur, 99u);
  ASSERT_THAT(write(pipes[1], "x", 1), SyscallSucceedsWithValue(1));
  EXPECT_EQ(WaitFor(child), 0);
  close(pipes[0]);
  close(pipes[1]);
}

TEST(PrlimitTest, HardLimitGoesDownOnly) {
  EXPECT_CHILD_OK([] {
    rlimit limit = {10, 20};
    CHECK_OR_DIE(setrlimit(RLIMIT_CORE, &limit) == 0);
    CHECK_OR_DIE(setuid(65534) == 0);
    limit = {10, 21};
    CHECK_OR_DIE(setrlimit(RLIMIT_CORE, &limit) == -1 && errno == EPERM);
    limit = {21, 20};
    CHECK_OR_DIE(setrlimit(RLIMIT_CORE, &limit) == -1 && errno == EINVAL);
    limit = {20, 20};
    CHECK_OR_DIE(setrlimit(RLIMIT_CORE, &limit) == 0);
    return 0;
  });
  rlimit limit;
  EXPECT_THAT(Raw(SYS_getrlimit, 16, &limit), SyscallFailsWithErrno(EINVAL));
  limit = {RLIM_INFINITY, RLIM_INFINITY};
  EXPECT_THAT(setrlimit(RLIMIT_NOFILE, &limit), SyscallFailsWithErrno(EPERM));
}

TEST(RusageNumbersTest, MaxrssFollowsMemory) {
  EXPECT_CHILD_OK([] {
    rusage before, after;
    CHECK_OR_DIE(getrusage(RUSAGE_SELF, &before) == 0);
    size_t size = 24 << 20;
    void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(at, 1, size);
    CHECK_OR_DIE(getrusage(RUSAGE_SELF, &after) == 0);
    munmap(at, size);
    CHECK_OR_DIE(after.ru_maxrss >= before.ru_maxrss + 16 * 1024);
    return 0;
  });
}

// Memory that was in use counts also if it went before anyone looked.
TEST(RusageNumbersTest, PeakOfMemoryThatIsGone) {
  constexpr size_t kSize = 32 << 20;
  auto use = [] {
    void* at = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(at, 1, kSize);
    return static_cast<char*>(at);
  };
  auto peak = [](int who) {
    rusage usage;
    getrusage(static_cast<__rusage_who>(who), &usage);
    return usage.ru_maxrss;
  };
  constexpr long kLeast = (kSize >> 10) * 7 / 8;
  EXPECT_CHILD_OK([&] {
    munmap(use(), kSize);
    return peak(RUSAGE_SELF) >= kLeast ? 0 : 1;
  });
  EXPECT_CHILD_OK([&] {
    char* at = use();
    for (size_t i = 0; i < kSize; i += 64 << 10) munmap(at + i, 64 << 10);
    return peak(RUSAGE_SELF) >= kLeast ? 0 : 1;
  });
  EXPECT_CHILD_OK([&] {
    madvise(use(), kSize, MADV_DONTNEED);
    return peak(RUSAGE_SELF) >= kLeast ? 0 : 1;
  });
  EXPECT_CHILD_OK([&] {
    void* before = sbrk(kSize);
    memset(before, 1, kSize);
    CHECK_OR_DIE(brk(before) == 0);
    return peak(RUSAGE_SELF) >= kLeast ? 0 : 1;
  });
  EXPECT_CHILD_OK([&] {
    pid_t child = fork();
    if (child == 0) {
      use();
      execl("/bin/true", "true", nullptr);
      _exit(1);
    }
    CHECK_OR_DIE(WaitFor(child) == 0);
    return peak(RUSAGE_CHILDREN) >= kLeast ? 0 : 1;
  });
}

TEST(RusageNumbersTest, ChildrenCountOnceWaitedFor) {
  EXPECT_CHILD_OK([] {
    rusage usage;
    CHECK_OR_DIE(getrusage(RUSAGE_CHILDREN, &usage) == 0);
    CHECK_OR_DIE(usage.ru_utime.tv_sec == 0 && usage.ru_utime.tv_usec == 0 && usage.ru_maxrss == 0);
    pid_t child = StartChild([] {
      size_t size = 16 << 20;
      void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      memset(at, 1, size);
      int64_t until = NowNs(CLOCK_PROCESS_CPUTIME_ID) + 50'000'000;
      while (NowNs(CLOCK_PROCESS_CPUTIME_ID) < until) {
      }
      return 0;
    });
    WaitUntilState(child, 'Z');
    CHECK_OR_DIE(getrusage(RUSAGE_CHILDREN, &usage) == 0 && usage.ru_maxrss == 0);
    WaitFor(child);
    CHECK_OR_DIE(getrusage(RUSAGE_CHILDREN, &usage) == 0);
    CHECK_OR_DIE(usage.ru_maxrss >= 12 * 1024);
    CHECK_OR_DIE(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec >= 40'000);
    return 0;
  });
}

TEST(RusageNumbersTest, SleepsAreVoluntarySwitches) {
  rusage before, after;
  ASSERT_THAT(getrusage(RUSAGE_THREAD, &before), SyscallSucceeds());
  for (int i = 0; i < 20; i++) SleepMs(1);
  ASSERT_THAT(getrusage(RUSAGE_THREAD, &after), SyscallSucceeds());
  EXPECT_GE(after.ru_nvcsw - before.ru_nvcsw, 20);
  EXPECT_LT(after.ru_nvcsw - before.ru_nvcsw, 200);
  EXPECT_THAT(getrusage(static_cast<__rusage_who>(5), &before), SyscallFailsWithErrno(EINVAL));
}

TEST(RusageNumbersTest, IgnoredChildrenDoNotCount) {
  EXPECT_CHILD_OK([] {
    signal(SIGCHLD, SIG_IGN);
    pid_t child = StartChild([] {
      int64_t until = NowNs(CLOCK_PROCESS_CPUTIME_ID) + 30'000'000;
      while (NowNs(CLOCK_PROCESS_CPUTIME_ID) < until) {
      }
      return 0;
    });
    waitpid(child, nullptr, 0);
    rusage usage;
    CHECK_OR_DIE(getrusage(RUSAGE_CHILDREN, &usage) == 0 && usage.ru_utime.tv_usec == 0);
    return 0;
  });
}

struct SchedAttr {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t util_min, util_max;
};

TEST(SchedulingTest, AttrOfNiceAndBatch) {
  EXPECT_CHILD_OK([] {
    SchedAttr attr = {};
    attr.size = 48;
    attr.policy = SCHED_BATCH;
    attr.nice = 7;
    CHECK_OR_DIE(Raw(SYS_sched_setattr, 0, &attr, 0) == 0);
    CHECK_OR_DIE(sched_getscheduler(0) == SCHED_BATCH && getpriority(PRIO_PROCESS, 0) == 7);
    SchedAttr got = {};
    CHECK_OR_DIE(Raw(SYS_sched_getattr, 0, &got, sizeof got, 0) == 0);
    CHECK_OR_DIE(got.policy == SCHED_BATCH && got.nice == 7 && got.size >= 48);
    CHECK_OR_DIE(Raw(SYS_sched_getattr, 0, &got, 20, 0) == -1 && errno == EINVAL);
    CHECK_OR_DIE(Raw(SYS_sched_getattr, 0, &got, sizeof got, 1) == -1 && errno == EINVAL);
    attr.policy = 99;
    CHECK_OR_DIE(Raw(SYS_sched_setattr, 0, &attr, 0) == -1 && errno == EINVAL);
    attr.policy = SCHED_BATCH;
    attr.flags = 1 << 20;
    CHECK_OR_DIE(Raw(SYS_sched_setattr, 0, &attr, 0) == -1 && errno == EINVAL);
    attr.flags = 0;
    attr.size = 20;
    CHECK_OR_DIE(Raw(SYS_sched_setattr, 0, &attr, 0) == -1 && errno == E2BIG);
    CHECK_OR_DIE(Raw(SYS_sched_getattr, 99999999, &got, sizeof got, 0) == -1 && errno == ESRCH);
    return 0;
  });
}

TEST(SchedulingTest, ResetOnFork) {
  EXPECT_CHILD_OK([] {
    sched_param param = {0};
    CHECK_OR_DIE(setpriority(PRIO_PROCESS, 0, -5) == 0);
    CHECK_OR_DIE(sched_setscheduler(0, SCHED_OTHER | 0x40000000, &param) == 0);
    CHECK_OR_DIE(sched_getscheduler(0) == (SCHED_OTHER | 0x40000000));
    return InChild([] {
      CHECK_OR_DIE(sched_getscheduler(0) == SCHED_OTHER);
      CHECK_OR_DIE(getpriority(PRIO_PROCESS, 0) == 0);
      return 0;
    });
  });
}

TEST(SchedulingTest, PriorityRangesAndParameters) {
  EXPECT_THAT(sched_get_priority_max(SCHED_FIFO), SyscallSucceedsWithValue(99));
  EXPECT_THAT(sched_get_priority_min(SCHED_FIFO), SyscallSucceedsWithValue(1));
  EXPECT_THAT(sched_get_priority_max(SCHED_OTHER), SyscallSucceedsWithValue(0));
  EXPECT_THAT(sched_get_priority_max(42), SyscallFailsWithErrno(EINVAL));
  sched_param param = {5};
  EXPECT_THAT(sched_setscheduler(0, SCHED_OTHER, &param), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(sched_setparam(0, &param), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(sched_setscheduler(-1, SCHED_OTHER, &param), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_sched_setparam, 0, nullptr), SyscallFailsWithErrno(EINVAL));
  timespec quantum;
  EXPECT_THAT(sched_rr_get_interval(0, &quantum), SyscallSucceeds());
  EXPECT_THAT(sched_rr_get_interval(-1, &quantum), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(sched_rr_get_interval(99999999, &quantum), SyscallFailsWithErrno(ESRCH));
}

TEST(SchedulingTest, UnprivilegedLimits) {
  EXPECT_CHILD_OK([] {
    rlimit none = {0, 0};
    CHECK_OR_DIE(setrlimit(RLIMIT_NICE, &none) == 0 && setrlimit(RLIMIT_RTPRIO, &none) == 0);
    CHECK_OR_DIE(setuid(65534) == 0);
    CHECK_OR_DIE(setpriority(PRIO_PROCESS, 0, -1) == -1 && errno == EACCES);
    CHECK_OR_DIE(setpriority(PRIO_PROCESS, 0, 5) == 0);
    CHECK_OR_DIE(setpriority(PRIO_PROCESS, 0, 4) == -1 && errno == EACCES);
    CHECK_OR_DIE(setpriority(PRIO_PROCESS, getppid(), 5) == -1 && errno == EPERM);
    sched_param param = {1};
    CHECK_OR_DIE(sched_setscheduler(0, SCHED_FIFO, &param) == -1 && errno == EPERM);
    param = {0};
    CHECK_OR_DIE(sched_setscheduler(0, SCHED_IDLE, &param) == 0);
    CHECK_OR_DIE(sched_setscheduler(getppid(), SCHED_OTHER, &param) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(SchedulingTest, AffinityForms) {
  unsigned long mask[16] = {};
  long bytes = Raw(SYS_sched_getaffinity, 0, sizeof mask, mask);
  EXPECT_GT(bytes, 0);
  EXPECT_EQ(bytes % 8, 0);
  EXPECT_THAT(Raw(SYS_sched_getaffinity, 0, 3, mask), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_sched_getaffinity, 99999999, sizeof mask, mask),
              SyscallFailsWithErrno(ESRCH));
  unsigned long none[16] = {};
  EXPECT_THAT(Raw(SYS_sched_setaffinity, 0, sizeof none, none), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_sched_setaffinity, 0, sizeof none, 8), SyscallFailsWithErrno(EFAULT));
}

}  // namespace
