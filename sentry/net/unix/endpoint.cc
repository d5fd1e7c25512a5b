#include "sentry/net/unix/endpoint.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>

namespace runsc {

UnixEndpoint::UnixEndpoint(int type)
    : type_(type),
      hub_(MakeRef<WaitHub>()),
      queue_(MakeRef<UnixQueue>(hub_, type == SOCK_STREAM)) {}

bool UnixEndpoint::is_stream() const { return type_ == SOCK_STREAM; }
bool UnixEndpoint::is_connected_type() const { return type_ != SOCK_DGRAM; }

Status UnixEndpoint::SetLocal(SocketAddress address, bool abstract) {
  MutexLock l(mu_);
  if (!local_.empty()) return Errno::kInval;
  local_ = std::move(address);
  abstract_ = abstract;
  return Ok();
}

SocketAddress UnixEndpoint::local() {
  MutexLock l(mu_);
  return local_;
}

Ref<UnixEndpoint> UnixEndpoint::peer() {
  MutexLock l(mu_);
  return peer_;
}

PeerIdentity UnixEndpoint::peer_identity() {
  MutexLock l(mu_);
  return peer_identity_;
}

bool UnixEndpoint::listening() {
  MutexLock l(mu_);
  return state_ == State::kListening;
}

size_t UnixEndpoint::unsent() {
  Ref<UnixEndpoint> to = peer();
  return to ? to->queue_->charged() : 0;
}

Status UnixEndpoint::Listen(int backlog, PeerIdentity self) {
  std::vector<Ref<WaitHub>> wake;
  {
    MutexLock l(mu_);
    if (!is_connected_type()) return Errno::kOpnotsupp;
    if (local_.empty()) return Errno::kInval;
    if (state_ != State::kIdle && state_ != State::kListening) return Errno::kInval;
    state_ = State::kListening;
    // Linux admits one more than asked for, and caps at net.core.somaxconn.
    backlog_ = static_cast<size_t>(backlog < 0 || backlog > 4096 ? 4096 : backlog) + 1;
    std::swap(listener_, self);  // whoever it was before goes with no lock held
    wake.swap(waiting_);
  }
  for (const Ref<WaitHub>& hub : wake) hub->queue.Notify(EPOLLOUT);
  return Ok();
}

Status UnixEndpoint::CheckConnectLocked() const {
  switch (state_) {
    case State::kIdle: return Ok();
    case State::kConnected: return Errno::kIsconn;
    case State::kListening:
    case State::kClosed: return Errno::kInval;
  }
  __builtin_unreachable();
}

Status UnixEndpoint::ConnectTo(UnixEndpoint& listener, const PeerIdentity& self) {
  if (listener.type_ != type_) return Errno::kPrototype;
  if (&listener == this) return Errno::kInval;
  Ref<UnixEndpoint> server = MakeRef<UnixEndpoint>(type_);
  {
    // By address: two sockets may be connecting to each other at this moment.
    bool first = std::less<>()(this, &listener);
    MutexLock l1(first ? mu_ : listener.mu_);
    NestedMutexLock l2(first ? listener.mu_ : mu_);
    TRY(ConnectLocked(listener, server, self));
  }
  listener.hub_->queue.Notify(EPOLLIN | EPOLLRDNORM);
  listener.hub_->async.Notify(IoEvent::kIn);
  hub_->queue.Notify(EPOLLOUT | EPOLLWRNORM);
  return Ok();
}

Status UnixEndpoint::ConnectLocked(UnixEndpoint& listener, const Ref<UnixEndpoint>& server,
                                   const PeerIdentity& self) {
  TRY(CheckConnectLocked());
  if (listener.state_ != State::kListening) return Errno::kConnrefused;
  if (listener.pending_.size() >= listener.backlog_) {
    if (std::find(listener.waiting_.begin(), listener.waiting_.end(), hub_) ==
        listener.waiting_.end()) {
      listener.waiting_.push_back(hub_);
    }
    return Errno::kWouldBlock;
  }
  NestedMutexLock l(server->mu_);  // nobody else has it yet
  server->state_ = State::kConnected;
  server->local_ = listener.local_;
  server->peer_ = Ref<UnixEndpoint>(this);
  server->peer_identity_ = self;
  queue_->SetWriter(server->hub_);
  server->queue_->SetWriter(hub_);
  state_ = State::kConnected;
  peer_ = server;
  peer_identity_ = listener.listener_;
  listener.pending_.push_back(server);
  return Ok();
}

Status UnixEndpoint::SetPeer(Ref<UnixEndpoint> peer) {
  if (peer) {
    if (peer->type_ != type_) return Errno::kPrototype;
    Ref<UnixEndpoint> theirs = peer->peer();
    if (theirs && theirs != this) return Errno::kPerm;
    peer->queue_->SetWriter(hub_);
  }
  MutexLock l(mu_);
  if (state_ == State::kClosed) return Errno::kInval;
  state_ = peer ? State::kConnected : State::kIdle;
  std::swap(peer_, peer);
  return Ok();
}

void UnixEndpoint::Pair(UnixEndpoint& a, UnixEndpoint& b, const PeerIdentity& self) {
  MutexLock l(a.mu_);
  NestedMutexLock l2(b.mu_);
  a.state_ = b.state_ = State::kConnected;
  a.peer_ = Ref<UnixEndpoint>(&b);
  b.peer_ = Ref<UnixEndpoint>(&a);
  a.peer_identity_ = b.peer_identity_ = self;
  a.queue_->SetWriter(b.hub_);
  b.queue_->SetWriter(a.hub_);
}

ErrnoOr<Ref<UnixEndpoint>> UnixEndpoint::TakePending() {
  std::vector<Ref<WaitHub>> wake;
  Ref<UnixEndpoint> next;
  {
    MutexLock l(mu_);
    if (state_ != State::kListening) return Errno::kInval;
    if (pending_.empty()) return read_shut_ ? Errno::kInval : Errno::kWouldBlock;
    next = std::move(pending_.front());
    pending_.pop_front();
    wake.swap(waiting_);
  }
  for (const Ref<WaitHub>& hub : wake) hub->queue.Notify(EPOLLOUT);
  return next;
}

ErrnoOr<size_t> UnixEndpoint::Send(UserIn& src, UnixEndpoint* destination, const SocketCreds& creds,
                                   const ControlData& control, size_t limit, bool urgent) {
  Ref<UnixEndpoint> to(destination);
  SocketAddress source;
  {
    MutexLock l(mu_);
    if (write_shut_) return Errno::kPipe;
    // Writing to a connection whose other end went is EPIPE, also if it went with data unread.
    if (!is_connected_type()) {
      if (int e = error_.exchange(0); e != 0) return static_cast<Errno>(e);
    }
    if (!to) {
      if (state_ != State::kConnected) return Errno::kNotconn;
      to = peer_;
    }
    source = local_;
  }
  if (!to) return Errno::kNotconn;
  if (to->type_ != type_) return Errno::kPrototype;
  bool mutual = is_connected_type() || to == this;
  if (!mutual) {
    Ref<UnixEndpoint> theirs = to->peer();
    if (destination != nullptr && theirs && theirs != this) return Errno::kPerm;
    mutual = theirs == this;
  }
  UnixQueue::Sender sender{
      std::move(source), control.creds.value_or(creds), control, limit, urgent, mutual};
  ErrnoOr<size_t> sent = to->queue_->Send(src, sender, hub_);
  if (!sent.ok() && sent.error() == Errno::kPipe && !is_connected_type()) {
    return Errno::kConnrefused;
  }
  return sent;
}

ErrnoOr<ReceivedMessage> UnixEndpoint::Receive(UserOut& dst, const UnixQueue::Reader& how) {
  {
    MutexLock l(mu_);
    if (is_connected_type() && state_ != State::kConnected) {
      return state_ == State::kListening || is_stream() ? Errno::kInval : Errno::kNotconn;
    }
    if ((how.flags & MSG_OOB) != 0) {
      return is_stream() ? queue_->ReceiveUrgent(dst, how) : Errno::kOpnotsupp;
    }
    if (!queue_->has_data()) {
      if (int e = error_.exchange(0); e != 0) return static_cast<Errno>(e);
      if (read_shut_) return ReceivedMessage();
    }
  }
  return queue_->Receive(dst, how);
}

std::vector<Ref<UnixEndpoint>> UnixEndpoint::Pending() {
  MutexLock l(mu_);
  return {pending_.begin(), pending_.end()};
}

void UnixEndpoint::ForEachQueued(const std::function<void(const Ref<File>&)>& visit) {
  queue_->ForEachQueued(visit);
  for (const Ref<UnixEndpoint>& waiting : Pending()) waiting->queue_->ForEachQueued(visit);
}

void UnixEndpoint::TakeQueued(std::vector<InFlightFiles>* out) {
  queue_->TakeQueued(out);
  for (const Ref<UnixEndpoint>& waiting : Pending()) waiting->queue_->TakeQueued(out);
}

Status UnixEndpoint::Shutdown(int how) {
  if (how < SHUT_RD || how > SHUT_RDWR) return Errno::kInval;
  Ref<UnixEndpoint> other;
  {
    MutexLock l(mu_);
    if (how != SHUT_WR) read_shut_ = true;
    if (how != SHUT_RD) write_shut_ = true;
    if (is_connected_type()) other = peer_;
  }
  if (how != SHUT_WR && is_connected_type()) queue_->CloseReader(false);
  if (other && how != SHUT_RD) {
    other->queue_->CloseWriter(how == SHUT_RDWR ? IoEvent::kHangup : IoEvent::kIn);
  }
  hub_->queue.Notify(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
  return Ok();
}

EventMask UnixEndpoint::PollConnected(UnixEndpoint* peer, size_t send_limit) {
  EventMask ready = 0;
  bool in_closed = queue_->writer_closed() || queue_->reader_closed();
  bool out_closed = peer == nullptr || peer->queue_->writer_closed() ||
                    peer->queue_->reader_closed();
  if (queue_->has_data() || in_closed) ready |= EPOLLIN | EPOLLRDNORM;
  if (in_closed) ready |= EPOLLRDHUP;
  if (in_closed && out_closed) ready |= EPOLLHUP;
  if (out_closed || peer->queue_->HasRoom(send_limit, true)) ready |= EPOLLOUT | EPOLLWRNORM;
  if (queue_->has_urgent()) ready |= EPOLLPRI;
  return ready;
}

EventMask UnixEndpoint::Poll(size_t send_limit) {
  EventMask ready = error_.load() != 0 ? EventMask{EPOLLERR} : 0;
  Ref<UnixEndpoint> peer;
  {
    MutexLock l(mu_);
    if (state_ == State::kListening) {
      return ready | (pending_.empty() ? 0 : EventMask{EPOLLIN | EPOLLRDNORM});
    }
    if (is_connected_type() && state_ != State::kConnected) {
      return ready | EPOLLOUT | EPOLLWRNORM | EPOLLHUP;
    }
    peer = peer_;
    if (!is_connected_type()) {
      if (read_shut_) ready |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
      if (read_shut_ && write_shut_) ready |= EPOLLHUP;
    }
  }
  if (is_connected_type()) return ready | PollConnected(peer.get(), send_limit);
  if (queue_->has_data()) ready |= EPOLLIN | EPOLLRDNORM;
  bool mutual = peer && (peer == this || peer->peer() == this);
  if (!peer || peer->queue_->reader_closed() || peer->queue_->HasRoom(send_limit, mutual)) {
    ready |= EPOLLOUT | EPOLLWRNORM;
  }
  return ready;
}

void UnixEndpoint::Close() {
  Ref<UnixEndpoint> other;
  std::deque<Ref<UnixEndpoint>> orphans;
  std::vector<Ref<WaitHub>> wake;
  SocketAddress name;
  {
    MutexLock l(mu_);
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    other = std::move(peer_);
    peer_.reset();
    orphans.swap(pending_);
    wake.swap(waiting_);
    if (abstract_) name = local_;
  }
  if (!name.empty()) UnbindAbstract(name.substr(3), this);
  bool unread = queue_->has_unread();
  queue_->CloseReader(true);
  if (other && is_connected_type()) {
    if (unread) other->error_ = static_cast<int>(Errno::kConnreset);
    other->queue_->CloseWriter(IoEvent::kHangup);
  }
  // A connection that nobody accepted is reset.
  for (const Ref<UnixEndpoint>& orphan : orphans) {
    Ref<UnixEndpoint> client = orphan->peer();
    if (client) client->error_ = static_cast<int>(Errno::kConnreset);
    orphan->Close();
  }
  for (const Ref<WaitHub>& hub : wake) hub->queue.Notify(EPOLLOUT | EPOLLERR);
}

}  // namespace runsc
