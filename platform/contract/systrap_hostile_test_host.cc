// A guest that knows the stub's insides and uses them against us. Whatever it does, the sentry
// must neither crash nor hang, and no host system call but the few allowed ones may happen.
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>
#include <thread>

#include "platform/contract/fixture.h"
#include "platform/systrap/blob/layout.h"
#include "platform/systrap/systrap.h"

namespace runsc::platform {

const PlatformFactory& FactoryUnderTest() { return SystrapFactory(); }

namespace contract {
namespace {

class HostileTest : public ContractTest {
 protected:
  // Runs guest code and interrupts it until it stops; kGone is as good as any other end.
  Stop RunWithLimit(Context& context, AddressSpace& as, arch::Registers& regs) {
    std::atomic<bool> stopped{false};
    std::thread watch([&] {
      UseAllCpus();
      for (int i = 0; !stopped.load(); ++i) {
        usleep(2000);
        if (i >= 2) context.Interrupt();
      }
    });
    // On a busy machine an interrupt may come before the first instruction.
    const uint64_t start = regs.rip;
    Stop stop = context.Switch(as, regs);
    for (int i = 0; i < 100 && stop.event == Event::kInterrupted && regs.rip == start; ++i) {
      stop = context.Switch(as, regs);
    }
    stopped = true;
    watch.join();
    return stop;
  }
  // The guest's copy of the stub's code.
  std::vector<uint8_t> BlobBytes() {
    auto as = NewSpace();
    auto context = NewContext();
    std::vector<uint8_t> bytes;
    for (uint64_t at = 0; at < STUB_BLOB_SIZE; at += 8) {
      arch::Registers regs = At(guest_peek);
      regs.rbx = STUB_BLOB + at;
      Stop stop = context->Switch(*as, regs);
      EXPECT_EQ(stop.event, Event::kSyscall) << Describe(stop);
      for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<uint8_t>(regs.rbx >> (8 * i)));
    }
    return bytes;
  }
};

TEST_F(HostileTest, CodeAndControlPagesCanNotBeWritten) {
  auto as = NewSpace();
  auto context = NewContext();
  for (uint64_t address :
       {uint64_t{STUB_BLOB}, uint64_t{STUB_BLOB} + 0x100, uint64_t{STUB_CONTROL},
        uint64_t{STUB_CONTROL} + 64, uint64_t{STUB_TEMPLATE}, uint64_t{STUB_TEMPLATE_STACK}}) {
    arch::Registers regs = At(guest_write);
    regs.rbx = address;
    Stop stop = context->Switch(*as, regs);
    EXPECT_EQ(stop.event, Event::kFault) << std::hex << address << Describe(stop);
  }
}

// What is visible above the guest's own range.
TEST_F(HostileTest, NothingElseIsMapped) {
  auto as = NewSpace();
  auto context = NewContext();
  int readable = 0;
  auto probe = [&](uint64_t address) {
    arch::Registers regs = At(guest_read);
    regs.rbx = address;
    Stop stop = context->Switch(*as, regs);
    ASSERT_TRUE(stop.event == Event::kSyscall || stop.event == Event::kFault) << Describe(stop);
    if (stop.event == Event::kSyscall) ++readable;
  };
  for (uint64_t slot = 0; slot < 256; ++slot) probe(STUB_SLOTS + slot * STUB_SLOT_SIZE);
  EXPECT_EQ(readable, 1) << "only its own thread's slot";
  readable = 0;
  for (uint64_t at = STUB_BLOB; at < STUB_TEMPLATE_STACK + 0x10000; at += kPageSize) probe(at);
  EXPECT_EQ(readable, STUB_BLOB_SIZE / 4096 + 2) << "code, control, hints";
  readable = 0;
  std::mt19937_64 rng(1);
  for (int i = 0; i < 3000; ++i) probe(STUB_HOLE + (rng() % (STUB_TOP - STUB_HOLE) & ~7ull));
  EXPECT_LE(readable, 3);
}

// Every system-call instruction in the stub's code, with numbers and arguments that would do harm.
TEST_F(HostileTest, JumpsToTheStubsSystemCalls) {
  const std::vector<uint8_t> blob = BlobBytes();
  const char* victim = "/tmp/systrap-hostile-victim";
  unlink(victim);
  strcpy(Data<char>(0x800), victim);
  const uint64_t numbers[] = {SYS_mmap,        SYS_munmap,         SYS_mprotect, SYS_clone,
                              SYS_open,        SYS_creat,          SYS_execve,   SYS_kill,
                              SYS_exit_group,  SYS_exit,           SYS_futex,    SYS_rt_sigaction,
                              SYS_prctl,       SYS_clock_gettime,  SYS_write,    SYS_rt_sigreturn,
                              SYS_sigaltstack, SYS_rt_sigprocmask, SYS_close,    SYS_seccomp};
  int sites = 0;
  for (size_t at = 0; at + 1 < blob.size(); ++at) {
    if (blob[at] != 0x0f || blob[at + 1] != 0x05) continue;
    ++sites;
    auto as = NewSpace();
    auto context = NewContext();
    for (uint64_t number : numbers) {
      arch::Registers regs = Marked(guest_syscalls);
      regs.rip = STUB_BLOB + at;
      regs.rax = number;
      regs.rdi = number == SYS_kill ? static_cast<uint64_t>(getpid()) : kData + 0x800;
      regs.rsi = number == SYS_kill ? 9 : 0x1000;
      regs.rdx = 7;
      regs.r10 = 0x32;
      regs.rsp = kStackTop - 4096;
      *Memory<uint64_t>(kStackOffset + kStackTop - kStack - 4096) = AddressOf(guest_ud2);
      Stop stop = RunWithLimit(*context, *as, regs);
      ASSERT_EQ(stop.event, Event::kSyscall) << at << " " << number << Describe(stop);
      ASSERT_EQ(regs.syscall_number(), number);
      ASSERT_EQ(regs.rip, STUB_BLOB + at + 2);
    }
  }
  EXPECT_GE(sites, GATE_COUNT);
  EXPECT_NE(access(victim, F_OK), 0);
}

// The allowed calls stay allowed only with their own arguments.
TEST_F(HostileTest, AllowedCallsTakeNoOtherArguments) {
  auto as = NewSpace();
  auto context = NewContext();
  const uint64_t futex = STUB_BLOB + GATE_OFFSET + GATE_STRIDE * GATE_GUEST_FUTEX;
  const uint64_t mask = STUB_BLOB + GATE_OFFSET + GATE_STRIDE * GATE_START_MASK;
  const uint64_t done = STUB_BLOB + GATE_OFFSET + GATE_STRIDE * GATE_CONTROL_DONE;
  const uint64_t clock = STUB_BLOB + GATE_OFFSET + GATE_STRIDE * GATE_GUEST_CLOCK;
  struct {
    uint64_t pc, number, a, b;
  } const calls[] = {
      {futex, SYS_futex, STUB_SLOTS, 3},    // FUTEX_REQUEUE
      {futex, SYS_futex, STUB_SLOTS, 5},    // FUTEX_WAKE_OP
      {futex, SYS_futex, STUB_SLOTS, 6},    // FUTEX_LOCK_PI
      {futex, SYS_futex, STUB_SLOTS, 128},  // private
      {futex, SYS_futex, STUB_CONTROL, 0},  // the control thread's word
      {futex, SYS_futex, STUB_CONTROL + 4, 0},
      {futex, SYS_futex, STUB_HINT, 1},
      {futex, SYS_write, 5, STUB_BLOB + BATCH_OK_OFFSET},
      {done, SYS_write, 5, STUB_BLOB + BATCH_OK_OFFSET},
      {futex, SYS_futex, kData, 0},
      {futex, SYS_futex | 0x40000000, STUB_SLOTS, 0},
      {futex, SYS_clock_gettime, 3, kData},
      {clock, SYS_clock_gettime, 0, kData},
      {clock, SYS_clock_gettime, 0xfffffffffffffffe, kData},
      {clock, SYS_futex, STUB_SLOTS, 0},
      {mask, SYS_rt_sigprocmask, 2, kData},
      {mask, SYS_rt_sigprocmask, 0, STUB_BLOB + NO_SIGNALS_OFFSET},
      {mask, SYS_rt_sigprocmask, 2, STUB_BLOB},
      {mask, SYS_rt_sigprocmask, 2, 0},
      {mask, SYS_rt_sigaction, 2, STUB_BLOB + NO_SIGNALS_OFFSET},
  };
  for (const auto& call : calls) {
    arch::Registers regs = At(guest_syscalls);
    regs.rip = call.pc;
    regs.rax = call.number;
    regs.rdi = call.a;
    regs.rsi = call.b;
    regs.rdx = 8;
    Stop stop = RunWithLimit(*context, *as, regs);
    EXPECT_EQ(stop.event, Event::kSyscall) << call.number << " " << call.b << Describe(stop);
  }
}

// Linux lets these two pass any seccomp filter (since 6.11 and 6.18; other kernels trap them). They
// act only on a uprobe's own trampoline, so all that a guest gets is an error or SIGILL.
TEST_F(HostileTest, UprobeCallsDoNothing) {
  constexpr uint64_t kUretprobe = 335, kUprobe = 336;
  auto as = NewSpace();
  auto context = NewContext();
  for (uint64_t number : {kUretprobe, kUprobe}) {
    arch::Registers regs = At(guest_one_call);
    regs.rax = number;
    Stop stop = context->Switch(*as, regs);
    if (stop.event == Event::kSyscall) continue;
    EXPECT_EQ(stop.event, Event::kSignal) << Describe(stop);
    EXPECT_EQ(stop.signal, Signal(SIGILL)) << Describe(stop);
    EXPECT_TRUE(regs.rax == static_cast<uint64_t>(-ENXIO) || regs.rax == ~uint64_t{0}) << regs.rax;
  }
}

// A guest thread that sleeps in the stub's own futex call for ever, so that the interrupt signal
// always finds it in the stub's code. In the end its stub is killed.
TEST_F(HostileTest, HidingFromInterruptsEndsTheStub) {
  auto as = NewSpace();
  auto context = NewContext();
  uint64_t slot = 0;
  for (uint64_t i = 0; i < 256 && slot == 0; ++i) {
    arch::Registers regs = At(guest_read);
    regs.rbx = STUB_SLOTS + i * STUB_SLOT_SIZE;
    if (context->Switch(*as, regs).event == Event::kSyscall) slot = regs.rbx;
  }
  ASSERT_NE(slot, 0u);
  arch::Registers regs = At(guest_hide);
  regs.rbx = slot;
  regs.r12 = STUB_BLOB + GATE_OFFSET + GATE_STRIDE * GATE_GUEST_FUTEX;
  std::thread sender([&] {
    UseAllCpus();
    usleep(50000);
    context->Interrupt();
  });
  const uint64_t start = NowNanos();
  Stop stop = context->Switch(*as, regs);
  sender.join();
  // Or, with luck, the signal found it on its way to the next call.
  EXPECT_TRUE(stop.event == Event::kGone || stop.event == Event::kInterrupted) << Describe(stop);
  printf("%s after %.1f s\n", Describe(stop).c_str(),
         static_cast<double>(NowNanos() - start) / 1e9);
}

// Every byte of the stub's code as an entry point, with hostile registers.
TEST_F(HostileTest, JumpsAnywhereIntoTheStub) {
  const std::vector<uint8_t> blob = BlobBytes();
  size_t used = blob.size();
  while (used > 0 && blob[used - 1] == 0) --used;
  std::mt19937_64 rng(11);
  auto as = NewSpace();
  auto context = NewContext();
  int gone = 0;
  const uint64_t end = NowNanos() + 20000000000;
  for (uint64_t at = 0; at < used && NowNanos() < end; at += 1 + rng() % 5) {
    arch::Registers regs = Marked(guest_syscalls);
    const uint64_t points[] = {
        0,         kData,        kStackTop - 4096, STUB_SLOTS + STUB_SLOT_SIZE - STUB_CTX_SIZE,
        STUB_HINT, STUB_CONTROL, ~uint64_t{0},     uint64_t{1} << 63,
        rng()};
    uint64_t* all[] = {&regs.rax, &regs.rbx, &regs.rcx, &regs.rdx, &regs.rsi,
                       &regs.rdi, &regs.rbp, &regs.r8,  &regs.r9,  &regs.r10,
                       &regs.r11, &regs.r12, &regs.r13, &regs.r14, &regs.r15};
    for (uint64_t* r : all) *r = points[rng() % std::size(points)];
    regs.rsp = points[rng() % 4];
    regs.rip = STUB_BLOB + at;
    std::atomic<bool> stopped{false};
    std::thread watch([&] {
      UseAllCpus();
      // The sentry kills what hides for 10 s; the test has no time for that.
      for (int i = 0; i < 60 && !stopped.load(); ++i) {
        usleep(1000);
        if (i >= 1) context->Interrupt();
      }
      if (stopped.load()) return;
      for (int pid : ChildPids()) kill(pid, SIGKILL);
    });
    Stop stop = context->Switch(*as, regs);
    stopped = true;
    watch.join();
    if (stop.event == Event::kGone) {
      // Killing all took the template too.
      ++gone;
      context.reset();
      as.reset();
      TearDown();
      SetUp();
      as = NewSpace();
      context = NewContext();
    }
  }
  printf("%d entry points ended their stub\n", gone);
  auto clean = NewSpace();
  auto fresh = NewContext();
  arch::Registers regs = At(guest_syscalls);
  EXPECT_EQ(fresh->Switch(*clean, regs).event, Event::kSyscall);
}

// One thread overwrites everything that can be written in the stub, while others call and map.
TEST_F(HostileTest, ScribblesOverSlotsAndHints) {
  std::mt19937_64 rng(17);
  int gone = 0;
  for (int round = 0; round < 30; ++round) {
    auto as = NewSpace();
    std::atomic<bool> done{false};
    std::vector<std::unique_ptr<Context>> contexts;
    for (int i = 0; i < 3; ++i) contexts.push_back(NewContext());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        while (!done.load()) {
          arch::Registers regs = At(guest_syscalls);
          Stop stop = contexts[i]->Switch(*as, regs);
          (void)contexts[i]->SaveFpu();
          (void)contexts[i]->GuestCpuNanos();
          if (stop.event == Event::kGone) return;
        }
      });
    }
    const uint64_t seed = rng();
    threads.emplace_back([&, seed] {
      std::mt19937_64 own(seed);
      while (!done.load()) {
        // Slots of this stub are somewhere among the first few hundred; misses just fault.
        arch::Registers regs = At(guest_scribble);
        const bool hints = own() % 4 == 0;
        regs.rbx =
            hints ? STUB_HINT
                  : STUB_SLOTS + own() % 512 * STUB_SLOT_SIZE +
                        (own() % 2 == 0 ? STUB_SLOT_SIZE - STUB_CTX_SIZE : STUB_SLOT_SIZE - 0x2000);
        const uint64_t values[] = {0, 1, ~uint64_t{0}, own(), kData, STUB_BLOB};
        regs.r12 = values[own() % std::size(values)];
        regs.r13 = 8;
        regs.r14 = hints ? 512 : 1 + own() % 128;
        Stop stop = contexts[2]->Switch(*as, regs);
        if (stop.event == Event::kGone) return;
      }
    });
    std::thread mapper([&] {
      UseAllCpus();
      for (int i = 0; i < 100; ++i) {
        (void)as->MapFile({0x50000000, 0x50001000}, {memory_fd(), kFreeOffset}, kReadWrite, false);
        as->Unmap({0x50000000, 0x50001000});
      }
      for (int i = 0; i < 60; ++i) {
        usleep(1000);
        for (auto& context : contexts) context->Interrupt();
      }
      done = true;
      for (int i = 0; i < 50; ++i) {
        usleep(1000);
        for (auto& context : contexts) context->Interrupt();
      }
      // What still hangs has hidden from its interrupt; the platform would kill it after 10 s.
      // The space itself outlives the threads.
      as->Close(nullptr);
    });
    mapper.join();
    for (auto& thread : threads) thread.join();
    arch::Registers regs = At(guest_syscalls);
    auto probe = NewSpace();
    if (contexts[0]->Switch(*probe, regs).event == Event::kGone) ++gone;
  }
  EXPECT_EQ(gone, 0) << "another space must not suffer";
}

