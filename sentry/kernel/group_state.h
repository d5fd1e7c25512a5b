#ifndef SENTRY_KERNEL_GROUP_STATE_H_
#define SENTRY_KERNEL_GROUP_STATE_H_

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "platform/base/mutex.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"

namespace runsc {

class ProcessTimers;

// Reads and writes as /proc/PID/io counts them: calls, and bytes that they moved.
struct IoUse {
  uint64_t read_bytes = 0, written_bytes = 0, reads = 0, writes = 0;
  void Add(const IoUse& o);
};

// Resources used, as getrusage(2) counts them.
struct ResourceUse {
  uint64_t user_ns = 0, system_ns = 0;
  uint64_t minor_faults = 0, voluntary_switches = 0;
  uint64_t max_resident = 0;  // bytes
  IoUse io;
  void Add(const ResourceUse& o);
};

// What the kernel keeps of a process besides its public face.
struct GroupState {
  // --- Signals ---
  Mutex<LockRank::kSignals> mu;
  PendingSignals pending ABSL_GUARDED_BY(mu);
  // Living threads; changed with the task-tree lock held too.
  std::vector<Ref<Task>> tasks ABSL_GUARDED_BY(mu);
  size_t live_threads ABSL_GUARDED_BY(mu) = 0;  // those that have not begun to exit
  std::atomic<bool> exiting{false};          // set under mu
  ExitStatus exit_status ABSL_GUARDED_BY(mu);  // valid when exiting
  bool unkillable = false;                   // init of a pid namespace; set at creation
  // Group stop (SIGSTOP and the like): in progress or complete while stop_signal is set.
  int32_t stop_signal ABSL_GUARDED_BY(mu) = 0;
  size_t stop_left ABSL_GUARDED_BY(mu) = 0;  // threads that have not stopped yet
  // What the parent has to be told by a thread of ours without locks held: CLD_STOPPED,
  // CLD_CONTINUED or 0.
  int32_t parent_notice ABSL_GUARDED_BY(mu) = 0;
  // What wait(2) has still to report.
  int32_t unreported_stop ABSL_GUARDED_BY(mu) = 0;  // the stop signal
  bool unreported_continue ABSL_GUARDED_BY(mu) = false;
  Task* exec_task ABSL_GUARDED_BY(mu) = nullptr;    // execve(2) waits for the others to leave

  // --- Task tree (the kernel's task-tree lock) ---
  Ref<Task> leader;                          // kept until the process is reaped
  ThreadGroup* parent = nullptr;
  Task* parent_task = nullptr;               // the thread that made us; for __WNOTHREAD, pdeathsig
  std::map<Tid, Ref<ThreadGroup>> children;  // by pid in the root namespace
  Ref<ProcessGroup> process_group;
  int32_t exit_signal = 17;                  // 0: tells nobody
  bool subreaper = false;                    // PR_SET_CHILD_SUBREAPER
  bool zombie = false;                       // all threads have gone
  bool reaped = false;
  ExitStatus final_status;                   // of the zombie
  ResourceUse dead_threads, dead_children;
  ExitListener* listener = nullptr;
  bool exec_happened = false;

  // --- Set once, before anyone sees the process ---
  Ref<PidNamespace> pid_ns;
  std::array<Tid, kMaxPidDepth + 1> pids{};  // by depth of the namespace
  // --- Anyone ---
  std::atomic<int32_t> oom_score_adj{0};     // kept for /proc/pid/oom_score_adj
  std::atomic<bool> thp_disabled{false};     // kept for PR_GET_THP_DISABLE
  std::atomic<uint32_t> coredump_filter{0x33};  // kept for /proc/pid/coredump_filter

  // --- Timers; has locks of its own ---
  std::unique_ptr<ProcessTimers> timers;

  // --- Limits ---
  std::array<std::atomic<uint64_t>, kLimitCount> soft, hard;

  explicit GroupState(ThreadGroup& group);
  ~GroupState();
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_GROUP_STATE_H_
