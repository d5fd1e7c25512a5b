// x87, SSE, AVX and AVX-512 state.
#include <unistd.h>

#include <cstring>
#include <thread>

#include "platform/contract/fixture.h"

namespace runsc::platform::contract {
namespace {

struct VectorSet {
  const char* name;
  const char* call;
  const char* wait;
  size_t bytes;
};

std::vector<VectorSet> VectorSets() {
  std::vector<VectorSet> sets = {{"sse", guest_sse_call, guest_sse_wait, 16 * 16}};
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx")) {
    sets.push_back({"avx", guest_avx_call, guest_avx_wait, 16 * 32});
  }
  if (__builtin_cpu_supports("avx512f")) {
    sets.push_back({"avx512", guest_avx512_call, guest_avx512_wait, 32 * 64});
  }
  return sets;
}

class FpuContract : public ContractTest {
 protected:
  void SetUp() override {
    ContractTest::SetUp();
    as_ = NewSpace();
    context_ = NewContext();
  }
  void TearDown() override {
    context_.reset();
    as_.reset();
    ContractTest::TearDown();
  }
  // Source pattern at kData, result at kData + 0x1000, flag at kData + 0x2000.
  arch::Registers Start(const char* snippet, uint8_t seed) {
    for (size_t i = 0; i < 4096; ++i) Data<uint8_t>()[i] = static_cast<uint8_t>(seed + i * 7);
    memset(Data<uint8_t>(0x1000), 0, 0x2000);
    arch::Registers regs = At(snippet);
    regs.rbx = kData;
    regs.r12 = kData + 0x1000;
    regs.r13 = kData + 0x2000;
    return regs;
  }
  void ExpectKept(size_t bytes) { EXPECT_EQ(memcmp(Data<char>(), Data<char>(0x1000), bytes), 0); }

