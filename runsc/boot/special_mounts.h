#ifndef RUNSC_BOOT_SPECIAL_MOUNTS_H_
#define RUNSC_BOOT_SPECIAL_MOUNTS_H_

#include "platform/base/ref.h"
#include "platform/host/error.h"
#include "runsc/spec/container_config.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/inode.h"

namespace runsc::boot {

// File systems whose content the sentry makes up: proc, sysfs, dev, devpts, mqueue, cgroup. Null if
// this release has none of that kind.
HostOr<Ref<Filesystem>> NewSpecialFilesystem(const MountConfig& mount, Kernel& kernel,
                                             const Ref<Credentials>& root);
// Devices and whatever else must be registered before the first open. Once.
void RegisterDevices(Kernel& kernel);

}  // namespace runsc::boot

#endif  // RUNSC_BOOT_SPECIAL_MOUNTS_H_
