#ifndef SENTRY_KERNEL_CHILD_WAIT_H_
#define SENTRY_KERNEL_CHILD_WAIT_H_

#include "sentry/kernel/group_state.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_tree.h"

namespace runsc {

// Which children, and which of their changes, wait4(2) or waitid(2) asks for.
struct WaitRequest {
  enum class Which { kAny, kPid, kGroup, kProcess } which = Which::kAny;
  Tid id = 0;                 // kPid, kGroup: in the caller's pid namespace; kGroup 0: its own
  Ref<ThreadGroup> process;   // kProcess: by pidfd
  int32_t options = 0;        // WEXITED, WSTOPPED, WCONTINUED, WNOWAIT, __WALL, __WCLONE, __WNOTHREAD
};

// One change of a child.
struct WaitReport {
  Tid pid = 0;                // in the caller's pid namespace
  Uid uid = 0;                // kernel id
  int32_t code = 0;           // CLD_*
  int32_t status = 0;         // exit code or signal
  int32_t wait_status = 0;    // as wait(2) encodes it
  ResourceUse use;            // of the child and the children it waited for
};

// The first report that matches; a zombie is reaped unless WNOWAIT. kWouldBlock: there are such
// children but nothing to report (wait on group().child_events()); ECHILD: there are none.
ErrnoOr<WaitReport> TryWaitForChild(Task& t, const WaitRequest& request);

}  // namespace runsc

#endif  // SENTRY_KERNEL_CHILD_WAIT_H_
