#ifndef SENTRY_TIME_TIME_KEEPER_H_
#define SENTRY_TIME_TIME_KEEPER_H_

#include <cstdint>
#include <vector>

#include "platform/base/mutex.h"
#include "sentry/time/vdso/vdso_data.h"

namespace runsc {

// Where the keeper gets its facts; the host, or a test's fake.
class TimeSourceHost {
 public:
  virtual ~TimeSourceHost() = default;
  // Time-stamp counter, ordered after earlier reads. Whether it runs evenly on all CPUs.
  virtual uint64_t Cycles() = 0;
  virtual bool CyclesAreReliable() = 0;
  enum class Clock { kMonotonic, kRealtime, kRaw, kBoottime, kTai };
  virtual int64_t Nanos(Clock clock) = 0;
  // How user code learns its CPU: kVdsoCpu*.
  virtual uint32_t CpuMethod() = 0;
};

// Keeps each clock as a line over the time-stamp counter, for the sentry and, in the data page,
// for the guests' vDSO. A line holds for a while; whoever finds it run out refreshes it against
// the host (a guest by asking the sentry), so nothing happens while nobody reads a clock.
//
// Refreshing never moves CLOCK_MONOTONIC back: a line that ran ahead is continued more slowly
// until the host has caught up. CLOCK_REALTIME follows the host's steps.
class TimeKeeper {
 public:
  static TimeKeeper& Get();
  explicit TimeKeeper(TimeSourceHost& host);

  int64_t Read(int line);  // kVdsoMonotonic, kVdsoRealtime or kVdsoRaw
  int64_t ReadBoottime();
  int64_t ReadTai();

  // Also keeps `page` (4096 bytes, zeroed, mapped as long as the keeper lives) up to date: the data
  // page that guests map before VdsoImage(). `cpus`: how many CPUs guests are told they have.
  void AttachPage(void* page, uint32_t cpus);
  // Refreshes now, such as after a restore or when the host's clock is known to have been set.
  void Refresh();

 private:
  struct Sample {
    uint64_t cycles = 0;
    int64_t nanos = 0;
  };
  struct Reading;

  bool ReadLine(int line, const int64_t* offset, int64_t* nanos) const;
  int64_t ReadOrRefresh(int line, const int64_t* offset);
  Sample TakeSample(TimeSourceHost::Clock clock);
  void RefreshLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool SlopesLocked(const Sample& monotonic, const Sample& raw) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PublishLocked(const Reading& reading) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  int64_t LastMonotonicLocked(uint64_t cycles) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  TimeSourceHost& host_;
  Mutex<LockRank::kTimeKeeper> mu_;
  // The sentry's own copy; written under mu_, read through its sequence number.
  VdsoData data_{};
  VdsoData* page_ ABSL_GUARDED_BY(mu_) = nullptr;
  // Where slopes are measured from: the one in use and the one to be used next.
  Sample anchor_ ABSL_GUARDED_BY(mu_);
  Sample next_anchor_ ABSL_GUARDED_BY(mu_);
  Sample raw_anchor_ ABSL_GUARDED_BY(mu_);
  uint64_t mult_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t raw_mult_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t floor_ ABSL_GUARDED_BY(mu_) = 0;  // the latest monotonic time shown by a line
  uint64_t life_ ABSL_GUARDED_BY(mu_) = 0;
  int strikes_ ABSL_GUARDED_BY(mu_) = 0;  // refreshes that found the counter uneven, in a row
};

}  // namespace runsc

#endif  // SENTRY_TIME_TIME_KEEPER_H_
