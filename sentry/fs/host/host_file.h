#ifndef SENTRY_FS_HOST_HOST_FILE_H_
#define SENTRY_FS_HOST_HOST_FILE_H_

#include <array>

#include "platform/base/errno.h"
#include "platform/base/fd.h"
#include "platform/base/ref.h"
#include "sentry/auth/credentials.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/vfs.h"

namespace runsc::host_fs {

// Files of the host that a container was given as its stdin, stdout or stderr: regular files,
// pipes, sockets, terminals and other character devices. Nothing else of the host is reachable
// through them.

// Takes the descriptors over. Access modes and kinds are the host's. Terminals are TerminalFiles;
// those that are the same terminal are so in the guest. A terminal has a name in the container, as
// ttyname(3) looks for, if `container` (may be null) has a devpts(5) at /dev/pts.
ErrnoOr<std::array<Ref<File>, 3>> NewStdio(std::array<Fd, 3> fds, Ref<const Credentials> creds,
                                           FsContext* container);
bool IsTerminal(File& file);

}  // namespace runsc::host_fs

#endif  // SENTRY_FS_HOST_HOST_FILE_H_
