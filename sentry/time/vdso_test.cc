#include "sentry/time/vdso.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include "sentry/time/clock.h"
#include "sentry/time/time_keeper.h"

namespace runsc {
namespace {

// The image and its data page as a guest has them, with the symbols found through PT_DYNAMIC.
class Vdso {
 public:
  Vdso() {
    const size_t size = VdsoImage().size();
    base_ = static_cast<char*>(mmap(nullptr, 4096 + size, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    image_ = base_ + 4096;
    memcpy(image_, VdsoImage().data(), size);
    mprotect(image_, size, PROT_READ | PROT_EXEC);
    MonotonicNanos();
    timespec pause{0, 5'000'000};
    nanosleep(&pause, nullptr);
    TimeKeeper::Get().AttachPage(base_, 64);
    Symbols();
  }
  // The keeper is never detached, so the page stays.

  VdsoData* data() { return reinterpret_cast<VdsoData*>(base_); }
  void* Find(const std::string& name) { return symbols_.count(name) ? symbols_[name] : nullptr; }
  std::string version;

 private:
  void Symbols() {
    auto* header = reinterpret_cast<Elf64_Ehdr*>(image_);
    auto* phdr = reinterpret_cast<Elf64_Phdr*>(image_ + header->e_phoff);
    Elf64_Dyn* dynamic = nullptr;
    for (int i = 0; i < header->e_phnum; ++i) {
      if (phdr[i].p_type == PT_DYNAMIC) {
        dynamic = reinterpret_cast<Elf64_Dyn*>(image_ + phdr[i].p_vaddr);
      }
    }
    std::map<int64_t, char*> tags;
    for (; dynamic->d_tag != DT_NULL; ++dynamic) {
      tags[dynamic->d_tag] = image_ + dynamic->d_un.d_ptr;
    }
    auto* symbol = reinterpret_cast<Elf64_Sym*>(tags[DT_SYMTAB]);
    const uint32_t count = reinterpret_cast<uint32_t*>(tags[DT_HASH])[1];
    for (uint32_t i = 1; i < count; ++i) {
      symbols_[tags[DT_STRTAB] + symbol[i].st_name] = image_ + symbol[i].st_value;
    }
    auto* verdef = reinterpret_cast<Elf64_Verdef*>(tags[DT_VERDEF]);
    verdef = reinterpret_cast<Elf64_Verdef*>(reinterpret_cast<char*>(verdef) + verdef->vd_next);
    auto* aux = reinterpret_cast<Elf64_Verdaux*>(reinterpret_cast<char*>(verdef) + verdef->vd_aux);
    version = tags[DT_STRTAB] + aux->vda_name;
  }

  char* base_;
  char* image_;
  std::map<std::string, void*> symbols_;
};

Vdso& TheVdso() {
  static auto* vdso = new Vdso;
  return *vdso;
}

template <typename F>
F* Function(const char* name) {
  void* p = TheVdso().Find(name);
  EXPECT_NE(p, nullptr) << name;
  return reinterpret_cast<F*>(p);
}

TEST(VdsoTest, HasLinuxVersionAndNames) {
  EXPECT_EQ(TheVdso().version, "LINUX_2.6");
  for (const char* name : {"clock_gettime", "gettimeofday", "time", "clock_getres", "getcpu"}) {
    EXPECT_NE(TheVdso().Find(name), nullptr);
    EXPECT_EQ(TheVdso().Find(name), TheVdso().Find(std::string("__vdso_") + name));
  }
}

TEST(VdsoTest, ClocksAreTheSentrys) {
  auto* gettime = Function<int(int, timespec*)>("__vdso_clock_gettime");
  for (ClockId id : {ClockId::kRealtime, ClockId::kMonotonic, ClockId::kMonotonicRaw,
                     ClockId::kRealtimeCoarse, ClockId::kMonotonicCoarse, ClockId::kBoottime,
                     ClockId::kTai}) {
    for (int i = 0; i < 1000; ++i) {
      timespec t{};
      const int64_t before = ClockNanos(id);
      ASSERT_EQ(gettime(static_cast<int>(id), &t), 0);
      const int64_t after = ClockNanos(id);
      const int64_t now = t.tv_sec * 1'000'000'000 + t.tv_nsec;
      // Both sides read one line, so this holds without slack. The raw clock's line may be
      // refreshed in between.
      const int64_t slack = id == ClockId::kMonotonicRaw ? 2000 : 0;
      ASSERT_GE(now, before - slack);
      ASSERT_LE(now, after + slack);
    }
  }
}

TEST(VdsoTest, CpuClocksAskTheKernel) {
  auto* gettime = Function<int(int, timespec*)>("__vdso_clock_gettime");
  timespec t{-1, -1};
  EXPECT_EQ(gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
  EXPECT_GE(t.tv_nsec, 0);
  EXPECT_EQ(gettime(10, &t), -EINVAL);
}

TEST(VdsoTest, RunOutLinesAskTheKernel) {
  auto* gettime = Function<int(int, timespec*)>("__vdso_clock_gettime");
  VdsoData saved = *TheVdso().data();
  TheVdso().data()->valid = 0;
  timespec t{};
  EXPECT_EQ(gettime(CLOCK_REALTIME, &t), 0);
  EXPECT_NEAR(static_cast<double>(t.tv_sec), static_cast<double>(time(nullptr)), 1);
  TheVdso().data()->valid = saved.valid;
}

TEST(VdsoTest, TimeOfDayAndSeconds) {
  auto* gettimeofday = Function<int(timeval*, void*)>("__vdso_gettimeofday");
  auto* seconds = Function<int64_t(int64_t*)>("__vdso_time");
  timeval tv{};
  int32_t zone[2] = {7, 7};
  ASSERT_EQ(gettimeofday(&tv, zone), 0);
  EXPECT_EQ(zone[0], 0);
  EXPECT_NEAR(static_cast<double>(tv.tv_sec), static_cast<double>(time(nullptr)), 1);
  EXPECT_LT(tv.tv_usec, 1000000);
  EXPECT_EQ(gettimeofday(nullptr, nullptr), 0);
  int64_t stored = 0;
  EXPECT_EQ(seconds(&stored), stored);
}

TEST(VdsoTest, ResolutionAndCpu) {
  auto* getres = Function<int(int, timespec*)>("__vdso_clock_getres");
  auto* getcpu = Function<int(unsigned*, unsigned*, void*)>("__vdso_getcpu");
  timespec t{};
  EXPECT_EQ(getres(CLOCK_MONOTONIC_COARSE, &t), 0);
  EXPECT_EQ(t.tv_nsec, kCoarseNanos);
  EXPECT_EQ(getres(CLOCK_MONOTONIC, nullptr), 0);
  EXPECT_EQ(getres(CLOCK_MONOTONIC, &t), 0);
  EXPECT_EQ(t.tv_nsec, 1);
  cpu_set_t set, all;
  sched_getaffinity(0, sizeof(all), &all);
  for (unsigned cpu = 0; cpu < 64; ++cpu) {
    if (!CPU_ISSET(cpu, &all)) continue;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    ASSERT_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
    unsigned got = ~0U, node = ~0U;
    EXPECT_EQ(getcpu(&got, &node, nullptr), 0);
    EXPECT_EQ(got, cpu);
    EXPECT_EQ(node, 0u);
  }
  sched_setaffinity(0, sizeof(all), &all);
  EXPECT_EQ(getcpu(nullptr, nullptr, nullptr), 0);
}

// Prints the cost; asserts that no call went to the kernel. The best of short rounds, so that a
// busy machine does not matter.
TEST(VdsoTest, CostOfACall) {
  auto* gettime = Function<int(int, timespec*)>("__vdso_clock_gettime");
  constexpr int kCalls = 5000;
  timespec t{};
  int64_t best = INT64_MAX;
  for (int round = 0; round < 200; ++round) {
    const int64_t start = MonotonicNanos();
    for (int i = 0; i < kCalls; ++i) gettime(CLOCK_MONOTONIC, &t);
    best = std::min(best, (MonotonicNanos() - start) / kCalls);
  }
  printf("clock_gettime %lld ns\n", static_cast<long long>(best));
  EXPECT_LT(best, 100);
}

}  // namespace
}  // namespace runsc
