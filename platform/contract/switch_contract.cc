// System calls, registers, threads, address spaces.
#include <sys/wait.h>

#include <thread>

#include "platform/contract/fixture.h"

namespace runsc::platform::contract {
namespace {

using SwitchContract = ContractTest;

TEST_F(SwitchContract, SelfTestSucceeds) {
  auto why = FactoryUnderTest().self_test();
  EXPECT_FALSE(why.has_value()) << *why;
}

TEST_F(SwitchContract, SyscallShowsNumberArgumentsAndLinuxClobbers) {
  auto as = NewSpace();
  auto context = NewContext();
  arch::Registers regs = Marked(guest_syscalls);
  regs.rax = 321;
  const arch::Registers before = regs;
  Stop stop = context->Switch(*as, regs);
  ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
  EXPECT_EQ(regs.syscall_number(), 321u);
  EXPECT_EQ(regs.pc(), before.pc() + 2);
  EXPECT_EQ(regs.rcx, regs.rip);
  EXPECT_EQ(regs.r11 & 0xcd5, before.eflags & 0xcd5);
  EXPECT_EQ(regs.r15, before.r15);
  EXPECT_EQ(regs.rbp, before.rbp);
  EXPECT_EQ(regs.rsp, before.rsp);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(regs.syscall_arg(i), before.syscall_arg(i)) << i;
}

TEST_F(SwitchContract, SyscallResultsReachTheGuest) {
  auto as = NewSpace();
  auto context = NewContext();
  arch::Registers regs = At(guest_five_calls);
  for (uint64_t i = 0; i < 5; ++i) {
    Stop stop = context->Switch(*as, regs);
    ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
    ASSERT_EQ(regs.syscall_number(), 100 + i);
    regs.set_syscall_return(0xabcdef0000000000 + i);
  }
  Stop stop = context->Switch(*as, regs);
  ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
  EXPECT_EQ(regs.rbx, 0xabcdef0000000000);
  EXPECT_EQ(regs.r12, 0xabcdef0000000001);
  EXPECT_EQ(regs.r13, 0xabcdef0000000002);
  EXPECT_EQ(regs.r14, 0xabcdef0000000003);
  EXPECT_EQ(regs.r15, 0xabcdef0000000004);
}

TEST_F(SwitchContract, AllRegistersMayBeChangedAtASyscall) {
  auto as = NewSpace();
  auto context = NewContext();
  arch::Registers regs = At(guest_syscalls);
  ASSERT_EQ(context->Switch(*as, regs).event, Event::kSyscall);
  regs = Marked(guest_busy);
  regs.eflags |= 0x8d5;  // every arithmetic flag
  const arch::Registers before = regs;
  context->Interrupt();
  ASSERT_EQ(context->Switch(*as, regs).event, Event::kInterrupted);
  std::thread later([&] {
    usleep(20000);
    context->Interrupt();
  });
  Stop stop = context->Switch(*as, regs);
  later.join();
  ASSERT_EQ(stop.event, Event::kInterrupted) << Describe(stop);
  EXPECT_EQ(regs.rcx, before.rcx);
  EXPECT_EQ(regs.r11, before.r11);
  EXPECT_EQ(regs.rax, before.rax);
  EXPECT_EQ(regs.rdi, before.rdi);
  EXPECT_EQ(regs.r8, before.r8);
  EXPECT_EQ(regs.rsp, before.rsp);
  EXPECT_EQ(regs.rip, before.rip);
  EXPECT_EQ(regs.eflags & 0xcd5, before.eflags & 0xcd5);
}

TEST_F(SwitchContract, RestartedSyscallComesAgain) {
  auto as = NewSpace();
  auto context = NewContext();
  arch::Registers regs = At(guest_syscalls);
  regs.rax = 55;
  ASSERT_EQ(context->Switch(*as, regs).event, Event::kSyscall);
  regs.RestartSyscall(55);
  ASSERT_EQ(context->Switch(*as, regs).event, Event::kSyscall);
  EXPECT_EQ(regs.syscall_number(), 55u);
  EXPECT_EQ(regs.rip, AddressOf(guest_syscalls) + 2);
}

TEST_F(SwitchContract, OddNumbersAreOnlyNumbers) {
  auto as = NewSpace();
  auto context = NewContext();
  for (uint64_t number : {uint64_t{0}, uint64_t{60}, uint64_t{231}, uint64_t{59}, uint64_t{512},
                          uint64_t{0x40000001}, uint64_t{0x40000208}, uint64_t{0x7fffffff},
                          ~uint64_t{0}, uint64_t{15}, uint64_t{9}, uint64_t{202}, uint64_t{228}}) {
    arch::Registers regs = At(guest_syscalls);
    regs.rax = number;
    Stop stop = context->Switch(*as, regs);
    ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
    EXPECT_EQ(static_cast<int32_t>(regs.syscall_number()), static_cast<int32_t>(number));
  }
}

TEST_F(SwitchContract, ManySyscalls) {
  auto as = NewSpace();
  auto context = NewContext();
  arch::Registers regs = At(guest_count);
  regs.rax = 0;
  for (uint64_t i = 1; i <= 5000; ++i) {
    Stop stop = context->Switch(*as, regs);
    ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
    ASSERT_EQ(regs.rbx, i * 1000);
  }
}

TEST_F(SwitchContract, SixtyFourThreadsInOneSpace) {
  auto as = NewSpace();
  std::vector<std::thread> threads;
  for (int t = 0; t < 64; ++t) {
    threads.emplace_back([&, t] {
      auto context = NewContext();
      arch::Registers regs = At(guest_count);
      const uint64_t base = static_cast<uint64_t>(t) << 32;
      regs.rax = base;
      regs.r15 = base;
      for (uint64_t i = 1; i <= 300; ++i) {
        Stop stop = context->Switch(*as, regs);
        ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
        ASSERT_EQ(regs.rbx, base + i * 1000);
        ASSERT_EQ(regs.r15, base);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST_F(SwitchContract, SpacesAreSeparateAndAContextMovesBetweenThem) {
  constexpr int kSpaces = 6;
  std::vector<std::unique_ptr<AddressSpace>> spaces;
  for (uint64_t i = 0; i < kSpaces; ++i) {
    spaces.push_back(NewSpace());
    *Memory<uint64_t>(kFreeOffset + i * kPageSize) = 1000 + i;
    Map(*spaces.back(), 0x50000000, kPageSize, kFreeOffset + i * kPageSize, kReadWrite);
  }
  auto context = NewContext();
  for (int round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < kSpaces; ++i) {
      arch::Registers regs = At(guest_read);
      regs.rbx = 0x50000000;
      Stop stop = context->Switch(*spaces[i], regs);
      ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
      EXPECT_EQ(regs.orig_rax, 1000 + i);
    }
    context->Release();
  }
}

TEST_F(SwitchContract, TlsBasesAreKept) {
  auto as = NewSpace();
  auto context = NewContext();
  *Data<uint64_t>(0x100) = 77;
  *Data<uint64_t>(0x208) = 88;
  arch::Registers regs = At(guest_tls);
  regs.fs_base = kData + 0x100;
  regs.gs_base = kData + 0x200;
  for (int i = 0; i < 3; ++i) {
    Stop stop = context->Switch(*as, regs);
    ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
    EXPECT_EQ(regs.rbx, 77u);
    EXPECT_EQ(regs.r12, 88u);
    EXPECT_EQ(regs.fs_base, kData + 0x100);
    EXPECT_EQ(regs.gs_base, kData + 0x200);
    regs.rbx = regs.r12 = 0;
  }
  regs = At(guest_set_bases);
  regs.rbx = 0x12345000;
  regs.r12 = 0x7654321000;
  Stop stop = context->Switch(*as, regs);
  if (stop.event == Event::kSignal) GTEST_SKIP() << "no FSGSBASE here";
  EXPECT_EQ(regs.fs_base, 0x12345000u);
  EXPECT_EQ(regs.gs_base, 0x7654321000u);
  ASSERT_EQ(context->Switch(*as, regs).event, Event::kSyscall);
  EXPECT_EQ(regs.r13, 0x12345000u);
  EXPECT_EQ(regs.r14, 0x7654321000u);
}

TEST_F(SwitchContract, GuestCpuTimeIsReal) {
  auto as = NewSpace();
  auto context = NewContext();
  std::thread stopper([&] {
    usleep(200000);
    context->Interrupt();
  });
  arch::Registers regs = At(guest_busy);
  const uint64_t before = context->GuestCpuNanos();
  const uint64_t start = NowNanos();
  ASSERT_EQ(context->Switch(*as, regs).event, Event::kInterrupted);
  const uint64_t wall = NowNanos() - start;
  stopper.join();
  const uint64_t used = context->GuestCpuNanos() - before;
  EXPECT_LE(used, wall + 10000000);
  EXPECT_GE(used, wall / 10);  // others use the CPUs too
  context->BeforeBlock();
  usleep(50000);
  context->AfterBlock();
  EXPECT_LE(context->GuestCpuNanos() - before, used + 10000000);
}

TEST_F(SwitchContract, BlockingBetweenCallsIsFine) {
  auto as = NewSpace();
  auto context = NewContext();
  arch::Registers regs = At(guest_count);
  for (int i = 0; i < 400; ++i) {
    Stop stop = context->Switch(*as, regs);
    ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
    if (i % 50 != 49) continue;
    context->BeforeBlock();
    usleep(1000);
    context->AfterBlock();
  }
}

}  // namespace
}  // namespace runsc::platform::contract
