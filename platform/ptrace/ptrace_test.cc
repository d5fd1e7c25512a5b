#include "platform/ptrace/ptrace.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <time.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "platform/memory/memory_file.h"

namespace runsc::platform {
namespace {

constexpr uint64_t kCode = 0x400000;
constexpr uint64_t kData = 0x600000;
constexpr Access kRx{.read = true, .exec = true};
constexpr Access kRw{.read = true, .write = true};

// A guest of one code page and one data page.
class PtraceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    memory_ = MemoryFile::Create(1 << 30);
    PlatformOptions options;
    options.memory_fd = memory_->fd();
    options.cpus = 64;
    auto p = PtraceFactory().create(options);
    ASSERT_TRUE(p.ok());
    platform_ = std::move(p).value();
    as_ = std::move(platform_->NewAddressSpace()).value();
    context_ = std::move(platform_->NewContext()).value();
    code_ = *memory_->Allocate(kPageSize);
    data_ = *memory_->Allocate(kPageSize);
    ASSERT_TRUE(as_->MapFile({kCode, kCode + kPageSize}, {memory_->fd(), code_.start}, kRx, false).ok());
    ASSERT_TRUE(as_->MapFile({kData, kData + kPageSize}, {memory_->fd(), data_.start}, kRw, true).ok());
  }
  void Code(std::vector<uint8_t> bytes) {
    std::memcpy(memory_->At(code_.start), bytes.data(), bytes.size());
    regs_ = arch::InitialRegisters(kCode, kData + kPageSize);
  }
  Stop Switch() { return context_->Switch(*as_, regs_); }

  std::unique_ptr<MemoryFile> memory_;
  std::unique_ptr<Platform> platform_;
  std::unique_ptr<AddressSpace> as_;
  std::unique_ptr<Context> context_;
  FileRange code_, data_;
  arch::Registers regs_{};
};

TEST(PtraceFactoryTest, SelfTestPasses) {
  EXPECT_EQ(PtraceFactory().self_test(), std::nullopt);
}

TEST_F(PtraceTest, SystemCallsStopAndReturn) {
  Code({0x0f, 0x05, 0xeb, 0xfc});  // l: syscall; jmp l
  regs_.rax = 39;
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(Switch().event, Event::kSyscall);
    EXPECT_EQ(regs_.syscall_number(), i == 0 ? 39u : static_cast<uint64_t>(i - 1 + 1000));
    EXPECT_EQ(regs_.pc(), kCode + 2);
    regs_.set_syscall_return(static_cast<uint64_t>(i + 1000));
  }
}

TEST_F(PtraceTest, RestartCodesReachTheGuestUnchanged) {
  Code({0x0f, 0x05, 0x48, 0x89, 0xc3, 0x0f, 0x05});  // syscall; mov rbx, rax; syscall
  ASSERT_EQ(Switch().event, Event::kSyscall);
  regs_.set_syscall_return(static_cast<uint64_t>(-512));
  context_->Interrupt();
  ASSERT_EQ(Switch().event, Event::kInterrupted);
  ASSERT_EQ(Switch().event, Event::kSyscall);
  EXPECT_EQ(regs_.rbx, static_cast<uint64_t>(-512));
}

TEST_F(PtraceTest, ThirtyTwoBitCallsAreFaults) {
  Code({0xcd, 0x80});
  regs_.rax = 20;
  Stop stop = Switch();
  EXPECT_EQ(stop.event, Event::kSignal);
  EXPECT_EQ(stop.signal.value, 11);
  EXPECT_EQ(regs_.pc(), kCode);
  EXPECT_EQ(regs_.rax, 20u);
}

TEST_F(PtraceTest, VsyscallComesAsSystemCall) {
  // mov eax, 0xffffffffff600000 (sign-extended); call rax; hlt
  Code({0x48, 0xc7, 0xc0, 0x00, 0x00, 0x60, 0xff, 0xff, 0xd0, 0xf4});
  Stop stop = Switch();
  if (stop.event == Event::kFault) GTEST_SKIP() << "host without a vsyscall page";
  ASSERT_EQ(stop.event, Event::kSyscall);
  EXPECT_EQ(regs_.syscall_number(), 96u);
  EXPECT_EQ(regs_.pc(), kCode + 9);
}

struct FaultCase {
  std::vector<uint8_t> code;
  uint64_t address;
  Access access;
};

