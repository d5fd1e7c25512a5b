#ifndef SENTRY_KERNEL_TASK_TREE_H_
#define SENTRY_KERNEL_TASK_TREE_H_

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "platform/base/mutex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/task_threads.h"

namespace runsc {

// Running and waiting tasks over time, as /proc/loadavg gives them. Folded in when tasks go to
// sleep, wake or somebody asks: no timer, so an idle sandbox stays idle.
class LoadAverage {
 public:
  void Change(int delta);
  void Read(uint64_t out[3]);
  int running() const { return running_.load(std::memory_order_relaxed); }

 private:
  void Fold(int64_t now, int running) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::atomic<int> running_{0};
  std::atomic<int64_t> next_{0};
  Mutex<LockRank::kMetrics> mu_;
  std::array<double, 3> load_ ABSL_GUARDED_BY(mu_){};
};

// What the kernel keeps besides its public face: the process tree and its lock, which also guards
// the tree blocks of TaskState, GroupState, PidNamespace, ProcessGroup and Session.
struct TaskTree {
  TaskTree();
  Mutex<LockRank::kTaskTree> mu;
  Ref<PidNamespace> root_pid;
  Ref<UserNamespace> root_user;
  Ref<UtsNamespace> root_uts;
  Ref<IpcNamespace> root_ipc;
  size_t live_tasks ABSL_GUARDED_BY(mu) = 0;
  bool shutting_down ABSL_GUARDED_BY(mu) = false;
  CondVar all_gone;

  Mutex<LockRank::kLimits> accounts_mu;
  std::unordered_map<Uid, Ref<UserAccount>> accounts ABSL_GUARDED_BY(accounts_mu);
  size_t sweep_accounts_at ABSL_GUARDED_BY(accounts_mu) = 64;

  Mutex<LockRank::kMetrics> counts_mu;
  std::map<std::string, uint64_t> unimplemented ABSL_GUARDED_BY(counts_mu);

  std::atomic<uint64_t> processes_created{0};
  LoadAverage load;
  int64_t boot_time = 0;  // CLOCK_REALTIME, ns
  int64_t boot_monotonic = 0;
  TaskThreads threads;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TASK_TREE_H_
