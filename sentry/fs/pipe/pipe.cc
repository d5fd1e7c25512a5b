#include "sentry/fs/pipe/pipe.h"

#include <sys/epoll.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace runsc {
namespace {

constexpr size_t kFirstRing = 4096;

}  // namespace

void Pipe::GrowLocked(size_t need) {
  if (need <= ring_size_) return;
  size_t size = std::max(ring_size_ * 2, kFirstRing);
  while (size < need) size *= 2;
  auto bigger = std::make_unique<char[]>(size);
  if (used_ > 0) CopyOutLocked(bigger.get(), 0, used_);
  ring_ = std::move(bigger);
  ring_size_ = size;
  head_ = 0;
}

// Copies `n` bytes that start `at` bytes after the head.
void Pipe::CopyOutLocked(char* to, size_t at, size_t n) const {
  size_t start = (head_ + at) % ring_size_;
  size_t first = std::min(n, ring_size_ - start);
  std::memcpy(to, ring_.get() + start, first);
  std::memcpy(to + first, ring_.get(), n - first);
}

// Moves up to `n` buffered bytes out; short only if guest memory ends.
ErrnoOr<size_t> Pipe::TakeLocked(UserOut& dst, size_t n) {
  size_t done = 0;
  while (done < n) {
    size_t run = std::min(n - done, ring_size_ - head_);
    ErrnoOr<size_t> moved = dst.Write(ring_.get() + head_, run);
    if (!moved.ok()) return done > 0 ? ErrnoOr<size_t>(done) : moved;
    head_ = (head_ + *moved) % ring_size_;
    used_ -= *moved;
    done += *moved;
    if (*moved < run) break;
  }
  return done;
}

ErrnoOr<size_t> Pipe::PutLocked(UserIn& src, size_t n) {
  GrowLocked(used_ + n);
  size_t done = 0;
  while (done < n) {
    size_t tail = (head_ + used_) % ring_size_;
    size_t run = std::min(n - done, ring_size_ - tail);
    ErrnoOr<size_t> moved = src.Read(ring_.get() + tail, run);
    if (!moved.ok()) return done > 0 ? ErrnoOr<size_t>(done) : moved;
    used_ += *moved;
    done += *moved;
    if (*moved < run) break;
  }
  return done;
}

ErrnoOr<size_t> Pipe::ReadLocked(UserOut& dst) {
  if (dst.remaining() == 0) return size_t{0};
  if (used_ == 0) {
    if (writers_ == 0) return size_t{0};
    return Errno::kWouldBlock;
  }
  size_t total = 0;
  while (!segments_.empty() && dst.remaining() > 0) {
    Segment& front = segments_.front();
    if (front.packet && total > 0) break;
    bool packet = front.packet;
    size_t want = std::min(front.length, dst.remaining());
    ErrnoOr<size_t> moved = TakeLocked(dst, want);
    if (!moved.ok()) return total > 0 ? ErrnoOr<size_t>(total) : moved;
    total += *moved;
    front.length -= *moved;
    if (packet && *moved == want) {  // the rest of a packet is lost
      head_ = (head_ + front.length) % ring_size_;
      used_ -= front.length;
      front.length = 0;
    }
    if (front.length == 0) segments_.pop_front();
    if (packet || *moved < want) break;
  }
  return total;
}

ErrnoOr<size_t> Pipe::Read(UserOut& dst) {
  ErrnoOr<size_t> result = Errno::kWouldBlock;
  {
    MutexLock l(mu_);
    result = ReadLocked(dst);
  }
  if (!result.ok() || *result == 0) return result;
  queue_.Notify(EPOLLOUT | EPOLLWRNORM);
  async_writers_.Notify(IoEvent::kOut);
  return result;
}

bool Pipe::NoSlotLocked(bool packet) const {
  bool joins = !packet && !segments_.empty() && !segments_.back().packet;
  return !joins && segments_.size() >= capacity_ / kPageSize;
}

ErrnoOr<size_t> Pipe::WriteLocked(UserIn& src, bool packet) {
  if (readers_ == 0) return Errno::kPipe;
  size_t want = src.remaining();
  if (want == 0) return size_t{0};
  size_t room = capacity_ > used_ ? capacity_ - used_ : 0;
  if (packet) want = std::min(want, kAtomic);
  if (room == 0 || (room < want && want <= kAtomic)) return Errno::kWouldBlock;
  if (NoSlotLocked(packet)) return Errno::kWouldBlock;
  size_t moved = TRY(PutLocked(src, std::min(want, room)));
  if (!packet && !segments_.empty() && !segments_.back().packet) {
    segments_.back().length += moved;
  } else {
    segments_.push_back({moved, packet});
  }
  return moved;
}

