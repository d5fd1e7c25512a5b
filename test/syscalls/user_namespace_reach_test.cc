// User namespaces: who may make them, and what they must not open (user_namespaces(7)).
#include <fcntl.h>
#include <grp.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <string>
#include <thread>
#include <vector>

#include "test/util/test_util.h"

namespace {
using namespace guest;

constexpr int kUser = 12345;

// 0, or the errno of one write(2) to a file of /proc/self.
int WriteProc(const char* name, const std::string& text) {
  Fd fd(open((std::string("/proc/self/") + name).c_str(), O_WRONLY));
  if (!fd.valid()) return errno;
  return write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : errno;
}

void BecomeUser() {
  CHECK_OR_DIE(setgroups(0, nullptr) == 0);
  CHECK_OR_DIE(setresgid(kUser, kUser, kUser) == 0 && setresuid(kUser, kUser, kUser) == 0);
  CHECK_OR_DIE(prctl(PR_SET_DUMPABLE, 1) == 0);  // or /proc/self would be root's
}

TEST(UserNamespaceReachTest, NotFromAChroot) {
  TempDir dir;
  EXPECT_CHILD_OK([&] {
    CHECK_OR_DIE(chroot(dir.path().c_str()) == 0 && chdir("/") == 0);
    CHECK_OR_DIE(setresuid(kUser, kUser, kUser) == 0);
    CHECK_OR_DIE(unshare(CLONE_NEWUSER) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(UserNamespaceReachTest, NotWithoutAMappedId) {
  EXPECT_CHILD_OK([] {
    BecomeUser();
    CHECK_OR_DIE(unshare(CLONE_NEWUSER) == 0);
    CHECK_OR_DIE(unshare(CLONE_NEWUSER) == -1 && errno == EPERM);
    return 0;
  });
}

TEST(UserNamespaceReachTest, SameUserOutsideIsOutOfReach) {
  int ready[2];
  ASSERT_THAT(pipe(ready), SyscallSucceeds());
  pid_t outside = StartChild([&] {
    BecomeUser();
    write(ready[1], "x", 1);
    pause();
    return 0;
  });
  char c;
  ASSERT_EQ(read(ready[0], &c, 1), 1);
  EXPECT_CHILD_OK([&] {
    BecomeUser();
    CHECK_OR_DIE(Raw(SYS_kcmp, outside, getpid(), KCMP_VM, 0, 0) >= 0);
    CHECK_OR_DIE(unshare(CLONE_NEWUSER) == 0);
    CHECK_OR_DIE(Raw(SYS_kcmp, outside, getpid(), KCMP_VM, 0, 0) == -1 && errno == EPERM);
    return 0;
  });
  kill(outside, SIGKILL);
  WaitFor(outside);
  close(ready[0]);
  close(ready[1]);
}

// Maps are parsed as they are written; writers must not trip over each other.
TEST(UserNamespaceReachTest, ManyWritersAtOnce) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(unshare(CLONE_NEWUSER) == 0);
    std::string text;
    for (int i = 0; i < 100; ++i) text += std::to_string(i) + " " + std::to_string(i) + " 1\n";
    text += "x";
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 300; ++n) CHECK_OR_DIE(WriteProc("gid_map", text) == EINVAL);
      });
    }
    for (std::thread& t : threads) t.join();
    return 0;
  });
}

}  // namespace
