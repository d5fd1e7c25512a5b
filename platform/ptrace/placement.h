#ifndef PLATFORM_PTRACE_PLACEMENT_H_
#define PLATFORM_PTRACE_PLACEMENT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "platform/api/platform.h"
#include "platform/base/mutex.h"
#include "platform/host/thread.h"

namespace runsc::ptrace_platform {

// Keeps the two halves of a hand-off on one CPU. The host's scheduler would wake each half on an
// idle CPU, which costs ten times the hand-off; pinned together they never leave their CPU, so
// the balance between CPUs is kept here: by where threads are put when they start to run, and by
// letting go of guests that compute for long without a call, which the host then balances.
class Placement {
 public:
  // Over the CPUs that the calling thread may use.
  Placement();
  // Starts the watcher; EAGAIN if the host refuses a thread.
  Status Start();
  ~Placement();

  // One sentry thread and the guest process that it traces.
  class Seat {
   public:
    explicit Seat(Placement& placement);
    ~Seat();
    Seat(const Seat&) = delete;

    // Keeps both to `cpus` (indexes), to all if the sandbox has none of those. Own thread, before Enter.
    void Restrict(const platform::CpuSet& cpus);
    // Before the guest runs: puts the calling thread and `pid` on one CPU. Cheap if they are.
    void Enter(int32_t pid);
    void Leave() { entered_.store(false, std::memory_order_relaxed); }
    // The thread blocks and no longer counts; Enter counts it again.
    void Idle();
    // Another process serves as the guest from now on, or another thread traces it.
    void Forget() { thread_cpu_ = guest_cpu_ = -1; }

   private:
    friend class Placement;
    void Move(int cpu, int32_t pid);

    Placement& placement_;
    int cpu_ = -1;         // index of the CPU it counts on, -1: none
    int thread_cpu_ = -1;  // where the calling thread is pinned
    int guest_cpu_ = -1;   // where the guest is pinned
    uint32_t entries_ = 0;
    platform::CpuSet allowed_;
    // Read by the watcher.
    std::atomic<int32_t> pid_{-1};
    std::atomic<bool> entered_{false};
    std::atomic<bool> loose_{false};  // the watcher unpinned the guest
    std::atomic<uint64_t> runs_{0};
    uint64_t watched_runs_ = 0;
    platform::CpuSet loose_in_;  // allowed_, for the watcher; Placement::mu_
  };

 private:
  int Choose(int preferred, const platform::CpuSet& allowed) const;
  int Load(int cpu) const { return loads_[cpu].load(std::memory_order_relaxed); }
  std::vector<int> CpusOf(const platform::CpuSet& allowed) const;
  int IndexHere() const;
  void Watch();
  bool ScanOnce();
  void WakeWatcher();

  std::vector<int> cpus_;                       // host CPU numbers
  std::unique_ptr<std::atomic<int>[]> loads_;   // runnable seats per CPU
  std::atomic<uint32_t> watch_word_{0};         // futex: 0 asleep, 1 awake, 2 stop
  Mutex<LockRank::kPlacement> mu_;
  std::vector<Seat*> seats_ ABSL_GUARDED_BY(mu_);
  host::Thread watcher_;
};

}  // namespace runsc::ptrace_platform

#endif  // PLATFORM_PTRACE_PLACEMENT_H_
