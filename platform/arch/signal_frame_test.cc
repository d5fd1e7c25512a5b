#include "platform/arch/signal_frame.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "platform/arch/xsave_layout.h"

namespace runsc::arch {
namespace {

constexpr uint64_t kUcOffset = 8;
constexpr uint64_t kInfoOffset = 8 + 304;
constexpr uint64_t kMcontextOffset = kUcOffset + 40;
constexpr uint64_t kReservedOffset = kMcontextOffset + 192;
constexpr uint64_t kFpstatePointer = kMcontextOffset + 184;

// What the host pushed for one signal, copied inside the handler.
struct HostFrame {
  uint64_t address = 0;
  uint64_t entry_si = 0;
  std::vector<uint8_t> bytes;
  uint64_t fpstate = 0;
} g_host;

void Capture(int, siginfo_t* info, void* uc) {
  auto* base = static_cast<uint8_t*>(uc) - kUcOffset;
  g_host.address = reinterpret_cast<uint64_t>(base);
  g_host.entry_si = reinterpret_cast<uint64_t>(info);
  g_host.fpstate = LoadAt<uint64_t>(base, kFpstatePointer);
  const uint64_t end = g_host.fpstate + FpuFrameSize();
  g_host.bytes.assign(base, base + (end - g_host.address));  // RaiseCaptured made room
}

struct KernelSigaction {
  void* handler;
  uint64_t flags;
  void* restorer;
  uint64_t mask;
};

void RaiseCaptured(int flags) {
  g_host.bytes.reserve(FpuFrameSize() + 4096);  // a handler must not allocate
  struct sigaction sa{};
  sa.sa_sigaction = Capture;
  sa.sa_flags = SA_SIGINFO | flags;
  ASSERT_EQ(sigaction(SIGUSR2, &sa, nullptr), 0);
  __asm__ volatile("vpcmpeqd %%ymm3, %%ymm3, %%ymm3" ::: "xmm3");
  raise(SIGUSR2);
}

// The delivery that the host must have seen, read back from its frame.
SignalDelivery DeliveryOf(const HostFrame& f, const FpuState& fpu) {
  SignalDelivery d;
  GuestReader read = [&f](uint64_t at, void* out, size_t n) {
    if (at < f.address || at + n > f.address + f.bytes.size()) return false;
    memcpy(out, f.bytes.data() + (at - f.address), n);
    return true;
  };
  Registers at_return{};
  at_return.rsp = f.address + 8;
  ErrnoOr<SignalReturn> r = ParseSignalFrame(at_return, read);
  EXPECT_TRUE(r.ok());
  d.regs = r->regs;
  d.regs.eflags = LoadAt<uint64_t>(f.bytes.data(), kMcontextOffset + 17 * 8);
  d.fpu = &fpu;
  d.signo = SIGUSR2;
  memcpy(d.info.data(), f.bytes.data() + kInfoOffset, 128);
  d.mask = r->mask;
  d.altstack = r->altstack;
  KernelSigaction ka{};
  syscall(SYS_rt_sigaction, SIGUSR2, nullptr, &ka, 8);
  d.handler = reinterpret_cast<uint64_t>(ka.handler);
  d.restorer = reinterpret_cast<uint64_t>(ka.restorer);
  d.flags = ka.flags;
  d.error_code = LoadAt<uint64_t>(f.bytes.data(), kMcontextOffset + 152);
  d.trap_number = LoadAt<uint64_t>(f.bytes.data(), kMcontextOffset + 160);
  d.fault_address = LoadAt<uint64_t>(f.bytes.data(), kMcontextOffset + 176);
  return d;
}

void ExpectSameAsHost() {
  const uint64_t fp_at = g_host.fpstate - g_host.address;
  FpuState fpu(g_host.bytes.begin() + static_cast<int64_t>(fp_at), g_host.bytes.end() - 4);
  SignalDelivery d = DeliveryOf(g_host, fpu);
  ErrnoOr<SignalFrame> ours = BuildSignalFrame(d);
  ASSERT_TRUE(ours.ok());
  EXPECT_EQ(ours->address, g_host.address);
  EXPECT_EQ(ours->regs.rsi, g_host.entry_si);
  EXPECT_EQ(ours->regs.rsp, g_host.address);
  ASSERT_EQ(ours->bytes.size(), g_host.bytes.size());
  std::vector<uint8_t> host = g_host.bytes;
  // Linux leaves these as they were on the stack.
  memset(&host[kReservedOffset], 0, 64);
  memset(&host[kUcOffset + 28], 0, 4);
  memset(&host[kSignalFrameSize], 0, fp_at - kSignalFrameSize);
  for (size_t i = 0; i < host.size(); ++i) {
    ASSERT_EQ(ours->bytes[i], host[i]) << "byte " << i << ", FPU state begins at " << fp_at;
  }
}

TEST(SignalFrameTest, BytesAreTheHosts) {
  RaiseCaptured(0);
  ExpectSameAsHost();
}

TEST(SignalFrameTest, BytesAreTheHostsOnAlternateStack) {
  static uint8_t stack[65536];
  stack_t ss{};
  ss.ss_sp = stack;
  ss.ss_size = sizeof(stack) - 40;
  ASSERT_EQ(sigaltstack(&ss, nullptr), 0);
  RaiseCaptured(SA_ONSTACK);
  ss.ss_flags = SS_DISABLE;
  ASSERT_EQ(sigaltstack(&ss, nullptr), 0);
  ExpectSameAsHost();
}

[[noreturn]] void Landed() {
  uint64_t r12 = 0, r15 = 0;
  uint8_t ymm[32];
  __asm__ volatile(
      "mov %%r12, %0\n mov %%r15, %1\n vmovdqu %%ymm7, %2\n"
      : "=r"(r12), "=r"(r15), "=m"(ymm));
  bool good = r12 == 0x1234 && r15 == 0xabcdef0123456789;
  for (uint8_t b : ymm) good = good && b == 0x5a;
  _exit(good ? 42 : 1);
}

TEST(SignalFrameTest, HostSigreturnTakesOurFrame) {
  char* stack = static_cast<char*>(
      mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  const uint64_t top = reinterpret_cast<uint64_t>(stack) + (1 << 20) - 8;
  FpuState fpu = InitialFpuState();
  StoreAt<uint64_t>(fpu.data(), kXstateBvOffset, 7);
  memset(fpu.data() + 160 + 7 * 16, 0x5a, 16);
  memset(fpu.data() + 576 + 7 * 16, 0x5a, 16);
  SignalDelivery d;
  d.regs = InitialRegisters(reinterpret_cast<uint64_t>(&Landed), top);
  d.regs.r12 = 0x1234;
  d.regs.r15 = 0xabcdef0123456789;
  d.fpu = &fpu;
  d.signo = SIGUSR1;
  d.flags = 0x04000000;
  SignalFrame f = *BuildSignalFrame(d);
  memcpy(reinterpret_cast<void*>(f.address), f.bytes.data(), f.bytes.size());
  pid_t child = fork();
  if (child == 0) {
    __asm__ volatile("mov %0, %%rsp\n mov $15, %%eax\n syscall\n hlt" ::"r"(f.address + 8));
    __builtin_unreachable();
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
  munmap(stack, 1 << 20);
}

SignalDelivery Simple() {
  SignalDelivery d;
  d.regs = InitialRegisters(0x400000, 0x7fff00000123);
  d.flags = 0x04000000;
  d.signo = 10;
  d.handler = 0x401000;
  d.restorer = 0x402000;
  return d;
}

TEST(SignalFrameTest, LayoutIsAligned) {
  for (uint64_t sp = 0x7fff00000000; sp < 0x7fff00000080; ++sp) {
    FrameLayout l = LayoutSignalFrame(sp);
    EXPECT_EQ((l.frame + 8) % 16, 0u);
    EXPECT_EQ(l.fpstate % 64, 0u);
    EXPECT_LE(l.end, sp);
    EXPECT_LE(l.frame + kSignalFrameSize, l.fpstate);
  }
}

TEST(SignalFrameTest, TooSmallAlternateStackFaults) {
  SignalDelivery d = Simple();
  d.flags |= SA_ONSTACK;
  d.altstack = {0x10000, 0, 2048};
  EXPECT_EQ(BuildSignalFrame(d).error(), Errno::kFault);
  d.altstack.size = 65536;
  ErrnoOr<SignalFrame> f = BuildSignalFrame(d);
  ASSERT_TRUE(f.ok());
  EXPECT_LT(f->address, 0x20000u);
  // Nested and about to overflow.
  d.regs.rsp = 0x10400;
  EXPECT_EQ(BuildSignalFrame(d).error(), Errno::kFault);
}

TEST(SignalFrameTest, WrappingStackAndMissingRestorerFault) {
  SignalDelivery d = Simple();
  for (uint64_t sp : {uint64_t{0}, uint64_t{100}, uint64_t{600}, ~uint64_t{0}, uint64_t{1} << 63}) {
    d.regs.rsp = sp;
    EXPECT_EQ(BuildSignalFrame(d).error(), Errno::kFault) << sp;
  }
  d = Simple();
  d.flags = 0;
  EXPECT_EQ(BuildSignalFrame(d).error(), Errno::kFault);
}

TEST(SignalFrameTest, HandlerStartsWithDirectionAndTrapFlagsClear) {
  SignalDelivery d = Simple();
  d.regs.eflags |= 0x10500;
  SignalFrame f = *BuildSignalFrame(d);
  EXPECT_EQ(f.regs.eflags, 0x202u);
  EXPECT_EQ(f.regs.rdi, 10u);
  EXPECT_EQ(f.regs.rax, 0u);
}

// Random damage to a good frame: parse must fail or give state that sanitizing does not change.
TEST(SignalFrameTest, DamagedFramesAreHarmless) {
  std::mt19937_64 rng(3);
  FpuState fpu = InitialFpuState();
  SignalDelivery d = Simple();
  d.fpu = &fpu;
  const SignalFrame good = *BuildSignalFrame(d);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::vector<uint8_t> bytes = good.bytes;
    for (uint64_t n = 1 + rng() % 4; n > 0; --n) {
      uint64_t where = rng() % 3 == 0 ? 8 + rng() % 304 : rng() % bytes.size();
      bytes[where] = static_cast<uint8_t>(rng());
    }
    Registers at{};
    at.rsp = good.address + 8;
    ErrnoOr<SignalReturn> r = ParseSignalFrame(at, [&](uint64_t a, void* out, size_t n) {
      if (a < good.address || a - good.address > bytes.size() - n) return false;
      memcpy(out, bytes.data() + (a - good.address), n);
      return true;
    });
    if (!r.ok()) continue;
    ++accepted;
    FpuState clean = r->fpu;
    SanitizeFpuState(clean);
    ASSERT_EQ(clean, r->fpu);
    Registers regs = r->regs;
    ASSERT_TRUE(SanitizeRegisters(regs));
    ASSERT_EQ(memcmp(&regs, &r->regs, sizeof(regs)), 0);
  }
  EXPECT_GT(accepted, 1000);
  EXPECT_LT(accepted, 20000);
}

TEST(SignalFrameTest, BrokenMagicLoadsLegacyStateOnly) {
  FpuState fpu = InitialFpuState();
  StoreAt<uint64_t>(fpu.data(), kXstateBvOffset, 7);
  memset(fpu.data() + 160, 0x11, 16);
  SignalDelivery d = Simple();
  d.fpu = &fpu;
  SignalFrame f = *BuildSignalFrame(d);
  f.bytes[f.bytes.size() - 1] ^= 1;
  Registers at{};
  at.rsp = f.address + 8;
  SignalReturn r = *ParseSignalFrame(at, [&](uint64_t a, void* out, size_t n) {
    memcpy(out, f.bytes.data() + (a - f.address), n);
    return true;
  });
  EXPECT_EQ(LoadAt<uint64_t>(r.fpu.data(), kXstateBvOffset), 3u);
  EXPECT_EQ(r.fpu[160], 0x11);
}

}  // namespace
}  // namespace runsc::arch
