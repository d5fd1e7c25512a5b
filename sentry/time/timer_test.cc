#include "sentry/time/timer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <random>
#include <thread>
#include <vector>

namespace runsc {
namespace {

class FakeClock : public TimerClock {
 public:
  int64_t Now() override { return now_; }
  int64_t EarliestMonotonic(int64_t when) override { return when; }
  int64_t now_ = 1000;
};

// A CPU clock: runs at `rate` while it runs at all.
class FakeCpuClock : public TimerClock {
 public:
  explicit FakeCpuClock(FakeClock& base) : base_(base) {}
  int64_t Now() override { return cpu_; }
  int64_t EarliestMonotonic(int64_t when) override {
    if (when == kNever || !running_) return kNever;
    return base_.now_ + (when - cpu_);
  }
  FakeClock& base_;
  int64_t cpu_ = 0;
  bool running_ = false;
};

struct Recorder : TimerListener {
  void OnExpire(uint64_t count, uint64_t setting) override {
    total += count;
    ++calls;
    last_setting = setting;
    if (action) action();
  }
  uint64_t total = 0, calls = 0, last_setting = 0;
  std::function<void()> action;
};

class TimerTest : public ::testing::Test {
 protected:
  int64_t At(int64_t now) {
    clock_.now_ = now;
    return queue_.RunDue();
  }
  FakeClock clock_;
  TimerQueue queue_{clock_, false};
  Recorder recorder_;
};

TEST_F(TimerTest, OneShotExpiresOnce) {
  Timer t(queue_, clock_, recorder_);
  const uint64_t setting = t.Set(5000, 0);
  EXPECT_EQ(At(4999), 5000);
  EXPECT_EQ(recorder_.calls, 0u);
  EXPECT_EQ(At(5000), kNever);
  EXPECT_EQ(recorder_.calls, 1u);
  EXPECT_EQ(recorder_.last_setting, setting);
  EXPECT_EQ(t.Get().when, kNever);
}

TEST_F(TimerTest, PeriodicCountsWhatItMissed) {
  Timer t(queue_, clock_, recorder_);
  t.Set(1'000'000, 1'000'000);
  At(1'000'000);
  EXPECT_EQ(recorder_.total, 1u);
  EXPECT_EQ(At(4'500'000), 5'000'000);
  EXPECT_EQ(recorder_.total, 4u);
  EXPECT_EQ(recorder_.calls, 2u);
  EXPECT_EQ(t.Get().when, 5'000'000);
}

TEST_F(TimerTest, TinyIntervalIsToldInBunchesAndLosesNothing) {
  Timer t(queue_, clock_, recorder_);
  t.Set(2000, 1);
  for (int64_t now = 2000; now < 1'002'000; now += 1000) At(now);
  EXPECT_LE(recorder_.calls, 12u);
  At(2'000'000);
  EXPECT_EQ(recorder_.total, 2'000'000u - 2000 + 1);
}

TEST_F(TimerTest, HeldTimerTellsOnceAndCatchesUp) {
  Timer t(queue_, clock_, recorder_, Timer::Repeat::kHeld);
  t.Set(2000, 1000);
  EXPECT_EQ(At(2000), kNever);
  EXPECT_EQ(At(900'000), kNever);
  EXPECT_EQ(recorder_.total, 1u);
  EXPECT_EQ(t.CatchUp(), 898u);
  EXPECT_EQ(t.CatchUp(), 0u);
  EXPECT_EQ(At(900'500), 901'000);
  At(901'000);
  EXPECT_EQ(recorder_.total, 2u);
}

TEST_F(TimerTest, SettingAgainReplaces) {
  Timer t(queue_, clock_, recorder_);
  const uint64_t first = t.Set(2000, 0);
  const uint64_t second = t.Set(9000, 0);
  EXPECT_NE(first, second);
  At(8000);
  EXPECT_EQ(recorder_.calls, 0u);
  t.Set(kNever, 0);
  EXPECT_EQ(At(20000), kNever);
  EXPECT_EQ(recorder_.calls, 0u);
}

TEST_F(TimerTest, PastAndExtremeTimes) {
  Timer t(queue_, clock_, recorder_);
  t.Set(INT64_MIN, 0);
  At(1000);
  EXPECT_EQ(recorder_.total, 1u);
  t.Set(INT64_MIN, INT64_MAX);
  At(2000);
  EXPECT_GE(recorder_.total, 2u);
  t.Set(kNever - 1, INT64_MAX);
  At(3000);
  t.Set(3000, INT64_MAX);
  At(3000);
  EXPECT_EQ(t.Get().when, kNever);
}

TEST_F(TimerTest, WhatIsDueIsToldAtOnce) {
  Timer t(queue_, clock_, recorder_);
  t.Set(900, 200);
  t.ExpireIfDue();
  EXPECT_EQ(recorder_.total, 1u);
  EXPECT_EQ(t.Get().when, 1100);
  t.Set(1'000'000, 0);
  t.ExpireIfDue();
  EXPECT_EQ(recorder_.total, 1u);
  EXPECT_EQ(At(1'000'000), kNever);
  EXPECT_EQ(recorder_.total, 2u);
  t.ExpireIfDue();
  EXPECT_EQ(recorder_.total, 2u);
}

TEST_F(TimerTest, CpuClockIsAskedAgain) {
  FakeCpuClock cpu(clock_);
  Timer t(queue_, cpu, recorder_);
  t.Set(1'000'000, 0);
  EXPECT_EQ(At(5'000'000), kNever);
  cpu.running_ = true;
  t.Recheck();
  cpu.cpu_ = 400'000;
  EXPECT_EQ(At(6'000'000), 6'600'000);
  EXPECT_EQ(recorder_.calls, 0u);
  cpu.cpu_ = 1'000'000;
  At(6'600'000);
  EXPECT_EQ(recorder_.calls, 1u);
}

TEST_F(TimerTest, ListenerMayDestroyItsTimer) {
  auto t = std::make_unique<Timer>(queue_, clock_, recorder_);
  recorder_.action = [&] { t.reset(); };
  t->Set(2000, 1000);
  At(2000);
  EXPECT_EQ(At(5000), kNever);
  EXPECT_EQ(recorder_.calls, 1u);
}

TEST_F(TimerTest, ListenerMaySetItsTimer) {
  Timer t(queue_, clock_, recorder_);
  recorder_.action = [&] { t.Set(clock_.now_ + 100, 0); };
  t.Set(2000, 0);
  EXPECT_EQ(At(2000), 2100);
  EXPECT_EQ(At(2100), 2200);
  EXPECT_EQ(recorder_.calls, 2u);
}

TEST(TimerThreadTest, RealTimersExpireInTime) {
  struct Latch : TimerListener {
    void OnExpire(uint64_t count, uint64_t) override {
      at.store(MonotonicNanos());
      total.fetch_add(count);
    }
    std::atomic<int64_t> at{0};
    std::atomic<uint64_t> total{0};
  };
  for (ClockId id : {ClockId::kMonotonic, ClockId::kRealtime, ClockId::kBoottime}) {
    Latch latch;
    Timer t(TimerQueue::Get(), SystemTimerClock(id), latch);
    const int64_t start = MonotonicNanos();
    t.Set(ClockNanos(id) + 5'000'000, 0);
    while (latch.at.load() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const int64_t took = latch.at.load() - start;
    EXPECT_GE(took, 4'990'000);
    EXPECT_LT(took, 5'000'000'000);  // a busy machine
  }
}

// Timers set, cancelled and destroyed by several threads: no call after Cancel.
TEST(TimerThreadTest, NoCallAfterCancel) {
  struct Guard : TimerListener {
    void OnExpire(uint64_t, uint64_t) override {
      EXPECT_TRUE(alive.load());
      calls.fetch_add(1);
    }
    std::atomic<bool> alive{true};
    std::atomic<int> calls{0};
  };
  std::vector<std::thread> threads;
  std::atomic<int> calls{0};
  for (unsigned seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&calls, seed] {
      std::mt19937 rng(seed);
      for (int i = 0; i < 1500; ++i) {
        Guard guard;
        {
          Timer t(TimerQueue::Get(), SystemTimerClock(ClockId::kMonotonic), guard);
          t.Set(MonotonicNanos() + static_cast<int64_t>(rng() % 100'000), rng() % 2 * 20'000);
          if (rng() % 4 == 0) t.ExpireIfDue();
          if (rng() % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(rng() % 200));
          if (rng() % 2 == 0) t.Cancel();
          if (rng() % 4 == 0) t.Set(MonotonicNanos(), 0);
        }
        guard.alive.store(false);
        calls += guard.calls.load();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_GT(calls.load(), 0);
}

}  // namespace
}  // namespace runsc
