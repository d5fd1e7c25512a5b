#ifndef SENTRY_NET_UNIX_UNIX_SOCKET_H_
#define SENTRY_NET_UNIX_UNIX_SOCKET_H_

#include <utility>

#include "sentry/net/socket.h"
#include "sentry/net/unix/endpoint.h"

namespace runsc {

// An AF_UNIX socket file.
class UnixSocket final : public Socket {
 public:
  UnixSocket(const Ref<const Credentials>& creds, uint32_t flags, Ref<UnixEndpoint> endpoint);
  ~UnixSocket() override;

  UnixEndpoint& endpoint() { return *endpoint_; }

  Status Bind(Task& t, const SocketAddress& address) override;
  Status Connect(Task& t, const SocketAddress& address) override;
  Status Listen(Task& t, int backlog) override;
  ErrnoOr<Ref<Socket>> Accept(Task& t, uint32_t flags, SocketAddress* peer) override;
  ErrnoOr<size_t> Send(Task& t, UserIn& src, const SocketAddress& destination,
                       const ControlData& control, uint32_t flags) override;
  ErrnoOr<ReceivedMessage> Receive(Task& t, UserOut& dst, uint32_t flags) override;
  Status Shutdown(int how) override { return endpoint_->Shutdown(how); }
  ErrnoOr<SocketAddress> LocalAddress() override;
  ErrnoOr<SocketAddress> PeerAddress() override;
  PeerIdentity Peer() override { return endpoint_->peer_identity(); }
  Status SetOption(Task& t, int level, int name, std::string_view value) override;
  ErrnoOr<std::string> GetOption(Task& t, int level, int name, size_t size) override;
  ErrnoOr<int64_t> Ioctl(IoContext& io, const IoctlRequest& request) override;
  EventMask Poll(EventMask mask) override;
  void AddWaiter(Waiter* w, EventMask mask, bool exclusive) override {
    endpoint_->waiters().Add(w, mask, exclusive);
  }
  void RemoveWaiter(Waiter* w) override { endpoint_->waiters().Remove(w); }
  ErrnoOr<AsyncLists> async_lists() override { return AsyncLists{.in = &endpoint_->async()}; }

 private:
  size_t send_limit() { return static_cast<size_t>(options().send_buffer.load()); }

  const Ref<UnixEndpoint> endpoint_;
};

// socket(2) and socketpair(2) for AF_UNIX. ESOCKTNOSUPPORT, EPROTONOSUPPORT.
ErrnoOr<Ref<Socket>> NewUnixSocket(const Ref<const Credentials>& creds, int type, int protocol,
                                   uint32_t flags);
ErrnoOr<std::pair<Ref<Socket>, Ref<Socket>>> NewUnixPair(Task& t, int type, int protocol,
                                                         uint32_t flags);

// What /proc/net/unix shows of each socket that a file stands for.
struct UnixSocketInfo {
  uint64_t id = 0, ino = 0;
  int type = 0;
  bool listening = false, connected = false;
  SocketAddress local;
};
std::vector<UnixSocketInfo> ListUnixSockets();

// The pid of `process`, which may have ended, as `t` sees it; 0 if it cannot be seen, or for null.
Tid SeenPid(Task& t, const Ref<ThreadGroup>& process);
// Credentials of a task as messages carry them: the real ids.
SocketCreds CredsOf(Task& t);

}  // namespace runsc

#endif  // SENTRY_NET_UNIX_UNIX_SOCKET_H_
