#ifndef SYSCALLS_FS_FILE_ASYNC_H_
#define SYSCALLS_FS_FILE_ASYNC_H_

#include <cstdint>
#include <optional>

#include "sentry/kernel/task.h"
#include "sentry/vfs/file.h"

namespace runsc {

// Signal-driven I/O as fcntl(2) and ioctl(2) ask for it.

// O_ASYNC of F_SETFL. False: the file has no such mode, which F_SETFL overlooks.
ErrnoOr<bool> SetAsync(Task& t, FdNum fd, File& file, bool on);
// FIOASYNC: ENOTTY where there is no such mode.
Status SetAsyncFromInt(Task& t, FdNum fd, File& file, UserAddr arg);
// fcntl(2) commands on the owner and its signal; nothing if `command` is another one.
std::optional<ErrnoOr<int64_t>> OwnerCommand(Task& t, File& file, int32_t command, uint64_t arg);
// FIOSETOWN, SIOCSPGRP, FIOGETOWN, SIOCGPGRP, which only sockets know.
ErrnoOr<int64_t> SocketOwnerIoctl(Task& t, File& file, uint32_t command, UserAddr arg);

}  // namespace runsc

#endif  // SYSCALLS_FS_FILE_ASYNC_H_
