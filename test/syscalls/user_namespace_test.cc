// user_namespaces(7): who may map which ids, and setgroups(2) in a namespace.
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "test/util/test_util.h"

namespace {
using namespace guest;

// One write to /proc/self/`name`: 0, or the errno.
int Set(const char* name, const char* text) {
  const int fd = open((std::string("/proc/self/") + name).c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const ssize_t n = write(fd, text, strlen(text));
  const int error = n < 0 ? errno : 0;
  close(fd);
  return error;
}

std::string Get(const char* name) {
  char text[256] = {};
  const int fd = open((std::string("/proc/self/") + name).c_str(), O_RDONLY | O_CLOEXEC);
  const ssize_t n = read(fd, text, sizeof(text) - 1);
  close(fd);
  return n < 0 ? "error" : std::string(text, static_cast<size_t>(n));
}

// As uid and gid 1000 in a user namespace of its own.
void EnterAsNobody() {
  CHECK_OR_DIE(setgroups(0, nullptr) == 0);
  CHECK_OR_DIE(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0);
  CHECK_OR_DIE(prctl(PR_SET_DUMPABLE, 1) == 0);  // else /proc/self is root's
  CHECK_OR_DIE(unshare(CLONE_NEWUSER) == 0);
}

TEST(UserNamespaceTest, OwnIdsMayBeMappedOnceGroupsAreDenied) {
  EXPECT_CHILD_OK([] {
    EnterAsNobody();
    CHECK_OR_DIE(getuid() == 65534 && Get("setgroups") == "allow\n");
    CHECK_OR_DIE(setgroups(0, nullptr) == -1 && errno == EPERM);  // no gid map yet
    CHECK_OR_DIE(Set("uid_map", "0 1000 1") == 0 && getuid() == 0);
    CHECK_OR_DIE(Set("uid_map", "0 1000 1") == EPERM);
    CHECK_OR_DIE(Set("gid_map", "0 1000 1") == EPERM);
    CHECK_OR_DIE(Set("setgroups", "no") == EINVAL);
    CHECK_OR_DIE(Set("setgroups", "allow\n") == 0 && Set("setgroups", "deny") == 0);
    CHECK_OR_DIE(Get("setgroups") == "deny\n" && Set("setgroups", "allow") == EPERM);
    CHECK_OR_DIE(Set("gid_map", "0 1000 1") == 0 && getgid() == 0);
    CHECK_OR_DIE(setgroups(0, nullptr) == -1 && errno == EPERM);
    CHECK_OR_DIE(Get("gid_map") == "         0       1000          1\n");
    return 0;
  });
}

TEST(UserNamespaceTest, OtherIdsAreRefused) {
  EXPECT_CHILD_OK([] {
    EnterAsNobody();
    CHECK_OR_DIE(Set("uid_map", "0 0 1") == EPERM && Set("uid_map", "0 1000 2") == EPERM);
    CHECK_OR_DIE(Set("uid_map", "0 1000") == EINVAL && Set("uid_map", "0 1000 0") == EINVAL);
    CHECK_OR_DIE(Set("setgroups", "deny") == 0 && Set("gid_map", "0 0 1") == EPERM);
    return 0;
  });
}

TEST(UserNamespaceTest, DeniedGroupsStayDeniedBelow) {
  EXPECT_CHILD_OK([] {
    EnterAsNobody();
    CHECK_OR_DIE(Set("setgroups", "deny") == 0);
    CHECK_OR_DIE(Set("uid_map", "0 1000 1") == 0 && Set("gid_map", "0 1000 1") == 0);
    CHECK_OR_DIE(unshare(CLONE_NEWUSER) == 0);
    CHECK_OR_DIE(Get("setgroups") == "deny\n" && Set("setgroups", "allow") == EPERM);
    return 0;
  });
}

TEST(UserNamespaceTest, TheLastWordOnGroupsIsTheMap) {
  EXPECT_CHILD_OK([] {
    // Of root's making, from outside: a child in a new namespace waits for its maps.
    int go[2];
    CHECK_OR_DIE(pipe(go) == 0);
    const pid_t child = fork();
    if (child == 0) {
      char c;
      close(go[1]);
      if (unshare(CLONE_NEWUSER) != 0 || kill(getpid(), SIGSTOP) != 0) _exit(1);
      if (read(go[0], &c, 1) != 0) _exit(2);
      if (Set("setgroups", "deny") != EPERM) _exit(3);
      gid_t groups[] = {0, 5};
      if (setgroups(2, groups) != 0 || getgroups(0, nullptr) != 2) _exit(4);
      _exit(0);
    }
    close(go[0]);
    int status = 0;
    CHECK_OR_DIE(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    for (const char* name : {"uid_map", "gid_map"}) {
      const std::string path = "/proc/" + std::to_string(child) + "/" + name;
      const int fd = open(path.c_str(), O_WRONLY);
      CHECK_OR_DIE(fd >= 0 && write(fd, "0 0 10", 6) == 6);
      close(fd);
    }
    CHECK_OR_DIE(kill(child, SIGCONT) == 0);
    close(go[1]);
    CHECK_OR_DIE(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
  });
}

}  // namespace
