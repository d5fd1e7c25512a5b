// User namespaces: who may make them, and what they must not open (user_namespaces(7)).
#include <fcntl.h>
#include <grp.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
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
constexpr uid_t kNobody = 65534;  // shown for ids that are not mapped

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
  pid_t outside = StartPausedChild(BecomeUser);
  EXPECT_CHILD_OK([&] {
    BecomeUser();
    CHECK_OR_DIE(Raw(SYS_kcmp, outside, getpid(), KCMP_VM, 0, 0) >= 0);
    CHECK_OR_DIE(unshare(CLONE_NEWUSER) == 0);
    CHECK_OR_DIE(Raw(SYS_kcmp, outside, getpid(), KCMP_VM, 0, 0) == -1 && errno == EPERM);
    return 0;
  });
  kill(outside, SIGKILL);
  WaitFor(outside);
}

// Signals name their sender as the receiver's user namespace knows him, even if that is himself.
TEST(UserNamespaceReachTest, BrokenPipeNamesNobody) {
  EXPECT_CHILD_OK([] {
    BecomeUser();
    CHECK_OR_DIE(unshare(CLONE_NEWUSER) == 0);
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    CHECK_OR_DIE(sigprocmask(SIG_BLOCK, &pipe_signal, nullptr) == 0);
    SocketPair p;
    p.b.reset();
    for (bool call_send : {false, true}) {
      ssize_t n = call_send ? send(p.a.get(), "x", 1, 0) : write(p.a.get(), "x", 1);
      CHECK_OR_DIE(n == -1 && errno == EPIPE);
      siginfo_t info;
      CHECK_OR_DIE(sigwaitinfo(&pipe_signal, &info) == SIGPIPE);
      CHECK_OR_DIE(info.si_code == SI_USER && info.si_pid == getpid() && info.si_uid == kNobody);
    }
    return 0;
  });
}

TEST(UserNamespaceReachTest, ParentsDeathNamesNobody) {
  int told[2], ready[2];
  CHECK_OR_DIE(pipe(told) == 0 && pipe(ready) == 0);
  EXPECT_CHILD_OK([&] {
    BecomeUser();
    StartChild([&] {
      sigset_t death;
      sigemptyset(&death);
      sigaddset(&death, SIGUSR1);
      CHECK_OR_DIE(sigprocmask(SIG_BLOCK, &death, nullptr) == 0);
      CHECK_OR_DIE(unshare(CLONE_NEWUSER) == 0 && prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
      CHECK_OR_DIE(write(ready[1], "x", 1) == 1);
      siginfo_t info;
      CHECK_OR_DIE(sigwaitinfo(&death, &info) == SIGUSR1);
      CHECK_OR_DIE(write(told[1], &info.si_uid, sizeof(info.si_uid)) == sizeof(info.si_uid));
      return 0;
    });
    char c;
    CHECK_OR_DIE(read(ready[0], &c, 1) == 1);
    return 0;
  });
  close(told[1]);
  uid_t uid = 0;
  EXPECT_EQ(read(told[0], &uid, sizeof(uid)), static_cast<ssize_t>(sizeof(uid)));
  EXPECT_EQ(uid, kNobody);
  for (int fd : {told[0], ready[0], ready[1]}) close(fd);
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
