#ifndef SENTRY_KERNEL_TASK_STATE_H_
#define SENTRY_KERNEL_TASK_STATE_H_

#include <array>
#include <atomic>
#include <bitset>
#include <memory>

#include "platform/api/platform.h"
#include "platform/base/mutex.h"
#include "sentry/kernel/group_state.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"

namespace runsc {


// Scheduling attributes as the guest set them (sched(7)); the host schedules as it likes.
struct SchedState {
  std::atomic<int32_t> policy{0};      // SCHED_OTHER
  std::atomic<int32_t> priority{0};
  std::atomic<int32_t> nice{0};
  std::atomic<bool> reset_on_fork{false};
  std::atomic<int32_t> ioprio{0};
};

// CPU time of a sentry thread and of the guest code it runs, and where that may run. Any thread, but
// for Start and Stop.
class TaskCpu {
 public:
  // On the task's own sentry thread: time is counted from here on.
  void Start(platform::Context* context);
  // On the task's own thread, at its end: figures stay as they are now.
  void Stop();
  uint64_t UserNanos();
  uint64_t SystemNanos();
  // Interrupts the context if the task still has one.
  void InterruptContext();

  platform::CpuSet affinity();
  // For a task that starts anywhere in `cpus`, all that there are.
  void InitAffinity(const platform::CpuSet& cpus);
  void SetAffinity(const platform::CpuSet& cpus);
  // As the parent has it.
  void InheritAffinity(TaskCpu& parent);

 private:
  Mutex<LockRank::kTaskCpu> mu_;
  platform::Context* context_ ABSL_GUARDED_BY(mu_) = nullptr;
  int32_t thread_clock_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t user_base_ ABSL_GUARDED_BY(mu_) = 0, system_base_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t user_ ABSL_GUARDED_BY(mu_) = 0, system_ ABSL_GUARDED_BY(mu_) = 0;
  platform::CpuSet affinity_ ABSL_GUARDED_BY(mu_);
  bool restricted_ ABSL_GUARDED_BY(mu_) = false;  // the context must be told
};

// What a task reads and writes. Only its own thread counts, so no count needs to be a locked one;
// anyone may look.
class IoCounters {
 public:
  // A call of read(2) or its like; `bytes` 0 if it failed.
  void CountRead(uint64_t bytes) {
    Add(reads_, 1);
    Add(read_bytes_, bytes);
  }
  void CountWrite(uint64_t bytes) {
    Add(writes_, 1);
    Add(written_bytes_, bytes);
  }
  IoUse Use() const {
    return {.read_bytes = read_bytes_.load(std::memory_order_relaxed),
            .written_bytes = written_bytes_.load(std::memory_order_relaxed),
            .reads = reads_.load(std::memory_order_relaxed),
            .writes = writes_.load(std::memory_order_relaxed)};
  }

 private:
  static void Add(std::atomic<uint64_t>& count, uint64_t n) {
    count.store(count.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::atomic<uint64_t> read_bytes_{0}, written_bytes_{0}, reads_{0}, writes_{0};
};

// What the kernel keeps of a task besides its public face. Each block says what guards it.
struct TaskState {
  // --- Task-tree lock to change; atomics so that anyone may read. ids[d] is the id in the pid
  // namespace of depth d that sees the task. ---
  std::array<std::atomic<Tid>, kMaxPidDepth + 1> ids{};
  Ref<UserAccount> account;          // own thread; real uid's

  // --- The group's signal lock (GroupState::mu) ---
  std::atomic<uint64_t> mask{0};     // changed only by the own thread under the lock
  PendingSignals pending;
  SignalSet waiting;                 // rt_sigtimedwait(2): taken although blocked
  bool stopping = false;             // has to take part in a group stop
  bool stopped = false;
  bool dead = false;                 // left the group's list
  std::atomic<bool> exit_requested{false};
  ExitStatus exit_status;            // of exit(2)

  // --- Own thread ---
  SignalSet saved_mask;
  uint64_t trap_number = 0, error_code = 0, fault_address = 0;  // of the last exception
  Signal parent_death_signal;        // task-tree lock
  Ref<PidNamespace> child_pid_ns;    // unshare(2) CLONE_NEWPID: of children to come
  std::atomic<uint32_t> personality{0};
  bool io_flusher = false;           // PR_SET_IO_FLUSHER: kept, nothing to change by it

  // vfork(2): the child's wake-up for its parent.
  Ref<RefCounted> vfork_parent;      // the parent Task; child's own thread
  std::atomic<bool> vfork_waiting{false};  // in the parent: still waits

  // --- Anyone ---
  SchedState sched;
  TaskCpu cpu;
  IoCounters io;
  std::atomic<uint64_t> timer_slack{50000};  // kept: the host's timers have the sentry's
  uint64_t default_timer_slack = 50000;      // the parent's when the task began
  std::atomic<uint64_t> minor_faults{0};
  std::atomic<uint64_t> voluntary_switches{0};
  std::atomic<uint64_t> start_time{0};  // CLOCK_BOOTTIME, ns
  std::atomic<char> run_state{'R'};     // as /proc/pid/stat: R S T Z X

  std::unique_ptr<platform::Context> context;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TASK_STATE_H_
