#include "sentry/net/unix/queue.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

namespace runsc {

bool UnixQueue::FullLocked(size_t limit, bool mutual) const {
  if (!stream_ && !mutual && messages_.size() > kMaxDatagrams) return true;
  return ChargedLocked() >= limit;
}

void UnixQueue::PushLocked(Message m, const Sender& sender, InFlightFiles& carried) {
  m.creds = sender.creds;
  m.source = sender.source;
  m.number = next_number_++;
  std::swap(m.carried, carried);  // with the first bytes; nothing is left for the rest
  bytes_ += m.data.size();
  messages_.push_back(std::move(m));
}

// One message of at most `size` bytes.
ErrnoOr<size_t> UnixQueue::SendPieceLocked(UserIn& src, size_t size, const Sender& sender,
                                           InFlightFiles& carried) {
  Message m;
  m.data.resize(size);
  size_t n = TRY(src.Read(m.data.data(), size));
  m.data.resize(n);
  PushLocked(std::move(m), sender, carried);
  return n;
}

ErrnoOr<size_t> UnixQueue::SendStreamLocked(UserIn& src, const Sender& sender,
                                            InFlightFiles& carried) {
  if (src.remaining() == 0) return size_t{0};
  size_t done = 0;
  while (src.remaining() > 0 && !FullLocked(sender.limit, true)) {
    bool urgent = sender.urgent && src.remaining() == 1;
    size_t in_band = src.remaining() - (sender.urgent && !urgent ? 1 : 0);
    size_t want = std::min({in_band, kChunk, std::max<size_t>(sender.limit / 2, 128) - 64});
    ErrnoOr<size_t> n = SendPieceLocked(src, want, sender, carried);
    if (!n.ok()) return done > 0 ? ErrnoOr<size_t>(done) : n;
    if (urgent) urgent_ = messages_.back().number;
    done += *n;
    if (*n < want) break;
  }
  return done > 0 ? ErrnoOr<size_t>(done) : Errno::kWouldBlock;
}

ErrnoOr<size_t> UnixQueue::SendMessageLocked(UserIn& src, const Sender& sender,
                                             InFlightFiles& carried) {
  constexpr size_t kReserve = 32;
  size_t size = src.remaining();
  if (size + kReserve > sender.limit) return Errno::kMsgsize;
  if (FullLocked(sender.limit, sender.mutual)) return Errno::kWouldBlock;
  Message m;
  m.data.resize(size);
  if (size > 0 && TRY(src.Read(m.data.data(), size)) != size) return Errno::kFault;
  PushLocked(std::move(m), sender, carried);
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
    reader_->queue.Notify(EPOLLIN | EPOLLRDNORM | (sender.urgent ? EventMask{EPOLLPRI} : 0));
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

void UnixQueue::DropFrontLocked(Dropped& dropped) {
  Message& m = messages_.front();
  bytes_ -= m.left();
  if (m.has_files()) dropped.files.push_back(std::move(m.carried));
  dropped.processes.push_back(std::move(m.creds.process));
  messages_.pop_front();
}

// Reads end before the urgent byte, so that whoever asks for the mark finds it. A read that begins
// there goes over it: it was for MSG_OOB only.
bool UnixQueue::PassUrgentLocked(const Reader& how, bool copied, size_t* index, Dropped& dropped) {
  bool peek = (how.flags & MSG_PEEK) != 0;
  while (*index < messages_.size()) {
    Message& m = messages_[*index];
    bool urgent = m.number == urgent_;
    if (m.left() > 0 && !urgent) return true;
    if (copied && (urgent || urgent_ == 0)) return false;
    if (urgent && how.urgent_inline) {
      if (!peek) urgent_ = 0;
      return true;
    }
    if (peek) {
      ++*index;
    } else {
      if (urgent) urgent_ = 0;
      DropFrontLocked(dropped);
    }
  }
  return true;
}

ErrnoOr<ReceivedMessage> UnixQueue::NothingLocked() const {
  if (writer_closed_ || reader_closed_) return ReceivedMessage();
  return Errno::kWouldBlock;
}

void UnixQueue::MovePeekLocked(bool peek, size_t bytes) {
  if (peek_offset_ < 0) return;
  int64_t moved = peek_offset_ + (peek ? 1 : -1) * static_cast<int64_t>(bytes);
  peek_offset_ = static_cast<int>(std::clamp<int64_t>(moved, 0, INT32_MAX));
}

// Appends bytes of message `index` from `skip` on to what is received.
ErrnoOr<size_t> UnixQueue::TakePieceLocked(size_t index, size_t skip, UserOut& dst, bool peek,
                                           ReceivedMessage* out) {
  Message& m = messages_[index];
  size_t want = std::min(m.left() - skip, dst.remaining());
  size_t n = TRY(dst.Write(m.data.data() + m.offset + skip, want));
  if (out->bytes == 0) {
    out->source = m.source;
    out->control.creds = m.creds;
  }
  if (m.has_files()) {
    out->control.files = TakeFiles(m, peek);
    out->ends = true;
  }
  out->bytes += n;
  MovePeekLocked(peek, n);
  if (!peek) {
    m.offset += n;
    bytes_ -= n;
  }
  return n;
}

// A stream read goes over messages up to one that carries files, which come with its first bytes.
ErrnoOr<ReceivedMessage> UnixQueue::ReceiveStreamLocked(UserOut& dst, const Reader& how,
                                                        Dropped& dropped) {
  ReceivedMessage out;
  if (dst.remaining() == 0) return out;
  bool peek = (how.flags & MSG_PEEK) != 0;
  size_t skip = peek ? static_cast<size_t>(std::max(peek_offset_, 0)) : 0;
  size_t index = 0;
  while (dst.remaining() > 0 && !out.ends) {
    bool copied = out.bytes > 0;
    out.ends = !PassUrgentLocked(how, copied, &index, dropped);
    if (out.ends || index >= messages_.size()) break;
    Message& m = messages_[index];
    if (skip >= m.left()) {
      skip -= m.left();
      ++index;
      continue;
    }
    out.ends = copied && how.one_sender && !(m.creds == *out.control.creds);
    if (out.ends) break;
    ErrnoOr<size_t> n = TakePieceLocked(index, skip, dst, peek, &out);
    if (!n.ok()) return copied ? ErrnoOr<ReceivedMessage>(std::move(out)) : n.error();
    if (peek ? skip + *n < m.left() : m.left() > 0) break;
    skip = 0;
    if (peek) {
      ++index;
      continue;
    }
    // `out` keeps the first sender, who is most often the only one.
    if (m.creds.process != out.control.creds->process) {
      dropped.processes.push_back(std::move(m.creds.process));
    }
    messages_.pop_front();
  }
  return out.bytes > 0 ? ErrnoOr<ReceivedMessage>(std::move(out)) : NothingLocked();
}

std::vector<Ref<File>> UnixQueue::TakeFiles(Message& m, bool peek) {
  InFlightLock().AssertHeld();
  return peek ? m.carried.files() : m.carried.Take();
}

// An empty message counts as met by a peek unless it lies before the offset.
size_t UnixQueue::FindPeekedLocked(size_t* offset) const {
  size_t index = 0;
  while (index < messages_.size() && *offset > 0 && *offset >= messages_[index].data.size()) {
    *offset -= messages_[index].data.size();
    ++index;
  }
  return index;
}

ErrnoOr<ReceivedMessage> UnixQueue::ReceiveMessageLocked(UserOut& dst, uint32_t flags) {
  bool peek = (flags & MSG_PEEK) != 0;
  size_t skip = peek ? static_cast<size_t>(std::max(peek_offset_, 0)) : 0;
  size_t index = FindPeekedLocked(&skip);
  if (index >= messages_.size()) return NothingLocked();
  Message& m = messages_[index];
  ReceivedMessage out;
  size_t size = m.data.size() - skip;
  size_t want = std::min(size, dst.remaining());
  if (want > 0) out.bytes = TRY(dst.Write(m.data.data() + skip, want));
  MovePeekLocked(peek, peek ? out.bytes : size);
  if (want < size) out.flags |= MSG_TRUNC;
  if ((flags & MSG_TRUNC) != 0) out.bytes = size;
  out.source = m.source;
  out.control.creds = m.creds;
  if (m.has_files()) out.control.files = TakeFiles(m, peek);
  if (!peek) {
    bytes_ -= size;
    messages_.pop_front();
  }
  return out;
}

// Whether a read may come upon files. For a stream: whether there are any at all, which is rare.
bool UnixQueue::MeetsFilesLocked(bool peek) const {
  if (!stream_ && !peek) return messages_.front().has_files();
  return std::any_of(messages_.begin(), messages_.end(),
                     [](const Message& m) { return m.has_files(); });
}

std::optional<ErrnoOr<ReceivedMessage>> UnixQueue::ReceiveNext(UserOut& dst, const Reader& how,
                                                               bool locked, Dropped& dropped) {
  ErrnoOr<ReceivedMessage> result = Errno::kWouldBlock;
  std::vector<Ref<WaitHub>> once;
  {
    MutexLock l(mu_);
    if (messages_.empty()) return NothingLocked();
    bool peek = (how.flags & MSG_PEEK) != 0;
    if (!locked && MeetsFilesLocked(peek)) return std::nullopt;
    result =
        stream_ ? ReceiveStreamLocked(dst, how, dropped) : ReceiveMessageLocked(dst, how.flags);
    if (!peek) once.swap(waiting_);
  }
  WakeWriters(once);
  return result;
}

ErrnoOr<ReceivedMessage> UnixQueue::Receive(UserOut& dst, const Reader& how) {
  Dropped dropped;
  std::optional<ErrnoOr<ReceivedMessage>> plain = ReceiveNext(dst, how, false, dropped);
  if (plain) return *std::move(plain);
  MutexLock l(InFlightLock());
  return *ReceiveNext(dst, how, true, dropped);
}

ErrnoOr<ReceivedMessage> UnixQueue::ReceiveUrgent(UserOut& dst, const Reader& how) {
  ReceivedMessage out;
  MutexLock l(mu_);
  if (urgent_ == 0 || how.urgent_inline) return Errno::kInval;
  auto m = std::find_if(messages_.begin(), messages_.end(),
                        [n = urgent_](const Message& each) { return each.number == n; });
  if (m == messages_.end()) return Errno::kInval;
  out.bytes = TRY(dst.Write(m->data.data(), 1));
  if (out.bytes == 0) return Errno::kFault;
  out.flags = MSG_OOB;
  if ((how.flags & MSG_PEEK) != 0) return out;
  urgent_ = 0;
  m->offset = 1;
  bytes_ -= 1;
  return out;
}

bool UnixQueue::has_urgent() {
  MutexLock l(mu_);
  return urgent_ != 0;
}

bool UnixQueue::at_mark() {
  MutexLock l(mu_);
  if (messages_.empty()) return false;
  if (messages_[0].number == urgent_) return true;
  if (messages_[0].left() > 0) return false;
  return urgent_ == 0 || (messages_.size() > 1 && messages_[1].number == urgent_);
}

int UnixQueue::peek_offset() {
  MutexLock l(mu_);
  return peek_offset_;
}

void UnixQueue::SetPeekOffset(int offset) {
  MutexLock l(mu_);
  peek_offset_ = offset;
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
  if (limit == 0 || !HasRoom(limit, true)) return;
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
      urgent_ = 0;
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
bool UnixQueue::has_unread() {
  MutexLock l(mu_);
  return stream_ ? bytes_ > 0 : !messages_.empty();
}
bool UnixQueue::HasRoom(size_t limit, bool mutual) {
  MutexLock l(mu_);
  return ChargedLocked() * 4 <= limit && !FullLocked(limit, mutual);
}
size_t UnixQueue::charged() {
  MutexLock l(mu_);
  return ChargedLocked();
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
