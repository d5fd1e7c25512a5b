#ifndef SENTRY_FS_SYS_SYS_FS_H_
#define SENTRY_FS_SYS_SYS_FS_H_

#include "sentry/vfs/inode.h"

namespace runsc {

// sysfs(5) as far as a sandbox without devices has it: CPUs and empty trees. `cpus` is what the
// guest is told.
Ref<Filesystem> NewSysfs(int cpus);

}  // namespace runsc

#endif  // SENTRY_FS_SYS_SYS_FS_H_
