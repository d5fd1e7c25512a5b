#include "runsc/control/connection.h"

#include <cerrno>
#include <cstring>

#include "platform/host/socket.h"

namespace runsc::control {

HostStatus Connection::Send(Type type, uint32_t sequence, std::string_view payload,
                            std::span<const int> fds) {
  if (payload.size() > kMaxPayload) {
    return TextError("control message of %zu bytes is over the limit of %u", payload.size(),
                     kMaxPayload);
  }
  Header header{kMagic, kVersion, type, static_cast<uint32_t>(payload.size()), sequence};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes += payload;
  return host::SendWithFds(socket_.get(), bytes, fds);
}

HostOr<std::optional<Frame>> Connection::Receive() {
  char buffer[65536];
  HostOr<size_t> n = host::RecvWithFds(socket_.get(), buffer, fds_);
  if (!n.ok() && n.error().code == EAGAIN) return std::optional<Frame>();
  if (!n.ok()) return n.error();
  if (*n == 0) return HostError{"the sandbox closed the control connection", ECONNRESET};
  input_.append(buffer, *n);
  if (fds_.size() > host::kMaxFdsPerMessage) return TextError("too many descriptors at once");
  return Next();
}

HostOr<std::optional<Frame>> Connection::Next() {
  Header header;
  if (input_.size() < sizeof(header)) return std::optional<Frame>();
  std::memcpy(&header, input_.data(), sizeof(header));
  if (header.magic != kMagic) return TextError("the peer does not speak runsc's control protocol");
  if (header.version != kVersion) {
    return TextError("the sandbox speaks control protocol version %u, this runsc %u: use the runsc "
                     "that started it", header.version, kVersion);
  }
  if (header.type >= Type::kCount || header.length > kMaxPayload) {
    return TextError("the peer sent a malformed control message");
  }
  if (input_.size() < sizeof(header) + header.length) return std::optional<Frame>();
  Frame frame{header.type, header.sequence, input_.substr(sizeof(header), header.length), {}};
  input_.erase(0, sizeof(header) + header.length);
  // Requests are sent one after the other's reply, or carry no descriptors, so all belong here.
  frame.fds.swap(fds_);
  return std::optional<Frame>(std::move(frame));
}

}  // namespace runsc::control
