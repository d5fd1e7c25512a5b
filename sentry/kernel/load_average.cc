#include <cmath>

#include "sentry/kernel/task_tree.h"
#include "sentry/time/clock.h"

namespace runsc {
namespace {

constexpr int64_t kPeriod = 5000000000;  // Linux samples every five seconds
constexpr double kMinutes[3] = {1, 5, 15};

}  // namespace

void LoadAverage::Change(int delta) {
  int before = running_.fetch_add(delta, std::memory_order_relaxed);
  int64_t now = MonotonicNanos();
  if (now < next_.load(std::memory_order_relaxed)) return;
  MutexLock l(mu_);
  // What ran until now is what the missed samples would have seen.
  Fold(now, before);
}

void LoadAverage::Fold(int64_t now, int running) {
  int64_t next = next_.load(std::memory_order_relaxed);
  if (now < next) return;
  if (next == 0) next = now;
  double samples = static_cast<double>((now - next) / kPeriod + 1);
  for (int i = 0; i < 3; ++i) {
    double keep = std::exp(-samples * 5 / (60 * kMinutes[i]));
    load_[i] = load_[i] * keep + running * (1 - keep);
  }
  next_.store(next + static_cast<int64_t>(samples) * kPeriod, std::memory_order_relaxed);
}

void LoadAverage::Read(uint64_t out[3]) {
  MutexLock l(mu_);
  Fold(MonotonicNanos(), running_.load(std::memory_order_relaxed));
  for (int i = 0; i < 3; ++i) out[i] = static_cast<uint64_t>(load_[i] * 65536);
}

}  // namespace runsc
