#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "platform/base/strings.h"
#include "sentry/kernel/task_exec.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

constexpr size_t kMaxString = 131072;        // MAX_ARG_STRLEN, with the NUL
constexpr uint64_t kMaxTotal = 6 << 20;      // 3/4 of _STK_LIM
constexpr uint64_t kMinTotal = 32 * kPageSize;

// Bytes that strings and their pointers may take, as Linux counts them against the stack limit.
class Budget {
 public:
  explicit Budget(uint64_t stack_limit)
      : left_(std::max(kMinTotal, std::min(stack_limit / 4, kMaxTotal))) {}
  Status Take(uint64_t n) {
    if (n > left_) return Errno::k2big;
    left_ -= n;
    return Ok();
  }

 private:
  uint64_t left_;
};

// A NULL-terminated array of strings; null itself counts as empty.
ErrnoOr<std::vector<std::string>> ReadStrings(Task& t, UserAddr array, Budget& budget) {
  std::vector<std::string> out;
  if (array.IsNull()) return out;
  std::array<uint64_t, 64> chunk;
  for (;;) {
    size_t bytes = TRY(t.mem().CopyInPartial(chunk.data(), array, sizeof(chunk)));
    size_t n = bytes / sizeof(uint64_t);
    if (n == 0) return Errno::kFault;
    for (size_t i = 0; i < n; ++i) {
      if (chunk[i] == 0) return out;
      ErrnoOr<std::string> s = t.mem().GetString(UserAddr(chunk[i]), kMaxString - 1);
      if (!s.ok()) return s.error() == Errno::kNametoolong ? Errno::k2big : s.error();
      TRY(budget.Take(s->size() + 1 + sizeof(uint64_t)));
      out.push_back(std::move(*s));
    }
    array = array + n * sizeof(uint64_t);
  }
}

Status DoExec(Task& t, LoadRequest request, UserAddr argv, UserAddr envp) {
  Budget budget(t.Limit(RLIMIT_STACK));
  TRY(budget.Take(std::max(request.filename.size(), request.told.size()) + 1));
  request.argv = TRY(ReadStrings(t, argv, budget));
  request.envv = TRY(ReadStrings(t, envp, budget));
  // Since Linux 5.18 a program always has an argv[0].
  if (request.argv.empty()) request.argv.emplace_back();
  return TaskExec::Run(t, std::move(request));
}

}  // namespace

ErrnoOr<void> Execve(Task& t, UserAddr path, UserAddr argv, UserAddr envp) {
  std::string name = TRY(t.mem().GetString(path, PATH_MAX - 1));
  if (name.empty()) return Errno::kNoent;
  LoadRequest request{.op = t.op(), .start = t.fs().cwd(), .filename = std::move(name)};
  return DoExec(t, std::move(request), argv, envp);
}

ErrnoOr<void> Execveat(Task& t, FdNum dir, UserAddr path, UserAddr argv, UserAddr envp,
                       int32_t flags) {
  if ((flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) != 0) return Errno::kInval;
  std::string name = TRY(t.mem().GetString(path, PATH_MAX - 1));
  LoadRequest request{.op = t.op(), .start = t.fs().cwd(), .filename = name};
  request.no_follow = (flags & AT_SYMLINK_NOFOLLOW) != 0;
  if (name.empty()) {
    if ((flags & AT_EMPTY_PATH) == 0) return Errno::kNoent;
    if (dir.value == AT_FDCWD) return Errno::kAcces;  // a directory
    request.file = TRY(t.fds().Get(dir));
    request.fd_is_cloexec = TRY(t.fds().CloseOnExec(dir));
    request.filename = StrPrintf("/dev/fd/%d", dir.value);
  } else if (name[0] != '/' && dir.value != AT_FDCWD) {
    request.start = TRY(t.fds().Get(dir))->path();
    request.fd_is_cloexec = TRY(t.fds().CloseOnExec(dir));
    request.told = StrPrintf("/dev/fd/%d/%s", dir.value, name.c_str());
  }
  return DoExec(t, std::move(request), argv, envp);
}

}  // namespace runsc
