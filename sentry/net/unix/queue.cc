#include "sentry/net/unix/queue.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>

namespace runsc {

void DropFiles(std::vector<Ref<File>> files) {
  thread_local std::vector<Ref<File>>* t_waiting = nullptr;
  if (files.empty()) return;
  if (t_waiting != nullptr) {
    std::move(files.begin(), files.end(), std::back_inserter(*t_waiting));
    return;
  }
  t_waiting = &files;
  while (!files.empty()) {
    Ref<File> file = std::move(files.back());
    files.pop_back();
    file.reset();
  }
  t_waiting = nullptr;
}

bool UnixQueue::FullLocked(size_t limit) const {
  if (stream_) return bytes_ >= limit;
  return messages_.size() > kMaxDatagrams || (bytes_ > 0 && bytes_ >= limit);
}

ErrnoOr<size_t> UnixQueue::SendStreamLocked(UserIn& src, const Sender& sender) {
  if (src.remaining() == 0) return size_t{0};
  size_t room = sender.limit > bytes_ ? sender.limit - bytes_ : 0;
  if (room == 0) return Errno::kWouldBlock;
  size_t want = std::min(room, src.remaining());
  size_t done = 0;
  bool first = true;
  while (done < want) {
    Message m;
    m.data.resize(std::min(want - done, kChunk));
    ErrnoOr<size_t> n = src.Read(m.data.data(), m.data.size());
    if (!n.ok()) return done > 0 ? ErrnoOr<size_t>(done) : n;
    bool partial = *n < m.data.size();
    m.data.resize(*n);
    m.creds = sender.creds;
    m.source = sender.source;
    if (first) m.Carry(sender.control);
    first = false;
    done += *n;
    bytes_ += *n;
    messages_.push_back(std::move(m));
    if (partial) break;
  }
  return done;
}

ErrnoOr<size_t> UnixQueue::SendMessageLocked(UserIn& src, const Sender& sender) {
  size_t size = src.remaining();
  if (size > sender.limit) return Errno::kMsgsize;
  if (FullLocked(sender.limit)) return Errno::kWouldBlock;
  Message m;
  m.data.resize(size);
  if (size > 0 && TRY(src.Read(m.data.data(), size)) != size) return Errno::kFault;
  m.creds = sender.creds;
  m.source = sender.source;
  m.Carry(sender.control);
  bytes_ += size;
  messages_.push_back(std::move(m));
  return size;
}

ErrnoOr<size_t> UnixQueue::Send(UserIn& src, const Sender& sender, const Ref<WaitHub>& hub) {
  ErrnoOr<size_t> result = Errno::kWouldBlock;
  {
    MutexLock l(mu_);
    if (reader_closed_ || writer_closed_) return Errno::kPipe;
    result = stream_ ? SendStreamLocked(src, sender) : SendMessageLocked(src, sender);
    if (!result.ok() && result.error() == Errno::kWouldBlock && writer_ != hub &&
        std::find(waiting_.begin(), waiting_.end(), hub) == waiting_.end()) {
      waiting_.push_back(hub);
    }
  }
  if (result.ok()) reader_->queue.Notify(EPOLLIN | EPOLLRDNORM);
  return result;
}

// A stream read goes over messages until one that carries files; those come with its first bytes.
ErrnoOr<ReceivedMessage> UnixQueue::ReceiveStreamLocked(UserOut& dst, bool peek) {
  ReceivedMessage out;
  if (dst.remaining() == 0) return out;
  bool first = true;
  size_t index = 0;
  while (index < messages_.size() && dst.remaining() > 0) {
    Message& m = messages_[index];
    bool has_files = !m.control.files.empty();
    if (!first && has_files) break;
    if (!first && !(m.creds == *out.control.creds)) break;
    size_t want = std::min(m.left(), dst.remaining());
    ErrnoOr<size_t> n = dst.Write(m.data.data() + m.offset, want);
    if (!n.ok()) return out.bytes > 0 ? ErrnoOr<ReceivedMessage>(std::move(out)) : n.error();
    if (first) {
      out.source = m.source;
      out.control.files = m.control.files;
      out.control.creds = m.creds;
      first = false;
    }
    out.bytes += *n;
    if (peek) {
      if (*n < m.left()) break;
      ++index;
    } else {
      m.Carry(ControlData());
      m.offset += *n;
      bytes_ -= *n;
      if (m.left() > 0) break;
      messages_.pop_front();
    }
    if (has_files) break;
  }
  return out;
}

ErrnoOr<ReceivedMessage> UnixQueue::ReceiveMessageLocked(UserOut& dst, uint32_t flags) {
  Message& m = messages_.front();
  ReceivedMessage out;
  size_t want = std::min(m.data.size(), dst.remaining());
  if (want > 0) out.bytes = TRY(dst.Write(m.data.data(), want));
  if (want < m.data.size()) out.flags |= MSG_TRUNC;
  if ((flags & MSG_TRUNC) != 0) out.bytes = m.data.size();
  out.source = m.source;
  out.control.files = m.control.files;
  out.control.creds = m.creds;
  if ((flags & MSG_PEEK) == 0) {
    bytes_ -= m.data.size();
    messages_.pop_front();
  }
  return out;
}

ErrnoOr<ReceivedMessage> UnixQueue::Receive(UserOut& dst, uint32_t flags) {
  ErrnoOr<ReceivedMessage> result = Errno::kWouldBlock;
  std::vector<Ref<WaitHub>> once;
  {
    MutexLock l(mu_);
    if (messages_.empty()) {
      if (writer_closed_ || reader_closed_) return ReceivedMessage();
      return Errno::kWouldBlock;
    }
    bool peek = (flags & MSG_PEEK) != 0;
    result = stream_ ? ReceiveStreamLocked(dst, peek) : ReceiveMessageLocked(dst, flags);
    if (!peek) once.swap(waiting_);
  }
  WakeWriters(once);
  return result;
}

void UnixQueue::WakeWriters(const std::vector<Ref<WaitHub>>& once) {
  Ref<WaitHub> writer;
  {
    MutexLock l(mu_);
    writer = writer_;
  }
  if (writer) writer->queue.Notify(EPOLLOUT | EPOLLWRNORM);
  for (const Ref<WaitHub>& hub : once) hub->queue.Notify(EPOLLOUT | EPOLLWRNORM);
}

void UnixQueue::CloseWriter() {
  {
    MutexLock l(mu_);
    writer_closed_ = true;
    writer_.reset();
  }
  reader_->queue.Notify(EPOLLIN | EPOLLRDHUP | EPOLLHUP);
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
