#include "sentry/time/time_keeper.h"

#include <gtest/gtest.h>
#include <time.h>

#include <atomic>
#include <thread>
#include <vector>

#include "sentry/time/clock.h"

namespace runsc {
namespace {

// A host whose counter and clocks the test moves.
class FakeHost : public TimeSourceHost {
 public:
  uint64_t Cycles() override { return static_cast<uint64_t>(cycles_); }
  bool CyclesAreReliable() override { return reliable_; }
  int64_t Nanos(Clock clock) override {
    switch (clock) {
      case Clock::kMonotonic: return mono_;
      case Clock::kRealtime: return mono_ + real_offset_;
      case Clock::kRaw: return raw_;
      case Clock::kBoottime: return mono_ + 5'000'000'000;
      case Clock::kTai: return mono_ + real_offset_ + 37'000'000'000;
    }
    return 0;
  }
  uint32_t CpuMethod() override { return kVdsoCpuNone; }

  // Lets `nanos` of true time pass; the clock is steered by `ppm`.
  void Pass(int64_t nanos, double ppm = 0) {
    raw_ += nanos;
    mono_ += nanos + static_cast<int64_t>(static_cast<double>(nanos) * ppm / 1e6);
    cycles_ += static_cast<double>(nanos) * 2.5;
  }

