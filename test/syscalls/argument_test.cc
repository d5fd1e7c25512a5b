// Arguments as the kernel sees them: registers' upper halves, the order of checks, buffers that
// reach out of user space, structures that say their own size.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <string>
#include <vector>

#include "test/util/test_util.h"

namespace {
using namespace guest;

constexpr long kGarbage = 0x5a5a5a5a00000000;
void* const kBad = reinterpret_cast<void*>(8);
void* const kKernel = reinterpret_cast<void*>(-4096);

template <typename T>
long Upper(T value) {
  return kGarbage | static_cast<uint32_t>(value);
}

TEST(UpperHalfTest, IsIgnoredWhereTheTypeIsInt) {
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  char c = 0;
  EXPECT_THAT(Raw(SYS_write, Upper(p[1]), "x", 1), SyscallSucceedsWithValue(1));
  EXPECT_THAT(Raw(SYS_read, Upper(p[0]), &c, 1), SyscallSucceedsWithValue(1));
  EXPECT_THAT(Raw(SYS_fcntl, p[0], Upper(F_GETFD), 0), SyscallSucceedsWithValue(0));
  EXPECT_THAT(Raw(SYS_lseek, p[0], 0, Upper(SEEK_CUR)), SyscallFailsWithErrno(ESPIPE));
  EXPECT_THAT(Raw(SYS_poll, nullptr, Upper(0), Upper(0)), SyscallSucceedsWithValue(0));
  EXPECT_THAT(Raw(SYS_kill, Upper(getpid()), Upper(0)), SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_unlinkat, Upper(AT_FDCWD), "/no/such", Upper(0)),
              SyscallFailsWithErrno(ENOENT));
  EXPECT_THAT(Raw(SYS_prctl, Upper(PR_GET_DUMPABLE), 0, 0, 0, 0), SyscallSucceedsWithValue(1));
  EXPECT_THAT(Raw(SYS_wait4, Upper(-1), nullptr, Upper(WNOHANG), nullptr),
              SyscallFailsWithErrno(ECHILD));
  EXPECT_THAT(Raw(SYS_close, Upper(p[0])), SyscallSucceeds());
  EXPECT_THAT(Raw(SYS_close, Upper(p[1])), SyscallSucceeds());
}

TEST(UpperHalfTest, CountsWhereTheTypeIsLong) {
  char page[8] = {};
  EXPECT_THAT(Raw(SYS_prctl, PR_SET_PDEATHSIG, Upper(9), 0, 0, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_prctl, PR_SET_KEEPCAPS, Upper(1), 0, 0, 0), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_unshare, kGarbage), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_mprotect, page, 0, Upper(PROT_READ)), SyscallFailsWithErrno(EINVAL));
}

TEST(BufferTest, BeyondUserSpaceIsEfaultAtOnce) {
  TempDir dir;
  Fd fd(open((dir / "f").c_str(), O_CREAT | O_RDWR, 0600));
  char c[4] = {};
  EXPECT_THAT(Raw(SYS_write, fd.get(), c, -1L), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_read, fd.get(), c, -1L), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_pread64, fd.get(), c, 0x7fffffffffffL, 0), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_read, fd.get(), kKernel, 0), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_read, fd.get(), kBad, 0), SyscallSucceedsWithValue(0));
  iovec v[2] = {{c, 4}, {kKernel, 4}};
  EXPECT_THAT(writev(fd.get(), v, 2), SyscallFailsWithErrno(EFAULT));
  v[1] = {kBad, 4};
  EXPECT_THAT(writev(fd.get(), v, 2), SyscallSucceedsWithValue(4));  // as far as it goes
  v[0] = {kKernel, 4};
  v[1] = {c, static_cast<size_t>(-1)};
  EXPECT_THAT(writev(fd.get(), v, 2), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_read, -1, kKernel, -1L), SyscallFailsWithErrno(EBADF));
}

