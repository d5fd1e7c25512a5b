#include <fcntl.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <iterator>

#include "gofer/server/setup.h"
#include "platform/base/strings.h"

namespace runsc::gofer {
namespace {

// (argument & mask) == value; `arg` < 0: nothing is asked.
struct Condition {
  int arg = -1;
  uint64_t mask = 0;
  uint64_t value = 0;
};

// One allowed call, if both hold.
struct Allow {
  int number;
  Condition first{}, second{};
};

constexpr uint64_t kInt = 0xffffffff;
constexpr uint64_t kNoFollow = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
constexpr uint64_t kCwd = static_cast<uint32_t>(AT_FDCWD);

const Allow kAllowed[] = {
    // The channel: sleep for requests, wake the sentry, donate descriptors, hear of hang-up.
    {SCMP_SYS(futex), {1, kInt, FUTEX_WAIT}},
    {SCMP_SYS(futex), {1, kInt, FUTEX_WAKE}},
    {SCMP_SYS(futex), {1, kInt, FUTEX_WAIT_PRIVATE}},  // mutexes
    {SCMP_SYS(futex), {1, kInt, FUTEX_WAKE_PRIVATE}},
    // pthread_join
    {SCMP_SYS(futex), {1, kInt, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME}},
    {SCMP_SYS(sendmsg)},
    {SCMP_SYS(recvmsg)},
    {SCMP_SYS(poll)},
    {SCMP_SYS(shutdown)},  // end of a session
    // Finding files: openat2 with RESOLVE_BENEATH (its flags are in memory, out of our reach).
    {SCMP_SYS(openat2)},
    // Opening by descriptor (the working directory is /proc/self/fd), and creating: O_EXCL and
    // O_NOFOLLOW, so never through a symlink.
    {SCMP_SYS(openat), {0, kInt, kCwd}},
    {SCMP_SYS(openat), {2, O_CREAT | O_EXCL | O_NOFOLLOW, O_CREAT | O_EXCL | O_NOFOLLOW}},
    {SCMP_SYS(close)},
    {SCMP_SYS(fcntl), {1, kInt, F_DUPFD_CLOEXEC}},  // attach
    // Reading attributes and directories.
    {SCMP_SYS(statx), {2, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_NOFOLLOW}},
    {SCMP_SYS(fstatfs)},
    {SCMP_SYS(getdents64)},
    {SCMP_SYS(lseek)},
    {SCMP_SYS(readlinkat)},
    {SCMP_SYS(getxattr)},
    {SCMP_SYS(listxattr)},
    // Changing attributes. The paths of these are names in the working directory.
    {SCMP_SYS(fchown)},
    {SCMP_SYS(fchownat), {4, kNoFollow, kNoFollow}},
    {SCMP_SYS(fchmod)},
    {SCMP_SYS(fchmodat), {0, kInt, kCwd}},
    {SCMP_SYS(utimensat), {3, AT_EMPTY_PATH, AT_EMPTY_PATH}},
    {SCMP_SYS(ftruncate)},
    {SCMP_SYS(setxattr)},
    {SCMP_SYS(removexattr)},
    {SCMP_SYS(fsync)},
    // Changing directories. mknodat: never a device.
    {SCMP_SYS(mkdirat)},
    {SCMP_SYS(mknodat), {3, kInt, 0}},
    {SCMP_SYS(symlinkat)},
    {SCMP_SYS(linkat), {0, kInt, kCwd}, {4, kInt, AT_SYMLINK_FOLLOW}},
    {SCMP_SYS(unlinkat)},
    {SCMP_SYS(renameat2)},
    // Memory: malloc's, never executable.
    {SCMP_SYS(mmap), {2, PROT_EXEC, 0}},
    {SCMP_SYS(mprotect), {2, PROT_EXEC, 0}},
    {SCMP_SYS(munmap)},
    {SCMP_SYS(mremap), {3, kInt, MREMAP_MAYMOVE}},
    {SCMP_SYS(madvise)},
    {SCMP_SYS(brk)},
    // Log lines, and aborting with a message.
    {SCMP_SYS(write)},
    {SCMP_SYS(clock_gettime)},
    {SCMP_SYS(gettid)},
    {SCMP_SYS(getpid)},
    // Threads' ends, and libc's housekeeping.
    {SCMP_SYS(rt_sigprocmask)},
    {SCMP_SYS(rt_sigaction)},
    {SCMP_SYS(rt_sigreturn)},
    {SCMP_SYS(restart_syscall)},
    {SCMP_SYS(sched_yield)},
    {SCMP_SYS(set_robust_list)},  // a thread may start up only now
    {SCMP_SYS(rseq)},
    {SCMP_SYS(exit)},
    {SCMP_SYS(exit_group)},
};

int Add(scmp_filter_ctx ctx, const Allow& a) {
  scmp_arg_cmp cmp[2];
  unsigned count = 0;
  for (const Condition& c : {a.first, a.second}) {
    if (c.arg < 0) continue;
    cmp[count++] = {static_cast<unsigned>(c.arg), SCMP_CMP_MASKED_EQ, c.mask, c.value};
  }
  return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, a.number, count, cmp);
}

// abort(3): a signal to itself and to nobody else.
int AddAbort(scmp_filter_ctx ctx) {
  const auto own = static_cast<uint64_t>(getpid());
  return Add(ctx, {SCMP_SYS(tgkill), {0, kInt, own}, {2, kInt, SIGABRT}});
}

}  // namespace

std::string InstallFilter() {
  scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (ctx == nullptr) return "gofer: seccomp: out of memory";
  int error = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
  if (error == 0) error = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (size_t i = 0; error == 0 && i < std::size(kAllowed); ++i) error = Add(ctx, kAllowed[i]);
  if (error == 0) error = AddAbort(ctx);
  if (error == 0) error = seccomp_load(ctx);
  seccomp_release(ctx);
  if (error == 0) return "";
  return StrPrintf("gofer: cannot install the seccomp filter: %s", std::strerror(-error));
}

}  // namespace runsc::gofer