// Unmap and Protect have happened when they return, however the guest forges their completion.
TEST_F(HostileTest, ForgedCompletionOfAnUnmapIsNotBelieved) {
  auto as = NewSpace();
  auto forger = NewContext();
  auto toucher = NewContext();
  std::atomic<bool> done{false};
  // The whole hint page overwritten, over and over.
  std::thread forge([&] {
    UseAllCpus();
    uint64_t value = 0;
    while (!done.load()) {
      arch::Registers regs = At(guest_scribble);
      regs.rbx = STUB_HINT;
      regs.r12 = (uint64_t{1} << 32) | (++value % 3000);
      regs.r13 = 0;
      regs.r14 = 2000;
      if (forger->Switch(*as, regs).event == Event::kGone) return;
    }
  });
  std::thread touch([&] {
    while (!done.load()) {
      arch::Registers regs = At(guest_touch);
      regs.rbx = 0x50000000;
      if (toucher->Switch(*as, regs).event == Event::kGone) return;
    }
  });
  for (int i = 0; i < 500; ++i) {
    Map(*as, 0x50000000, kPageSize, kFreeOffset, kReadWrite);
    as->Unmap({0x50000000, 0x50001000});
    const uint64_t before = *Memory<volatile uint64_t>(kFreeOffset);
    for (int spin = 0; spin < 2000; ++spin) __builtin_ia32_pause();
    ASSERT_EQ(*Memory<volatile uint64_t>(kFreeOffset), before);
  }
  done = true;
  forger->Interrupt();
  toucher->Interrupt();
  forge.join();
  touch.join();
}

}  // namespace
}  // namespace contract
}  // namespace runsc::platform