TEST(BufferTest, SelectLooksNoFurtherThanTheTable) {
  // The set is followed by a page that is not there: a large count must not reach it.
  char* pages = static_cast<char*>(
      mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_THAT(munmap(pages + 4096, 4096), SyscallSucceeds());
  int p[2];
  ASSERT_THAT(pipe(p), SyscallSucceeds());
  ASSERT_EQ(write(p[1], "x", 1), 1);
  auto* set = reinterpret_cast<fd_set*>(pages + 4096 - sizeof(fd_set));
  FD_ZERO(set);
  FD_SET(p[0], set);
  timeval zero = {};
  EXPECT_THAT(Raw(SYS_select, INT32_MAX, set, nullptr, nullptr, &zero),
              SyscallSucceedsWithValue(1));
  close(p[0]);
  close(p[1]);
  FD_ZERO(set);
  FD_SET(p[0], set);
  EXPECT_THAT(Raw(SYS_select, 64, set, nullptr, nullptr, &zero), SyscallFailsWithErrno(EBADF));
  EXPECT_THAT(Raw(SYS_select, -1, nullptr, nullptr, nullptr, &zero), SyscallFailsWithErrno(EINVAL));
  munmap(pages, 4096);
}

struct BigAttr {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t util_min, util_max;
  uint64_t later[4];
};

TEST(SizedStructTest, SchedAttrAnswersTheSizeItKnows) {
  BigAttr a = {};
  a.size = 40;  // less than the first version
  EXPECT_THAT(Raw(SYS_sched_setattr, 0, &a, 0), SyscallFailsWithErrno(E2BIG));
  EXPECT_GE(a.size, 56u);
  a.size = sizeof(a);
  a.later[1] = 1;
  EXPECT_THAT(Raw(SYS_sched_setattr, 0, &a, 0), SyscallFailsWithErrno(E2BIG));
  EXPECT_LT(a.size, sizeof(a));
  a.size = sizeof(a);
  a.later[1] = 0;
  EXPECT_THAT(Raw(SYS_sched_setattr, 0, &a, 0), SyscallSucceeds());
}

TEST(SizedStructTest, CloneIntoCgroupNeedsItsField) {
  clone_args args = {};
  args.flags = CLONE_INTO_CGROUP;
  args.cgroup = 999;
  EXPECT_THAT(Raw(SYS_clone3, &args, 80), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_clone3, &args, sizeof(args)), SyscallFailsWithErrno(EBADF));
}

TEST(OrderTest, OfChecks) {
  siginfo_t info = {};
  // The descriptor's or target's absence is noticed before or after the rest, as Linux does.
  EXPECT_THAT(Raw(SYS_prlimit64, 999999, 99, nullptr, nullptr), SyscallFailsWithErrno(ESRCH));
  EXPECT_THAT(Raw(SYS_prlimit64, 0, 99, nullptr, nullptr), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_prlimit64, 999999, 0, kBad, nullptr), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_signalfd4, -1, kBad, 8, 1), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_rt_tgsigqueueinfo, -1, 0, 0, kBad), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_rt_tgsigqueueinfo, -1, 0, 0, &info), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_clock_adjtime, 99, kBad), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_waitid, 77, 0, kBad, WEXITED, nullptr), SyscallFailsWithErrno(EFAULT));
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setresuid(1, 1, 1) == 0);
    CHECK_OR_DIE(prctl(PR_CAPBSET_DROP, 99) == -1 && errno == EPERM);
    CHECK_OR_DIE(Raw(SYS_syslog, 99, nullptr, 0) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(OrderTest, ClocksThatCannotBeSleptOn) {
  timespec bad = {-1, 0};
  for (int clock : {CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE}) {
    EXPECT_THAT(Raw(SYS_clock_nanosleep, clock, 0, &bad, nullptr),
                SyscallFailsWithErrno(EOPNOTSUPP));
    EXPECT_THAT(Raw(SYS_clock_nanosleep, clock, 0, kBad, nullptr),
                SyscallFailsWithErrno(EOPNOTSUPP));
  }
  EXPECT_THAT(Raw(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &bad, nullptr),
              SyscallFailsWithErrno(EINVAL));
  timespec one = {1, 0};
  EXPECT_THAT(Raw(SYS_clock_settime, CLOCK_PROCESS_CPUTIME_ID, &one),
              SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(Raw(SYS_clock_settime, CLOCK_MONOTONIC, kBad), SyscallFailsWithErrno(EINVAL));
}

TEST(AnswerTest, WaitidWritesEvenWithoutAReport) {
  siginfo_t info;
  memset(&info, 0xff, sizeof(info));
  EXPECT_THAT(Raw(SYS_waitid, P_ALL, 0, &info, WEXITED, nullptr), SyscallFailsWithErrno(ECHILD));
  EXPECT_EQ(info.si_signo, 0);
  EXPECT_EQ(info.si_pid, 0);
}

TEST(AnswerTest, CapgetForTheVersionOnly) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, -5};
  EXPECT_THAT(Raw(SYS_capget, &header, nullptr), SyscallSucceeds());
  header.pid = 999999;
  EXPECT_THAT(Raw(SYS_capget, &header, nullptr), SyscallSucceeds());
  __user_cap_data_struct data[2];
  EXPECT_THAT(Raw(SYS_capget, &header, data), SyscallFailsWithErrno(ESRCH));
}

