#ifndef RUNSC_CLI_SYSCALL_PAGE_H_
#define RUNSC_CLI_SYSCALL_PAGE_H_

#include <string>

#include "platform/host/error.h"

namespace runsc::cli {

// The system-call table for people ("table") or programs ("csv", "json": as gVisor prints it).
HostOr<std::string> SyscallPage(const std::string& format);

}  // namespace runsc::cli

#endif  // RUNSC_CLI_SYSCALL_PAGE_H_
