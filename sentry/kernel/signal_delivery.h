#ifndef SENTRY_KERNEL_SIGNAL_DELIVERY_H_
#define SENTRY_KERNEL_SIGNAL_DELIVERY_H_

#include "platform/api/platform.h"
#include "sentry/kernel/group_state.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"

namespace runsc {

// How a signal is sent, besides its information.
struct SendOptions {
  Task* target = nullptr;            // null: the process
  bool forced = false;               // by the kernel or an ancestor pid namespace
  bool check_limit = false;          // EAGAIN at RLIMIT_SIGPENDING (not for kill(2))
  Ref<SignalSource> source;          // queued even if the same signal is pending
  bool* queued = nullptr;            // set to true if it was queued
};

// The life of signals in a process: sending, group stops, delivery to handlers. Functions named
// …Locked are called with the group's signal lock held.
class SignalDelivery {
 public:
  // Queues `info` unless it is ignored, and wakes who has to take it.
  static Status SendLocked(ThreadGroup& g, GroupState& s, const SignalInfo& info,
                           const SendOptions& options) ABSL_EXCLUSIVE_LOCKS_REQUIRED(s.mu);
  // Locks, sends, and wakes signalfds.
  static Status Send(ThreadGroup& g, const SignalInfo& info, SendOptions options);
  // All threads leave with `status`, unless they already do.
  static void ExitLocked(GroupState& s, ExitStatus status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(s.mu);
  // A thread leaves: it no longer counts in a group stop. Answers whether that completed one.
  static bool LeaveStopLocked(GroupState& s, TaskState& ts) ABSL_EXCLUSIVE_LOCKS_REQUIRED(s.mu);

  // Own thread, before the guest runs: stops, delivers signals, restarts or ends interrupted
  // calls. False: the task has to exit.
  static bool PrepareToRun(Task& t);
  // Own thread: puts back the mask before SetTemporaryMask.
  static void RestoreMask(Task& t);
  static void SetMaskLocked(Task& t, GroupState& s, SignalSet mask)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(s.mu);
  // Own thread: removes a pending signal of `set`, synchronously (sigtimedwait, signalfd).
  static bool TakePending(Task& t, SignalSet set, SignalInfo* out);
  // A CPU exception of the guest that is a signal.
  static void ForceException(Task& t, const SignalInfo& info, uint64_t trap, uint64_t error,
                             uint64_t address);
  // Tells the parent of CLD_STOPPED or CLD_CONTINUED. No locks held.
  static void TellParent(ThreadGroup& g, int32_t why, int32_t status);
  static void SignalReturn(Task& t);

 private:
  struct Work;
  static Work NextWork(Task& t);
  static bool EnterHandler(Task& t, const SignalInfo& info, const SignalAction& action);
  static void ApplyRestart(Task& t, const SignalAction* handler);
  static void WaitWhileStopped(Task& t);
  static bool StartStop(Task& t, Signal signal);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_SIGNAL_DELIVERY_H_
