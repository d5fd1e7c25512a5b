// Credentials, capabilities, prctl, limits.
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

struct Caps {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  long Get() { return Raw(SYS_capget, &header, data); }
  long Set() { return Raw(SYS_capset, &header, data); }
};

TEST(UidTest, RootMaySetAll) {
  EXPECT_CHILD_OK([] {
    uid_t r, e, s;
    CHECK_OR_DIE(setresuid(1, 2, 3) == 0 && getresuid(&r, &e, &s) == 0);
    CHECK_OR_DIE(r == 1 && e == 2 && s == 3 && getuid() == 1 && geteuid() == 2);
    return 0;
  });
}

TEST(UidTest, OthersMaySwapOnly) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setresuid(1, 2, 3) == 0);
    CHECK_OR_DIE(setresuid(4, -1, -1) == -1 && errno == EPERM);
    CHECK_OR_DIE(setresuid(-1, 3, -1) == 0 && geteuid() == 3);
    CHECK_OR_DIE(setuid(1) == 0 && geteuid() == 1);
    CHECK_OR_DIE(setuid(0) == -1 && errno == EPERM);
    CHECK_OR_DIE(setreuid(-1, 0) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(UidTest, SetuidOfRootIsForGood) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setuid(12345) == 0 && setuid(0) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(UidTest, SetreuidMovesSaved) {
  EXPECT_CHILD_OK([] {
    uid_t r, e, s;
    CHECK_OR_DIE(setreuid(5, 6) == 0 && getresuid(&r, &e, &s) == 0);
    CHECK_OR_DIE(r == 5 && e == 6 && s == 6);
    return 0;
  });
}

TEST(UidTest, Groups) {
  EXPECT_CHILD_OK([] {
    gid_t groups[] = {10, 20, 30}, got[10];
    CHECK_OR_DIE(setgroups(3, groups) == 0);
    CHECK_OR_DIE(getgroups(0, nullptr) == 3 && getgroups(10, got) == 3 && got[2] == 30);
    CHECK_OR_DIE(getgroups(2, got) == -1 && errno == EINVAL);
    CHECK_OR_DIE(setgroups(65537, got) == -1 && errno == EINVAL);
    CHECK_OR_DIE(setresgid(1, 2, 3) == 0);
    gid_t r, e, s;
    CHECK_OR_DIE(getresgid(&r, &e, &s) == 0 && r == 1 && e == 2 && s == 3);
    CHECK_OR_DIE(setresuid(9, 9, 9) == 0);
    CHECK_OR_DIE(setgroups(0, nullptr) == -1 && errno == EPERM);
    CHECK_OR_DIE(setgid(0) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(UidTest, Fsuid) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setfsuid(77) == 0 && setfsuid(-1) == 77);
    CHECK_OR_DIE(setfsgid(78) == 0 && setfsgid(-1) == 78);
    return 0;
  });
}

TEST(UidTest, ThreadsHaveTheirOwn) {
  EXPECT_CHILD_OK([] {
    std::thread([] { CHECK_OR_DIE(Raw(SYS_setresuid, 7, 7, 7) == 0); }).join();
    return getuid() == 0 ? 0 : 1;
  });
}

TEST(CapabilityTest, RootHasAllAndLosesThemWithUid) {
  EXPECT_CHILD_OK([] {
    Caps caps;
    CHECK_OR_DIE(caps.Get() == 0 && (caps.data[0].effective & (1u << CAP_CHOWN)));
    CHECK_OR_DIE(setresuid(1, 1, 1) == 0 && caps.Get() == 0);
    CHECK_OR_DIE(caps.data[0].effective == 0 && caps.data[0].permitted == 0);
    return 0;
  });
}

TEST(CapabilityTest, KeepcapsKeepsPermitted) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_SET_KEEPCAPS, 1) == 0 && prctl(PR_GET_KEEPCAPS) == 1);
    CHECK_OR_DIE(setresuid(1, 1, 1) == 0);
    Caps caps;
    CHECK_OR_DIE(caps.Get() == 0 && caps.data[0].effective == 0 && caps.data[0].permitted != 0);
    return 0;
  });
}

