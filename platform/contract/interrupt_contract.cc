// Interrupts: never lost, never invented, registers exact.
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "platform/contract/fixture.h"

namespace runsc::platform::contract {
namespace {

using InterruptContract = ContractTest;

TEST_F(InterruptContract, WhileRunning) {
  auto as = NewSpace();
  auto context = NewContext();
  arch::Registers regs = Marked(guest_busy);
  const arch::Registers before = regs;
  std::thread other([&] {
    UseAllCpus();
    usleep(30000);
    context->Interrupt();
  });
  Stop stop = context->Switch(*as, regs);
  other.join();
  ASSERT_EQ(stop.event, Event::kInterrupted) << Describe(stop);
  EXPECT_EQ(memcmp(&regs, &before, offsetof(arch::Registers, orig_rax)), 0);
  EXPECT_EQ(regs.rip, before.rip);
  EXPECT_EQ(regs.rsp, before.rsp);
}

TEST_F(InterruptContract, BeforeSwitchReturnsAtOnceAndOnlyOnce) {
  auto as = NewSpace();
  auto context = NewContext();
  arch::Registers regs = Marked(guest_syscalls);
  const arch::Registers before = regs;
  context->Interrupt();
  context->Interrupt();
  ASSERT_EQ(context->Switch(*as, regs).event, Event::kInterrupted);
  EXPECT_EQ(regs.rip, before.rip);
  EXPECT_EQ(regs.rax, before.rax);
  for (int i = 0; i < 3; ++i) {
    Stop stop = context->Switch(*as, regs);
    ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
  }
}

// One interrupt at a time, at all kinds of moments, each answered while the guest itself would
// never stop: one that is lost stops the test for good. Where other programs keep the CPUs busy an
// interrupt waits for its sender's turn, so time bounds the rounds too.
TEST_F(InterruptContract, NoneIsLostWhileEntering) {
  auto as = NewSpace();
  auto context = NewContext();
  constexpr int kRounds = 4000;
  std::atomic<int> answered{0};
  std::atomic<bool> done{false};
  std::thread sender([&] {
    UseAllCpus();
    std::mt19937 rng(7);
    for (int i = 0; !done.load(); ++i) {
      for (uint32_t spin = rng() % 3000; spin > 0; --spin) __builtin_ia32_pause();
      context->Interrupt();
      while (answered.load() == i && !done.load()) sched_yield();
    }
  });
  arch::Registers regs = Marked(guest_busy);
  const arch::Registers before = regs;
  const uint64_t end = NowNanos() + 10'000'000'000;
  for (int i = 0; i < kRounds && NowNanos() < end; ++i) {
    Stop stop = context->Switch(*as, regs);
    ASSERT_EQ(stop.event, Event::kInterrupted) << Describe(stop);
    ASSERT_EQ(memcmp(&regs, &before, offsetof(arch::Registers, orig_rax)), 0) << i;
    ASSERT_EQ(regs.rip, before.rip);
    ASSERT_EQ(regs.rsp, before.rsp);
    answered.store(i + 1);
  }
  done = true;
  sender.join();
  EXPECT_GT(answered.load(), 100);
}

// Calls and interrupts mixed: no call is lost or doubled, no register is wrong.
TEST_F(InterruptContract, StormDuringSystemCalls) {
  auto as = NewSpace();
  auto context = NewContext();
  std::atomic<bool> done{false};
  std::thread sender([&] {
    UseAllCpus();
    std::mt19937 rng(3);
    while (!done.load()) {
      context->Interrupt();
      for (uint32_t spin = rng() % 500; spin > 0; --spin) __builtin_ia32_pause();
      if (rng() % 8 == 0) sched_yield();
    }
  });
  arch::Registers regs = At(guest_count);
  regs.rax = 0;
  uint64_t calls = 0;
  int interrupts = 0;
  const uint64_t end = NowNanos() + 3000000000;
  while (calls < 20000 && NowNanos() < end) {
    Stop stop = context->Switch(*as, regs);
    if (stop.event == Event::kInterrupted) {
      ++interrupts;
      continue;
    }
    ASSERT_EQ(stop.event, Event::kSyscall) << Describe(stop);
    ASSERT_EQ(regs.syscall_number(), 7u);
    ASSERT_EQ(regs.rbx, ++calls * 1000);
  }
  done = true;
  sender.join();
  EXPECT_GT(calls, 100u);
  EXPECT_GT(interrupts, 10);
}

TEST_F(InterruptContract, ManyThreadsAtOnce) {
  auto as = NewSpace();
  constexpr int kThreads = 16;
  std::vector<std::unique_ptr<Context>> contexts;
  for (int i = 0; i < kThreads; ++i) contexts.push_back(NewContext());
  std::atomic<int> stopped{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      arch::Registers regs = At(guest_busy);
      Stop stop = contexts[static_cast<size_t>(i)]->Switch(*as, regs);
      EXPECT_EQ(stop.event, Event::kInterrupted) << Describe(stop);
      ++stopped;
    });
  }
  usleep(50000);
  EXPECT_EQ(stopped.load(), 0);
  for (auto& context : contexts) context->Interrupt();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(stopped.load(), kThreads);
}

TEST_F(InterruptContract, LatencyIsSmall) {
  auto as = NewSpace();
  auto context = NewContext();
  std::atomic<uint64_t> sent{0};
  std::thread sender([&] {
    UseAllCpus();
    usleep(50000);
    sent = NowNanos();
    context->Interrupt();
  });
  arch::Registers regs = At(guest_busy);
  ASSERT_EQ(context->Switch(*as, regs).event, Event::kInterrupted);
  EXPECT_LT(NowNanos() - sent.load(), 500000000u);
  sender.join();
}

}  // namespace
}  // namespace runsc::platform::contract
