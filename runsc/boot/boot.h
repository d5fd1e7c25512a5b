#ifndef RUNSC_BOOT_BOOT_H_
#define RUNSC_BOOT_BOOT_H_

#include "platform/base/fd.h"

namespace runsc::boot {

// Runs the sandbox in this process: serves the boot channel and what follows until the container
// ends, and leaves with its exit status.
[[noreturn]] void RunSandbox(Fd channel, bool has_terminal);

}  // namespace runsc::boot

#endif  // RUNSC_BOOT_BOOT_H_
