#include "platform/systrap/placement.h"

#include <algorithm>

#include "platform/host/cpus.h"
#include "platform/systrap/calls.h"

namespace runsc::platform::systrap {
namespace {

// Spinning starts after this many quick calls: what they lost is then what waking the other CPU
// costs (40-80 µs on the VMs measured), so trying is never dearer than twice the best choice.
constexpr uint32_t kMinStreak = 32;
constexpr uint32_t kMaxStreak = 8192;
// Two changes of mappings within some four calls.
constexpr uint32_t kMapWeight = 4;
constexpr uint32_t kMapsOften = 7;
constexpr uint64_t kQuickMicros = 20;
constexpr uint64_t kSpinMicros = 100;
constexpr uint64_t kContendedMicros = 1000;
// Waking a task on another, idle CPU costs 40-80 µs on VMs, on the same CPU 2.
// Both threads together used less than 6/10 of the time, though neither blocked.
constexpr uint64_t kShareMicros = 20000;
constexpr uint64_t kFairShareDividend = 6;
constexpr uint64_t kFairShareDivisor = 10;
constexpr uint32_t kLonelyNeeded = 8;
constexpr uint64_t kShortRestMicros = 1000;
constexpr uint64_t kMinGatherPauseMicros = 100000;
constexpr uint64_t kMaxGatherPauseMicros = 10000000;

}  // namespace

CpuTable::CpuTable(int may_use, bool may_spin)
    : cpus_(host::AllowedCpus()),
      loads_(std::make_unique<Load[]>(cpus_.size())),
      may_spin_(may_spin && may_use > 1 && cpus_.size() > 1) {}

int CpuTable::SlotOf(int cpu) const {
  auto it = std::find(cpus_.begin(), cpus_.end(), cpu);
  return it == cpus_.end() ? 0 : static_cast<int>(it - cpus_.begin());
}

int CpuTable::ReserveSpare(int home, const CpuSet& allowed) const {
  for (int i = 0; i < size(); ++i) {
    if (i == home || !allowed[static_cast<size_t>(i)] || Active(i) != 0) continue;
    if (!At(i).reserved.exchange(true, std::memory_order_relaxed)) return i;
  }
  return kNone;
}

int CpuTable::LessBusyThan(int home, const CpuSet& allowed) const {
  int best = kNone;
  int least = Active(home) - 1;
  for (int i = 0; i < size(); ++i) {
    if (i == home || !allowed[static_cast<size_t>(i)] || Active(i) >= least) continue;
    best = i;
    least = Active(i);
  }
  return best;
}

int CpuTable::LeastBusy(const CpuSet& allowed) const {
  int best = kNone;
  for (int i = 0; i < size(); ++i) {
    if (!allowed[static_cast<size_t>(i)]) continue;
    if (best == kNone || Active(i) < Active(best)) best = i;
  }
  return best;
}

int CpuTable::Unused(int home, uint64_t random, const CpuSet& allowed) const {
  const int n = size();
  const auto first = static_cast<int>(random % cpus_.size());
  for (int i = 0; i < n; ++i) {
    const int slot = (first + i) % n;
    if (slot != home && allowed[static_cast<size_t>(slot)] && Active(slot) == 0) return slot;
  }
  return kNone;
}

void Placement::MoveHome(int slot) {
  if (active_) {
    if (home_ != CpuTable::kNone) table_.AddActive(home_, -1);
    table_.AddActive(slot, 1);
  }
  home_ = slot;
  contended_since_ = 0;
  host::BindToCpu(0, table_.CpuOf(slot));
}

void Placement::Restrict(const CpuSet& cpus) {
  allowed_ = cpus;
  if (table_.LeastBusy(allowed_) == CpuTable::kNone) allowed_.set();
  StopSpinning();
  if (home_ == CpuTable::kNone || allowed_[static_cast<size_t>(home_)]) return;
  MoveHome(table_.LeastBusy(allowed_));
}

void Placement::BeforeGuest(GuestThread& guest, Stub& stub) {
  if (home_ == CpuTable::kNone) {
    spin_limit_ = kSpinMicros * TicksPerMicro();
    quick_ = kQuickMicros * TicksPerMicro();
    streak_needed_ = kMinStreak;
    share_pause_ = kShareMicros * TicksPerMicro();
    const int here = table_.SlotOf(CurrentCpu());
    MoveHome(allowed_[static_cast<size_t>(here)] ? here : table_.LeastBusy(allowed_));
  }
  if (!active_) BecomeActive();
  const uint64_t now = Tsc();
  if (now - share_since_ > share_pause_) EscapeOthers(stub, now);
  if (MapsOften(stub)) {
    StopSpinning();
    streak_ = 0;
  }
  if (spare_ != CpuTable::kNone) {
    // Somebody else wants one of the two CPUs, or the sentry took so long that the guest sleeps.
    const bool wanted = table_.Active(spare_) > 0 || table_.Active(home_) > 1;
    if (wanted || guest.ctx->stub_waiting != 0) StopSpinning();
  } else if (streak_ >= streak_needed_ && table_.may_spin() && table_.Active(home_) == 1) {
    spare_ = table_.ReserveSpare(home_, allowed_);
    if (spare_ == CpuTable::kNone) streak_ = 0;
  }
  if (table_.Active(home_) > 1) {
    EaseContention();
  } else {
    contended_since_ = 0;
  }
  const int cpu = table_.CpuOf(spare_ == CpuTable::kNone ? home_ : spare_);
  if (guest.cpu != cpu) {
    host::BindToCpu(guest.tid, cpu);
    guest.cpu = cpu;
  }
  const auto spin = static_cast<uint32_t>(SpinTicks());
  if (guest.ctx->spin != spin) guest.ctx->spin = spin;
}

// Each unmap then interrupts the other CPU to flush its TLB, which costs more than spinning saves.
bool Placement::MapsOften(const Stub& stub) {
  const uint32_t batches = stub.batches();
  if (batches != seen_batches_) {
    map_score_ = std::min(map_score_ + kMapWeight, 2 * kMapsOften);
    seen_batches_ = batches;
  } else if (map_score_ > 0) {
    --map_score_;
  }
  return map_score_ >= kMapsOften;
}

void Placement::BecomeActive() {
  const uint64_t now = Tsc();
  const bool short_rest = now - rested_at_ < kShortRestMicros * TicksPerMicro();
  lonely_ = short_rest && table_.TotalActive() <= 1 ? lonely_ + 1 : 0;
  if (lonely_ >= kLonelyNeeded && now >= no_gather_before_) {
    lonely_ = 0;
    // Only ever towards the first CPU, or two that take turns would swap places.
    const int last = table_.LastUsed();
    if (last != CpuTable::kNone && last < home_ && allowed_[static_cast<size_t>(last)])
      MoveHome(last);
  }
  active_ = true;
  share_since_ = now;
  share_cpu_nanos_ = 0;
  table_.AddActive(home_, 1);
  table_.NoteChange(home_, 1);
}

void Placement::AfterGuest(uint64_t ticks) {
  if (ticks < quick_) {
    ++streak_;
    if (spare_ != CpuTable::kNone && streak_ % 1024 == 0) {
      streak_needed_ = std::max(kMinStreak, streak_needed_ / 2);
    }
  } else if (spare_ == CpuTable::kNone) {
    streak_ = 0;
  }
}

bool Placement::EaseContention() {
  const uint64_t now = Tsc();
  if (contended_since_ == 0) {
    contended_since_ = now;
    return false;
  }
  if (now - contended_since_ < kContendedMicros * TicksPerMicro()) return false;
  contended_since_ = now;
  const int better = table_.LessBusyThan(home_, allowed_);
  if (better == CpuTable::kNone) return false;
  MoveHome(better);
  gather_pause_ = std::clamp(gather_pause_ * 2, kMinGatherPauseMicros * TicksPerMicro(),
                             kMaxGatherPauseMicros * TicksPerMicro());
  no_gather_before_ = now + gather_pause_;
  return true;
}

bool Placement::EscapeOthers(Stub& stub, uint64_t now) {
  const uint64_t pause = kShareMicros * TicksPerMicro();
  const uint64_t cpu = ThreadCpuNanos() + stub.CpuNanos();
  const uint64_t wall = (now - share_since_) * 1000 / TicksPerMicro();
  const bool known = share_cpu_nanos_ != 0 && cpu >= share_cpu_nanos_;
  const bool starved = known && table_.Active(home_) == 1 &&
                       (cpu - share_cpu_nanos_) * kFairShareDivisor < wall * kFairShareDividend;
  share_since_ = now;
  share_cpu_nanos_ = cpu;
  const int other = starved ? table_.Unused(home_, now >> 8, allowed_) : CpuTable::kNone;
  if (other == CpuTable::kNone) {
    share_pause_ = pause;
    return false;
  }
  // Moving may not help, if all CPUs are taken: less often each time.
  share_pause_ = std::min(share_pause_ * 2, pause * 64);
  MoveHome(other);
  return true;
}

void Placement::StopSpinning() {
  if (spare_ == CpuTable::kNone) return;
  table_.Unreserve(spare_);
  spare_ = CpuTable::kNone;
  streak_ = 0;
}

void Placement::GuestRunsLong(GuestThread& guest) {
  if (spare_ == CpuTable::kNone) return;
  // Follow the guest, so that it wakes this thread on its own CPU.
  const int guest_home = spare_;
  StopSpinning();
  streak_needed_ = std::min(streak_needed_ * 2, kMaxStreak);
  guest.ctx->spin = 0;
  MoveHome(guest_home);
}

void Placement::GuestStillRuns(GuestThread& guest, Stub& stub) {
  const uint64_t now = Tsc();
  bool moved = false;
  if (table_.Active(home_) > 1) {
    moved = EaseContention();
  } else {
    contended_since_ = 0;
    if (now - share_since_ > share_pause_) moved = EscapeOthers(stub, now);
  }
  if (!moved) return;
  guest.cpu = table_.CpuOf(home_);
  host::BindToCpu(guest.tid, guest.cpu);
}

void Placement::Rest() {
  StopSpinning();
  if (!active_) return;
  active_ = false;
  table_.AddActive(home_, -1);
  table_.NoteChange(home_, -1);
  rested_at_ = Tsc();
}

void Placement::Leave() {
  Rest();
  home_ = CpuTable::kNone;
}

}  // namespace runsc::platform::systrap
