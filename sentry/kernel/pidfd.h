#ifndef SENTRY_KERNEL_PIDFD_H_
#define SENTRY_KERNEL_PIDFD_H_

#include "platform/base/errno.h"
#include "platform/base/ref.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/vfs/file.h"

namespace runsc {

// An inode that stands for a process: the directory /proc/PID.
class NamesProcess {
 public:
  virtual ~NamesProcess() = default;
  // Null if it stands for a thread only.
  virtual Ref<ThreadGroup> Process() = 0;
};

// A file that names a process (pidfd_open(2)): readable once the process has ended. `flags` may
// have O_NONBLOCK.
Ref<File> NewPidFd(ThreadGroup& group, uint32_t flags, Ref<const Credentials> creds);
// The process behind a pidfd; null if `file` is something else.
Ref<ThreadGroup> ProcessOfPidFd(File& file);

}  // namespace runsc

#endif  // SENTRY_KERNEL_PIDFD_H_
