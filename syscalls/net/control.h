#ifndef SYSCALLS_NET_CONTROL_H_
#define SYSCALLS_NET_CONTROL_H_

#include <cstdint>
#include <string>

#include "sentry/net/socket.h"
#include "sentry/kernel/task.h"

namespace runsc {

// Ancillary data of sendmsg(2) from guest memory: SCM_RIGHTS, SCM_CREDENTIALS. EINVAL for
// malformed headers, EBADF, EPERM for forged credentials, ETOOMANYREFS.
ErrnoOr<ControlData> ReadControl(Task& t, UserAddr control, uint64_t size);

// What the receiver wants besides the files (SO_PASSCRED, SO_PASSPIDFD, SO_TIMESTAMP).
struct ControlWants {
  bool creds = false;
  bool pidfd = false;
  int timestamp = 0;     // the SCM_TIMESTAMP* to write; 0: none
  bool cloexec = false;  // of the files
};
// Writes what came to the guest's control buffer; installs the files that fit as new descriptors.
struct ControlOut {
  uint64_t written = 0;
  bool truncated = false;  // MSG_CTRUNC
};
ErrnoOr<ControlOut> WriteControl(Task& t, const ControlData& data, UserAddr control, uint64_t size,
                                 const ControlWants& wants);

}  // namespace runsc

#endif  // SYSCALLS_NET_CONTROL_H_