TEST(CapabilityTest, DropAndNoRegain) {
  EXPECT_CHILD_OK([] {
    Caps caps;
    CHECK_OR_DIE(caps.Get() == 0);
    auto before = caps;
    caps.data[0].effective &= ~(1u << CAP_CHOWN);
    caps.data[0].permitted &= ~(1u << CAP_CHOWN);
    CHECK_OR_DIE(caps.Set() == 0);
    CHECK_OR_DIE(before.Set() == -1 && errno == EPERM);
    TempDir dir;
    CHECK_OR_DIE(chown(dir.path().c_str(), 5, 5) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(CapabilityTest, Errors) {
  Caps caps;
  caps.header.version = 1234;
  EXPECT_THAT(caps.Get(), SyscallFailsWithErrno(EINVAL));
  EXPECT_EQ(caps.header.version, unsigned{_LINUX_CAPABILITY_VERSION_3});
  caps.header.pid = 0x3fffffff;
  EXPECT_THAT(caps.Get(), SyscallFailsWithErrno(ESRCH));
}

TEST(CapabilityTest, BoundingSet) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_CAPBSET_READ, CAP_CHOWN) == 1);
    CHECK_OR_DIE(prctl(PR_CAPBSET_DROP, CAP_CHOWN) == 0);
    CHECK_OR_DIE(prctl(PR_CAPBSET_READ, CAP_CHOWN) == 0);
    CHECK_OR_DIE(prctl(PR_CAPBSET_READ, 99) == -1 && errno == EINVAL);
    return 0;
  });
}

TEST(CapabilityTest, AmbientSet) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) == 0);
    CHECK_OR_DIE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0) == -1);
    Caps caps;
    CHECK_OR_DIE(caps.Get() == 0);
    caps.data[0].inheritable |= 1u << CAP_CHOWN;
    CHECK_OR_DIE(caps.Set() == 0);
    CHECK_OR_DIE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0) == 0);
    CHECK_OR_DIE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) == 1);
    CHECK_OR_DIE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0);
    CHECK_OR_DIE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) == 0);
    return 0;
  });
}

TEST(PrctlTest, Name) {
  EXPECT_CHILD_OK([] {
    char name[16] = {};
    CHECK_OR_DIE(prctl(PR_SET_NAME, "a-name-longer-than-sixteen") == 0);
    CHECK_OR_DIE(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "a-name-longer-t") == 0);
    CHECK_OR_DIE(GetFile("/proc/self/comm") == "a-name-longer-t\n");
    CHECK_OR_DIE(prctl(PR_SET_NAME, 8) == -1 && errno == EFAULT);
    return 0;
  });
}

TEST(PrctlTest, NoNewPrivs) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
    CHECK_OR_DIE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK_OR_DIE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    CHECK_OR_DIE(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == -1 && errno == EINVAL);
    return 0;
  });
}

TEST(PrctlTest, DumpableAndPdeathsig) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_GET_DUMPABLE) == 1 && prctl(PR_SET_DUMPABLE, 0) == 0);
    CHECK_OR_DIE(prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_SET_DUMPABLE, 9) == -1);
    int signal = 5;
    CHECK_OR_DIE(prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == 0);
    CHECK_OR_DIE(prctl(PR_SET_PDEATHSIG, SIGTERM) == 0);
    CHECK_OR_DIE(prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGTERM);
    CHECK_OR_DIE(prctl(PR_SET_PDEATHSIG, 99) == -1 && errno == EINVAL);
    CHECK_OR_DIE(prctl(123456, 0) == -1 && errno == EINVAL);
    return 0;
  });
}

TEST(PrctlTest, TimerSlackAndSecurebits) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_SET_TIMERSLACK, 1234) == 0 && prctl(PR_GET_TIMERSLACK) == 1234);
    CHECK_OR_DIE(prctl(PR_GET_SECUREBITS) == 0);
    CHECK_OR_DIE(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT) == 0);
    CHECK_OR_DIE(prctl(PR_GET_SECUREBITS) == SECBIT_NOROOT);
    return 0;
  });
}

TEST(RlimitTest, GetSetAndErrors) {
  EXPECT_CHILD_OK([] {
    rlimit limit = {100, 200}, got;
    CHECK_OR_DIE(setrlimit(RLIMIT_NOFILE, &limit) == 0 && getrlimit(RLIMIT_NOFILE, &got) == 0);
    CHECK_OR_DIE(got.rlim_cur == 100 && got.rlim_max == 200);
    limit = {300, 200};
    CHECK_OR_DIE(setrlimit(RLIMIT_NOFILE, &limit) == -1 && errno == EINVAL);
    CHECK_OR_DIE(getrlimit(static_cast<__rlimit_resource>(99), &got) == -1 && errno == EINVAL);
    CHECK_OR_DIE(setresuid(1, 1, 1) == 0);
    limit = {100, 201};
    CHECK_OR_DIE(setrlimit(RLIMIT_NOFILE, &limit) == -1 && errno == EPERM);
    limit = {150, 150};
    CHECK_OR_DIE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    return 0;
  });
}

