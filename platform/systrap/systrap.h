#ifndef PLATFORM_SYSTRAP_SYSTRAP_H_
#define PLATFORM_SYSTRAP_SYSTRAP_H_

#include "platform/api/platform.h"

namespace runsc::platform {

// Guest code in stub processes whose every system call is turned into a signal by seccomp, and
// handed to the sentry through shared memory. Needs no privilege. Create it from a process with
// its final credentials and pid namespace, before its seccomp filter; see README.md.
const PlatformFactory& SystrapFactory();

}  // namespace runsc::platform

#endif  // PLATFORM_SYSTRAP_SYSTRAP_H_