ErrnoOr<size_t> Pipe::Write(UserIn& src, bool packet) {
  ErrnoOr<size_t> result = Errno::kWouldBlock;
  {
    MutexLock l(mu_);
    result = WriteLocked(src, packet);
  }
  if (!result.ok() || *result == 0) return result;
  queue_.Notify(EPOLLIN | EPOLLRDNORM);
  async_readers_.Notify(IoEvent::kIn);
  return result;
}

ErrnoOr<size_t> Pipe::Peek(UserOut& dst, size_t n) {
  MutexLock l(mu_);
  if (used_ == 0) {
    if (writers_ == 0) return size_t{0};
    return Errno::kWouldBlock;
  }
  n = std::min({n, used_, dst.remaining()});
  size_t first = std::min(n, ring_size_ - head_);
  size_t moved = TRY(dst.Write(ring_.get() + head_, first));
  if (moved == first && first < n) {
    ErrnoOr<size_t> rest = dst.Write(ring_.get(), n - first);
    if (rest.ok()) moved += *rest;
  }
  return moved;
}

EventMask Pipe::Poll(bool reader, bool writer) {
  MutexLock l(mu_);
  EventMask ready = 0;
  if (reader) {
    if (used_ > 0) ready |= EPOLLIN | EPOLLRDNORM;
    if (writers_ == 0 && writers_opened_ > 0) ready |= EPOLLHUP;
  }
  if (writer) {
    bool room = used_ < capacity_ && capacity_ - used_ >= kAtomic;
    if (room && !NoSlotLocked(false)) ready |= EPOLLOUT | EPOLLWRNORM;
    if (readers_ == 0) ready |= EPOLLERR;
  }
  return ready;
}

void Pipe::AddEnd(bool reader, bool writer) {
  {
    MutexLock l(mu_);
    if (reader) ++readers_, ++readers_opened_;
    if (writer) ++writers_, ++writers_opened_;
  }
  queue_.Notify(EPOLLIN | EPOLLOUT);
}

void Pipe::RemoveEnd(bool reader, bool writer) {
  bool last_reader = false;
  bool last_writer = false;
  bool one_side = false;
  {
    MutexLock l(mu_);
    if (reader) last_reader = --readers_ == 0;
    if (writer) last_writer = --writers_ == 0;
    one_side = (readers_ == 0) != (writers_ == 0);
    if (readers_ == 0 && writers_ == 0) {
      ring_.reset();
      ring_size_ = head_ = used_ = 0;
      segments_.clear();
    }
  }
  if (last_writer) queue_.Notify(EPOLLIN | EPOLLHUP);
  if (last_reader) queue_.Notify(EPOLLOUT | EPOLLERR);
  if (one_side) {
    async_readers_.Notify(IoEvent::kIn);
    async_writers_.Notify(IoEvent::kOut);
  }
}

uint64_t Pipe::readers_opened() {
  MutexLock l(mu_);
  return readers_opened_;
}
uint64_t Pipe::writers_opened() {
  MutexLock l(mu_);
  return writers_opened_;
}
bool Pipe::has_readers() {
  MutexLock l(mu_);
  return readers_ > 0;
}
bool Pipe::has_writers() {
  MutexLock l(mu_);
  return writers_ > 0;
}
size_t Pipe::Available() {
  MutexLock l(mu_);
  return used_;
}
size_t Pipe::capacity() {
  MutexLock l(mu_);
  return capacity_;
}

ErrnoOr<size_t> Pipe::SetCapacity(uint64_t bytes, bool privileged) {
  if (bytes > (uint64_t{1} << 31)) return Errno::kInval;
  size_t size = std::bit_ceil(std::max<size_t>(bytes, kPageSize));
  {
    MutexLock l(mu_);
    if (size > capacity_ && size > kMaxCapacity && !privileged) return Errno::kPerm;
    if (size > kLargest) return Errno::kNomem;
    if (size < used_ || segments_.size() > size / kPageSize) return Errno::kBusy;
    capacity_ = size;
  }
  queue_.Notify(EPOLLOUT | EPOLLWRNORM);
  return size;
}

}  // namespace runsc
