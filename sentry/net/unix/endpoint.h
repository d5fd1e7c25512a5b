#ifndef SENTRY_NET_UNIX_ENDPOINT_H_
#define SENTRY_NET_UNIX_ENDPOINT_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/net/socket.h"
#include "sentry/net/unix/queue.h"

namespace runsc {

// State of one UNIX socket (unix(7)). A socket file owns one; a bound path's inode, the abstract
// name table and its peer refer to it. Close() ends it however many references are left.
// Lock order: of two endpoints the one at the lower address is locked first, then (nested) the
// other.
class UnixEndpoint : public RefCounted {
 public:
  explicit UnixEndpoint(int type);

  int type() const { return type_; }
  bool is_stream() const;     // SOCK_STREAM
  bool is_connected_type() const;  // SOCK_STREAM or SOCK_SEQPACKET
  WaitQueue& waiters() { return hub_->queue; }
  AsyncList& async() { return hub_->async; }

  // Names it. EINVAL if it has a name.
  Status SetLocal(SocketAddress address, bool abstract);
  SocketAddress local();
  Status Listen(int backlog, PeerIdentity self);
  // Connects to a listener (stream, seqpacket). ECONNREFUSED, EISCONN, EINVAL, EPROTOTYPE;
  // kWouldBlock if the backlog is full.
  Status ConnectTo(UnixEndpoint& listener, const PeerIdentity& self)
      ABSL_NO_THREAD_SAFETY_ANALYSIS;  // which lock comes first is decided at run time
  // Datagram: sets the default destination (null: dissolves). EPERM if it talks to another only.
  Status SetPeer(Ref<UnixEndpoint> peer);
  // socketpair(2).
  static void Pair(UnixEndpoint& a, UnixEndpoint& b, const PeerIdentity& self);
  // Next pending connection; kWouldBlock if none, EINVAL if not listening.
  ErrnoOr<Ref<UnixEndpoint>> TakePending();

  // To the peer, or to `destination` (datagrams). `limit` is the sender's buffer size; `urgent`:
  // MSG_OOB.
  ErrnoOr<size_t> Send(UserIn& src, UnixEndpoint* destination, const SocketCreds& creds,
                       const ControlData& control, size_t limit, bool urgent);
  // With MSG_OOB: the urgent byte.
  ErrnoOr<ReceivedMessage> Receive(UserOut& dst, const UnixQueue::Reader& how);
  // UnixQueue's, of this endpoint and of the connections that wait to be accepted.
  void ForEachQueued(const std::function<void(const Ref<File>&)>& visit);
  void TakeQueued(std::vector<InFlightFiles>* out);
  Status Shutdown(int how);  // SHUT_*
  EventMask Poll(size_t send_limit);
  void Close();

  Ref<UnixEndpoint> peer();
  PeerIdentity peer_identity();
  bool listening();
  // SO_ERROR: takes the pending error, 0 if none.
  int TakeError() { return error_.exchange(0); }
  UnixQueue& queue() { return *queue_; }
  size_t unread() { return queue_->NextSize(); }
  size_t unsent();

 private:
  enum class State { kIdle, kListening, kConnected, kClosed };

  Status CheckConnectLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status ConnectLocked(UnixEndpoint& listener, const Ref<UnixEndpoint>& server,
                       const PeerIdentity& self) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_, listener.mu_);
  std::vector<Ref<UnixEndpoint>> Pending();
  EventMask PollConnected(UnixEndpoint* peer, size_t send_limit);

  const int type_;
  const Ref<WaitHub> hub_;
  const Ref<UnixQueue> queue_;
  std::atomic<int> error_{0};

  Mutex<LockRank::kSocket> mu_;
  State state_ ABSL_GUARDED_BY(mu_) = State::kIdle;
  SocketAddress local_ ABSL_GUARDED_BY(mu_);
  bool abstract_ ABSL_GUARDED_BY(mu_) = false;
  Ref<UnixEndpoint> peer_ ABSL_GUARDED_BY(mu_);
  PeerIdentity peer_identity_ ABSL_GUARDED_BY(mu_);
  bool write_shut_ ABSL_GUARDED_BY(mu_) = false;
  bool read_shut_ ABSL_GUARDED_BY(mu_) = false;
  // Listening.
  std::deque<Ref<UnixEndpoint>> pending_ ABSL_GUARDED_BY(mu_);
  std::vector<Ref<WaitHub>> waiting_ ABSL_GUARDED_BY(mu_);  // connectors, woken once
  size_t backlog_ ABSL_GUARDED_BY(mu_) = 0;
  PeerIdentity listener_ ABSL_GUARDED_BY(mu_);
};

// The abstract name space (one a network namespace; there is one for now). Names include the
// leading NUL's successor bytes only. EADDRINUSE.
Status BindAbstract(const std::string& name, UnixEndpoint* endpoint);
Ref<UnixEndpoint> FindAbstract(const std::string& name);
void UnbindAbstract(const std::string& name, UnixEndpoint* endpoint);
// Binds to a free name of five hexadecimal digits; answers it.
ErrnoOr<std::string> AutobindAbstract(UnixEndpoint* endpoint);

}  // namespace runsc

#endif  // SENTRY_NET_UNIX_ENDPOINT_H_
