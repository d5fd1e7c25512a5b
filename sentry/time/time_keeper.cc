#include "sentry/time/time_keeper.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "platform/base/log.h"

namespace runsc {
namespace {

using Clock = TimeSourceHost::Clock;

constexpr int64_t kMilli = 1'000'000;
// Slopes need this much time under them; then lines hold for a quarter of it, within bounds.
constexpr int64_t kMinBaseline = kMilli;
constexpr int64_t kMinLife = kMilli;
constexpr int64_t kMaxLife = 1000 * kMilli;
// The host steers its clock, so slopes are measured over the last one or two of these.
constexpr int64_t kAnchorAge = 16'000 * kMilli;
// A counter that is off by more than the host may steer (and noise) is uneven; three times running
// and it is not used again.
constexpr int64_t kNoise = 200'000;
constexpr int64_t kMaxSteer = 1000;  // 1/1000
constexpr int kMaxStrikes = 3;
// Less than this between CLOCK_REALTIME and CLOCK_MONOTONIC is noise of reading them in turn.
constexpr int64_t kMinStep = 20'000;

uint64_t Mult(int64_t nanos, uint64_t cycles) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(nanos) << 32) / cycles);
}

int64_t Advance(uint64_t cycles, uint64_t mult) {
  return static_cast<int64_t>(static_cast<unsigned __int128>(cycles) * mult >> 32);
}

uint64_t CyclesFor(int64_t nanos, uint64_t mult) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(nanos) << 32) / mult);
}

// Fields of a data block that others read while it is written.
template <typename T>
T Load(const T& v) {
  return std::atomic_ref<T>(const_cast<T&>(v)).load(std::memory_order_relaxed);
}
template <typename T>
void Store(T& v, T value) {
  std::atomic_ref<T>(v).store(value, std::memory_order_relaxed);
}

void BeginWrite(VdsoData& d) {
  Store(d.seq, d.seq + 1);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void EndWrite(VdsoData& d) {
  std::atomic_thread_fence(std::memory_order_release);
  std::atomic_ref<uint32_t>(d.seq).store(d.seq + 1, std::memory_order_release);
}

void WriteLines(VdsoData& d, const VdsoData& from) {
  Store(d.valid, from.valid);
  Store(d.base_cycles, from.base_cycles);
  Store(d.life_cycles, from.life_cycles);
  for (int i = 0; i < kVdsoClocks; ++i) {
    Store(d.line[i].base_nanos, from.line[i].base_nanos);
    Store(d.line[i].mult, from.line[i].mult);
  }
  Store(d.boot_minus_monotonic, from.boot_minus_monotonic);
  Store(d.tai_minus_realtime, from.tai_minus_realtime);
}

}  // namespace

// One look at all host clocks.
struct TimeKeeper::Reading {
  Sample monotonic, realtime, raw;
  int64_t boot_offset = 0;
  int64_t tai_offset = 0;
};

TimeKeeper::TimeKeeper(TimeSourceHost& host) : host_(host) {
  MutexLock l(mu_);
  if (!host_.CyclesAreReliable()) {
    strikes_ = kMaxStrikes;
    return;
  }
  anchor_ = next_anchor_ = TakeSample(Clock::kMonotonic);
  raw_anchor_ = TakeSample(Clock::kRaw);
}

// The host's clock between two looks at the counter; the closest of a few tries.
TimeKeeper::Sample TimeKeeper::TakeSample(Clock clock) {
  Sample best;
  uint64_t least = ~uint64_t{0};
  for (int i = 0; i < 4; ++i) {
    const uint64_t before = host_.Cycles();
    const int64_t nanos = host_.Nanos(clock);
    const uint64_t gap = host_.Cycles() - before;
    if (gap >= least) continue;
    least = gap;
    best = {before + gap / 2, nanos};
  }
  return best;
}

