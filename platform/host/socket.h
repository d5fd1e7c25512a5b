#ifndef PLATFORM_HOST_SOCKET_H_
#define PLATFORM_HOST_SOCKET_H_

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "platform/base/fd.h"
#include "platform/host/error.h"

namespace runsc::host {

// Most descriptors that go with one message (the kernel's limit is 253).
inline constexpr size_t kMaxFdsPerMessage = 64;

// A connected pair of UNIX stream sockets, close-on-exec.
HostOr<std::pair<Fd, Fd>> StreamPair();
// Listens on / connects to the socket `name` in directory `dir` (the path may be longer than
// sun_path allows). A listening socket gets mode 0600 and replaces a stale one.
HostOr<Fd> ListenAt(int dir, const std::string& name);
HostOr<Fd> ConnectAt(int dir, const std::string& name);
HostOr<Fd> ConnectPath(const std::string& path);
// The next connection, non-blocking and close-on-exec; code EAGAIN if there is none.
HostOr<Fd> Accept(int listener);

// Sends all of `data`, the descriptors with its first byte. `data` must not be empty.
HostStatus SendWithFds(int socket, std::span<const char> data, std::span<const int> fds);
// Receives at least one byte into `data`; 0 is end of stream. Descriptors that come along are
// appended to `fds` (close-on-exec). `code` EAGAIN: nothing there on a non-blocking socket.
HostOr<size_t> RecvWithFds(int socket, std::span<char> data, std::vector<Fd>& fds);
// Sends the file descriptor as engines expect it on a --console-socket: one message, the name of
// the terminal as text.
HostStatus SendConsole(int socket, int fd, const std::string& name);
void SetNonBlocking(int fd, bool on);
// Waits at most `timeout_ms` (-1: for ever) until `fd` can be read or has hung up.
bool WaitReadable(int fd, int timeout_ms);

}  // namespace runsc::host

#endif  // PLATFORM_HOST_SOCKET_H_
