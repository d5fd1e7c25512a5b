#ifndef SENTRY_FS_DEV_DEV_H_
#define SENTRY_FS_DEV_DEV_H_

#include <cstddef>

#include "platform/base/errno.h"
#include "platform/memory/memory_file.h"
#include "sentry/vfs/inode.h"

namespace runsc {

// Makes the devices null, zero, full, random and urandom (major 1, mem(4)) and fd links openable
// wherever a node for them is, and mount(2) of "devtmpfs" possible. Called once at boot; `memory`
// outlives the kernel.
void RegisterMemoryDevices(MemoryFile& memory);

// A tmpfs with the nodes, links and directories that a container's /dev has by default.
ErrnoOr<Ref<Filesystem>> NewDevFilesystem(MemoryFile& memory);

// Fills a buffer with random bytes from the host. Small requests are served from a buffer.
void FillRandom(void* out, size_t size);

}  // namespace runsc

#endif  // SENTRY_FS_DEV_DEV_H_
