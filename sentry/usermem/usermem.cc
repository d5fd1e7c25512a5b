#include "sentry/usermem/usermem.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <utility>

namespace runsc {

ErrnoOr<std::string> UserMemory::GetString(UserAddr src, size_t max) {
  constexpr size_t kFirst = 256;  // most strings fit
  constexpr size_t kMaxPiece = kPageSize;
  std::string out;
  char piece[kMaxPiece];
  size_t limit = kFirst;
  // One byte more than `max`: the NUL.
  while (out.size() <= max) {
    UserAddr at = src + out.size();
    size_t to_page_end = kPageSize - (at.value & kPageMask);
    size_t want = std::min({limit, to_page_end, max + 1 - out.size()});
    size_t got = TRY(CopyInPartial(piece, at, want));
    const void* nul = std::memchr(piece, 0, got);
    if (nul != nullptr) {
      out.append(piece, static_cast<size_t>(static_cast<const char*>(nul) - piece));
      return out;
    }
    if (got < want) return Errno::kFault;
    out.append(piece, got);
    limit = kMaxPiece;
  }
  return Errno::kNametoolong;
}

UserPieces::UserPieces(UserMemory* mem, std::vector<UserRange> ranges)
    : mem_(mem), ranges_(std::move(ranges)) {
  for (const UserRange& r : ranges_) remaining_ += r.size;
}

void UserPieces::Skip(size_t n) {
  n = std::min(n, remaining_);
  remaining_ -= n;
  offset_ += n;
  if (ranges_.empty()) return;
  while (index_ + 1 < ranges_.size() && offset_ >= ranges_[index_].size) {
    offset_ -= ranges_[index_].size;
    ++index_;
  }
}

void UserPieces::Truncate(size_t n) { remaining_ = std::min(remaining_, n); }

UserRange UserPieces::Front() const {
  if (ranges_.empty()) return {one_.addr + offset_, remaining_};
  size_t index = index_;
  size_t offset = offset_;
  while (index + 1 < ranges_.size() && offset >= ranges_[index].size) {
    offset -= ranges_[index].size;
    ++index;
  }
  const UserRange& r = ranges_[index];
  return {r.addr + offset, std::min(r.size - offset, remaining_)};
}

ErrnoOr<size_t> UserPieces::Transfer(size_t max, Access want, PieceSink& sink) {
  size_t n = std::min(max, remaining_);
  if (n == 0) return size_t{0};
  size_t used;
  if (is_kernel_buffer()) {
    iovec piece{buffer_ + offset_, n};
    used = TRY(sink.OnPieces(&piece, 1));
  } else {
    UserRange front = Front();
    used = TRY(mem_->WithPieces(front.addr, std::min(n, front.size), want, sink));
  }
  Skip(used);
  return used;
}

namespace {

// Runs `copy(range, done)` over the front of `p` until `n` bytes are done or memory ends.
template <typename Pieces, typename Front, typename Copy>
ErrnoOr<size_t> Walk(Pieces& p, size_t n, Front front, Copy copy) {
  size_t done = 0;
  while (done < n) {
    UserRange r = front();
    r.size = std::min(r.size, n - done);
    ErrnoOr<size_t> got = copy(r, done);
    if (!got.ok()) {
      if (done == 0) return got.error();
      break;
    }
    p.Skip(*got);
    done += *got;
    if (*got < r.size) break;
  }
  return done;
}

}  // namespace

ErrnoOr<size_t> UserOut::Write(const void* data, size_t n) {
  n = std::min(n, remaining());
  const char* from = static_cast<const char*>(data);
  if (is_kernel_buffer()) {
    std::memcpy(buffer_ + BufferOffset(), from, n);
    Skip(n);
    return n;
  }
  return Walk(
      *this, n, [this] { return Front(); },
      [&](UserRange r, size_t done) { return mem_->CopyOutPartial(r.addr, from + done, r.size); });
}

ErrnoOr<size_t> UserOut::WriteZeros(size_t n) {
  n = std::min(n, remaining());
  if (is_kernel_buffer()) {
    std::memset(buffer_ + BufferOffset(), 0, n);
    Skip(n);
    return n;
  }
  return Walk(
      *this, n, [this] { return Front(); },
      [&](UserRange r, size_t) { return mem_->ZeroPartial(r.addr, r.size); });
}

ErrnoOr<size_t> UserIn::Read(void* data, size_t n) {
  n = std::min(n, remaining());
  char* to = static_cast<char*>(data);
  if (is_kernel_buffer()) {
    std::memcpy(to, buffer_ + BufferOffset(), n);
    Skip(n);
    return n;
  }
  return Walk(
      *this, n, [this] { return Front(); },
      [&](UserRange r, size_t done) { return mem_->CopyInPartial(to + done, r.addr, r.size); });
}

ErrnoOr<std::vector<UserRange>> ImportIovec(UserMemory& mem, UserAddr iov, uint64_t count) {
  if (count > IOV_MAX) return Errno::kInval;
  std::vector<iovec> raw = TRY(mem.GetArray<iovec>(iov, count));
  std::vector<UserRange> out;
  out.reserve(count);
  size_t total = 0;
  for (const iovec& v : raw) {
    if (static_cast<ssize_t>(v.iov_len) < 0) return Errno::kInval;
  }
  for (const iovec& v : raw) {
    UserAddr base(reinterpret_cast<uint64_t>(v.iov_base));
    if (!IsUserRange(base, v.iov_len)) return Errno::kFault;
    size_t n = std::min(v.iov_len, kMaxTransfer - total);
    total += n;
    if (n != 0) out.push_back({base, n});
  }
  return out;
}

}  // namespace runsc