TEST_F(PtraceTest, FaultsTellTheAccess) {
  const FaultCase cases[] = {
      {{0x8b, 0x04, 0x25, 0, 0, 0x70, 0}, 0x700000, {.read = true}},     // mov eax, [0x700000]
      {{0x89, 0x04, 0x25, 0, 0, 0x70, 0}, 0x700000, {.write = true}},    // mov [0x700000], eax
      {{0xff, 0x04, 0x25, 0, 0, 0x70, 0}, 0x700000, {.read = true}},     // inc dword [0x700000]
      {{0x89, 0x04, 0x25, 8, 0, 0x40, 0}, kCode + 8, {.write = true}},   // write to the code page
      {{0xb8, 0, 0, 0x70, 0, 0xff, 0xe0}, 0x700000, {.exec = true}},     // jmp 0x700000
      {{0xb8, 0, 0, 0x60, 0, 0xff, 0xe0}, kData, {.exec = true}},        // jmp to the data page
  };
  for (const FaultCase& c : cases) {
    Code(c.code);
    regs_.r12 = 0x1122;
    Stop stop = Switch();
    EXPECT_EQ(stop.event, Event::kFault);
    EXPECT_EQ(stop.address, c.address);
    if (c.code[0] == 0xff) {
      EXPECT_TRUE(stop.access.read || stop.access.write);
    } else {
      EXPECT_EQ(stop.access, c.access);
    }
    EXPECT_EQ(regs_.r12, 0x1122u);
    EXPECT_EQ(regs_.rsp, kData + kPageSize);
  }
}

TEST_F(PtraceTest, FpuSurvivesFaultsAndMoves) {
  // movups xmm5, [kData]; syscall; mov [0x700000], eax; movups [kData+16], xmm5; syscall
  Code({0x0f, 0x10, 0x2c, 0x25, 0, 0, 0x60, 0, 0x0f, 0x05, 0x89, 0x04, 0x25, 0, 0, 0x70, 0,
        0x0f, 0x11, 0x2c, 0x25, 0x10, 0, 0x60, 0, 0x0f, 0x05});
  std::memset(memory_->At(data_.start), 0x77, 16);
  ASSERT_EQ(Switch().event, Event::kSyscall);
  arch::FpuState fpu = context_->SaveFpu();
  EXPECT_EQ(fpu[160 + 5 * 16], 0x77);
  ASSERT_EQ(Switch().event, Event::kFault);
  FileRange more = *memory_->Allocate(kPageSize);
  ASSERT_TRUE(as_->MapFile({0x700000, 0x701000}, {memory_->fd(), more.start}, kRw, false).ok());
  context_->Release();
  ASSERT_EQ(Switch().event, Event::kSyscall);
  EXPECT_EQ(*memory_->At(data_.start + 31), 0x77);
}

TEST_F(PtraceTest, OtherExceptionsAreSignals) {
  struct {
    std::vector<uint8_t> code;
    int signal, si_code;
  } cases[] = {
      {{0x0f, 0x0b}, 4, 2},                    // ud2
      {{0x31, 0xc9, 0x31, 0xd2, 0xf7, 0xf1}, 8, 1},  // div ecx
      {{0xcc}, 5, 0x80},                       // int3
      {{0xf4}, 11, 0x80},                      // hlt
  };
  for (auto& c : cases) {
    Code(c.code);
    Stop stop = Switch();
    EXPECT_EQ(stop.event, Event::kSignal);
    EXPECT_EQ(stop.signal.value, c.signal);
    EXPECT_EQ(stop.code, c.si_code);
  }
}

TEST_F(PtraceTest, InterruptWhileRunningIsNotLost) {
  Code({0xeb, 0xfe});  // l: jmp l
  for (int i = 0; i < 200; ++i) {
    std::thread other([&] { context_->Interrupt(); });
    EXPECT_EQ(Switch().event, Event::kInterrupted);
    other.join();
  }
}

TEST_F(PtraceTest, ProtectSkipsHoles) {
  FileRange more = *memory_->Allocate(kPageSize);
  ASSERT_TRUE(as_->MapFile({0x700000, 0x701000}, {memory_->fd(), more.start}, kRw, false).ok());
  EXPECT_TRUE(as_->Protect({kCode, 0x800000}, {.read = true}).ok());
  Code({0x90});
  EXPECT_EQ(Switch().event, Event::kFault);
  as_->Unmap({kCode, kData});
  Stop stop = Switch();
  EXPECT_EQ(stop.event, Event::kFault);
  EXPECT_TRUE(stop.access.exec);
}

