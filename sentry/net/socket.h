#ifndef SENTRY_NET_SOCKET_H_
#define SENTRY_NET_SOCKET_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/auth/credentials.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/usermem/usermem.h"
#include "sentry/vfs/file.h"

namespace runsc {

class Task;

// A sockaddr as the guest passes it: family in the first two bytes, at most 128 bytes. Empty: none.
using SocketAddress = std::string;
inline constexpr size_t kMaxSocketAddress = 128;
// Family of an address; 0 if it has less than two bytes.
uint16_t AddressFamily(const SocketAddress& address);

// Sender's ids in kernel terms (SCM_CREDENTIALS, SCM_PIDFD).
struct SocketCreds {
  Ref<ThreadGroup> process;  // may have ended since
  Uid uid = kNoId;
  Gid gid = kNoId;
  bool operator==(const SocketCreds&) const = default;
};

// Ancillary data of one message.
struct ControlData {
  std::vector<Ref<File>> files;        // SCM_RIGHTS
  std::optional<SocketCreds> creds;    // SCM_CREDENTIALS
};

// Who made the other end of a connection (SO_PEERCRED, SO_PEERPIDFD, SO_PEERGROUPS). Null: nobody.
struct PeerIdentity {
  Ref<ThreadGroup> process;
  Ref<const Credentials> creds;
};

// What recvmsg(2) brings besides the bytes.
struct ReceivedMessage {
  size_t bytes = 0;           // copied out (or the full length with MSG_TRUNC)
  SocketAddress source;
  ControlData control;
  uint32_t flags = 0;  // MSG_TRUNC, MSG_EOR, MSG_OOB
  bool ends = false;   // a stream's: one receive does not go on into what follows
};

// Options at SOL_SOCKET that any socket keeps. Durations in ns, 0 for none.
struct SocketOptions {
  std::atomic<int> reuse_address{0}, reuse_port{0}, keep_alive{0}, broadcast{0}, oob_inline{0};
  std::atomic<int> pass_creds{0}, pass_pidfd{0}, pass_security{0}, priority{0}, mark{0};
  std::atomic<int> receive_low_water{1}, timestamp{0}, dont_route{0}, drop_count{0};
  std::atomic<int> locked_buffers{0}, error_queue_select{0};
  std::atomic<int> send_buffer{212992}, receive_buffer{212992}, error{0};
  std::atomic<int> linger_on{0}, linger_seconds{0};
  std::atomic<int64_t> send_timeout{0}, receive_timeout{0};
};

// A socket of any family. Calls answer kWouldBlock where Linux would sleep; the caller waits with
// EPOLLIN (accept, receive) or EPOLLOUT (connect, send).
class Socket : public File {
 public:
  // `flags`: O_NONBLOCK.
  Socket(Path path, uint32_t flags, Ref<const Credentials> creds, int family, int type,
         int protocol);

  int family() const { return family_; }
  int type() const { return type_; }
  int protocol() const { return protocol_; }
  SocketOptions& options() { return options_; }

  virtual Status Bind(Task& t, const SocketAddress& address) = 0;
  // kWouldBlock: waiting for room at the listener. EINPROGRESS is the caller's to make.
  virtual Status Connect(Task& t, const SocketAddress& address) = 0;
  virtual Status Listen(Task& t, int backlog) = 0;
  virtual ErrnoOr<Ref<Socket>> Accept(Task& t, uint32_t flags, SocketAddress* peer) = 0;
  // `flags`: MSG_*. An empty `destination` means the connected peer. Takes the files on success.
  virtual ErrnoOr<size_t> Send(Task& t, UserIn& src, const SocketAddress& destination,
                               const ControlData& control, uint32_t flags) = 0;
  virtual ErrnoOr<ReceivedMessage> Receive(Task& t, UserOut& dst, uint32_t flags) = 0;
  virtual Status Shutdown(int how) = 0;
  virtual ErrnoOr<SocketAddress> LocalAddress() = 0;
  virtual ErrnoOr<SocketAddress> PeerAddress() = 0;
  virtual PeerIdentity Peer() { return {}; }
  // Family options; ENOPROTOOPT, EOPNOTSUPP. SOL_SOCKET's common ones are served above.
  virtual ErrnoOr<std::string> GetOption(Task& t, int level, int name, size_t size);
  virtual Status SetOption(Task& t, int level, int name, std::string_view value);

  bool seekable() const override { return false; }
  // read(2) and write(2) are Receive and Send without flags.
  ErrnoOr<size_t> Read(IoContext& io, UserOut& dst) override;
  ErrnoOr<size_t> Write(IoContext& io, UserIn& src) override;
  Status Sync(bool) override { return Errno::kInval; }

 private:
  const int family_;
  const int type_;
  const int protocol_;
  SocketOptions options_;
};

// The socket behind a file: ENOTSOCK if it is none.
ErrnoOr<Ref<Socket>> AsSocket(const Ref<File>& file);

}  // namespace runsc

#endif  // SENTRY_NET_SOCKET_H_
