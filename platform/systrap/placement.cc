#include "platform/systrap/placement.h"

#include <algorithm>

#include "platform/systrap/calls.h"

namespace runsc::platform::systrap {
namespace {

// Spinning starts after this many quick calls: what they lost is then what waking the other CPU
// costs (40-80 µs on the VMs measured), so trying is never dearer than twice the best choice.
constexpr uint32_t kMinStreak = 32;
constexpr uint32_t kMaxStreak = 8192;
constexpr uint64_t kQuickMicros = 20;
constexpr uint64_t kSpinMicros = 100;
constexpr uint64_t kContendedMicros = 1000;
// Waking a task on another, idle CPU costs 40-80 µs on VMs, on the same CPU 2.
constexpr uint32_t kLonelyNeeded = 8;
constexpr uint64_t kShortRestMicros = 1000;
constexpr uint64_t kMinGatherPauseMicros = 100000;
constexpr uint64_t kMaxGatherPauseMicros = 10000000;

}  // namespace

CpuTable::CpuTable(int limit, bool may_spin) : cpus_(AllowedCpus()), may_spin_(may_spin) {
  const size_t n = std::max<size_t>(1, static_cast<size_t>(std::max(limit, 1)));
  if (cpus_.size() > n) cpus_.resize(n);
  loads_ = std::make_unique<Load[]>(cpus_.size());
}

int CpuTable::SlotOf(int cpu) const {
  auto it = std::find(cpus_.begin(), cpus_.end(), cpu);
  return it == cpus_.end() ? 0 : static_cast<int>(it - cpus_.begin());
}

int CpuTable::ReserveSpare(int home) const {
  for (int i = 0; i < static_cast<int>(cpus_.size()); ++i) {
    if (i == home || Active(i) != 0) continue;
    if (!At(i).reserved.exchange(true, std::memory_order_relaxed)) return i;
  }
  return kNone;
}

int CpuTable::LessBusyThan(int home) const {
  int best = kNone;
  int least = Active(home) - 1;
  for (int i = 0; i < static_cast<int>(cpus_.size()); ++i) {
    if (i == home || Active(i) >= least) continue;
    best = i;
    least = Active(i);
  }
  return best;
}

void Placement::MoveHome(int slot) {
  if (active_) {
    if (home_ != CpuTable::kNone) table_.AddActive(home_, -1);
    table_.AddActive(slot, 1);
  }
  home_ = slot;
  contended_since_ = 0;
  BindToCpu(0, table_.CpuOf(slot));
}

void Placement::BeforeGuest(GuestThread& guest) {
  if (home_ == CpuTable::kNone) {
    spin_limit_ = kSpinMicros * TicksPerMicro();
    quick_ = kQuickMicros * TicksPerMicro();
    streak_needed_ = kMinStreak;
    MoveHome(table_.SlotOf(CurrentCpu()));
  }
  if (!active_) BecomeActive();
  if (spare_ != CpuTable::kNone) {
    // Somebody else wants one of the two CPUs, or the sentry took so long that the guest sleeps.
    const bool wanted = table_.Active(spare_) > 0 || table_.Active(home_) > 1;
    if (wanted || guest.ctx->stub_waiting != 0) StopSpinning();
  } else if (streak_ >= streak_needed_ && table_.may_spin() && table_.Active(home_) == 1) {
    spare_ = table_.ReserveSpare(home_);
    if (spare_ == CpuTable::kNone) streak_ = 0;
  }
  if (table_.Active(home_) > 1) {
    EaseContention();
  } else {
    contended_since_ = 0;
  }
  const int cpu = table_.CpuOf(spare_ == CpuTable::kNone ? home_ : spare_);
  if (guest.cpu != cpu) {
    BindToCpu(guest.tid, cpu);
    guest.cpu = cpu;
  }
  const auto spin = static_cast<uint32_t>(SpinTicks());
  if (guest.ctx->spin != spin) guest.ctx->spin = spin;
}

void Placement::BecomeActive() {
  const uint64_t now = Tsc();
  const bool short_rest = now - rested_at_ < kShortRestMicros * TicksPerMicro();
  lonely_ = short_rest && table_.TotalActive() <= 1 ? lonely_ + 1 : 0;
  if (lonely_ >= kLonelyNeeded && now >= no_gather_before_) {
    lonely_ = 0;
    // Only ever towards the first CPU, or two that take turns would swap places.
    const int last = table_.LastUsed();
    if (last != CpuTable::kNone && last < home_) MoveHome(last);
  }
  active_ = true;
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
  const int better = table_.LessBusyThan(home_);
  if (better == CpuTable::kNone) return false;
  MoveHome(better);
  gather_pause_ = std::clamp(gather_pause_ * 2, kMinGatherPauseMicros * TicksPerMicro(),
                             kMaxGatherPauseMicros * TicksPerMicro());
  no_gather_before_ = now + gather_pause_;
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

void Placement::GuestStillRuns(GuestThread& guest) {
  if (table_.Active(home_) <= 1) {
    contended_since_ = 0;
    return;
  }
  if (!EaseContention()) return;
  guest.cpu = table_.CpuOf(home_);
  BindToCpu(guest.tid, guest.cpu);
}

void Placement::Rest() {
  StopSpinning();
  if (!active_) return;
  active_ = false;
  table_.AddActive(home_, -1);
  table_.NoteChange(home_, -1);
  rested_at_ = Tsc();
}

}  // namespace runsc::platform::systrap
