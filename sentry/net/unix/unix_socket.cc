#include "sentry/net/unix/unix_socket.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <map>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/net/unix/in_flight.h"
#include "sentry/vfs/anon.h"
#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);

// What a non-empty AF_UNIX address names.
struct UnixName {
  bool abstract = false;
  std::string name;  // the path, or the abstract name without the leading NUL
};

// EINVAL for a bad length or family. `name` is empty for an unnamed address.
ErrnoOr<UnixName> ParseAddress(const SocketAddress& address) {
  if (address.size() < kPathOffset || address.size() > sizeof(sockaddr_un)) return Errno::kInval;
  if (AddressFamily(address) != AF_UNIX) return Errno::kInval;
  UnixName out;
  std::string rest = address.substr(kPathOffset);
  if (rest.empty()) return out;
  if (rest[0] == '\0') {
    out.abstract = true;
    out.name = rest.substr(1);
    return out;
  }
  out.name = rest.c_str();
  return out;
}

SocketAddress MakeAddress(std::string_view path) {
  uint16_t family = AF_UNIX;
  SocketAddress address(reinterpret_cast<const char*>(&family), sizeof(family));
  address += path;
  return address;
}

// The endpoint that an address leads to. ECONNREFUSED if nothing listens or lives there.
ErrnoOr<Ref<UnixEndpoint>> FindEndpoint(Task& t, const SocketAddress& address) {
  UnixName target = TRY(ParseAddress(address));
  if (target.abstract) {
    Ref<UnixEndpoint> found = FindAbstract(target.name);
    if (!found) return Errno::kConnrefused;
    return found;
  }
  if (target.name.empty()) return Errno::kInval;
  OpContext op = t.op();
  Path path = TRY(vfs::Lookup(t.Lookup(op, t.fs().cwd()), target.name, true));
  TRY(vfs::CheckAccess(op, path, Access{.write = true}));
  Ref<Inode> inode = path.dentry->inode();
  if (inode->type() != S_IFSOCK) return Errno::kConnrefused;
  Ref<RefCounted> bound = inode->bound_socket();
  auto* endpoint = dynamic_cast<UnixEndpoint*>(bound.get());
  if (endpoint == nullptr) return Errno::kConnrefused;
  return Ref<UnixEndpoint>(endpoint);
}

Status BindPath(Task& t, const std::string& path, const Ref<UnixEndpoint>& endpoint) {
  OpContext op = t.op();
  uint32_t mode = S_IFSOCK | (0777 & ~t.fs().umask());
  Status made = vfs::Mknod(t.Lookup(op, t.fs().cwd()), path, mode, DeviceId(), endpoint);
  return !made.ok() && made.error() == Errno::kExist ? Status(Errno::kAddrinuse) : made;
}

Ref<Socket> Wrap(const Ref<const Credentials>& creds, uint32_t flags, Ref<UnixEndpoint> e) {
  return MakeRef<UnixSocket>(creds, flags & O_NONBLOCK, std::move(e));
}

ErrnoOr<int> CheckType(int type, int protocol) {
  if (protocol != 0 && protocol != AF_UNIX) return Errno::kProtonosupport;
  if (type == SOCK_RAW) type = SOCK_DGRAM;
  if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET) {
    return Errno::kSocktnosupport;
  }
  return type;
}

PeerIdentity IdentityOf(Task& t) { return {Ref<ThreadGroup>(&t.group()), t.creds_ref()}; }

// Not owned: a socket leaves when it goes.
struct SocketList {
  Mutex<LockRank::kSocketList> mu;
  std::map<UnixEndpoint*, UnixSocket*> sockets ABSL_GUARDED_BY(mu);
};

SocketList& AllSockets() {
  static auto* const list = new SocketList;
  return *list;
}

// SIGURG to the owner of the socket that got an urgent byte.
void SignalUrgent(const Ref<UnixEndpoint>& receiver) {
  Ref<UnixSocket> socket;
  {
    SocketList& list = AllSockets();
    MutexLock l(list.mu);
    auto it = list.sockets.find(receiver.get());
    if (it == list.sockets.end() || !it->second->TryIncRef()) return;
    socket = Ref<UnixSocket>::Adopt(it->second);
  }
  if (Ref<IoOwner> owner = socket->io_owner(); owner) owner->SignalUrgent();
}

