#include "gofer/client/exchange.h"

#include <algorithm>
#include <cstring>

#include "platform/base/strings.h"

namespace runsc::gofer {
namespace {

// An errno a file call may have. What would make the caller wait or restart is not: nothing ever
// wakes it.
Errno GoferError(uint32_t error) {
  Errno e = static_cast<Errno>(error);
  return e == Errno::kAgain || e == Errno::kIntr ? Errno::kIo : e;
}

constexpr uint32_t kMaxErrno = 133;

}  // namespace

Client::Exchange::Exchange(Client& client, Op op)
    : client_(client),
      op_(op),
      channel_(client.Acquire()),
      out_(channel_.memory->request_bytes, kMaxRequest) {
  out_.Put(RequestHeader{static_cast<uint32_t>(op), 0});
}

Errno Client::Exchange::Nonsense() {
  return client_.Die(
      StrPrintf("gofer sent a malformed answer to request %u", static_cast<uint32_t>(op_)));
}

Status Client::Exchange::Run() {
  if (client_.dead()) return Errno::kIo;
  if (out_.overflow()) return Errno::kInval;
  ChannelMemory& m = *channel_.memory;
  uint32_t sequence = ++channel_.sequence;
  PostRequest(m, sequence, static_cast<uint32_t>(out_.size()));
  switch (AwaitReply(m, sequence, client_.options_.timeout_ms, client_.dead_)) {
    case WaitResult::kReplied: break;
    case WaitResult::kCanceled: return Errno::kIo;
    case WaitResult::kTimeout:
      return client_.Die(StrPrintf("gofer did not answer request %u within %lld ms",
                                   static_cast<uint32_t>(op_),
                                   static_cast<long long>(client_.options_.timeout_ms)));
  }
  size_t size = m.reply.size.load(std::memory_order_relaxed);
  if (size < sizeof(ReplyHeader) || size > kMaxReply) return Nonsense();
  std::memcpy(channel_.reply.get(), m.reply_bytes, size);
  in_ = Reader(channel_.reply.get(), size);
  ReplyHeader header{};
  in_.Get(&header);
  if (header.fds > 1 || header.error > kMaxErrno) return Nonsense();
  if (header.fds == 1) TRY(TakeDonation());
  if (header.error != 0) return GoferError(header.error);
  return Ok();
}

Status Client::Exchange::TakeDonation() {
  Donation donation{};
  Received got;
  bool received = ReceiveMessage(channel_.socket.get(), &donation, sizeof(donation), &got, 0);
  if (got.lost_fds && got.fd_count == 0) return Errno::kNfile;  // ours, not the gofer's fault
  if (!received || got.size != sizeof(donation) || donation.magic != kMagic ||
      donation.sequence != channel_.sequence || got.fd_count != 1) {
    return Nonsense();
  }
  fd_ = std::move(got.fds[0]);
  return Ok();
}

Client::Channel* Client::TryAcquire() {
  uint32_t cpu = CurrentCpu();
  Channel* other = nullptr;
  for (uint32_t i = 0; i < channel_count_; ++i) {
    Channel& c = channels_[i];
    if (c.busy.load(std::memory_order_relaxed)) continue;
    if (c.cpu == cpu && !c.busy.exchange(true)) return &c;
    other = &c;
  }
  if (other != nullptr && !other->busy.exchange(true)) return other;
  return nullptr;
}

Client::Channel& Client::Acquire() {
  if (Channel* c = TryAcquire()) return *c;
  ++waiters_;
  Channel* found = nullptr;
  {
    MutexLock l(mu_);
    while ((found = TryAcquire()) == nullptr) channel_free_.Wait(mu_);
  }
  --waiters_;
  return *found;
}

void Client::Release(Channel& channel) {
  channel.busy.store(false);
  if (waiters_.load() == 0) return;
  MutexLock l(mu_);
  channel_free_.NotifyOne();
}

}  // namespace runsc::gofer
