#include "platform/arch/auxv.h"

#include <cpuid.h>
#include <sys/auxv.h>

#include "platform/arch/signal_frame.h"

namespace runsc::arch {

uint64_t Hwcap() {
  uint32_t a = 0, b = 0, c = 0, d = 0;
  __get_cpuid(1, &a, &b, &c, &d);
  return d;
}

uint64_t Hwcap2() {
  constexpr uint64_t kFsGsBase = 1 << 1;
  return getauxval(AT_HWCAP2) & kFsGsBase;
}

uint64_t MinSigStackSize() {
  constexpr uint64_t kAlign = 16;
  constexpr uint64_t kFpuAlign = 64;
  const uint64_t size = kSignalFrameSize + (kAlign - 1) + FpuFrameSize() + (kFpuAlign - 1);
  return (size + kAlign - 1) & ~(kAlign - 1);
}

}  // namespace runsc::arch