bool TimeKeeper::ReadLine(int line, const int64_t* offset, int64_t* nanos) const {
  while (true) {
    const uint32_t seq =
        std::atomic_ref<uint32_t>(const_cast<uint32_t&>(data_.seq)).load(std::memory_order_acquire);
    if ((seq & 1) != 0 || Load(data_.valid) == 0) return false;
    const int64_t delta =
        std::max<int64_t>(0, static_cast<int64_t>(host_.Cycles() - Load(data_.base_cycles)));
    const bool alive = static_cast<uint64_t>(delta) < Load(data_.life_cycles);
    *nanos = Load(data_.line[line].base_nanos) +
             Advance(static_cast<uint64_t>(delta), Load(data_.line[line].mult));
    if (offset != nullptr) *nanos += Load(*offset);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (Load(data_.seq) == seq) return alive;
  }
}

int64_t TimeKeeper::ReadOrRefresh(int line, const int64_t* offset) {
  int64_t nanos = 0;
  if (ReadLine(line, offset, &nanos)) return nanos;
  MutexLock l(mu_);
  if (ReadLine(line, offset, &nanos)) return nanos;
  if (strikes_ < kMaxStrikes) RefreshLocked();
  if (ReadLine(line, offset, &nanos)) return nanos;
  // No line yet, or never: the host answers.
  if (offset == &data_.boot_minus_monotonic) return host_.Nanos(Clock::kBoottime);
  if (offset == &data_.tai_minus_realtime) return host_.Nanos(Clock::kTai);
  if (line == kVdsoMonotonic) return std::max(host_.Nanos(Clock::kMonotonic), floor_);
  return host_.Nanos(line == kVdsoRealtime ? Clock::kRealtime : Clock::kRaw);
}

int64_t TimeKeeper::Read(int line) { return ReadOrRefresh(line, nullptr); }

int64_t TimeKeeper::ReadBoottime() {
  return ReadOrRefresh(kVdsoMonotonic, &data_.boot_minus_monotonic);
}

int64_t TimeKeeper::ReadTai() { return ReadOrRefresh(kVdsoRealtime, &data_.tai_minus_realtime); }

void TimeKeeper::Refresh() {
  MutexLock l(mu_);
  if (strikes_ < kMaxStrikes) RefreshLocked();
}

void TimeKeeper::AttachPage(void* page, uint32_t cpus) {
  MutexLock l(mu_);
  page_ = static_cast<VdsoData*>(page);
  page_->cpu_count = std::max<uint32_t>(1, cpus);
  page_->cpu_method = host_.CpuMethod();
  if (strikes_ < kMaxStrikes) RefreshLocked();
}

// Measures the counter's rate. False: too early, or the counter is not what it seemed.
bool TimeKeeper::SlopesLocked(const Sample& monotonic, const Sample& raw) {
  const int64_t span = monotonic.nanos - anchor_.nanos;
  if (span < kMinBaseline || monotonic.cycles <= anchor_.cycles) return false;
  const uint64_t mult = Mult(span, monotonic.cycles - anchor_.cycles);
  if (mult == 0) return false;
  if (mult_ != 0) {
    // Where the current line says the host's clock should be.
    const int64_t expected =
        data_.line[kVdsoMonotonic].base_nanos +
        Advance(monotonic.cycles - data_.base_cycles, mult_);
    const int64_t since = monotonic.nanos - data_.line[kVdsoMonotonic].base_nanos;
    const int64_t off = expected > monotonic.nanos ? expected - monotonic.nanos
                                                   : monotonic.nanos - expected;
    const bool uneven = off > kNoise + std::max<int64_t>(0, since) / kMaxSteer;
    strikes_ = uneven ? strikes_ + 1 : 0;
    if (uneven) {
      // A suspended or migrated machine does this once: start over from here.
      anchor_ = next_anchor_ = monotonic;
      raw_anchor_ = raw;
      mult_ = 0;
      return false;
    }
  }
  mult_ = mult;
  if (raw.cycles > raw_anchor_.cycles) {
    raw_mult_ = Mult(raw.nanos - raw_anchor_.nanos, raw.cycles - raw_anchor_.cycles);
  }
  life_ = CyclesFor(std::clamp(span / 4, kMinLife, kMaxLife), mult);
  if (monotonic.nanos - next_anchor_.nanos > kAnchorAge) {
    anchor_ = next_anchor_;
    next_anchor_ = monotonic;
  }
  return true;
}

