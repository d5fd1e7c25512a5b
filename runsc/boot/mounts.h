#ifndef RUNSC_BOOT_MOUNTS_H_
#define RUNSC_BOOT_MOUNTS_H_

#include "gofer/client/client.h"
#include "platform/base/ref.h"
#include "platform/host/error.h"
#include "runsc/spec/container_config.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/vfs.h"

namespace runsc::boot {

// Builds a container's tree: the root from the gofer (under an overlay if asked for), the mounts of
// the config in order, device nodes, masked and read-only paths. Missing mount points are made.
// Answers a context whose root and cwd are the tree's root. `gofer` outlives the tree.
HostOr<Ref<FsContext>> BuildTree(const ContainerConfig& config, gofer::Client& gofer,
                                 Kernel& kernel, const Ref<Credentials>& root);

}  // namespace runsc::boot

#endif  // RUNSC_BOOT_MOUNTS_H_