TEST(AnswerTest, UstatLeavesNoGaps) {
  struct stat st;
  ASSERT_THAT(stat("/proc", &st), SyscallSucceeds());
  unsigned char out[40];
  memset(out, 0xa5, sizeof(out));
  ASSERT_THAT(Raw(SYS_ustat, st.st_dev, out), SyscallSucceeds());
  for (int i : {4, 5, 6, 7, 28, 29, 30, 31}) EXPECT_EQ(out[i], 0) << i;
  EXPECT_EQ(out[32], 0xa5);
}

TEST(AnswerTest, IoprioOfAGroupFollowsNice) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setsid() > 0);
    CHECK_OR_DIE(Raw(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) == 0);
    long group = Raw(SYS_ioprio_get, IOPRIO_WHO_PGRP, 0);
    CHECK_OR_DIE(group == 0 || group == IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4));
    CHECK_OR_DIE(
        Raw(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 2)) == 0);
    CHECK_OR_DIE(Raw(SYS_ioprio_get, IOPRIO_WHO_PGRP, 0) == IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 2));
    return 0;
  });
}

TEST(LimitTest, FileSizeBoundsGrowthOnly) {
  TempDir dir;
  const std::string file = dir / "f";
  PutFile(file, std::string(100, 'x'));
  EXPECT_CHILD_OK([&] {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit = {10, 10};
    CHECK_OR_DIE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_OR_DIE(truncate(file.c_str(), 50) == 0);
    Fd fd(open(file.c_str(), O_RDWR));
    CHECK_OR_DIE(ftruncate(fd.get(), 40) == 0);
    CHECK_OR_DIE(ftruncate(fd.get(), 41) == -1 && errno == EFBIG);
    CHECK_OR_DIE(fallocate(fd.get(), 0, 0, 30) == 0 || errno == EOPNOTSUPP);
    return 0;
  });
}

TEST(LimitTest, TimersCountAsPendingSignals) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setresuid(23456, 23456, 23456) == 0);
    rlimit limit = {2, 2};
    CHECK_OR_DIE(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
    int timer[3];
    CHECK_OR_DIE(Raw(SYS_timer_create, CLOCK_MONOTONIC, nullptr, &timer[0]) == 0);
    CHECK_OR_DIE(Raw(SYS_timer_create, CLOCK_MONOTONIC, nullptr, &timer[1]) == 0);
    CHECK_OR_DIE(Raw(SYS_timer_create, CLOCK_MONOTONIC, nullptr, &timer[2]) == -1 &&
                 errno == EAGAIN);
    signal(SIGRTMIN, SIG_IGN);  // for the end of the block
    ScopedBlock block(SIGRTMIN);
    CHECK_OR_DIE(sigqueue(getpid(), SIGRTMIN, sigval{}) == -1 && errno == EAGAIN);
    CHECK_OR_DIE(Raw(SYS_timer_delete, timer[0]) == 0);
    CHECK_OR_DIE(sigqueue(getpid(), SIGRTMIN, sigval{}) == 0);
    return 0;
  });
}

