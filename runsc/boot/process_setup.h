#ifndef RUNSC_BOOT_PROCESS_SETUP_H_
#define RUNSC_BOOT_PROCESS_SETUP_H_

#include <array>
#include <string>

#include "platform/base/fd.h"
#include "platform/base/ref.h"
#include "platform/host/error.h"
#include "runsc/spec/container_config.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/vfs.h"

namespace runsc::boot {

// Credentials of a container's process, in the root user namespace.
Ref<Credentials> MakeCredentials(const ProcessConfig& process, Kernel& kernel);
// Its context: cwd looked up with its credentials; error code is the errno.
HostOr<Ref<FsContext>> MakeFsContext(const ProcessConfig& process, FsContext& container,
                                     const Ref<Credentials>& creds);
// Looks `name` up in the container's /etc/passwd and /etc/group: sets uid, gid and groups.
HostStatus ResolveUser(const std::string& name, FsContext& fs, const Ref<Credentials>& root,
                       ProcessConfig* process);
// Puts the host files into a new table as 0, 1 and 2. `*tty`: the terminal, if process.terminal.
HostOr<Ref<FdTable>> MakeFdTable(const ProcessConfig& process, std::array<Fd, 3> stdio,
                                 const Ref<Credentials>& creds, FsContext& fs, Ref<File>* tty);
// Text for a failed start as engines parse it ("executable file not found in $PATH", …); the code
// is the errno.
HostError StartError(const std::string& program, Errno error);
// Linux's defaults for what the config leaves out.
std::vector<std::pair<int, ResourceLimit>> MakeLimits(const ProcessConfig& process);

}  // namespace runsc::boot

#endif  // RUNSC_BOOT_PROCESS_SETUP_H_
