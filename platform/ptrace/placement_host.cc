#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "platform/host/cpus.h"
#include "platform/ptrace/placement.h"

namespace runsc::ptrace_platform {
namespace {

constexpr uint32_t kAsleep = 0;
constexpr uint32_t kAwake = 1;
constexpr uint32_t kStop = 2;
// A guest that has not made a call between two scans is left to the host's scheduler.
constexpr long kScanNanos = 10'000'000;
// Scans without any guest running before the watcher sleeps until it is woken.
constexpr int kIdleScans = 10;
// Calls between looks at the balance.
constexpr uint32_t kRebalanceEvery = 64;
// A thread mostly starts another to wait for it, and waking another CPU is dear.
constexpr int kSlack = 1;

}  // namespace

Placement::Placement() : cpus_(host::AllowedCpus()) {
  if (cpus_.size() < 2) return;  // nothing to place
  loads_ = std::make_unique<std::atomic<int>[]>(cpus_.size());
}

Status Placement::Start() {
  if (cpus_.size() < 2) return Ok();
  return watcher_.Start([this] { Watch(); });
}

Placement::~Placement() {
  if (!watcher_.joinable()) return;
  watch_word_.store(kStop);
  syscall(SYS_futex, &watch_word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  watcher_.Join();
}

// Index of `preferred` (index or -1) if that is allowed and no CPU has more than kSlack runnable
// seats fewer; else of the one with the fewest.
int Placement::Choose(int preferred, const platform::CpuSet& allowed) const {
  int best = -1;
  for (int i = 0; i < static_cast<int>(cpus_.size()); ++i) {
    if (!allowed[static_cast<size_t>(i)]) continue;
    if (best < 0 || Load(i) < Load(best)) best = i;
  }
  const bool stay = preferred >= 0 && allowed[static_cast<size_t>(preferred)] &&
                    Load(preferred) - Load(best) <= kSlack;
  return stay ? preferred : best;
}

std::vector<int> Placement::CpusOf(const platform::CpuSet& allowed) const {
  std::vector<int> cpus;
  for (size_t i = 0; i < cpus_.size(); ++i) {
    if (allowed[i]) cpus.push_back(cpus_[i]);
  }
  return cpus;
}

// Index of the CPU that the calling thread is on; -1 if it is none of ours.
int Placement::IndexHere() const {
  const auto it = std::find(cpus_.begin(), cpus_.end(), sched_getcpu());
  return it == cpus_.end() ? -1 : static_cast<int>(it - cpus_.begin());
}

Placement::Seat::Seat(Placement& placement) : placement_(placement) {
  allowed_.set();
  MutexLock l(placement_.mu_);
  loose_in_.set();
  placement_.seats_.push_back(this);
}

Placement::Seat::~Seat() {
  Idle();
  MutexLock l(placement_.mu_);
  std::erase(placement_.seats_, this);
}

void Placement::Seat::Idle() {
  if (cpu_ < 0) return;
  placement_.loads_[cpu_].fetch_sub(1, std::memory_order_relaxed);
  cpu_ = -1;
}

void Placement::Seat::Restrict(const platform::CpuSet& cpus) {
  allowed_ = cpus;
  if (placement_.CpusOf(allowed_).empty()) allowed_.set();
  Idle();
  if (thread_cpu_ >= 0 && !allowed_[static_cast<size_t>(thread_cpu_)]) thread_cpu_ = -1;
  guest_cpu_ = -1;
  MutexLock l(placement_.mu_);
  loose_in_ = allowed_;
}

void Placement::Seat::Move(int cpu, int32_t pid) {
  const int host_cpu = placement_.cpus_[static_cast<size_t>(cpu)];
  if (thread_cpu_ != cpu) host::BindToCpu(0, host_cpu);
  if (guest_cpu_ != cpu) host::BindToCpu(pid, host_cpu);
  thread_cpu_ = cpu;
  guest_cpu_ = cpu;
}

void Placement::Seat::Enter(int32_t pid) {
  Placement& p = placement_;
  if (p.cpus_.size() < 2) return;
  if (loose_.load(std::memory_order_relaxed)) {
    loose_.store(false, std::memory_order_relaxed);
    guest_cpu_ = -1;
  }
  if (cpu_ < 0) {
    cpu_ = p.Choose(thread_cpu_ >= 0 ? thread_cpu_ : p.IndexHere(), allowed_);
    p.loads_[cpu_].fetch_add(1, std::memory_order_relaxed);
  } else if (++entries_ % kRebalanceEvery == 0) {
    p.loads_[cpu_].fetch_sub(1, std::memory_order_relaxed);
    cpu_ = p.Choose(cpu_, allowed_);
    p.loads_[cpu_].fetch_add(1, std::memory_order_relaxed);
  }
  if (thread_cpu_ != cpu_ || guest_cpu_ != cpu_) Move(cpu_, pid);
  pid_.store(pid, std::memory_order_relaxed);
  runs_.store(runs_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  entered_.store(true, std::memory_order_relaxed);
  if (p.watch_word_.load(std::memory_order_relaxed) == kAsleep) p.WakeWatcher();
}

void Placement::WakeWatcher() {
  uint32_t asleep = kAsleep;
  if (!watch_word_.compare_exchange_strong(asleep, kAwake)) return;
  syscall(SYS_futex, &watch_word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

// Whether any guest runs. Lets go of those that have run since the last scan.
bool Placement::ScanOnce() {
  MutexLock l(mu_);
  bool any = false;
  for (Seat* seat : seats_) {
    const uint64_t runs = seat->runs_.load(std::memory_order_relaxed);
    const bool entered = seat->entered_.load(std::memory_order_relaxed);
    const bool same = runs == seat->watched_runs_;
    seat->watched_runs_ = runs;
    if (!same) any = true;
    if (!entered || !same || seat->loose_.load(std::memory_order_relaxed)) continue;
    // If the guest comes back in this moment, it stays unpinned for one run: harmless.
    host::BindToCpus(seat->pid_.load(std::memory_order_relaxed), CpusOf(seat->loose_in_));
    seat->loose_.store(true, std::memory_order_relaxed);
  }
  return any;
}

void Placement::Watch() {
  host::BindToCpus(0, cpus_);
  int idle = 0;
  while (true) {
    uint32_t word = watch_word_.load();
    if (word == kStop) return;
    if (word == kAsleep) {
      syscall(SYS_futex, &watch_word_, FUTEX_WAIT_PRIVATE, kAsleep, nullptr, nullptr, 0);
      continue;
    }
    const timespec pause{0, kScanNanos};
    syscall(SYS_futex, &watch_word_, FUTEX_WAIT_PRIVATE, kAwake, &pause, nullptr, 0);
    idle = ScanOnce() ? 0 : idle + 1;
    if (idle < kIdleScans) continue;
    idle = 0;
    uint32_t awake = kAwake;
    watch_word_.compare_exchange_strong(awake, kAsleep);
  }
}

}  // namespace runsc::ptrace_platform