TEST(KillTest, EveryoneOutOfReachIsNoError) {
  pid_t other = StartChild([] { return pause(); });  // root's, as all others may be init's
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setresuid(23457, 23457, 23457) == 0);
    CHECK_OR_DIE(kill(-1, 0) == 0);
    return 0;
  });
  kill(other, SIGKILL);
  WaitFor(other);
}

TEST(UnknownCallTest, AnyNumberIsEnosys) {
  for (long number : {400L, 511L, 512L, 5000L, 0x40000000L, 0x7fffffffffffffffL, -1L}) {
    EXPECT_THAT(Raw(number), SyscallFailsWithErrno(ENOSYS)) << number;
  }
}

TEST(LimitTest, WithoutADescriptorNothingIsBegun) {
  TempDir dir;
  const std::string file = dir / "f";
  PutFile(file, "kept");
  EXPECT_CHILD_OK([&] {
    sockaddr_un name = {AF_UNIX, {}};
    strcpy(name.sun_path, (dir / "s").c_str());
    auto* address = reinterpret_cast<sockaddr*>(&name);
    Fd listener(socket(AF_UNIX, SOCK_STREAM, 0)), client(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK_OR_DIE(bind(listener.get(), address, sizeof(name)) == 0);
    CHECK_OR_DIE(listen(listener.get(), 1) == 0);
    CHECK_OR_DIE(connect(client.get(), address, sizeof(name)) == 0);
    int last = dup(0);
    rlimit limit = {static_cast<rlim_t>(last) + 1, static_cast<rlim_t>(last) + 1};
    CHECK_OR_DIE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK_OR_DIE(open(file.c_str(), O_RDWR | O_TRUNC) == -1 && errno == EMFILE);
    CHECK_OR_DIE(open((dir / "new").c_str(), O_RDWR | O_CREAT, 0600) == -1 && errno == EMFILE);
    CHECK_OR_DIE(access((dir / "new").c_str(), F_OK) == -1 && errno == ENOENT);
    CHECK_OR_DIE(accept(listener.get(), nullptr, nullptr) == -1 && errno == EMFILE);
    close(last);
    CHECK_OR_DIE(accept(listener.get(), nullptr, nullptr) == last);
    close(last);
    CHECK_OR_DIE(GetFile(file) == "kept");
    return 0;
  });
}

// What the kernel says of a signal is not longer than what it has to say.
TEST(AnswerTest, SiginfoLeavesNoGaps) {
  ScopedBlock block(SIGUSR1);
  ASSERT_THAT(kill(getpid(), SIGUSR1), SyscallSucceeds());
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  unsigned char info[sizeof(siginfo_t)];
  memset(info, 0xa5, sizeof(info));
  ASSERT_EQ(sigwaitinfo(&set, reinterpret_cast<siginfo_t*>(info)), SIGUSR1);
  EXPECT_EQ(reinterpret_cast<siginfo_t*>(info)->si_pid, getpid());
  for (size_t i = 24; i < sizeof(info); ++i) EXPECT_EQ(info[i], 0) << i;
}

// Whatever cuts mappings keeps to vm.max_map_count.
TEST(LimitTest, MappingsAreCounted) {
  EXPECT_CHILD_OK([] {
    constexpr size_t kPages = 140000;
    char* p = static_cast<char*>(mmap(nullptr, kPages * 4096, PROT_NONE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    CHECK_OR_DIE(p != MAP_FAILED);
    size_t i = 1;
    while (i < kPages && madvise(p + i * 4096, 4096, MADV_DONTFORK) == 0) i += 2;
    CHECK_OR_DIE(i < kPages && errno == EAGAIN);
    i += 2;
    CHECK_OR_DIE(madvise(p + i * 4096, 4096, MADV_WIPEONFORK) == -1 && errno == EAGAIN);
    CHECK_OR_DIE(mprotect(p + i * 4096, 4096, PROT_READ) == -1 && errno == ENOMEM);
    CHECK_OR_DIE(mlock2(p + i * 4096, 4096, MLOCK_ONFAULT) == -1 && errno == ENOMEM);
    CHECK_OR_DIE(munmap(p, kPages * 4096) == 0);
    return 0;
  });
}

}  // namespace