  std::unique_ptr<AddressSpace> as_;
  std::unique_ptr<Context> context_;
};

TEST_F(FpuContract, KeptOverSystemCalls) {
  for (const VectorSet& set : VectorSets()) {
    SCOPED_TRACE(set.name);
    arch::Registers regs = Start(set.call, 3);
    Stop stop = context_->Switch(*as_, regs);
    ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
    // The sentry thread, and another guest thread, use the registers meanwhile.
    auto other = NewContext();
    arch::Registers clobber = At(set.call);
    clobber.rbx = kStack;
    clobber.r12 = kStack + 0x1000;
    ASSERT_EQ(other->Switch(*as_, clobber).event, Event::kSyscall);
    stop = context_->Switch(*as_, regs);
    ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
    ASSERT_EQ(regs.syscall_number(), 2u);
    ExpectKept(set.bytes);
  }
}

TEST_F(FpuContract, KeptOverInterrupts) {
  for (const VectorSet& set : VectorSets()) {
    SCOPED_TRACE(set.name);
    arch::Registers regs = Start(set.wait, 5);
    for (int i = 0; i < 20; ++i) {
      std::thread other([&] {
        UseAllCpus();
        usleep(500);
        context_->Interrupt();
      });
      Stop stop = context_->Switch(*as_, regs);
      other.join();
      ASSERT_EQ(stop.event, Event::kInterrupted) << Describe(stop);
    }
    *Data<uint64_t>(0x2000) = 1;
    Stop stop = context_->Switch(*as_, regs);
    ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
    ExpectKept(set.bytes);
  }
}

// Interrupts that arrive on the way into the guest find the state half restored. Bounded by time
// too: on a busy machine the guest runs until the sender's turn comes.
TEST_F(FpuContract, KeptOverAStormOfInterrupts) {
  const VectorSet set = VectorSets().back();
  std::atomic<bool> done{false};
  arch::Registers regs = Start(set.wait, 9);
  std::thread other([&] {
    UseAllCpus();
    while (!done.load()) context_->Interrupt();
  });
  int interrupts = 0;
  for (const uint64_t end = NowNanos() + 10'000'000'000; interrupts < 3000 && NowNanos() < end;) {
    Stop stop = context_->Switch(*as_, regs);
    ASSERT_EQ(stop.event, Event::kInterrupted) << Describe(stop);
    ++interrupts;
  }
  done = true;
  other.join();
  EXPECT_GT(interrupts, 100);
  *Data<uint64_t>(0x2000) = 1;
  Stop stop = context_->Switch(*as_, regs);
  while (stop.event == Event::kInterrupted) stop = context_->Switch(*as_, regs);
  ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
  ExpectKept(set.bytes);
}

TEST_F(FpuContract, CanBeReadAndReplaced) {
  arch::Registers regs = Start(guest_sse_call, 11);
  ASSERT_EQ(context_->Switch(*as_, regs).event, Event::kSyscall);
  arch::FpuState state = context_->SaveFpu();
  ASSERT_EQ(state.size(), arch::XsaveSize());
  constexpr size_t kXmm0 = 160;
  EXPECT_EQ(memcmp(state.data() + kXmm0, Data<char>(), 16 * 16), 0);
  for (size_t i = 0; i < 16; ++i) state[kXmm0 + i] = static_cast<uint8_t>(0xa0 + i);
  context_->LoadFpu(state);
  EXPECT_EQ(context_->SaveFpu(), state);
  ASSERT_EQ(context_->Switch(*as_, regs).event, Event::kSyscall);
  EXPECT_EQ(memcmp(Data<char>(0x1000), state.data() + kXmm0, 16 * 16), 0);
}

TEST_F(FpuContract, NewContextHasTheInitialState) {
  arch::FpuState state = context_->SaveFpu();
  EXPECT_EQ(state, arch::InitialFpuState());
  arch::Registers regs = At(guest_sse_call);
  // Skip the loads: straight to the call that follows them.
  regs = At(guest_syscalls);
  ASSERT_EQ(context_->Switch(*as_, regs).event, Event::kSyscall);
  state = context_->SaveFpu();
  uint32_t mxcsr = 0;
  memcpy(&mxcsr, state.data() + 24, 4);
  EXPECT_EQ(mxcsr, 0x1f80u);
  EXPECT_EQ(state[0] | state[1] << 8, 0x37f);
  for (size_t i = 160; i < 416; ++i) ASSERT_EQ(state[i], 0) << i;
}

TEST_F(FpuContract, HostileStateIsCleaned) {
  arch::Registers regs = At(guest_syscalls);
  ASSERT_EQ(context_->Switch(*as_, regs).event, Event::kSyscall);
  context_->LoadFpu(arch::FpuState(arch::XsaveSize(), 0xff));
  Stop stop = context_->Switch(*as_, regs);
  EXPECT_EQ(stop.event, Event::kSyscall) << Describe(stop);
  context_->LoadFpu(arch::FpuState(17, 0xff));
  stop = context_->Switch(*as_, regs);
  EXPECT_EQ(stop.event, Event::kSyscall) << Describe(stop);
}

TEST_F(FpuContract, ControlWordsAreKept) {
  arch::Registers regs = At(guest_control_words);
  ASSERT_EQ(context_->Switch(*as_, regs).event, Event::kSyscall);
  ASSERT_EQ(context_->Switch(*as_, regs).event, Event::kSyscall);
  EXPECT_EQ(regs.rbx & 0xffff, 0x27fu);
  EXPECT_EQ(regs.r12, 0x5f80u);
}

TEST_F(FpuContract, MovesWithTheContext) {
  auto second = NewSpace();
  for (const VectorSet& set : VectorSets()) {
    SCOPED_TRACE(set.name);
    for (bool release : {false, true}) {
      arch::Registers regs = Start(set.call, 21);
      ASSERT_EQ(context_->Switch(*as_, regs).event, Event::kSyscall);
      if (release) context_->Release();
      Stop stop = context_->Switch(*second, regs);
      ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
      ASSERT_EQ(regs.syscall_number(), 2u);
      ExpectKept(set.bytes);
    }
  }
}

}  // namespace
}  // namespace runsc::platform::contract
