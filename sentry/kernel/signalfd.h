#ifndef SENTRY_KERNEL_SIGNALFD_H_
#define SENTRY_KERNEL_SIGNALFD_H_

#include "sentry/kernel/task.h"
#include "sentry/vfs/file.h"

namespace runsc {

// signalfd(2): reads take pending signals of `set` from whoever reads. `flags`: O_NONBLOCK or 0.
Ref<File> NewSignalFd(SignalSet set, uint32_t flags, Ref<const Credentials> creds);
// False if `file` is no signalfd.
bool SetSignalFdMask(File& file, SignalSet set);

}  // namespace runsc

#endif  // SENTRY_KERNEL_SIGNALFD_H_
