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
  // What a message counts for besides its bytes against the sender's buffer, as in Linux: else
  // writes of one byte could take a thousand times the memory that the buffer allows.
  static constexpr size_t kMessageCost = 768;

  struct Sender {
    SocketAddress source;
    SocketCreds creds;
    const ControlData& control;
    size_t limit;         // bytes this queue may hold (the sender's SO_SNDBUF)
    bool urgent = false;  // stream: the last byte is out of band (MSG_OOB)
    bool mutual = true;   // the receiver sends to the sender: kMaxDatagrams does not apply
  };
  struct Reader {
    uint32_t flags = 0;          // MSG_PEEK, MSG_TRUNC
    bool one_sender = false;     // a stream does not join data of senders with other credentials
    bool urgent_inline = false;  // SO_OOBINLINE
  };
  // Stream: what there is room for and a piece more. Messages: whole; EMSGSIZE if larger than the
  // limit. kWouldBlock when full (`hub` is woken once when there is room), EPIPE or
  // ECONNREFUSED-like ends: kPipe.
  ErrnoOr<size_t> Send(UserIn& src, const Sender& sender, const Ref<WaitHub>& hub);
  // kWouldBlock when empty; 0 bytes at the end.
  ErrnoOr<ReceivedMessage> Receive(UserOut& dst, const Reader& how);
  // MSG_OOB: the byte that was sent out of band last; EINVAL if it was read or is to be read in
  // line. Where it was stays marked for those who read the rest.
  ErrnoOr<ReceivedMessage> ReceiveUrgent(UserOut& dst, const Reader& how);
  bool has_urgent();
  // Whether the next byte is the urgent one, or the urgent one was just before it (SIOCATMARK).
  bool at_mark();
  // SO_PEEK_OFF: where MSG_PEEK looks, which it moves on; -1: always at the start.
  int peek_offset();
  void SetPeekOffset(int offset);

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
  bool has_unread();  // has_data, but for a mark where an urgent byte was
  bool writer_closed();
  bool reader_closed();
  // Whether poll(2) tells a sender of room: Linux's rule that three quarters are free.
  bool HasRoom(size_t limit, bool mutual);
  // What is queued, as it counts against the sender's buffer (SIOCOUTQ).
  size_t charged();
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
    uint64_t number = 0;
    size_t left() const { return data.size() - offset; }
    bool has_files() const { return !carried.files().empty(); }
  };

  // Files come and go with InFlightLock() held; messages without any do not need it.
  ErrnoOr<size_t> SendCarrying(UserIn& src, const Sender& sender, const Ref<WaitHub>& hub,
                               InFlightFiles& carried);
  // What a read leaves behind goes when no lock is held: files close, processes end for good.
  struct Dropped {
    std::vector<InFlightFiles> files;
    std::vector<Ref<ThreadGroup>> processes;
  };
  // Nothing: a message has files, come back with the lock.
  std::optional<ErrnoOr<ReceivedMessage>> ReceiveNext(UserOut& dst, const Reader& how, bool locked,
                                                      Dropped& dropped);

  ErrnoOr<size_t> SendStreamLocked(UserIn& src, const Sender& sender, InFlightFiles& carried)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<size_t> SendPieceLocked(UserIn& src, size_t size, const Sender& sender,
                                  InFlightFiles& carried) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<size_t> SendMessageLocked(UserIn& src, const Sender& sender, InFlightFiles& carried)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PushLocked(Message m, const Sender& sender, InFlightFiles& carried)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<ReceivedMessage> ReceiveStreamLocked(UserOut& dst, const Reader& how, Dropped& dropped)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<size_t> TakePieceLocked(size_t index, size_t skip, UserOut& dst, bool peek,
                                  ReceivedMessage* out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gets past the urgent byte, or the mark it left, at `*index`. False: the read ends before it.
  bool PassUrgentLocked(const Reader& how, bool copied, size_t* index, Dropped& dropped)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropFrontLocked(Dropped& dropped) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<ReceivedMessage> ReceiveMessageLocked(UserOut& dst, uint32_t flags)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The message that a peek at `*offset` meets, and how far in.
  size_t FindPeekedLocked(size_t* offset) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MovePeekLocked(bool peek, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<ReceivedMessage> NothingLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool MeetsFilesLocked(bool peek) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static std::vector<Ref<File>> TakeFiles(Message& m, bool peek);
  size_t ChargedLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return bytes_ + messages_.size() * kMessageCost;
  }
  bool FullLocked(size_t limit, bool mutual) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WakeWriters(const std::vector<Ref<WaitHub>>& once);
  // Room appeared: signals the endpoint of `hub` if it waits for that.
  void SignalRoom(WaitHub& hub);

  const Ref<WaitHub> reader_;
  const bool stream_;
  Mutex<LockRank::kSocketQueue> mu_;
  std::deque<Message> messages_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t next_number_ ABSL_GUARDED_BY(mu_) = 1;
  uint64_t urgent_ ABSL_GUARDED_BY(mu_) = 0;  // number of the message of the urgent byte; 0: none
  int peek_offset_ ABSL_GUARDED_BY(mu_) = -1;
  bool writer_closed_ ABSL_GUARDED_BY(mu_) = false;
  bool reader_closed_ ABSL_GUARDED_BY(mu_) = false;
  Ref<WaitHub> writer_ ABSL_GUARDED_BY(mu_);
  std::vector<Ref<WaitHub>> waiting_ ABSL_GUARDED_BY(mu_);  // woken once, then forgotten
};

}  // namespace runsc

#endif  // SENTRY_NET_UNIX_QUEUE_H_
