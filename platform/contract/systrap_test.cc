#include "platform/systrap/systrap.h"

#include "platform/contract/fixture.h"

namespace runsc::platform {

const PlatformFactory& FactoryUnderTest() { return SystrapFactory(); }

}  // namespace runsc::platform
