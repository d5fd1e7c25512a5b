#ifndef SENTRY_KERNEL_EXCEPTION_ARCH_H_
#define SENTRY_KERNEL_EXCEPTION_ARCH_H_

#include <cstdint>

#include "platform/base/types.h"

namespace runsc {

// What a signal frame says about the CPU exception behind a signal on x86-64.
inline constexpr uint64_t kPageFaultTrap = 14;
// Error code of a page fault of user code; `present`: the page was there but forbade the access.
uint64_t PageFaultErrorCode(Access access, bool present);
// The vector that Linux turns into `signal` with `code`.
uint64_t TrapNumber(Signal signal, int32_t code);

}  // namespace runsc

#endif  // SENTRY_KERNEL_EXCEPTION_ARCH_H_
