#include <linux/sched.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <cstring>

#include "platform/abi/task.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/task_builder.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

// clone3(2) has the exit signal apart; the low byte is then no flag but CLONE_NEWTIME.
constexpr uint64_t kClone3Flags =
    ~uint64_t{CSIGNAL} | CLONE_NEWTIME;

ErrnoOr<abi::CloneArgs> ReadArgs(Task& t, UserAddr addr, uint64_t size) {
  if (size > kPageSize) return Errno::k2big;
  if (size < abi::kCloneArgsSizeV0) return Errno::kInval;
  std::vector<uint8_t> raw = TRY(t.mem().GetArray<uint8_t>(addr, size));
  abi::CloneArgs args{};
  for (size_t i = sizeof(args); i < raw.size(); ++i) {
    if (raw[i] != 0) return Errno::k2big;
  }
  std::memcpy(&args, raw.data(), std::min(sizeof(args), raw.size()));
  return args;
}

ErrnoOr<uint64_t> StackTop(const abi::CloneArgs& args) {
  if (args.stack == 0) {
    if (args.stack_size != 0) return Errno::kInval;
    return 0;
  }
  if (args.stack_size == 0) return Errno::kInval;
  if (args.stack + args.stack_size < args.stack) return Errno::kInval;
  return args.stack + args.stack_size;
}

}  // namespace

ErrnoOr<Tid> Clone(Task& t, uint64_t flags, UserAddr stack, UserAddr parent_tid,
                   UserAddr child_tid, uint64_t tls) {
  CloneRequest r{.flags = (flags & 0xffffffff) & ~uint64_t{CSIGNAL},
                 .stack = stack.value,
                 .tls = tls,
                 .parent_tid = parent_tid,
                 .child_tid = child_tid,
                 .pidfd = parent_tid,
                 .exit_signal = static_cast<int32_t>(flags & CSIGNAL)};
  if ((r.flags & CLONE_PIDFD) != 0 && (r.flags & CLONE_PARENT_SETTID) != 0) return Errno::kInval;
  return TaskBuilder::Clone(t, r);
}

ErrnoOr<Tid> Clone3(Task& t, UserAddr addr, uint64_t size) {
  abi::CloneArgs args = TRY(ReadArgs(t, addr, size));
  constexpr uint64_t kKnown = kClone3Flags & ((uint64_t{1} << 34) - 1) & ~uint64_t{CLONE_DETACHED};
  if ((args.flags & ~kKnown) != 0) return Errno::kInval;
  if ((args.flags & CLONE_INTO_CGROUP) != 0) {
    if (args.cgroup > INT32_MAX || size < sizeof(args)) return Errno::kInval;
    // There are no cgroups here, so the descriptor is none of theirs.
    return t.Unimplemented("clone3 CLONE_INTO_CGROUP", Errno::kBadf);
  }
  if ((args.flags & CLONE_NEWTIME) != 0) return t.Unimplemented("CLONE_NEWTIME", Errno::kInval);
  if (args.exit_signal > 64) return Errno::kInval;
  if ((args.flags & (CLONE_THREAD | CLONE_PARENT)) != 0 && args.exit_signal != 0) {
    return Errno::kInval;
  }
  CloneRequest r{.flags = args.flags,
                 .stack = TRY(StackTop(args)),
                 .tls = args.tls,
                 .parent_tid = UserAddr(args.parent_tid),
                 .child_tid = UserAddr(args.child_tid),
                 .pidfd = UserAddr(args.pidfd),
                 .exit_signal = static_cast<int32_t>(args.exit_signal)};
  if ((args.set_tid == 0) != (args.set_tid_size == 0)) return Errno::kInval;
  if (args.set_tid_size > kMaxPidDepth) return Errno::kInval;
  r.set_tid = TRY(t.mem().GetArray<Tid>(UserAddr(args.set_tid), args.set_tid_size));
  return TaskBuilder::Clone(t, r);
}

ErrnoOr<Tid> ForkCall(Task& t) {
  return TaskBuilder::Clone(t, CloneRequest{.exit_signal = SIGCHLD});
}

ErrnoOr<Tid> VforkCall(Task& t) {
  return TaskBuilder::Clone(t,
                            CloneRequest{.flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD});
}

ErrnoOr<void> UnshareCall(Task& t, uint64_t flags) { return TaskBuilder::Unshare(t, flags); }

ErrnoOr<void> Setns(Task& t, FdNum fd, int32_t type) {
  TRY(t.fds().Get(fd));
  return t.Unimplemented("setns", Errno::kInval);
}

}  // namespace runsc