TEST(RlimitTest, PrlimitOfAnother) {
  pid_t child = StartChild([] {
    pause();
    return 0;
  });
  rlimit limit = {50, 60}, old = {};
  EXPECT_THAT(prlimit(child, RLIMIT_NOFILE, &limit, &old), SyscallSucceeds());
  EXPECT_GT(old.rlim_max, 60u);
  EXPECT_THAT(prlimit(child, RLIMIT_NOFILE, nullptr, &old), SyscallSucceeds());
  EXPECT_EQ(old.rlim_cur, 50u);
  EXPECT_THAT(prlimit(0x3fffffff, RLIMIT_NOFILE, nullptr, &old), SyscallFailsWithErrno(ESRCH));
  kill(child, SIGKILL);
  WaitFor(child);
}

TEST(RlimitTest, CpuLimitKills) {
  int status = InChild([] {
    rlimit core = {0, 0}, cpu = {1, 2};
    setrlimit(RLIMIT_CORE, &core);
    CHECK_OR_DIE(setrlimit(RLIMIT_CPU, &cpu) == 0);
    for (;;) asm volatile("");
    return 0;
  });
  EXPECT_EQ(WTERMSIG(status), SIGXCPU);
}

TEST(PriorityTest, Nice) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(setpriority(PRIO_PROCESS, 0, 5) == 0);
    errno = 0;
    CHECK_OR_DIE(getpriority(PRIO_PROCESS, 0) == 5);
    CHECK_OR_DIE(Raw(SYS_getpriority, PRIO_PROCESS, 0) == 15);
    CHECK_OR_DIE(setpriority(99, 0, 5) == -1 && errno == EINVAL);
    CHECK_OR_DIE(getpriority(PRIO_PROCESS, 0x3fffffff) == -1 && errno == ESRCH);
    CHECK_OR_DIE(setresuid(1, 1, 1) == 0);
    CHECK_OR_DIE(setpriority(PRIO_PROCESS, 0, 1) == -1 && errno == EACCES);
    return 0;
  });
}

TEST(FsuidTest, OtherCallsLeaveFileCapabilities) {
  // Only setfsuid(2) itself moves them; setresuid(2) takes fsuid along, without.
  constexpr uint32_t kDac = 1u << CAP_DAC_OVERRIDE;
  EXPECT_CHILD_OK([] {
    Caps caps;
    setfsuid(1000);
    CHECK_OR_DIE(caps.Get() == 0 && (caps.data[0].effective & kDac) == 0);
    CHECK_OR_DIE(setresuid(-1, 0, -1) == 0 && setfsuid(-1) == 0);
    CHECK_OR_DIE(caps.Get() == 0 && (caps.data[0].effective & kDac) == 0);
    setfsuid(1000);
    setfsuid(0);
    CHECK_OR_DIE(caps.Get() == 0 && (caps.data[0].effective & kDac) != 0);
    return 0;
  });
}

TEST(AccessTest, UndumpableIsOutOfReachForItsUser) {
  pid_t target = StartPausedChild(
      [] { CHECK_OR_DIE(setresuid(1234, 1234, 1234) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0); });
  EXPECT_CHILD_OK([&] {
    char c = 0;
    CHECK_OR_DIE(setresuid(1234, 1234, 1234) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
    void* head;
    size_t size;
    CHECK_OR_DIE(Raw(SYS_get_robust_list, target, &head, &size) == -1 && errno == EPERM);
    long fd = Raw(SYS_pidfd_open, target, 0);
    CHECK_OR_DIE(fd >= 0);
    CHECK_OR_DIE(Raw(SYS_pidfd_getfd, fd, 0, 0) == -1 && errno == EPERM);
    iovec v = {&c, 1};
    constexpr int kCold = 20;
    CHECK_OR_DIE(Raw(SYS_process_madvise, fd, &v, 1, kCold, 0) == -1 && errno == EACCES);
    return 0;
  });
  kill(target, SIGKILL);
  WaitFor(target);
}

TEST(PersonalityTest, IsKeptAndInherited) {
  EXPECT_CHILD_OK([] {
    constexpr unsigned long kFlags = ADDR_NO_RANDOMIZE | WHOLE_SECONDS | SHORT_INODE;
    CHECK_OR_DIE(personality(0xffffffff) == 0);
    CHECK_OR_DIE(personality(kFlags) == 0);
    return InChild([] { return personality(0xffffffff) == kFlags ? 0 : 1; });
  });
}

}  // namespace
