// Memory faults and other CPU exceptions.
#include <signal.h>

#include "platform/contract/fixture.h"

namespace runsc::platform::contract {
namespace {

class FaultContract : public ContractTest {
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
  // Runs and expects a CPU exception that is not a page fault.
  void ExpectSignal(arch::Registers regs, int signal, int code, uint64_t address) {
    const uint64_t pc = regs.pc();
    Stop stop = context_->Switch(*as_, regs);
    ASSERT_EQ(stop.event, Event::kSignal) << Describe(stop);
    EXPECT_EQ(stop.signal.value, signal) << Describe(stop);
    EXPECT_EQ(stop.code, code) << Describe(stop);
    EXPECT_EQ(stop.address, address) << Describe(stop);
    EXPECT_GE(regs.pc(), pc);
    EXPECT_LE(regs.pc(), pc + 64);
  }
  Stop Run(arch::Registers& regs) { return context_->Switch(*as_, regs); }

  std::unique_ptr<AddressSpace> as_;
  std::unique_ptr<Context> context_;
};

TEST_F(FaultContract, ReadWriteAndExecFaults) {
  constexpr uint64_t kHole = 0x700000001000;
  arch::Registers regs = Marked(guest_read);
  regs.rbx = kHole + 8;
  arch::Registers before = regs;
  Stop stop = Run(regs);
  ASSERT_EQ(stop.event, Event::kFault) << Describe(stop);
  EXPECT_EQ(stop.address, kHole + 8);
  EXPECT_EQ(stop.access, (Access{.read = true})) << Describe(stop);
  EXPECT_EQ(regs.rip, before.rip);
  EXPECT_EQ(regs.rcx, before.rcx);
  EXPECT_EQ(regs.r11, before.r11);
  EXPECT_EQ(regs.rax, before.rax);
  EXPECT_EQ(regs.orig_rax, ~uint64_t{0});

  regs = At(guest_write);
  regs.rbx = kHole + 16;
  stop = Run(regs);
  ASSERT_EQ(stop.event, Event::kFault) << Describe(stop);
  EXPECT_EQ(stop.address, kHole + 16);
  EXPECT_TRUE(stop.access.write) << Describe(stop);

  regs = At(guest_jump);
  regs.rbx = kHole;
  stop = Run(regs);
  ASSERT_EQ(stop.event, Event::kFault) << Describe(stop);
  EXPECT_EQ(stop.address, kHole);
  EXPECT_TRUE(stop.access.exec) << Describe(stop);
  EXPECT_EQ(regs.rip, kHole);
}

TEST_F(FaultContract, ProtectionFaults) {
  Map(*as_, 0x50000000, kPageSize, kFreeOffset, kRead);
  arch::Registers regs = At(guest_write);
  regs.rbx = 0x50000000;
  Stop stop = Run(regs);
  ASSERT_EQ(stop.event, Event::kFault) << Describe(stop);
  EXPECT_TRUE(stop.access.write);
  regs = At(guest_jump);
  regs.rbx = 0x50000000;
  stop = Run(regs);
  ASSERT_EQ(stop.event, Event::kFault) << Describe(stop);
  EXPECT_TRUE(stop.access.exec) << Describe(stop);
  Map(*as_, 0x50000000, kPageSize, kFreeOffset, kNoAccess);
  regs = At(guest_read);
  regs.rbx = 0x50000000;
  stop = Run(regs);
  ASSERT_EQ(stop.event, Event::kFault) << Describe(stop);
  EXPECT_EQ(stop.access, (Access{.read = true})) << Describe(stop);
}

TEST_F(FaultContract, ResumesAtTheFaultingInstruction) {
  *Memory<uint64_t>(kFreeOffset) = 4711;
  arch::Registers regs = Marked(guest_read);
  regs.rbx = 0x50000000;
  const arch::Registers before = regs;
  ASSERT_EQ(Run(regs).event, Event::kFault);
  Map(*as_, 0x50000000, kPageSize, kFreeOffset, kRead);
  Stop stop = Run(regs);
  ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
  EXPECT_EQ(regs.orig_rax, 4711u);
  EXPECT_EQ(regs.r9, before.r9);
}

TEST_F(FaultContract, KernelAndPlatformAddressesAreFaultsOrSignals) {
  for (uint64_t address : {uint64_t{0}, uint64_t{0xffff800000000000}, uint64_t{0xffffffffff600000},
                           uint64_t{0x7ffffffff000}}) {
    arch::Registers regs = At(guest_write);
    regs.rbx = address;
    Stop stop = Run(regs);
    ASSERT_TRUE(stop.event == Event::kFault || stop.event == Event::kSignal) << Describe(stop);
    if (stop.event == Event::kFault) EXPECT_EQ(stop.address, address);
  }
}

TEST_F(FaultContract, BreakpointIsSigtrap) { ExpectSignal(At(guest_int3), SIGTRAP, SI_KERNEL, 0); }

TEST_F(FaultContract, InvalidOpcodeIsSigill) {
  ExpectSignal(At(guest_ud2), SIGILL, ILL_ILLOPN, AddressOf(guest_ud2));
}

TEST_F(FaultContract, DivisionByZeroIsSigfpe) {
  ExpectSignal(At(guest_div0), SIGFPE, FPE_INTDIV, AddressOf(guest_div0) + 2);
}

TEST_F(FaultContract, PrivilegedInstructionIsSigsegv) {
  ExpectSignal(At(guest_hlt), SIGSEGV, SI_KERNEL, 0);
}

TEST_F(FaultContract, NonCanonicalAccessIsSigsegvOfTheKernel) {
  arch::Registers regs = At(guest_read);
  regs.rbx = 0x8000000000000000;
  ExpectSignal(regs, SIGSEGV, SI_KERNEL, 0);
}

TEST_F(FaultContract, NonCanonicalStackIsSigbus) {
  arch::Registers regs = At(guest_bad_stack);
  regs.rbx = 0x8000000000000000;
  ExpectSignal(regs, SIGBUS, SI_KERNEL, 0);
}

TEST_F(FaultContract, NonCanonicalJumpIsSigsegv) {
  arch::Registers regs = At(guest_jump);
  regs.rbx = 0x8000000000000000;
  Stop stop = Run(regs);
  ASSERT_EQ(stop.event, Event::kSignal) << Describe(stop);
  EXPECT_EQ(stop.signal.value, SIGSEGV);
}

// Many times, for nothing may pile up on the way into the guest.
TEST_F(FaultContract, NonCanonicalRegistersFromTheSentryAreTheGuestsFault) {
  for (int round = 0; round < 150; ++round) {
    const int which = round % 3;
    for (uint64_t flags : {uint64_t{0x202}, uint64_t{0x302}}) {
      arch::Registers regs = Marked(guest_busy);
      regs.rip = which == 0 ? 0x8000000000000000 : regs.rip;
      regs.fs_base = which == 1 ? 0x8000000000000000 : 0;
      regs.gs_base = which == 2 ? 0x8000000000000000 : 0;
      regs.eflags = flags;
      regs.rcx = regs.rip;
      regs.r11 = flags;
      Stop stop = Run(regs);
      // Or the platform sanitises them; what it must not do is break.
      if (flags == 0x202 && which != 0 && stop.event != Event::kSignal) continue;
      ASSERT_TRUE(stop.event == Event::kSignal || stop.event == Event::kGone) << Describe(stop);
      if (stop.event == Event::kGone) return;
    }
  }
  arch::Registers regs = At(guest_syscalls);
  Stop stop = Run(regs);
  EXPECT_EQ(stop.event, Event::kSyscall) << Describe(stop);
}

TEST_F(FaultContract, MisalignedSseIsSigsegvOfTheKernel) {
  ExpectSignal(At(guest_misaligned_sse), SIGSEGV, SI_KERNEL, 0);
}

TEST_F(FaultContract, SseExceptionIsSigfpe) {
  arch::Registers regs = At(guest_sse_div0);
  Stop stop = Run(regs);
  ASSERT_EQ(stop.event, Event::kSignal) << Describe(stop);
  EXPECT_EQ(stop.signal.value, SIGFPE);
  EXPECT_EQ(stop.code, FPE_FLTDIV);
}

TEST_F(FaultContract, AlignmentCheckIsSigbus) {
  arch::Registers regs = At(guest_align_check);
  Stop stop = Run(regs);
  ASSERT_EQ(stop.event, Event::kSignal) << Describe(stop);
  EXPECT_EQ(stop.signal.value, SIGBUS);
  EXPECT_EQ(stop.code, BUS_ADRALN);
  regs = At(guest_syscalls);
  EXPECT_EQ(Run(regs).event, Event::kSyscall);
}

TEST_F(FaultContract, SingleStepIsSigtrapAfterEachInstruction) {
  arch::Registers regs = At(guest_nops);
  for (uint64_t i = 1; i <= 3; ++i) {
    regs.eflags |= 0x100;
    Stop stop = Run(regs);
    ASSERT_EQ(stop.event, Event::kSignal) << Describe(stop);
    EXPECT_EQ(stop.signal.value, SIGTRAP);
    EXPECT_EQ(stop.code, TRAP_TRACE);
    EXPECT_EQ(regs.rip, AddressOf(guest_nops) + i);
  }
  regs.eflags &= ~uint64_t{0x100};
  Stop stop = Run(regs);
  EXPECT_EQ(stop.event, Event::kSyscall) << Describe(stop);
}

TEST_F(FaultContract, NestedTaskFlagDoesNoHarm) {
  arch::Registers regs = At(guest_nested_task);
  Stop stop = Run(regs);
  for (int i = 0; i < 3 && stop.event == Event::kSyscall; ++i) {
    context_->Interrupt();
    stop = Run(regs);
  }
  EXPECT_TRUE(stop.event == Event::kInterrupted || stop.event == Event::kSignal) << Describe(stop);
}

TEST_F(FaultContract, ThirtyTwoBitCallsAreNotPassedOn) {
  for (uint64_t number : {1, 20, 4, 11, 120, 173}) {
    arch::Registers regs = At(guest_int80);
    regs.rax = number;
    Stop stop = Run(regs);
    if (stop.event == Event::kSyscall) {
      EXPECT_GT(regs.syscall_number(), 1000u) << "would be taken for a 64-bit call";
      continue;
    }
    ASSERT_EQ(stop.event, Event::kSignal) << Describe(stop);
    EXPECT_EQ(stop.signal.value, SIGSEGV);
    EXPECT_EQ(regs.rip, AddressOf(guest_int80));
  }
}

// exit(2) of the 32-bit ABI, by every road: never performed, never taken for a 64-bit call.
TEST_F(FaultContract, OtherRoadsIntoTheKernelAreClosed) {
  for (const char* snippet :
       {guest_sysenter, guest_compat_int80, guest_compat_syscall, guest_compat_sysenter}) {
    as_ = NewSpace();
    arch::Registers regs = At(snippet);
    regs.rax = 1;
    regs.rbp = regs.rsp;
    Stop stop = Run(regs);
    EXPECT_NE(stop.event, Event::kSyscall) << snippet - guest_code_start;
    EXPECT_NE(stop.event, Event::kInterrupted);
  }
}

// The vsyscall page: a call like any other, or no such page.
TEST_F(FaultContract, VsyscallPage) {
  arch::Registers regs = At(guest_jump);
  regs.rbx = 0xffffffffff600400;  // time(2)
  *Memory<uint64_t>(kStackOffset + (regs.rsp - kStack)) = AddressOf(guest_ud2);
  Stop stop = Run(regs);
  if (stop.event == Event::kSyscall) {
    EXPECT_EQ(regs.syscall_number(), 201u);
    EXPECT_EQ(regs.rip, AddressOf(guest_ud2));
  }
  EXPECT_NE(stop.event, Event::kGone);
}

TEST_F(FaultContract, BeyondTheEndOfAFileIsSigbus) {
  Map(*as_, 0x50000000, 2 * kPageSize, kMemorySize - kPageSize, kReadWrite);
  arch::Registers regs = At(guest_read);
  regs.rbx = 0x50000000 + kPageSize;
  Stop stop = Run(regs);
  ASSERT_EQ(stop.event, Event::kSignal) << Describe(stop);
  EXPECT_EQ(stop.signal.value, SIGBUS);
  EXPECT_EQ(stop.code, BUS_ADRERR);
  EXPECT_EQ(stop.address, 0x50000000 + kPageSize);
}

}  // namespace
}  // namespace runsc::platform::contract
