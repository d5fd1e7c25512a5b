#include <cpuid.h>

#include <algorithm>
#include <cstring>

#include "platform/arch/registers.h"
#include "platform/arch/xsave_layout.h"

namespace runsc::arch {
namespace {

struct XsaveInfo {
  uint64_t features = kXfeatureX87 | kXfeatureSse;
  uint32_t size = kXsaveHeaderEnd;
};

uint64_t ReadXcr0() {
  uint32_t lo = 0;
  uint32_t hi = 0;
  __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  return uint64_t{hi} << 32 | lo;
}

// In standard format every feature has a fixed place; the area ends with the last one.
XsaveInfo ProbeXsave() {
  XsaveInfo info;
  uint32_t a = 0, b = 0, c = 0, d = 0;
  constexpr uint32_t kOsXsave = 1U << 27;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsXsave) == 0) return info;
  info.features = ReadXcr0() & ~kXfeaturesDynamic;
  for (uint32_t i = 2; i < 63; ++i) {
    if ((info.features >> i & 1) == 0) continue;
    if (__get_cpuid_count(0xd, i, &a, &b, &c, &d) == 0 || a == 0) continue;
    info.size = std::max(info.size, b + a);
  }
  return info;
}

const XsaveInfo& Xsave() {
  static const XsaveInfo info = ProbeXsave();
  return info;
}

uint32_t ProbeMxcsrMask() {
  alignas(16) uint8_t area[kFxsaveSize] = {};
  __asm__ volatile("fxsave %0" : "=m"(area));
  uint32_t mask = LoadAt<uint32_t>(area, kMxcsrMaskOffset);
  return mask != 0 ? mask : 0xffbf;
}

// The flags that rt_sigreturn(2) restores on Linux, and ID, which user code may flip.
constexpr uint64_t kUserEflags = 0x1 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x800 | 0x10000 |
                                 0x40000 | 0x200000;
constexpr uint64_t kFixedEflags = 0x202;
constexpr uint64_t kUserCs = 0x33;
constexpr uint64_t kUserSs = 0x2b;
// Highest segment base that every host's ptrace and arch_prctl take.
constexpr uint64_t kBaseEnd = (uint64_t{1} << 47) - 4096;

bool Canonical(uint64_t v) {
  const int64_t s = static_cast<int64_t>(v);
  return (s << 16 >> 16) == s;
}

}  // namespace

uint32_t XsaveSize() { return Xsave().size; }
uint64_t XsaveFeatures() { return Xsave().features; }

uint32_t MxcsrMask() {
  static const uint32_t mask = ProbeMxcsrMask();
  return mask;
}

FpuState InitialFpuState() {
  FpuState state(XsaveSize());
  StoreAt<uint16_t>(state.data(), kFcwOffset, 0x37f);
  StoreAt<uint32_t>(state.data(), kMxcsrOffset, 0x1f80);
  return state;
}

void SanitizeFpuState(FpuState& state) {
  state.resize(XsaveSize());
  uint8_t* p = state.data();
  StoreAt<uint32_t>(p, kMxcsrOffset, LoadAt<uint32_t>(p, kMxcsrOffset) & MxcsrMask());
  std::memset(p + kSwReservedOffset, 0, kFxsaveSize - kSwReservedOffset);
  const uint64_t features = LoadAt<uint64_t>(p, kXstateBvOffset) & XsaveFeatures();
  std::memset(p + kXstateBvOffset, 0, kXsaveHeaderEnd - kXstateBvOffset);
  StoreAt<uint64_t>(p, kXstateBvOffset, features);
}

Registers InitialRegisters(uint64_t pc, uint64_t sp) {
  Registers regs{};
  regs.rip = pc;
  regs.rsp = sp;
  regs.orig_rax = ~uint64_t{0};
  regs.eflags = kFixedEflags;
  regs.cs = kUserCs;
  regs.ss = kUserSs;
  return regs;
}

bool SanitizeRegisters(Registers& regs) {
  regs.eflags = (regs.eflags & kUserEflags) | kFixedEflags;
  regs.cs = kUserCs;
  regs.ss = kUserSs;
  regs.ds = regs.es = regs.fs = regs.gs = 0;
  return Canonical(regs.rip) && Canonical(regs.rsp) && regs.fs_base < kBaseEnd &&
         regs.gs_base < kBaseEnd;
}

}  // namespace runsc::arch