template <typename T>
std::string Bytes(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

std::vector<UnixSocketInfo> ListUnixSockets() {
  std::vector<Ref<UnixSocket>> sockets;
  {
    SocketList& list = AllSockets();
    MutexLock l(list.mu);
    for (const auto& [endpoint, socket] : list.sockets) {
      if (socket->TryIncRef()) sockets.push_back(Ref<UnixSocket>::Adopt(socket));
    }
  }
  std::vector<UnixSocketInfo> out;
  for (const Ref<UnixSocket>& s : sockets) {
    UnixEndpoint& e = s->endpoint();
    ErrnoOr<Attr> attr = s->inode().GetAttr();
    out.push_back({s->id(), attr.ok() ? attr->ino : 0, e.type(), e.listening(), e.peer() != nullptr,
                   e.local()});
  }
  return out;
}

SocketCreds CredsOf(Task& t) {
  return {Ref<ThreadGroup>(&t.group()), t.creds().ruid, t.creds().rgid};
}

Tid SeenPid(Task& t, const Ref<ThreadGroup>& process) {
  return process ? process->PidIn(t.pid_ns()) : 0;
}

UnixSocket::UnixSocket(const Ref<const Credentials>& creds, uint32_t flags,
                       Ref<UnixEndpoint> endpoint)
    : Socket(NumberedAnonPath("sockfs", "socket", S_IFSOCK | 0777, *creds), flags, creds, AF_UNIX,
             endpoint->type(), 0),
      endpoint_(std::move(endpoint)) {
  SocketList& list = AllSockets();
  MutexLock l(list.mu);
  list.sockets[endpoint_.get()] = this;
}

UnixSocket::~UnixSocket() {
  {
    SocketList& list = AllSockets();
    MutexLock l(list.mu);
    list.sockets.erase(endpoint_.get());
  }
  endpoint_->Close();
  CollectSocketsInFlight();
}

Status UnixSocket::Bind(Task& t, const SocketAddress& address) {
  UnixName name = TRY(ParseAddress(address));
  if (!endpoint_->local().empty()) return Errno::kInval;
  if (!name.abstract && !name.name.empty()) {
    TRY(BindPath(t, name.name, endpoint_));
    return endpoint_->SetLocal(MakeAddress(name.name + '\0'), false);
  }
  if (name.abstract) {
    TRY(BindAbstract(name.name, endpoint_.get()));
  } else {
    name.name = TRY(AutobindAbstract(endpoint_.get()));
  }
  return endpoint_->SetLocal(MakeAddress('\0' + name.name), true);
}

Status UnixSocket::Connect(Task& t, const SocketAddress& address) {
  if (!endpoint_->is_connected_type() && AddressFamily(address) == AF_UNSPEC &&
      address.size() >= sizeof(uint16_t)) {
    return endpoint_->SetPeer(nullptr);
  }
  Ref<UnixEndpoint> target = TRY(FindEndpoint(t, address));
  if (!endpoint_->is_connected_type()) return endpoint_->SetPeer(std::move(target));
  return endpoint_->ConnectTo(*target, IdentityOf(t));
}

Status UnixSocket::Listen(Task& t, int backlog) {
  return endpoint_->Listen(backlog, IdentityOf(t));
}

ErrnoOr<Ref<Socket>> UnixSocket::Accept(Task& t, uint32_t flags, SocketAddress* peer) {
  if (!endpoint_->is_connected_type()) return Errno::kOpnotsupp;
  Ref<UnixEndpoint> connection = TRY(endpoint_->TakePending());
  Ref<UnixEndpoint> client = connection->peer();
  *peer = client ? client->local() : SocketAddress();
  if (peer->empty()) *peer = MakeAddress("");
  return Wrap(t.creds_ref(), flags, std::move(connection));
}

ErrnoOr<size_t> UnixSocket::Send(Task& t, UserIn& src, const SocketAddress& destination,
                                 const ControlData& control, uint32_t flags) {
  bool urgent = (flags & MSG_OOB) != 0;
  if (urgent && (!endpoint_->is_stream() || src.remaining() == 0)) return Errno::kOpnotsupp;
  Ref<UnixEndpoint> to;
  if (!destination.empty()) {
    if (endpoint_->is_connected_type()) {
      return endpoint_->peer() ? Errno::kIsconn : Errno::kOpnotsupp;
    }
    to = TRY(FindEndpoint(t, destination));
  }
  size_t n = TRY(endpoint_->Send(src, to.get(), CredsOf(t), control, send_limit(), urgent));
  if (urgent && src.remaining() == 0) SignalUrgent(endpoint_->peer());
  return n;
}

ErrnoOr<ReceivedMessage> UnixSocket::Receive(Task&, UserOut& dst, uint32_t flags) {
  UnixQueue::Reader how{.flags = flags};
  how.one_sender = options().pass_creds != 0 || options().pass_pidfd != 0;
  how.urgent_inline = options().oob_inline != 0;
  return endpoint_->Receive(dst, how);
}

ErrnoOr<SocketAddress> UnixSocket::LocalAddress() {
  SocketAddress local = endpoint_->local();
  return local.empty() ? MakeAddress("") : local;
}

ErrnoOr<SocketAddress> UnixSocket::PeerAddress() {
  Ref<UnixEndpoint> peer = endpoint_->peer();
  if (!peer) return Errno::kNotconn;
  SocketAddress address = peer->local();
  return address.empty() ? MakeAddress("") : address;
}

ErrnoOr<std::string> UnixSocket::GetOption(Task& t, int level, int name, size_t) {
  if (level != SOL_SOCKET) return Errno::kOpnotsupp;
  switch (name) {
    case SO_ACCEPTCONN: return Bytes<int>(endpoint_->listening() ? 1 : 0);
    case SO_ERROR: return Bytes<int>(endpoint_->TakeError());
    case SO_PEERCRED: {
      PeerIdentity peer = endpoint_->peer_identity();
      const UserNamespace& ns = *t.creds().user_ns;
      ucred out{SeenPid(t, peer.process), peer.creds ? ns.MungedUid(peer.creds->euid) : kNoId,
                peer.creds ? ns.MungedGid(peer.creds->egid) : kNoId};
      return Bytes(out);
    }
    case SO_PEEK_OFF:
      return Bytes<int>(endpoint_->queue().peek_offset());
    default: return Errno::kNoprotoopt;
  }
}

Status UnixSocket::SetOption(Task&, int level, int name, std::string_view value) {
  if (level != SOL_SOCKET) return Errno::kOpnotsupp;
  if (name != SO_PEEK_OFF) return Errno::kNoprotoopt;
  int offset = 0;
  if (value.size() < sizeof(offset)) return Errno::kInval;
  std::memcpy(&offset, value.data(), sizeof(offset));
  endpoint_->queue().SetPeekOffset(offset);
  return Ok();
}

ErrnoOr<int64_t> UnixSocket::Ioctl(IoContext& io, const IoctlRequest& request) {
  if (request.command == SIOCATMARK) {
    TRY(request.mem.Put(UserAddr(request.arg), endpoint_->queue().at_mark() ? 1 : 0));
    return int64_t{0};
  }
  if (request.command != FIONREAD && request.command != TIOCOUTQ) return File::Ioctl(io, request);
  if (endpoint_->listening()) return Errno::kInval;
  size_t n = request.command == FIONREAD ? endpoint_->unread() : endpoint_->unsent();
  TRY(request.mem.Put(UserAddr(request.arg), static_cast<int>(n)));
  return int64_t{0};
}

EventMask UnixSocket::Poll(EventMask mask) {
  return endpoint_->Poll(send_limit()) & (mask | EPOLLERR | EPOLLHUP);
}

ErrnoOr<Ref<Socket>> NewUnixSocket(const Ref<const Credentials>& creds, int type, int protocol,
                                   uint32_t flags) {
  int real = TRY(CheckType(type, protocol));
  return Wrap(creds, flags, MakeRef<UnixEndpoint>(real));
}

ErrnoOr<std::pair<Ref<Socket>, Ref<Socket>>> NewUnixPair(Task& t, int type, int protocol,
                                                         uint32_t flags) {
  int real = TRY(CheckType(type, protocol));
  Ref<UnixEndpoint> a = MakeRef<UnixEndpoint>(real);
  Ref<UnixEndpoint> b = MakeRef<UnixEndpoint>(real);
  UnixEndpoint::Pair(*a, *b, IdentityOf(t));
  return std::pair<Ref<Socket>, Ref<Socket>>(Wrap(t.creds_ref(), flags, std::move(a)),
                                             Wrap(t.creds_ref(), flags, std::move(b)));
}

}  // namespace runsc
