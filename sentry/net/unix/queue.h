#ifndef SENTRY_NET_UNIX_QUEUE_H_
#define SENTRY_NET_UNIX_QUEUE_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/net/socket.h"
#include "sentry/net/unix/in_flight.h"
#include "sentry/wait/wait.h"

namespace runsc {

// The wait queue of one endpoint, shared with the queues that must wake it.
class WaitHub : public RefCounted {
 public:
  WaitQueue queue;
  AsyncList async;
  // Its endpoint found no room with this much buffer: as Linux, only then room is worth a signal.
  std::atomic<size_t> full_at{0};
};

// Receive queue of a UNIX socket: what its senders put in. Outlives both ends. Thread-safe.
class UnixQueue : public RefCounted {
 public:
  UnixQueue(Ref<WaitHub> reader, bool stream) : reader_(std::move(reader)), stream_(stream) {}

  static constexpr size_t kMaxDatagrams = 10;  // net.unix.max_dgram_qlen
  static constexpr size_t kChunk = 32768;

  struct Sender {
    SocketAddress source;
    SocketCreds creds;
    const ControlData& control;
    size_t limit;  // bytes this queue may hold (the sender's SO_SNDBUF)
  };
  // Stream: as much as fits. Messages: whole; EMSGSIZE if larger than the limit. kWouldBlock when
  // full (`hub` is woken once when there is room), EPIPE or ECONNREFUSED-like ends: kPipe.
  ErrnoOr<size_t> Send(UserIn& src, const Sender& sender, const Ref<WaitHub>& hub);
  // kWouldBlock when empty; 0 bytes at the end. `flags`: MSG_PEEK, MSG_TRUNC, MSG_CMSG_CLOEXEC is
  // the caller's. `one_sender`: a stream does not join data of senders with other credentials.
  ErrnoOr<ReceivedMessage> Receive(UserOut& dst, uint32_t flags, bool one_sender);

  // For the collector: calls `visit` for each file that waits here; moves them all to `out`.
  void ForEachQueued(const std::function<void(const Ref<File>&)>& visit);
  void TakeQueued(std::vector<InFlightFiles>* out);

  // No more can be sent (writer closed or shut down): the reader sees the end after the rest.
  // `why` is what a signal says of it.
  void CloseWriter(IoEvent why);
  // The reader is gone or shut down for reading: senders get EPIPE; what is queued is dropped if
  // `discard`.
  void CloseReader(bool discard);
  bool has_data();
  bool writer_closed();
  bool reader_closed();
  // Whether a sender would get room (stream: Linux's rule that a third is free).
  bool HasRoom(size_t limit);
  size_t bytes();
  // Bytes of the next message, or all of a stream (FIONREAD).
  size_t NextSize();
  // Wakes `hub` whenever room appears (the connected peer).
  void SetWriter(Ref<WaitHub> hub);

 private:
  struct Message {
    std::string data;
    size_t offset = 0;
    SocketAddress source;
    SocketCreds creds;
    InFlightFiles carried;
    size_t left() const { return data.size() - offset; }
    bool has_files() const { return !carried.files().empty(); }
  };

  // Files come and go with InFlightLock() held; messages without any do not need it.
  ErrnoOr<size_t> SendCarrying(UserIn& src, const Sender& sender, const Ref<WaitHub>& hub,
                               InFlightFiles& carried);
  // Nothing: a message has files, come back with the lock.
  std::optional<ErrnoOr<ReceivedMessage>> ReceiveNext(UserOut& dst, uint32_t flags, bool one_sender,
                                                      bool locked);

  ErrnoOr<size_t> SendStreamLocked(UserIn& src, const Sender& sender, InFlightFiles& carried)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<size_t> SendMessageLocked(UserIn& src, const Sender& sender, InFlightFiles& carried)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<ReceivedMessage> ReceiveStreamLocked(UserOut& dst, bool peek, bool one_sender)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<ReceivedMessage> ReceiveMessageLocked(UserOut& dst, uint32_t flags)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool MeetsFilesLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static std::vector<Ref<File>> TakeFiles(Message& m, bool peek);
  bool FullLocked(size_t limit) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WakeWriters(const std::vector<Ref<WaitHub>>& once);
  // Room appeared: signals the endpoint of `hub` if it waits for that.
  void SignalRoom(WaitHub& hub);

  const Ref<WaitHub> reader_;
  const bool stream_;
  Mutex<LockRank::kSocketQueue> mu_;
  std::deque<Message> messages_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool writer_closed_ ABSL_GUARDED_BY(mu_) = false;
  bool reader_closed_ ABSL_GUARDED_BY(mu_) = false;
  Ref<WaitHub> writer_ ABSL_GUARDED_BY(mu_);
  std::vector<Ref<WaitHub>> waiting_ ABSL_GUARDED_BY(mu_);  // woken once, then forgotten
};

}  // namespace runsc

#endif  // SENTRY_NET_UNIX_QUEUE_H_
