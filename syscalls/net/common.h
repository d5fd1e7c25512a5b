#ifndef SYSCALLS_NET_COMMON_H_
#define SYSCALLS_NET_COMMON_H_

#include <cstdint>

#include "sentry/net/socket.h"
#include "syscalls/net/net.h"

namespace runsc {

// The socket at `fd`: EBADF, ENOTSOCK.
ErrnoOr<Ref<Socket>> GetSocket(Task& t, FdNum fd);
// A sockaddr argument: EINVAL above 128 bytes, EFAULT.
ErrnoOr<SocketAddress> GetAddress(Task& t, UserAddr address, uint32_t size);
// Writes an address as accept(2) does: cut to the guest's size, the real size reported. Nothing
// if `address` is null.
Status PutAddress(Task& t, const SocketAddress& value, UserAddr address, UserAddr size);

}  // namespace runsc

#endif  // SYSCALLS_NET_COMMON_H_