TEST_F(PtraceTest, BatchReportsTheFirstErrorAndGoesOn) {
  as_->BeginBatch();
  (void)as_->MapFile({0x700000, 0x701000}, {-1, 0}, kRw, false);
  (void)as_->MapFile({0x701000, 0x702000}, {memory_->fd(), data_.start}, kRw, false);
  EXPECT_EQ(as_->EndBatch().error(), Errno::kBadf);
  Code({0x8b, 0x04, 0x25, 0, 0x10, 0x70, 0, 0x8b, 0x04, 0x25, 0, 0, 0x70, 0});
  Stop stop = Switch();
  EXPECT_EQ(stop.address, 0x700000u);
}

TEST_F(PtraceTest, RecycledStubsAreEmpty) {
  Code({0x89, 0x04, 0x25, 0, 0, 0x70, 0});
  EXPECT_EQ(Switch().event, Event::kFault);
  context_->Release();
  as_ = std::move(platform_->NewAddressSpace()).value();
  as_ = std::move(platform_->NewAddressSpace()).value();
  Stop stop = Switch();
  EXPECT_EQ(stop.event, Event::kFault);
  EXPECT_EQ(stop.address, kCode);
}

TEST_F(PtraceTest, ClosedAddressSpaceIsGone) {
  Code({0x0f, 0x05, 0xeb, 0xfc});
  ASSERT_EQ(Switch().event, Event::kSyscall);
  std::unique_ptr<AddressSpace> fresh = std::move(platform_->NewAddressSpace()).value();
  as_ = std::move(fresh);
  context_->Release();
  EXPECT_EQ(Switch().event, Event::kFault);
}

TEST_F(PtraceTest, GuestCpuTimeCounts) {
  Code({0xeb, 0xfe});
  std::thread other([&] {
    timespec t{0, 60'000'000};
    nanosleep(&t, nullptr);
    context_->Interrupt();
  });
  EXPECT_EQ(Switch().event, Event::kInterrupted);
  other.join();
  EXPECT_GT(context_->GuestCpuNanos(), 10'000'000u);
  context_->Release();
  EXPECT_GT(context_->GuestCpuNanos(), 10'000'000u);
}

TEST_F(PtraceTest, ManyThreadsRunInOneAddressSpace) {
  Code({0x0f, 0x05, 0xeb, 0xfc});
  std::vector<std::thread> threads;
  for (int t = 0; t < 32; ++t) {
    threads.emplace_back([this] {
      auto context = std::move(platform_->NewContext()).value();
      arch::Registers regs = arch::InitialRegisters(kCode, 0);
      for (int i = 0; i < 200; ++i) {
        regs.rax = static_cast<uint64_t>(i);
        ASSERT_EQ(context->Switch(*as_, regs).event, Event::kSyscall);
        ASSERT_EQ(regs.syscall_number(), static_cast<uint64_t>(i));
      }
    });
  }
  for (std::thread& t : threads) t.join();
}

double Micros() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

// Prints costs; asserts nothing.
TEST_F(PtraceTest, Costs) {
  Code({0x0f, 0x05, 0xeb, 0xfc});
  auto best = [](int n, auto f) {
    double least = 1e18;
    for (int r = 0; r < 5; ++r) {
      double start = Micros();
      for (int i = 0; i < n; ++i) f();
      least = std::min(least, (Micros() - start) / n);
    }
    return least;
  };
  (void)Switch();
  std::printf("system call       %.2f us\n", best(2000, [&] { regs_.rax = 1; (void)Switch(); }));
  std::printf("map + unmap       %.2f us\n", best(500, [&] {
    (void)as_->MapFile({0x700000, 0x701000}, {memory_->fd(), data_.start}, kRw, false);
    as_->Unmap({0x700000, 0x701000});
  }));
  Code({0x89, 0x04, 0x25, 0, 0, 0x70, 0});
  std::printf("fault             %.2f us\n", best(500, [&] { (void)Switch(); }));
  std::printf("release + bind    %.2f us\n", best(500, [&] {
    context_->Release();
    (void)Switch();
  }));
  std::printf("new address space %.2f us\n", best(100, [&] {
    auto as = std::move(platform_->NewAddressSpace()).value();
  }));
}

}  // namespace
}  // namespace runsc::platform
