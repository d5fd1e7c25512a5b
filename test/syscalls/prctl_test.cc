// prctl: the options programs use, with their errors.
#include <fcntl.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <atomic>
#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

TEST(PrctlOptionTest, UnknownOptionIsEinval) {
  EXPECT_THAT(prctl(9999, 0, 0, 0, 0), SyscallFailsWithErrno(EINVAL));
}

TEST(PrctlOptionTest, DumpableValues) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_GET_DUMPABLE) == 1);
    CHECK_OR_DIE(prctl(PR_SET_DUMPABLE, 2) == -1 && errno == EINVAL);
    CHECK_OR_DIE(prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_GET_DUMPABLE) == 0);
    return 0;
  });
}

TEST(PrctlOptionTest, PdeathsigIsCheckedAndNotInherited) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_SET_PDEATHSIG, 65) == -1 && errno == EINVAL);
    CHECK_OR_DIE(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
    int signal = 0;
    CHECK_OR_DIE(prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGUSR1);
    CHECK_OR_DIE(prctl(PR_GET_PDEATHSIG, 8) == -1 && errno == EFAULT);
    return InChild([] {
      int inherited = 5;
      CHECK_OR_DIE(prctl(PR_GET_PDEATHSIG, &inherited) == 0 && inherited == 0);
      return 0;
    });
  });
}

TEST(PrctlOptionTest, NameIsCutAndPerThread) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_SET_NAME, "0123456789abcdefghij") == 0);
    char name[17] = {};
    CHECK_OR_DIE(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "0123456789abcde") == 0);
    std::thread([&] {
      char mine[17] = {};
      CHECK_OR_DIE(prctl(PR_GET_NAME, mine) == 0 && strcmp(mine, "0123456789abcde") == 0);
      CHECK_OR_DIE(prctl(PR_SET_NAME, "other") == 0);
      CHECK_OR_DIE(GetFile("/proc/self/task/" + std::to_string(gettid()) + "/comm") == "other\n");
    }).join();
    CHECK_OR_DIE(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "0123456789abcde") == 0);
    CHECK_OR_DIE(prctl(PR_SET_NAME, 8) == -1 && errno == EFAULT);
    return 0;
  });
}

TEST(PrctlOptionTest, NoNewPrivsArguments) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == -1 && errno == EINVAL);
    CHECK_OR_DIE(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0) == -1 && errno == EINVAL);
    CHECK_OR_DIE(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 && errno == EINVAL);
    CHECK_OR_DIE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    return InChild([] {
      CHECK_OR_DIE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
      return 0;
    });
  });
}

TEST(PrctlOptionTest, CapbsetRange) {
  EXPECT_THAT(prctl(PR_CAPBSET_READ, 0), SyscallSucceedsWithValue(1));
  EXPECT_THAT(prctl(PR_CAPBSET_READ, 63), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(prctl(PR_CAPBSET_DROP, 63), SyscallFailsWithErrno(EINVAL));
}

TEST(PrctlOptionTest, SubreaperIsNotInherited) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_SET_CHILD_SUBREAPER, 5) == 0);
    int value = 0;
    CHECK_OR_DIE(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value == 1);
    return InChild([] {
      int mine = 7;
      CHECK_OR_DIE(prctl(PR_GET_CHILD_SUBREAPER, &mine) == 0 && mine == 0);
      return 0;
    });
  });
}

TEST(PrctlOptionTest, TransparentHugePages) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 0);
    CHECK_OR_DIE(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    CHECK_OR_DIE(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
    CHECK_OR_DIE(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0) == -1 && errno == EINVAL);
    return InChild([] {
      CHECK_OR_DIE(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
      return 0;
    });
  });
}

TEST(PrctlOptionTest, SeccompModeIsOff) {
  EXPECT_THAT(prctl(PR_GET_SECCOMP), SyscallSucceedsWithValue(0));
}

TEST(PrctlOptionTest, TimerSlackZeroIsTheDefault) {
  EXPECT_CHILD_OK([] {
    int initial = prctl(PR_GET_TIMERSLACK);
    CHECK_OR_DIE(initial > 0);
    CHECK_OR_DIE(prctl(PR_SET_TIMERSLACK, 1000) == 0 && prctl(PR_GET_TIMERSLACK) == 1000);
    CHECK_OR_DIE(prctl(PR_SET_TIMERSLACK, 0) == 0 && prctl(PR_GET_TIMERSLACK) == initial);
    return 0;
  });
}

TEST(PrctlOptionTest, TidAddress) {
  int* address = nullptr;
  EXPECT_CHILD_OK([&] {
    static int word;
    CHECK_OR_DIE(Raw(SYS_set_tid_address, &word) == getpid());
    CHECK_OR_DIE(prctl(PR_GET_TID_ADDRESS, &address) == 0 && address == &word);
    return 0;
  });
}

TEST(PrctlOptionTest, UnalignFpemuEndianAreNotForX86) {
  int value;
  EXPECT_THAT(prctl(PR_GET_UNALIGN, &value), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(prctl(PR_GET_FPEMU, &value), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(prctl(PR_GET_ENDIAN, &value), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(prctl(PR_SET_TIMING, 0), SyscallSucceeds());
  EXPECT_THAT(prctl(PR_SET_TIMING, 1), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(prctl(PR_GET_TIMING), SyscallSucceedsWithValue(0));
}

TEST(PrctlOptionTest, TscModeAndMachineCheckPolicy) {
  int value = 0;
  EXPECT_THAT(prctl(PR_GET_TSC, &value), SyscallSucceeds());
  EXPECT_EQ(value, PR_TSC_ENABLE);
  EXPECT_THAT(prctl(PR_SET_TSC, PR_TSC_ENABLE), SyscallSucceeds());
  EXPECT_THAT(prctl(PR_SET_TSC, 77), SyscallFailsWithErrno(EINVAL));
  EXPECT_THAT(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), SyscallSucceedsWithValue(PR_MCE_KILL_DEFAULT));
  EXPECT_THAT(prctl(PR_MCE_KILL_GET, 1, 0, 0, 0), SyscallFailsWithErrno(EINVAL));
}

TEST(PrctlOptionTest, IoFlusher) {
  if (prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == -1 && errno == EPERM) {
    GTEST_SKIP() << "no CAP_SYS_RESOURCE here";
  }
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 0);
    CHECK_OR_DIE(prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0);
    CHECK_OR_DIE(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1);
    CHECK_OR_DIE(prctl(PR_SET_IO_FLUSHER, 2, 0, 0, 0) == -1 && errno == EINVAL);
    CHECK_OR_DIE(setuid(65534) == 0);
    CHECK_OR_DIE(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == -1 && errno == EPERM);
    return 0;
  });
}

}  // namespace
