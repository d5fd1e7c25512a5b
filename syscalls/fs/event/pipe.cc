#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "sentry/fs/eventfd/eventfd.h"
#include "sentry/fs/pipe/pipe.h"
#include "syscalls/fs/event/event.h"

namespace runsc {

ErrnoOr<void> Pipe1(Task& t, UserAddr fds) { return Pipe2(t, fds, 0); }

ErrnoOr<void> Pipe2(Task& t, UserAddr fds, uint32_t flags) {
  if ((flags & ~static_cast<uint32_t>(O_CLOEXEC | O_NONBLOCK | O_DIRECT)) != 0) {
    return Errno::kInval;
  }
  auto [reader, writer] = NewPipe(t.creds_ref(), flags);
  FdNum out[2];
  TRY(t.fds().InstallPair(reader, writer, (flags & O_CLOEXEC) != 0, t.Limit(RLIMIT_NOFILE), out));
  int32_t numbers[2] = {out[0].value, out[1].value};
  Status put = t.mem().Put(fds, numbers);
  if (!put.ok()) {
    (void)t.fds().Remove(out[0]);
    (void)t.fds().Remove(out[1]);
  }
  return put;
}

ErrnoOr<FdNum> Eventfd(Task& t, uint32_t count) { return Eventfd2(t, count, 0); }

ErrnoOr<FdNum> Eventfd2(Task& t, uint32_t count, uint32_t flags) {
  if ((flags & ~static_cast<uint32_t>(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) != 0) {
    return Errno::kInval;
  }
  Ref<File> file = MakeRef<EventFd>(t.creds_ref(), flags & O_NONBLOCK, count,
                                    (flags & EFD_SEMAPHORE) != 0);
  return t.fds().Install(std::move(file), (flags & EFD_CLOEXEC) != 0, t.Limit(RLIMIT_NOFILE));
}

}  // namespace runsc
