#include "sentry/net/socket.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cstring>

namespace runsc {

uint16_t AddressFamily(const SocketAddress& address) {
  uint16_t family = 0;
  if (address.size() >= sizeof(family)) std::memcpy(&family, address.data(), sizeof(family));
  return family;
}

Socket::Socket(Path path, uint32_t flags, Ref<const Credentials> creds, int family, int type,
               int protocol)
    : File(std::move(path), O_RDWR | flags, std::move(creds)),
      family_(family),
      type_(type),
      protocol_(protocol) {}

ErrnoOr<std::string> Socket::GetOption(Task&, int, int, size_t) { return Errno::kNoprotoopt; }
Status Socket::SetOption(Task&, int, int, std::string_view) { return Errno::kNoprotoopt; }

ErrnoOr<size_t> Socket::Read(IoContext& io, UserOut& dst) {
  if (io.task == nullptr) return Errno::kInval;
  return TRY(Receive(*io.task, dst, io.nonblock ? MSG_DONTWAIT : 0)).bytes;
}

ErrnoOr<size_t> Socket::Write(IoContext& io, UserIn& src) {
  if (io.task == nullptr) return Errno::kInval;
  return Send(*io.task, src, SocketAddress(), ControlData(), io.nonblock ? MSG_DONTWAIT : 0);
}

ErrnoOr<Ref<Socket>> AsSocket(const Ref<File>& file) {
  auto* socket = dynamic_cast<Socket*>(file.get());
  if (socket == nullptr) return Errno::kNotsock;
  return Ref<Socket>(socket);
}

}  // namespace runsc
