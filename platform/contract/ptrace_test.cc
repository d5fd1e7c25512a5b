#include "platform/contract/fixture.h"
#include "platform/ptrace/ptrace.h"

namespace runsc::platform {

const PlatformFactory& FactoryUnderTest() { return PtraceFactory(); }

}  // namespace runsc::platform
