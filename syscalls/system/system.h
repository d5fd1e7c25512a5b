#ifndef SYSCALLS_SYSTEM_SYSTEM_H_
#define SYSCALLS_SYSTEM_SYSTEM_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/kernel/task.h"

namespace runsc {

// system.cc: what the machine is.
ErrnoOr<void> Uname(Task& t, UserAddr buf);
ErrnoOr<void> SysinfoCall(Task& t, UserAddr info);
ErrnoOr<void> Getcpu(Task& t, UserAddr cpu, UserAddr node, UserAddr cache);
ErrnoOr<void> Sethostname(Task& t, UserAddr name, int32_t length);
ErrnoOr<void> Setdomainname(Task& t, UserAddr name, int32_t length);
ErrnoOr<int32_t> Syslog(Task& t, int32_t type, UserAddr buf, int32_t length);
ErrnoOr<void> Reboot(Task& t, uint32_t magic1, uint32_t magic2, uint32_t command, UserAddr arg);

// random.cc
ErrnoOr<size_t> Getrandom(Task& t, UserAddr buf, size_t length, uint32_t flags);

}  // namespace runsc

#endif  // SYSCALLS_SYSTEM_SYSTEM_H_
