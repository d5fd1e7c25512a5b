#ifndef PLATFORM_ARCH_AUXV_H_
#define PLATFORM_ARCH_AUXV_H_

#include <cstdint>

namespace runsc::arch {

// Values of the auxiliary vector that describe the CPU (getauxval(3)).
uint64_t Hwcap();             // AT_HWCAP: CPUID.1:EDX
uint64_t Hwcap2();            // AT_HWCAP2: only FSGSBASE, if the host enables it for user code
inline constexpr char kPlatformName[] = "x86_64";  // AT_PLATFORM
// AT_MINSIGSTKSZ: the most that one signal frame can take on this CPU.
uint64_t MinSigStackSize();

}  // namespace runsc::arch

#endif  // PLATFORM_ARCH_AUXV_H_