  bool reliable_ = true;
  double cycles_ = 1e12;
  int64_t mono_ = 1'000'000'000'000;
  int64_t raw_ = 999'000'000'000;
  int64_t real_offset_ = 1'700'000'000'000'000'000;
};

TEST(TimeKeeperTest, FollowsTheHost) {
  FakeHost host;
  TimeKeeper keeper(host);
  EXPECT_EQ(keeper.Read(kVdsoMonotonic), host.mono_);
  int64_t last = 0;
  for (int i = 0; i < 1000; ++i) {
    host.Pass(i % 7 == 0 ? 300'000'000 : 1'000'000);
    const int64_t now = keeper.Read(kVdsoMonotonic);
    EXPECT_GE(now, last);
    last = now;
    EXPECT_NEAR(static_cast<double>(now - host.mono_), 0, 100);
    EXPECT_NEAR(static_cast<double>(keeper.Read(kVdsoRaw) - host.raw_), 0, 100);
    EXPECT_NEAR(static_cast<double>(keeper.ReadBoottime() - now), 5e9, 100);
    EXPECT_NEAR(static_cast<double>(keeper.ReadTai() - keeper.Read(kVdsoRealtime)), 37e9, 1);
  }
}

TEST(TimeKeeperTest, SteeringNeverMovesMonotonicBack) {
  FakeHost host;
  TimeKeeper keeper(host);
  int64_t last = 0;
  for (int i = 0; i < 5000; ++i) {
    host.Pass(10'000'000 + i % 13, i / 500 % 2 == 0 ? 400 : -400);
    const int64_t now = keeper.Read(kVdsoMonotonic);
    ASSERT_GE(now, last);
    last = now;
    ASSERT_NEAR(static_cast<double>(now - host.mono_), 0, 1.5e6);
  }
}

TEST(TimeKeeperTest, RealtimeFollowsSteps) {
  FakeHost host;
  TimeKeeper keeper(host);
  host.Pass(2'000'000'000);
  keeper.Read(kVdsoRealtime);
  host.real_offset_ -= 3'600'000'000'000;
  host.Pass(2'000'000'000);
  EXPECT_NEAR(static_cast<double>(keeper.Read(kVdsoRealtime) - host.mono_ - host.real_offset_), 0,
              1000);
}

TEST(TimeKeeperTest, PageHasTheSameLines) {
  FakeHost host;
  TimeKeeper keeper(host);
  alignas(4096) static char page[4096];
  host.Pass(50'000'000);
  keeper.AttachPage(page, 3);
  const auto* data = reinterpret_cast<const VdsoData*>(page);
  EXPECT_EQ(data->valid, 1u);
  EXPECT_EQ(data->seq % 2, 0u);
  EXPECT_EQ(data->cpu_count, 3u);
  EXPECT_EQ(keeper.Read(kVdsoMonotonic), data->line[kVdsoMonotonic].base_nanos);
}

TEST(TimeKeeperTest, UnevenCounterIsGivenUp) {
  FakeHost host;
  TimeKeeper keeper(host);
  alignas(4096) static char page[4096];
  keeper.AttachPage(page, 1);
  int64_t last = 0;
  for (int i = 0; i < 30; ++i) {
    host.Pass(2'000'000'000);
    host.cycles_ += i % 2 == 0 ? 1e9 : -2e9;
    const int64_t now = keeper.Read(kVdsoMonotonic);
    EXPECT_GE(now, last);
    last = now;
  }
  EXPECT_EQ(reinterpret_cast<const VdsoData*>(page)->valid, 0u);
  host.Pass(1'000'000'000);
  EXPECT_GE(keeper.Read(kVdsoMonotonic), host.mono_);
}

TEST(TimeKeeperTest, UnreliableCounterIsNotUsed) {
  FakeHost host;
  host.reliable_ = false;
  TimeKeeper keeper(host);
  host.Pass(1'000'000'000);
  EXPECT_EQ(keeper.Read(kVdsoMonotonic), host.mono_);
  EXPECT_EQ(keeper.Read(kVdsoRealtime), host.mono_ + host.real_offset_);
}

int64_t HostNanos(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

TEST(ClockTest, AgreesWithTheRealHost) {
  for (int i = 0; i < 50; ++i) {
    const int64_t before = HostNanos(CLOCK_MONOTONIC);
    const int64_t ours = MonotonicNanos();
    const int64_t after = HostNanos(CLOCK_MONOTONIC);
    EXPECT_GT(ours, before - 20'000);
    EXPECT_LT(ours, after + 20'000);
    EXPECT_NEAR(static_cast<double>(RealtimeNanos() - HostNanos(CLOCK_REALTIME)), 0, 1e6);
    EXPECT_NEAR(static_cast<double>(BoottimeNanos() - HostNanos(CLOCK_BOOTTIME)), 0, 1e6);
    EXPECT_NEAR(static_cast<double>(ClockNanos(ClockId::kMonotonicRaw) -
                                    HostNanos(CLOCK_MONOTONIC_RAW)), 0, 1e6);
    EXPECT_NEAR(static_cast<double>(ClockNanos(ClockId::kTai) - HostNanos(CLOCK_TAI)), 0, 1e6);
    timespec pause{0, 3'000'000};
    nanosleep(&pause, nullptr);
  }
}

TEST(ClockTest, ThreadsNeverSeeMonotonicGoBack) {
  std::atomic<int64_t> latest{0};
  std::vector<std::thread> threads;
  const int64_t end = HostNanos(CLOCK_MONOTONIC) + 300'000'000;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      while (true) {
        const int64_t seen = latest.load();
        const int64_t now = MonotonicNanos();
        ASSERT_GE(now, seen);
        int64_t old = seen;
        while (old < now && !latest.compare_exchange_weak(old, now)) {
        }
        if (now > end) return;
        if (now % 64 == 0) TimeKeeper::Get().Refresh();
      }
    });
  }
  for (std::thread& t : threads) t.join();
}

TEST(ClockTest, CoarseIsBehindByLessThanItsStep) {
  const int64_t fine = RealtimeNanos();
  const int64_t coarse = CoarseRealtimeNanos();
  EXPECT_GT(coarse, fine - kCoarseNanos);
  EXPECT_EQ(coarse % kCoarseNanos, 0);
  EXPECT_FALSE(IsSystemClock(2));
  EXPECT_FALSE(IsSystemClock(10));
  EXPECT_FALSE(IsSystemClock(-1));
  EXPECT_TRUE(IsSystemClock(11));
}

}  // namespace
}  // namespace runsc
