#ifndef PLATFORM_SYSTRAP_PLACEMENT_H_
#define PLATFORM_SYSTRAP_PLACEMENT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "platform/api/platform.h"
#include "platform/systrap/stub.h"

namespace runsc::platform::systrap {

// How busy the sandbox itself keeps each CPU that it may use. Shared by all contexts.
class CpuTable {
 public:
  // The CPUs allowed to the caller. `may_use`: how many of them the sandbox gets in time.
  CpuTable(int may_use, bool may_spin);

  static constexpr int kNone = -1;
  // Place in the table of a CPU; the first one for a CPU that is not in it.
  int SlotOf(int cpu) const;
  int CpuOf(int slot) const { return cpus_[static_cast<size_t>(slot)]; }
  bool may_spin() const { return may_spin_; }

  int Active(int slot) const { return At(slot).active.load(std::memory_order_relaxed); }
  void AddActive(int slot, int n) const { At(slot).active.fetch_add(n, std::memory_order_relaxed); }
  // Contexts active anywhere, and where the last one became so or rested.
  int TotalActive() const { return total_.load(std::memory_order_relaxed); }
  int LastUsed() const { return last_.load(std::memory_order_relaxed); }
  void NoteChange(int slot, int n) const {
    total_.fetch_add(n, std::memory_order_relaxed);
    last_.store(slot, std::memory_order_relaxed);
  }
  int size() const { return static_cast<int>(cpus_.size()); }

  // Those below look at CPUs in `allowed` only.
  // Takes an idle CPU for spinning, or kNone.
  int ReserveSpare(int home, const CpuSet& allowed) const;
  void Unreserve(int slot) const { At(slot).reserved.store(false, std::memory_order_relaxed); }
  // A CPU with at least two active contexts fewer than `home`, or kNone.
  int LessBusyThan(int home, const CpuSet& allowed) const;
  // Another CPU with no active context, chosen by `random`, or kNone.
  int Unused(int home, uint64_t random, const CpuSet& allowed) const;
  // The one with the fewest active contexts; kNone if none is allowed.
  int LeastBusy(const CpuSet& allowed) const;

 private:
  struct alignas(64) Load {
    std::atomic<int> active{0};         // contexts whose guest or sentry thread runs
    std::atomic<bool> reserved{false};  // taken by a spinning pair
  };
  Load& At(int slot) const { return loads_[static_cast<size_t>(slot)]; }

  std::vector<int> cpus_;
  std::unique_ptr<Load[]> loads_;
  const bool may_spin_;
  mutable std::atomic<int> total_{0};
  mutable std::atomic<int> last_{kNone};
};

// Decides for one context on which CPUs its sentry thread and its guest thread run, and who may
// spin. Together on one CPU by default, where a futex hand-off is a plain context switch; on two,
// both spinning, while the guest calls often and a CPU is free. Contexts that share a CPU while
// another has less to do part after a millisecond; contexts that only take turns gather on one CPU,
// where they wake each other cheaply. Used by the sentry thread.
class Placement {
 public:
  explicit Placement(const CpuTable& table) : table_(table) { allowed_.set(); }
  ~Placement() { Rest(); }

  // Keeps both threads to `cpus` (slots of the table), to all if that has none of the table's.
  void Restrict(const CpuSet& cpus);
  // Before the guest gets the turn; may bind threads.
  void BeforeGuest(GuestThread& guest, Stub& stub);
  // After it came back; `ticks` is how long the guest had it.
  void AfterGuest(uint64_t ticks);
  // How long the sentry thread may spin for the guest now, in ticks.
  uint64_t SpinTicks() const { return spare_ == CpuTable::kNone ? 0 : spin_limit_; }
  // The guest ran for longer than SpinTicks: the sentry thread goes to sleep.
  void GuestRunsLong(GuestThread& guest);
  // It still runs, seen at a timeout.
  void GuestStillRuns(GuestThread& guest, Stub& stub);
  // The sentry thread will not need a CPU for a while. The guest thread sleeps or is told to.
  void Rest();
  bool resting() const { return !active_; }
  // As Rest, and the next thread that uses this may be another: it starts where it is then.
  void Leave();

 private:
  void MoveHome(int slot);
  void BecomeActive();
  // Whether the guest changes its mappings often.
  bool MapsOften(const Stub& stub);
  // Looks for a better CPU if this one is shared for some time. Whether it moved.
  bool EaseContention();
  // Looks, now and then, whether the host gives most of the CPU to somebody else. Whether it moved.
  bool EscapeOthers(Stub& stub, uint64_t now);
  void StopSpinning();

  const CpuTable& table_;
  CpuSet allowed_;
  int home_ = CpuTable::kNone;
  int spare_ = CpuTable::kNone;  // the guest's CPU while spinning
  bool active_ = false;
  uint32_t streak_ = 0;  // quick calls in a row
  uint32_t streak_needed_ = 0;
  uint32_t seen_batches_ = 0;
  uint32_t map_score_ = 0;
  uint64_t contended_since_ = 0;
  uint64_t rested_at_ = 0;
  uint32_t lonely_ = 0;          // short rests in a row after which nobody else was in the way
  uint64_t no_gather_before_ = 0;
  uint64_t gather_pause_ = 0;    // grows with each gathering that was wrong
  uint64_t share_since_ = 0;     // EscapeOthers: TSC and CPU time of both threads then
  uint64_t share_cpu_nanos_ = 0;
  uint64_t share_pause_ = 0;
  uint64_t spin_limit_ = 0;
  uint64_t quick_ = 0;
};

}  // namespace runsc::platform::systrap

#endif  // PLATFORM_SYSTRAP_PLACEMENT_H_
