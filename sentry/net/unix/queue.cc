#include "sentry/net/unix/queue.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

namespace runsc {

bool UnixQueue::FullLocked(size_t limit) const {
  if (stream_) return bytes_ >= limit;
  return messages_.size() > kMaxDatagrams || (bytes_ > 0 && bytes_ >= limit);
}

ErrnoOr<size_t> UnixQueue::SendStreamLocked(UserIn& src, const Sender& sender,
                                            InFlightFiles& carried) {
  if (src.remaining() == 0) return size_t{0};
  size_t room = sender.limit > bytes_ ? sender.limit - bytes_ : 0;
  if (room == 0) return Errno::kWouldBlock;
  size_t want = std::min(room, src.remaining());
  size_t done = 0;
  while (done < want) {
    Message m;
    m.data.resize(std::min(want - done, kChunk));
    ErrnoOr<size_t> n = src.Read(m.data.data(), m.data.size());
    if (!n.ok()) return done > 0 ? ErrnoOr<size_t>(done) : n;
    bool partial = *n < m.data.size();
    m.data.resize(*n);
    m.creds = sender.creds;
    m.source = sender.source;
    std::swap(m.carried, carried);  // with the first bytes; nothing is left for the rest
    done += *n;
    bytes_ += *n;
    messages_.push_back(std::move(m));
    if (partial) break;
  }
  return done;
}

ErrnoOr<size_t> UnixQueue::SendMessageLocked(UserIn& src, const Sender& sender,
                                             InFlightFiles& carried) {
  size_t size = src.remaining();
  if (size > sender.limit) return Errno::kMsgsize;
  if (FullLocked(sender.limit)) return Errno::kWouldBlock;
  Message m;
  m.data.resize(size);
  if (size > 0 && TRY(src.Read(m.data.data(), size)) != size) return Errno::kFault;
  m.creds = sender.creds;
  m.source = sender.source;
  std::swap(m.carried, carried);
  bytes_ += size;
  messages_.push_back(std::move(m));
  return size;
}

ErrnoOr<size_t> UnixQueue::SendCarrying(UserIn& src, const Sender& sender, const Ref<WaitHub>& hub,
                                        InFlightFiles& carried) {
  ErrnoOr<size_t> result = Errno::kWouldBlock;
  {
    MutexLock l(mu_);
    if (reader_closed_ || writer_closed_) return Errno::kPipe;
    result =
        stream_ ? SendStreamLocked(src, sender, carried) : SendMessageLocked(src, sender, carried);
    if (!result.ok() && result.error() == Errno::kWouldBlock && writer_ != hub &&
        std::find(waiting_.begin(), waiting_.end(), hub) == waiting_.end()) {
      waiting_.push_back(hub);
    }
    bool short_of_room = result.ok() ? src.remaining() > 0 : result.error() == Errno::kWouldBlock;
    if (short_of_room) hub->full_at.store(sender.limit, std::memory_order_relaxed);
  }
  if (result.ok()) {
    reader_->queue.Notify(EPOLLIN | EPOLLRDNORM);
    reader_->async.Notify(IoEvent::kIn);
  }
  return result;
}

ErrnoOr<size_t> UnixQueue::Send(UserIn& src, const Sender& sender, const Ref<WaitHub>& hub) {
  InFlightFiles carried;  // what is not taken goes without the lock
  if (sender.control.files.empty()) return SendCarrying(src, sender, hub, carried);
  MutexLock l(InFlightLock());
  carried = InFlightFiles(sender.control.files);
  return SendCarrying(src, sender, hub, carried);
}

// A stream read goes over messages up to one that carries files, which come with its first bytes.
ErrnoOr<ReceivedMessage> UnixQueue::ReceiveStreamLocked(UserOut& dst, bool peek, bool one_sender) {
  ReceivedMessage out;
  if (dst.remaining() == 0) return out;
  size_t index = 0;
  while (index < messages_.size() && dst.remaining() > 0) {
    Message& m = messages_[index];
    bool first = out.bytes == 0;
    if (!first && one_sender && !(m.creds == *out.control.creds)) break;
    size_t want = std::min(m.left(), dst.remaining());
    ErrnoOr<size_t> n = dst.Write(m.data.data() + m.offset, want);
    if (!n.ok()) return out.bytes > 0 ? ErrnoOr<ReceivedMessage>(std::move(out)) : n.error();
    if (first) {
      out.source = m.source;
      out.control.creds = m.creds;
    }
    bool has_files = m.has_files();
    if (has_files) out.control.files = TakeFiles(m, peek);
    out.bytes += *n;
    if (peek) {
      if (*n < m.left()) break;
      ++index;
    } else {
      m.offset += *n;
      bytes_ -= *n;
      if (m.left() > 0) break;
      messages_.pop_front();
    }
    if (has_files) break;
  }
  return out;
}

std::vector<Ref<File>> UnixQueue::TakeFiles(Message& m, bool peek) {
  InFlightLock().AssertHeld();
  return peek ? m.carried.files() : m.carried.Take();
}

ErrnoOr<ReceivedMessage> UnixQueue::ReceiveMessageLocked(UserOut& dst, uint32_t flags) {
  Message& m = messages_.front();
  ReceivedMessage out;
  size_t want = std::min(m.data.size(), dst.remaining());
  if (want > 0) out.bytes = TRY(dst.Write(m.data.data(), want));
  if (want < m.data.size()) out.flags |= MSG_TRUNC;
  if ((flags & MSG_TRUNC) != 0) out.bytes = m.data.size();
  out.source = m.source;
  out.control.creds = m.creds;
  bool peek = (flags & MSG_PEEK) != 0;
  if (m.has_files()) out.control.files = TakeFiles(m, peek);
  if (!peek) {
    bytes_ -= m.data.size();
    messages_.pop_front();
  }
  return out;
}

// Whether a read may come upon files. For a stream: whether there are any at all, which is rare.
bool UnixQueue::MeetsFilesLocked() const {
  if (!stream_) return messages_.front().has_files();
  return std::any_of(messages_.begin(), messages_.end(),
                     [](const Message& m) { return m.has_files(); });
}

std::optional<ErrnoOr<ReceivedMessage>> UnixQueue::ReceiveNext(UserOut& dst, uint32_t flags,
                                                               bool one_sender, bool locked) {
  ErrnoOr<ReceivedMessage> result = Errno::kWouldBlock;
  std::vector<Ref<WaitHub>> once;
  {
    MutexLock l(mu_);
    if (messages_.empty()) {
      if (writer_closed_ || reader_closed_) return ReceivedMessage();
      return ErrnoOr<ReceivedMessage>(Errno::kWouldBlock);
    }
    if (!locked && MeetsFilesLocked()) return std::nullopt;
    bool peek = (flags & MSG_PEEK) != 0;
    result =
        stream_ ? ReceiveStreamLocked(dst, peek, one_sender) : ReceiveMessageLocked(dst, flags);
    if (!peek) once.swap(waiting_);
  }
  WakeWriters(once);
  return result;
}

ErrnoOr<ReceivedMessage> UnixQueue::Receive(UserOut& dst, uint32_t flags, bool one_sender) {
  std::optional<ErrnoOr<ReceivedMessage>> plain = ReceiveNext(dst, flags, one_sender, false);
  if (plain) return *std::move(plain);
  MutexLock l(InFlightLock());
  return *ReceiveNext(dst, flags, one_sender, true);
}

void UnixQueue::ForEachQueued(const std::function<void(const Ref<File>&)>& visit) {
  MutexLock l(mu_);
  for (const Message& m : messages_) {
    for (const Ref<File>& file : m.carried.files()) visit(file);
  }
}

void UnixQueue::TakeQueued(std::vector<InFlightFiles>* out) {
  MutexLock l(mu_);
  for (Message& m : messages_) {
    if (m.has_files()) out->push_back(std::move(m.carried));
  }
}

void UnixQueue::WakeWriters(const std::vector<Ref<WaitHub>>& once) {
  Ref<WaitHub> writer;
  {
    MutexLock l(mu_);
    writer = writer_;
  }
  if (writer) {
    writer->queue.Notify(EPOLLOUT | EPOLLWRNORM);
    SignalRoom(*writer);
  }
  for (const Ref<WaitHub>& hub : once) {
    hub->queue.Notify(EPOLLOUT | EPOLLWRNORM);
    if (hub != writer) SignalRoom(*hub);
  }
}

void UnixQueue::SignalRoom(WaitHub& hub) {
  size_t limit = hub.full_at.load(std::memory_order_relaxed);
  if (limit == 0 || !HasRoom(limit)) return;
  if (hub.full_at.exchange(0, std::memory_order_relaxed) != 0) hub.async.Notify(IoEvent::kOut);
}

void UnixQueue::CloseWriter(IoEvent why) {
  {
    MutexLock l(mu_);
    writer_closed_ = true;
    writer_.reset();
  }
  reader_->queue.Notify(EPOLLIN | EPOLLRDHUP | EPOLLHUP);
  reader_->async.Notify(why);
}

void UnixQueue::CloseReader(bool discard) {
  std::deque<Message> dropped;  // files close with no lock held
  std::vector<Ref<WaitHub>> once;
  Ref<WaitHub> writer;
  {
    MutexLock l(mu_);
    reader_closed_ = true;
    if (discard) {
      dropped.swap(messages_);
      bytes_ = 0;
    }
    once.swap(waiting_);
    writer = writer_;
  }
  if (writer) writer->queue.Notify(EPOLLOUT | EPOLLERR | EPOLLHUP);
  for (const Ref<WaitHub>& hub : once) hub->queue.Notify(EPOLLOUT | EPOLLERR);
}

bool UnixQueue::has_data() {
  MutexLock l(mu_);
  return !messages_.empty();
}
bool UnixQueue::writer_closed() {
  MutexLock l(mu_);
  return writer_closed_;
}
bool UnixQueue::reader_closed() {
  MutexLock l(mu_);
  return reader_closed_;
}
bool UnixQueue::HasRoom(size_t limit) {
  MutexLock l(mu_);
  return stream_ ? bytes_ * 4 <= limit : !FullLocked(limit);
}
size_t UnixQueue::bytes() {
  MutexLock l(mu_);
  return bytes_;
}
size_t UnixQueue::NextSize() {
  MutexLock l(mu_);
  if (stream_) return bytes_;
  return messages_.empty() ? 0 : messages_.front().data.size();
}
void UnixQueue::SetWriter(Ref<WaitHub> hub) {
  MutexLock l(mu_);
  writer_ = std::move(hub);
}

}  // namespace runsc
