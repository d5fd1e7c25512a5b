#ifndef SYSCALLS_NET_NET_H_
#define SYSCALLS_NET_NET_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/kernel/task.h"

namespace runsc {

// socket.cc: making, naming and connecting sockets.
ErrnoOr<FdNum> SocketCall(Task& t, int32_t family, int32_t type, int32_t protocol);
ErrnoOr<void> Socketpair(Task& t, int32_t family, int32_t type, int32_t protocol, UserAddr fds);
ErrnoOr<void> Bind(Task& t, FdNum fd, UserAddr address, uint32_t size);
ErrnoOr<void> Connect(Task& t, FdNum fd, UserAddr address, uint32_t size);
ErrnoOr<void> Listen(Task& t, FdNum fd, int32_t backlog);
ErrnoOr<FdNum> Accept(Task& t, FdNum fd, UserAddr address, UserAddr size);
ErrnoOr<FdNum> Accept4(Task& t, FdNum fd, UserAddr address, UserAddr size, uint32_t flags);
ErrnoOr<void> Getsockname(Task& t, FdNum fd, UserAddr address, UserAddr size);
ErrnoOr<void> Getpeername(Task& t, FdNum fd, UserAddr address, UserAddr size);
ErrnoOr<void> Shutdown(Task& t, FdNum fd, int32_t how);

// message.cc: sending and receiving.
ErrnoOr<size_t> Sendto(Task& t, FdNum fd, UserAddr buffer, size_t size, uint32_t flags,
                       UserAddr address, uint32_t address_size);
ErrnoOr<size_t> Recvfrom(Task& t, FdNum fd, UserAddr buffer, size_t size, uint32_t flags,
                         UserAddr address, UserAddr address_size);
ErrnoOr<size_t> Sendmsg(Task& t, FdNum fd, UserAddr message, uint32_t flags);
ErrnoOr<size_t> Recvmsg(Task& t, FdNum fd, UserAddr message, uint32_t flags);
ErrnoOr<int32_t> Sendmmsg(Task& t, FdNum fd, UserAddr messages, uint32_t count, uint32_t flags);
ErrnoOr<int32_t> Recvmmsg(Task& t, FdNum fd, UserAddr messages, uint32_t count, uint32_t flags,
                          UserAddr timeout);

// options.cc.
ErrnoOr<void> Setsockopt(Task& t, FdNum fd, int32_t level, int32_t name, UserAddr value,
                         uint32_t size);
ErrnoOr<void> Getsockopt(Task& t, FdNum fd, int32_t level, int32_t name, UserAddr value,
                         UserAddr size);

}  // namespace runsc

#endif  // SYSCALLS_NET_NET_H_
