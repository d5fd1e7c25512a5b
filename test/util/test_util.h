// What guest tests share. Compiles for plain Linux and knows nothing of the product.
#pragma once

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace guest {

// Matches the result of a call that follows the -1-and-errno convention.
class SyscallMatcher {
 public:
  using is_gtest_matcher = void;
  enum class Want { kSuccess, kValue, kErrno };
  SyscallMatcher(Want want, int64_t value) : want_(want), value_(value) {}
  bool MatchAndExplain(int64_t result, std::ostream* os) const;
  bool MatchAndExplain(const void* result, std::ostream* os) const {
    return MatchAndExplain(reinterpret_cast<int64_t>(result), os);
  }
  void DescribeTo(std::ostream* os) const;
  void DescribeNegationTo(std::ostream* os) const;

 private:
  Want want_;
  int64_t value_;
};

inline SyscallMatcher SyscallSucceeds() { return {SyscallMatcher::Want::kSuccess, 0}; }
inline SyscallMatcher SyscallSucceedsWithValue(int64_t value) {
  return {SyscallMatcher::Want::kValue, value};
}
inline SyscallMatcher SyscallFailsWithErrno(int error) {
  return {SyscallMatcher::Want::kErrno, error};
}

// For children and threads, where a failed EXPECT would be lost: says where, exits with 99.
#define CHECK_OR_DIE(...)                                               \
  do {                                                                  \
    if (!(__VA_ARGS__)) ::guest::Die(__FILE__, __LINE__, #__VA_ARGS__); \
  } while (0)
[[noreturn]] void Die(const char* file, int line, const char* what);

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// socketpair(2) of AF_UNIX.
struct SocketPair {
  explicit SocketPair(int type = SOCK_STREAM);
  Fd a, b;
};

// A directory under /tmp (or $TEST_TMPDIR) that is removed with all it holds.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  const std::string& path() const { return path_; }
  // A path inside; nothing is created.
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

// Whole-file helpers; PutFile creates with mode 0644. Both die on failure.
void PutFile(const std::string& path, std::string_view content);
std::string GetFile(const std::string& path);
// Like GetFile, but answers "" for a file that cannot be read.
std::string TryGetFile(const std::string& path);

// Runs `body` in a forked child, which exits with what it returns; answers the wait status.
int InChild(const std::function<int()>& body);
// The same without waiting.
pid_t StartChild(const std::function<int()>& body);
// A child that ran `prepare` and sleeps until a signal ends it.
pid_t StartPausedChild(const std::function<void()>& prepare);
// waitpid() that retries EINTR; answers the status, dies if there is no such child.
int WaitFor(pid_t pid);
// Runs a body in a child and expects it to return 0.
#define EXPECT_CHILD_OK(...)                                               \
  if (int child_status = ::guest::InChild(__VA_ARGS__); child_status != 0) \
  ADD_FAILURE() << "child: exit code " << (child_status >> 8) << ", signal " << (child_status & 127)

// Blocks until `pid` sleeps (state S in /proc/PID/stat; T when `stopped`).
void WaitUntilSleeping(pid_t pid);
void WaitUntilState(pid_t pid, char state);

int64_t NowNs(clockid_t clock = CLOCK_MONOTONIC);
inline timespec Millis(int64_t ms) { return {ms / 1000, (ms % 1000) * 1000000}; }
void SleepMs(int ms);

// Sets a handler for the object's lifetime.
class ScopedSigaction {
 public:
  ScopedSigaction(int signal, void (*handler)(int), int flags = 0);
  ScopedSigaction(int signal, void (*handler)(int, siginfo_t*, void*), int flags = 0);
  ~ScopedSigaction();

 private:
  int signal_;
  struct sigaction old_;
};

// Blocks a signal for the calling thread for the object's lifetime.
class ScopedBlock {
 public:
  explicit ScopedBlock(int signal);
  ~ScopedBlock();

 private:
  sigset_t old_;
};

// Raw kernel calls where glibc adds its own behaviour.
template <typename... Args>
long Raw(long number, Args... args) {
  return syscall(number, args...);
}

}  // namespace guest
