#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sentry/wait/wait.h"

namespace runsc {
namespace {

constexpr uint32_t kWokenBit = 1;
constexpr uint32_t kInterruptedBit = 2;
constexpr uint32_t kSleepingBit = 4;

void FutexWake(std::atomic<uint32_t>* word) {
  syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
}

}  // namespace

Blocker::Result Blocker::Wait(int64_t deadline) {
  for (;;) {
    uint32_t s = state_.load(std::memory_order_acquire);
    if ((s & kWokenBit) != 0) {
      state_.fetch_and(~(kWokenBit | kSleepingBit), std::memory_order_acq_rel);
      return Result::kWoken;
    }
    if ((s & kInterruptedBit) != 0) {
      state_.fetch_and(~kSleepingBit, std::memory_order_acq_rel);
      return Result::kInterrupted;
    }
    if (deadline <= 0) return Result::kTimeout;
    if ((s & kSleepingBit) == 0) {
      if (!state_.compare_exchange_strong(s, s | kSleepingBit)) continue;
      s |= kSleepingBit;
    }
    timespec ts{static_cast<time_t>(deadline / 1000000000),
                static_cast<long>(deadline % 1000000000)};
    long r = syscall(SYS_futex, &state_, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, s,
                     deadline == kForever ? nullptr : &ts, nullptr, FUTEX_BITSET_MATCH_ANY);
    if (r == -1 && errno == ETIMEDOUT) {
      uint32_t old = state_.fetch_and(~kSleepingBit, std::memory_order_acq_rel);
      if ((old & (kWokenBit | kInterruptedBit)) == 0) return Result::kTimeout;
    }
  }
}

void Blocker::Wake() {
  if ((state_.fetch_or(kWokenBit, std::memory_order_acq_rel) & kSleepingBit) != 0) {
    FutexWake(&state_);
  }
}

void Blocker::Interrupt() {
  if ((state_.fetch_or(kInterruptedBit, std::memory_order_acq_rel) & kSleepingBit) != 0) {
    FutexWake(&state_);
  }
}

void Blocker::ClearWake() { state_.fetch_and(~kWokenBit, std::memory_order_acq_rel); }
void Blocker::ClearInterrupt() { state_.fetch_and(~kInterruptedBit, std::memory_order_acq_rel); }
bool Blocker::interrupted() const {
  return (state_.load(std::memory_order_acquire) & kInterruptedBit) != 0;
}

}  // namespace runsc
