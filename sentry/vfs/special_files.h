#ifndef SENTRY_VFS_SPECIAL_FILES_H_
#define SENTRY_VFS_SPECIAL_FILES_H_

#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/path.h"

namespace runsc {

// What opening a FIFO, device or socket inode means does not depend on the file system that holds
// the node. Those who implement them register here at start-up; file systems' Inode::Open calls
// OpenSpecial for inodes that are not regular files, directories or symlinks.
using SpecialOpener = ErrnoOr<Ref<File>> (*)(const OpContext& ctx, const Path& path,
                                             const OpenRequest& request, DeviceId dev);

// FIFOs: the opener keeps the pipe that belongs to an inode (see Inode::SetBoundSocket for a place
// to keep it). It answers kWouldBlock until the other end is open.
void RegisterFifoOpener(SpecialOpener opener);
// Character (or block) devices of a major number, minors [first, last].
void RegisterDevice(bool block, uint32_t major, uint32_t first, uint32_t last,
                    SpecialOpener opener);

// Opens by the type of path's inode. ENXIO for sockets and devices that nobody registered.
ErrnoOr<Ref<File>> OpenSpecial(const OpContext& ctx, const Path& path, const OpenRequest& request,
                               DeviceId dev);

}  // namespace runsc

#endif  // SENTRY_VFS_SPECIAL_FILES_H_
