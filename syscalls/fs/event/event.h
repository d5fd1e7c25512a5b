#ifndef SYSCALLS_FS_EVENT_EVENT_H_
#define SYSCALLS_FS_EVENT_EVENT_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/kernel/task.h"

namespace runsc {

// pipe.cc: pipe(2), eventfd(2).
ErrnoOr<void> Pipe1(Task& t, UserAddr fds);
ErrnoOr<void> Pipe2(Task& t, UserAddr fds, uint32_t flags);
ErrnoOr<FdNum> Eventfd(Task& t, uint32_t count);
ErrnoOr<FdNum> Eventfd2(Task& t, uint32_t count, uint32_t flags);

// epoll.cc: epoll(7).
ErrnoOr<FdNum> EpollCreate(Task& t, int32_t size);
ErrnoOr<FdNum> EpollCreate1(Task& t, uint32_t flags);
ErrnoOr<void> EpollCtl(Task& t, FdNum epfd, int32_t op, FdNum fd, UserAddr event);
ErrnoOr<int32_t> EpollWait(Task& t, FdNum epfd, UserAddr events, int32_t max, int32_t timeout_ms);
ErrnoOr<int32_t> EpollPwait(Task& t, FdNum epfd, UserAddr events, int32_t max, int32_t timeout_ms,
                            UserAddr mask, uint64_t mask_size);
ErrnoOr<int32_t> EpollPwait2(Task& t, FdNum epfd, UserAddr events, int32_t max, UserAddr timeout,
                             UserAddr mask, uint64_t mask_size);

// poll.cc and select.cc: poll(2), select(2).
ErrnoOr<int32_t> Poll(Task& t, UserAddr fds, uint32_t count, int32_t timeout_ms);
ErrnoOr<int32_t> Ppoll(Task& t, UserAddr fds, uint32_t count, UserAddr timeout, UserAddr mask,
                       uint64_t mask_size);
ErrnoOr<int32_t> Select(Task& t, int32_t n, UserAddr readers, UserAddr writers, UserAddr errors,
                        UserAddr timeout);
ErrnoOr<int32_t> Pselect6(Task& t, int32_t n, UserAddr readers, UserAddr writers, UserAddr errors,
                          UserAddr timeout, UserAddr mask_and_size);

}  // namespace runsc

#endif  // SYSCALLS_FS_EVENT_EVENT_H_
