#include "sentry/kernel/exception_arch.h"

#include <signal.h>

#include "platform/abi/signal.h"

namespace runsc {

uint64_t PageFaultErrorCode(Access access, bool present) {
  constexpr uint64_t kUser = 4;
  return kUser | (present ? 1 : 0) | (access.write ? 2 : 0) | (access.exec ? 16 : 0);
}

uint64_t TrapNumber(Signal signal, int32_t code) {
  constexpr uint64_t kDivide = 0, kDebug = 1, kBreakpoint = 3, kOpcode = 6, kProtection = 13;
  constexpr uint64_t kX87 = 16, kAlignment = 17, kSimd = 19;
  switch (signal.value) {
    case SIGFPE:
      return code == abi::kFpeIntdiv ? kDivide : code == abi::kFpeIntovf ? kX87 : kSimd;
    case SIGTRAP:
      return code == abi::kTrapTrace ? kDebug : kBreakpoint;
    case SIGILL:
      return kOpcode;
    case SIGBUS:
      return kAlignment;
    default:
      return kProtection;
  }
}

}  // namespace runsc
