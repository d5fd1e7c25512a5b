#include "test/util/test_util.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

namespace guest {

bool SyscallMatcher::MatchAndExplain(int64_t result, std::ostream* os) const {
  int error = errno;
  if (result == -1 && os != nullptr) *os << "errno " << error << " (" << strerror(error) << ")";
  switch (want_) {
    case Want::kSuccess:
      return result != -1;
    case Want::kValue:
      return result == value_;
    case Want::kErrno:
      return result == -1 && error == value_;
  }
  return false;
}

void SyscallMatcher::DescribeTo(std::ostream* os) const {
  switch (want_) {
    case Want::kSuccess:
      *os << "a call that succeeds";
      return;
    case Want::kValue:
      *os << "a call that returns " << value_;
      return;
    case Want::kErrno:
      *os << "a call that fails with errno " << value_ << " (" << strerror(static_cast<int>(value_))
          << ")";
      return;
  }
}

void SyscallMatcher::DescribeNegationTo(std::ostream* os) const {
  *os << "not ";
  DescribeTo(os);
}

void Die(const char* file, int line, const char* what) {
  int error = errno;
  fprintf(stderr, "%s:%d: failed in a child or thread: %s (errno %d, %s)\n", file, line, what,
          error, strerror(error));
  fflush(stderr);
  _exit(99);
}

void Fd::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

namespace {

void RemoveTree(const std::string& path) {
  DIR* dir = opendir(path.c_str());
  if (dir != nullptr) {
    while (dirent* entry = readdir(dir)) {
      std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      std::string child = path + "/" + entry->d_name;
      if (unlink(child.c_str()) != 0) RemoveTree(child);
    }
    closedir(dir);
  }
  rmdir(path.c_str());
}

}  // namespace

TempDir::TempDir() {
  const char* base = getenv("TEST_TMPDIR");
  path_ = std::string(base != nullptr ? base : "/tmp") + "/guest.XXXXXX";
  CHECK_OR_DIE(mkdtemp(path_.data()) != nullptr);
}

TempDir::~TempDir() { RemoveTree(path_); }

void PutFile(const std::string& path, std::string_view content) {
  Fd fd(open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644));
  CHECK_OR_DIE(fd.valid());
  while (!content.empty()) {
    ssize_t n = write(fd.get(), content.data(), content.size());
    CHECK_OR_DIE(n > 0);
    content.remove_prefix(n);
  }
}

std::string TryGetFile(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string content;
  char chunk[4096];
  ssize_t n;
  while (fd.valid() && (n = read(fd.get(), chunk, sizeof chunk)) > 0) content.append(chunk, n);
  return content;
}

std::string GetFile(const std::string& path) {
  CHECK_OR_DIE(access(path.c_str(), R_OK) == 0);
  return TryGetFile(path);
}

SocketPair::SocketPair(int type) {
  int s[2];
  CHECK_OR_DIE(socketpair(AF_UNIX, type, 0, s) == 0);
  a = Fd(s[0]);
  b = Fd(s[1]);
}

pid_t StartChild(const std::function<int()>& body) {
  fflush(nullptr);
  pid_t pid = fork();
  CHECK_OR_DIE(pid >= 0);
  if (pid == 0) _exit(body());
  return pid;
}

pid_t StartPausedChild(const std::function<void()>& prepare) {
  int ready[2];
  CHECK_OR_DIE(pipe(ready) == 0);
  pid_t pid = StartChild([&] {
    prepare();
    CHECK_OR_DIE(write(ready[1], "x", 1) == 1);
    for (;;) pause();
    return 0;
  });
  close(ready[1]);
  char c;
  CHECK_OR_DIE(read(ready[0], &c, 1) == 1);
  close(ready[0]);
  return pid;
}

int WaitFor(pid_t pid) {
  int status;
  pid_t got;
  do {
    got = waitpid(pid, &status, 0);
  } while (got < 0 && errno == EINTR);
  CHECK_OR_DIE(got == pid);
  return status;
}

int InChild(const std::function<int()>& body) { return WaitFor(StartChild(body)); }

void WaitUntilState(pid_t pid, char state) {
  std::string path = "/proc/" + std::to_string(pid) + "/stat";
  for (int i = 0; i < 10000; i++) {
    std::string stat = TryGetFile(path);
    size_t paren = stat.rfind(')');
    if (paren != std::string::npos && stat.size() > paren + 2 && stat[paren + 2] == state) return;
    usleep(1000);
  }
  CHECK_OR_DIE(!"the process never reached the wanted state");
}

void WaitUntilSleeping(pid_t pid) { WaitUntilState(pid, 'S'); }

int64_t NowNs(clockid_t clock) {
  timespec ts;
  CHECK_OR_DIE(clock_gettime(clock, &ts) == 0);
  return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

void SleepMs(int ms) {
  timespec left = Millis(ms);
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

ScopedSigaction::ScopedSigaction(int signal, void (*handler)(int), int flags) : signal_(signal) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  CHECK_OR_DIE(sigaction(signal, &action, &old_) == 0);
}

ScopedSigaction::ScopedSigaction(int signal, void (*handler)(int, siginfo_t*, void*), int flags)
    : signal_(signal) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = flags | SA_SIGINFO;
  CHECK_OR_DIE(sigaction(signal, &action, &old_) == 0);
}

ScopedSigaction::~ScopedSigaction() { sigaction(signal_, &old_, nullptr); }

ScopedBlock::ScopedBlock(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  CHECK_OR_DIE(pthread_sigmask(SIG_BLOCK, &set, &old_) == 0);
}

ScopedBlock::~ScopedBlock() { pthread_sigmask(SIG_SETMASK, &old_, nullptr); }

}  // namespace guest
