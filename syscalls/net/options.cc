#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>

#include "platform/base/strings.h"
#include "sentry/kernel/pidfd.h"
#include "syscalls/net/common.h"

namespace runsc {
namespace {

constexpr int kMinSendBuffer = 4608;
constexpr int kMinReceiveBuffer = 2304;
constexpr int kMaxBuffer = 212992;  // net.core.[rw]mem_max
constexpr int SO_PASSPIDFD = 76;    // not in Debian 12's headers
constexpr int SO_PEERPIDFD = 77;

// The integer options that are stored as they come (booleans are normalised).
struct IntOption {
  int name;
  std::atomic<int> SocketOptions::*field;
  bool boolean;
};
constexpr IntOption kIntOptions[] = {
    {SO_REUSEADDR, &SocketOptions::reuse_address, true},
    {SO_REUSEPORT, &SocketOptions::reuse_port, true},
    {SO_KEEPALIVE, &SocketOptions::keep_alive, true},
    {SO_BROADCAST, &SocketOptions::broadcast, true},
    {SO_OOBINLINE, &SocketOptions::oob_inline, true},
    {SO_PASSCRED, &SocketOptions::pass_creds, true},
    {SO_PASSPIDFD, &SocketOptions::pass_pidfd, true},
    {SO_PASSSEC, &SocketOptions::pass_security, true},
    {SO_DONTROUTE, &SocketOptions::dont_route, true},
    {SO_RXQ_OVFL, &SocketOptions::drop_count, true},
    {SO_SELECT_ERR_QUEUE, &SocketOptions::error_queue_select, true},
    {SO_PRIORITY, &SocketOptions::priority, false},
    {SO_RCVLOWAT, &SocketOptions::receive_low_water, false},
    {SO_MARK, &SocketOptions::mark, false},
    {SO_BUF_LOCK, &SocketOptions::locked_buffers, false},
};

bool IsTimestamp(int name) {
  return name == SO_TIMESTAMP_OLD || name == SO_TIMESTAMPNS_OLD || name == SO_TIMESTAMP_NEW ||
         name == SO_TIMESTAMPNS_NEW;
}

// What Linux refuses or changes of the values above.
ErrnoOr<int> CheckInt(Task& t, int name, int value) {
  constexpr int kMostPriority = 6;
  constexpr int kBothBuffers = 3;
  const Credentials& c = t.creds();
  bool admin = c.HasCap(CAP_NET_ADMIN) || c.HasCap(CAP_NET_RAW);
  switch (name) {
    case SO_PRIORITY:
      return (value >= 0 && value <= kMostPriority) || admin ? ErrnoOr<int>(value) : Errno::kPerm;
    case SO_MARK:
      return admin ? ErrnoOr<int>(value) : Errno::kPerm;
    case SO_RCVLOWAT:
      return value < 0 ? INT32_MAX : std::max(value, 1);
    case SO_BUF_LOCK:
      return (value & ~kBothBuffers) == 0 ? ErrnoOr<int>(value) : Errno::kInval;
    default:
      return value;
  }
}

const IntOption* FindInt(int name) {
  for (const IntOption& o : kIntOptions) {
    if (o.name == name) return &o;
  }
  return nullptr;
}

template <typename T>
ErrnoOr<T> Value(std::string_view value) {
  T out;
  if (value.size() < sizeof(T)) return Errno::kInval;
  std::memcpy(&out, value.data(), sizeof(T));
  return out;
}

template <typename T>
std::string Bytes(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

Status SetTimeout(std::string_view value, std::atomic<int64_t>& field) {
  timeval tv = TRY(Value<timeval>(value));
  if (tv.tv_usec < 0 || tv.tv_usec >= 1000000) return Errno::kDom;
  if (tv.tv_sec < 0 || tv.tv_sec > INT64_MAX / 2000000000) {
    field = 0;
    return Ok();
  }
  field = tv.tv_sec * 1000000000 + tv.tv_usec * 1000;
  return Ok();
}

timeval Timeout(int64_t nanos) {
  return {static_cast<time_t>(nanos / 1000000000),
          static_cast<suseconds_t>(nanos % 1000000000 / 1000)};
}

Status SetBuffer(std::string_view value, std::atomic<int>& field, int least, bool force) {
  int wanted = TRY(Value<int>(value));
  if (!force) wanted = std::min(std::max(wanted, 0), kMaxBuffer);
  wanted = std::clamp(wanted, 0, INT32_MAX / 2);
  field = std::max(wanted * 2, least);
  return Ok();
}

Status SetLinger(std::string_view value, SocketOptions& o) {
  linger l = TRY(Value<linger>(value));
  o.linger_on = l.l_onoff != 0 ? 1 : 0;
  if (l.l_onoff != 0) o.linger_seconds = l.l_linger;
  return Ok();
}

// SOL_SOCKET options that every socket has. kNoprotoopt: ask the family.
Status SetCommon(Task& t, Socket& socket, int name, std::string_view value) {
  SocketOptions& o = socket.options();
  if (const IntOption* option = FindInt(name); option != nullptr) {
    int v = TRY(Value<int>(value));
    o.*(option->field) = option->boolean ? (v != 0 ? 1 : 0) : TRY(CheckInt(t, name, v));
    return Ok();
  }
  if (IsTimestamp(name)) {
    o.timestamp = TRY(Value<int>(value)) != 0 ? name : 0;
    return Ok();
  }
  bool admin = t.creds().HasCap(CAP_NET_ADMIN);
  switch (name) {
    case SO_RCVTIMEO:
    case SO_RCVTIMEO_NEW:
      return SetTimeout(value, o.receive_timeout);
    case SO_SNDTIMEO:
    case SO_SNDTIMEO_NEW:
      return SetTimeout(value, o.send_timeout);
    case SO_SNDBUF: return SetBuffer(value, o.send_buffer, kMinSendBuffer, false);
    case SO_RCVBUF: return SetBuffer(value, o.receive_buffer, kMinReceiveBuffer, false);
    case SO_SNDBUFFORCE:
      return admin ? SetBuffer(value, o.send_buffer, kMinSendBuffer, true) : Errno::kPerm;
    case SO_RCVBUFFORCE:
      return admin ? SetBuffer(value, o.receive_buffer, kMinReceiveBuffer, true) : Errno::kPerm;
    case SO_LINGER: return SetLinger(value, o);
    case SO_BSDCOMPAT:
      return Ok();
    default: return Errno::kNoprotoopt;
  }
}

ErrnoOr<std::string> GetCommon(Socket& socket, int name) {
  SocketOptions& o = socket.options();
  if (const IntOption* option = FindInt(name); option != nullptr) {
    return Bytes<int>((o.*(option->field)).load());
  }
  if (IsTimestamp(name)) return Bytes<int>(o.timestamp == name ? 1 : 0);
  switch (name) {
    case SO_TYPE: return Bytes<int>(socket.type());
    case SO_DOMAIN: return Bytes<int>(socket.family());
    case SO_PROTOCOL: return Bytes<int>(socket.protocol());
    case SO_SNDBUF: return Bytes<int>(o.send_buffer.load());
    case SO_RCVBUF: return Bytes<int>(o.receive_buffer.load());
    case SO_SNDLOWAT: return Bytes<int>(1);
    case SO_BSDCOMPAT:
      return Bytes<int>(0);
    case SO_INCOMING_CPU:
      return Bytes<int>(-1);
    case SO_COOKIE:
      return Bytes<uint64_t>(socket.id());
    case SO_RCVTIMEO:
    case SO_RCVTIMEO_NEW:
      return Bytes(Timeout(o.receive_timeout));
    case SO_SNDTIMEO:
    case SO_SNDTIMEO_NEW:
      return Bytes(Timeout(o.send_timeout));
    case SO_LINGER: {
      linger l{o.linger_on.load(), o.linger_seconds.load()};
      return Bytes(l);
    }
    default: return Errno::kNoprotoopt;
  }
}

// SO_PEERPIDFD: a descriptor of the process at the other end. ENODATA if there is none.
ErrnoOr<void> GetPeerPidFd(Task& t, Socket& socket, UserAddr value, UserAddr size, int32_t room) {
  PeerIdentity peer = socket.Peer();
  if (!peer.process) return Errno::kNodata;
  FdNum fd =
      TRY(t.fds().Install(NewPidFd(*peer.process, 0, t.creds_ref()), true, t.Limit(RLIMIT_NOFILE)));
  int32_t n = std::min<int32_t>(room, sizeof(fd.value));
  Status put = t.mem().CopyOut(value, &fd.value, static_cast<size_t>(n));
  if (put.ok()) put = t.mem().Put(size, n);
  if (!put.ok()) (void)t.fds().Remove(fd);
  return put;
}

// SO_PEERGROUPS: ERANGE, and the size needed, if there is not room for all.
ErrnoOr<void> GetPeerGroups(Task& t, Socket& socket, UserAddr value, UserAddr size, int32_t room) {
  PeerIdentity peer = socket.Peer();
  if (!peer.creds) return Errno::kNodata;
  std::vector<uint32_t> groups;
  for (Gid g : peer.creds->groups) groups.push_back(t.creds().user_ns->MungedGid(g));
  int32_t n = static_cast<int32_t>(groups.size() * sizeof(uint32_t));
  TRY(t.mem().Put(size, n));
  if (room < n) return Errno::kRange;
  return t.mem().CopyOut(value, groups.data(), static_cast<size_t>(n));
}

}  // namespace

ErrnoOr<void> Setsockopt(Task& t, FdNum fd, int32_t level, int32_t name, UserAddr value,
                         uint32_t size) {
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  if (static_cast<int32_t>(size) < 0) return Errno::kInval;
  std::vector<char> bytes =
      TRY(t.mem().GetArray<char>(value, std::min<size_t>(size, kPageSize)));
  std::string_view view(bytes.data(), bytes.size());
  Status set = level == SOL_SOCKET ? SetCommon(t, *socket, name, view) : Errno::kNoprotoopt;
  if (!set.ok() && set.error() == Errno::kNoprotoopt) {
    set = socket->SetOption(t, level, name, view);
  }
  if (!set.ok() && set.error() == Errno::kNoprotoopt) {
    return t.Unimplemented(StrPrintf("setsockopt %d %d", level, name).c_str(), set.error());
  }
  return set;
}

ErrnoOr<void> Getsockopt(Task& t, FdNum fd, int32_t level, int32_t name, UserAddr value,
                         UserAddr size) {
  Ref<Socket> socket = TRY(GetSocket(t, fd));
  int32_t room = TRY(t.mem().Get<int32_t>(size));
  if (room < 0) return Errno::kInval;
  if (level == SOL_SOCKET && name == SO_PEERPIDFD) {
    return GetPeerPidFd(t, *socket, value, size, room);
  }
  if (level == SOL_SOCKET && name == SO_PEERGROUPS) {
    return GetPeerGroups(t, *socket, value, size, room);
  }
  ErrnoOr<std::string> got = level == SOL_SOCKET ? GetCommon(*socket, name) : Errno::kNoprotoopt;
  if (!got.ok() && got.error() == Errno::kNoprotoopt) {
    got = socket->GetOption(t, level, name, static_cast<size_t>(room));
  }
  if (!got.ok() && got.error() == Errno::kNoprotoopt) {
    return t.Unimplemented(StrPrintf("getsockopt %d %d", level, name).c_str(), got.error());
  }
  std::string bytes = TRY(std::move(got));
  int32_t n = std::min(room, static_cast<int32_t>(bytes.size()));
  TRY(t.mem().CopyOut(value, bytes.data(), static_cast<size_t>(n)));
  return t.mem().Put(size, n);
}

}  // namespace runsc