// The latest monotonic time that anyone can have read up to `cycles`.
int64_t TimeKeeper::LastMonotonicLocked(uint64_t cycles) const {
  if (data_.valid == 0) return 0;
  const VdsoClockLine& line = data_.line[kVdsoMonotonic];
  const int64_t delta = std::max<int64_t>(0, static_cast<int64_t>(cycles - data_.base_cycles));
  const uint64_t lived = std::min(static_cast<uint64_t>(delta), data_.life_cycles);
  return line.base_nanos + Advance(lived, line.mult);
}

void TimeKeeper::RefreshLocked() {
  Reading r;
  r.monotonic = TakeSample(Clock::kMonotonic);
  r.realtime = TakeSample(Clock::kRealtime);
  r.raw = TakeSample(Clock::kRaw);
  r.boot_offset = host_.Nanos(Clock::kBoottime) - host_.Nanos(Clock::kMonotonic);
  r.tai_offset = host_.Nanos(Clock::kTai) - host_.Nanos(Clock::kRealtime);
  // Read one after the other: the offsets carry that time. The true TAI offset is whole seconds;
  // the boot offset changes only by suspends, so small changes are noise.
  constexpr int64_t kSecond = 1'000'000'000;
  r.tai_offset = (r.tai_offset + kSecond / 2) / kSecond * kSecond;
  if (r.boot_offset < kMilli) r.boot_offset = 0;
  const int64_t change = r.boot_offset - data_.boot_minus_monotonic;
  if (change > -kMilli && change < kMilli) r.boot_offset = data_.boot_minus_monotonic;
  PublishLocked(r);
}

void TimeKeeper::PublishLocked(const Reading& r) {
  // The old line is still read meanwhile, so its end is looked at after readers are held off.
  const VdsoData old = data_;
  VdsoData fresh = old;
  fresh.valid = SlopesLocked(r.monotonic, r.raw) ? 1 : 0;
  BeginWrite(data_);
  if (page_ != nullptr) BeginWrite(*page_);
  const uint64_t now = host_.Cycles();
  floor_ = std::max(floor_, LastMonotonicLocked(now));
  if (fresh.valid != 0) {
    auto at_now = [now](const Sample& s, uint64_t mult) {
      return s.nanos + Advance(now > s.cycles ? now - s.cycles : 0, mult);
    };
    fresh.base_cycles = now;
    fresh.life_cycles = life_;
    fresh.line[kVdsoRaw] = {at_now(r.raw, raw_mult_), raw_mult_};
    VdsoClockLine& line = fresh.line[kVdsoMonotonic];
    line = {at_now(r.monotonic, mult_), mult_};
    // The host steers both alike: only a step changes their difference.
    int64_t offset = at_now(r.realtime, mult_) - line.base_nanos;
    const int64_t old_offset =
        old.line[kVdsoRealtime].base_nanos - old.line[kVdsoMonotonic].base_nanos;
    if (std::abs(offset - old_offset) < kMinStep) offset = old_offset;
    const int64_t ahead = floor_ - line.base_nanos;
    if (ahead > 0) {
      // Go on from what was shown, slower, to meet the host at the line's end.
      const int64_t life = Advance(life_, mult_);
      line.base_nanos += ahead;
      line.mult = Mult(std::max(life - ahead, life / 2), life_);
    }
    fresh.line[kVdsoRealtime] = {line.base_nanos + offset, line.mult};
    fresh.boot_minus_monotonic = r.boot_offset;
    fresh.tai_minus_realtime = r.tai_offset;
  }
  WriteLines(data_, fresh);
  EndWrite(data_);
  if (page_ != nullptr) {
    WriteLines(*page_, fresh);
    EndWrite(*page_);
  }
  if (strikes_ == kMaxStrikes) {
    LOG_WARNING("time: the time-stamp counter is uneven; guests' clock calls go to the sentry");
  }
}

}  // namespace runsc
