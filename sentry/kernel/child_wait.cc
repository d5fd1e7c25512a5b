#include "sentry/kernel/child_wait.h"

#include <linux/wait.h>
#include <signal.h>

#include <optional>

#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/task_exit.h"
#include "sentry/kernel/task_state.h"

namespace runsc {
namespace {

bool IsEligible(Task& t, const WaitRequest& r, ThreadGroup& child) {
  const GroupState& c = child.state();
  switch (r.which) {
    case WaitRequest::Which::kAny:
      break;
    case WaitRequest::Which::kPid:
      if (c.leader->TidIn(t.pid_ns()) != r.id) return false;
      break;
    case WaitRequest::Which::kGroup: {
      const Ref<ProcessGroup>& own = t.group().state().process_group;
      if (r.id == 0 ? c.process_group != own : c.process_group->IdIn(t.pid_ns()) != r.id) {
        return false;
      }
      break;
    }
    case WaitRequest::Which::kProcess:
      if (r.process.get() != &child) return false;
      break;
  }
  if ((r.options & __WNOTHREAD) != 0 && c.parent_task != nullptr && c.parent_task != &t) {
    return false;
  }
  // __WCLONE selects children that end with another signal than SIGCHLD.
  bool clone_child = c.exit_signal != SIGCHLD;
  return (r.options & __WALL) != 0 || clone_child == ((r.options & __WCLONE) != 0);
}

WaitReport Report(Task& t, ThreadGroup& child, int32_t code, int32_t status, int32_t wait_status) {
  Task& leader = *child.state().leader;
  return {.pid = leader.TidIn(t.pid_ns()),
          .uid = leader.SharedCreds()->ruid,
          .code = code,
          .status = status,
          .wait_status = wait_status};
}

std::optional<WaitReport> CheckZombie(TaskTree& tree, Task& t, const WaitRequest& r,
                                      ThreadGroup& child, TaskExit::Garbage& garbage)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu) {
  GroupState& c = child.state();
  if (!c.zombie || (r.options & WEXITED) == 0) return std::nullopt;
  const ExitStatus& st = c.final_status;
  int32_t code = st.signal == 0 ? abi::kCldExited : st.core ? abi::kCldDumped : abi::kCldKilled;
  WaitReport report =
      Report(t, child, code, st.signal == 0 ? st.code : st.signal, st.WaitStatus());
  report.use = c.dead_threads;
  report.use.Add(c.dead_children);
  if ((r.options & WNOWAIT) == 0) {
    // Children that are reaped unasked (SIGCHLD ignored) count nowhere: getrusage(2).
    if (c.parent != nullptr) c.parent->state().dead_children.Add(report.use);
    TaskExit::Reap(tree, child, garbage);
  }
  return report;
}

std::optional<WaitReport> CheckStopped(TaskTree& tree, Task& t, const WaitRequest& r,
                                       ThreadGroup& child)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(tree.mu) {
  GroupState& c = child.state();
  int32_t stop = 0;
  bool cont = false;
  {
    MutexLock l(c.mu);
    bool take = (r.options & WNOWAIT) == 0;
    if ((r.options & WSTOPPED) != 0 && c.unreported_stop != 0) {
      stop = c.unreported_stop;
      if (take) c.unreported_stop = 0;
    } else if ((r.options & WCONTINUED) != 0 && c.unreported_continue) {
      cont = true;
      if (take) c.unreported_continue = false;
    }
  }
  if (stop == 0 && !cont) return std::nullopt;
  WaitReport report = stop != 0
                          ? Report(t, child, abi::kCldStopped, stop, stop << 8 | 0x7f)
                          : Report(t, child, abi::kCldContinued, SIGCONT, 0xffff);
  report.use = TaskExit::UseOf(tree, child);
  report.use.Add(c.dead_children);
  return report;
}

}  // namespace

ErrnoOr<WaitReport> TryWaitForChild(Task& t, const WaitRequest& r) {
  TaskTree& tree = t.kernel().tree();
  TaskExit::Garbage garbage;
  MutexLock l(tree.mu);
  bool any = false;
  for (const auto& [pid, child] : t.group().state().children) {
    if (!IsEligible(t, r, *child)) continue;
    any = true;
    std::optional<WaitReport> report = CheckZombie(tree, t, r, *child, garbage);
    if (!report) report = CheckStopped(tree, t, r, *child);
    if (report) return *report;
  }
  return any ? Errno::kWouldBlock : Errno::kChild;
}

}  // namespace runsc
