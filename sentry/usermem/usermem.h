#ifndef SENTRY_USERMEM_USERMEM_H_
#define SENTRY_USERMEM_USERMEM_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/types.h"

namespace runsc {

// Largest number of bytes one read or write moves (Linux MAX_RW_COUNT).
inline constexpr size_t kMaxTransfer = 0x7ffff000;

// The end of what a guest can map; transfers that reach beyond it fail before they begin.
inline constexpr uint64_t kUserEnd = (uint64_t{1} << 47) - 4096;
inline bool IsUserRange(UserAddr addr, uint64_t n) {
  return n <= kUserEnd && addr.value <= kUserEnd - n;
}

// Receives directly addressable pieces of user memory, for host calls such as preadv(2).
class PieceSink {
 public:
  virtual ~PieceSink() = default;
  // Uses `pieces` in order; answers the number of bytes used from their start, which may be
  // short. The pieces are valid only during the call. Must not sleep for long and must not touch
  // guest memory by other ways.
  virtual ErrnoOr<size_t> OnPieces(const iovec* pieces, int count) = 0;
};

// A guest address space as seen by code that copies to and from it. Implemented by
// mm::MemoryManager. Every address and length is hostile. All copies resolve faults (allocate,
// copy on write, grow the stack) as the guest's own access would.
class UserMemory {
 public:
  virtual ~UserMemory() = default;

  // Copies up to `n` bytes; answers how many were copied before the first byte that cannot be
  // accessed, EFAULT if none (n > 0).
  virtual ErrnoOr<size_t> CopyInPartial(void* dst, UserAddr src, size_t n) = 0;
  virtual ErrnoOr<size_t> CopyOutPartial(UserAddr dst, const void* src, size_t n) = 0;
  virtual ErrnoOr<size_t> ZeroPartial(UserAddr dst, size_t n) = 0;
  // Gives `sink` the pieces behind [addr, addr+n) (fewer if part is inaccessible or n is large).
  // `want.write`: the pieces will be written (a read(2) by the guest).
  virtual ErrnoOr<size_t> WithPieces(UserAddr addr, size_t n, Access want, PieceSink& sink) = 0;

  // Atomic operations on an aligned 32-bit guest word (futexes, robust lists). EFAULT, EINVAL if
  // misaligned. CompareExchange answers the value found.
  virtual ErrnoOr<uint32_t> Load32(UserAddr addr) = 0;
  virtual ErrnoOr<uint32_t> CompareExchange32(UserAddr addr, uint32_t old, uint32_t desired) = 0;

  // All or EFAULT.
  Status CopyIn(void* dst, UserAddr src, size_t n) {
    if (n == 0) return Ok();
    return TRY(CopyInPartial(dst, src, n)) == n ? Ok() : Status(Errno::kFault);
  }
  Status CopyOut(UserAddr dst, const void* src, size_t n) {
    if (n == 0) return Ok();
    return TRY(CopyOutPartial(dst, src, n)) == n ? Ok() : Status(Errno::kFault);
  }
  // Reads or writes one trivially copyable object.
  template <typename T>
  ErrnoOr<T> Get(UserAddr src) {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    TRY(CopyIn(&value, src, sizeof(T)));
    return value;
  }
  template <typename T>
  Status Put(UserAddr dst, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    return CopyOut(dst, &value, sizeof(T));
  }
  template <typename T>
  ErrnoOr<std::vector<T>> GetArray(UserAddr src, size_t count) {
    std::vector<T> out(count);
    if (count != 0) TRY(CopyIn(out.data(), src, count * sizeof(T)));
    return out;
  }
  // A NUL-terminated string of at most `max` bytes without the NUL. ENAMETOOLONG if longer, EFAULT.
  ErrnoOr<std::string> GetString(UserAddr src, size_t max);
};

// A range of guest memory.
struct UserRange {
  UserAddr addr;
  size_t size = 0;
};

// What a transfer goes through: guest ranges, or one buffer of the sentry's own (for splice,
// loading programs, tests). Common part of UserOut and UserIn; consumed from the front.
class UserPieces {
 public:
  // Bytes left.
  size_t remaining() const { return remaining_; }
  bool is_kernel_buffer() const { return mem_ == nullptr; }
  // Drops `n` bytes (<= remaining) from the front.
  void Skip(size_t n);
  // Limits what is left to `n` bytes.
  void Truncate(size_t n);

 protected:
  UserPieces(UserMemory* mem, UserAddr addr, size_t n)
      : mem_(mem), one_{addr, n}, remaining_(n) {}
  UserPieces(UserMemory* mem, std::vector<UserRange> ranges);
  UserPieces(char* buffer, size_t n) : buffer_(buffer), remaining_(n) {}

  // The range at the front, at most `remaining` long. remaining() > 0.
  UserRange Front() const;
  ErrnoOr<size_t> Transfer(size_t max, Access want, PieceSink& sink);
  // Bytes consumed so far; only for a kernel buffer.
  size_t BufferOffset() const { return offset_; }

  UserMemory* mem_ = nullptr;
  char* buffer_ = nullptr;

 private:
  UserRange one_;
  std::vector<UserRange> ranges_;  // used instead of one_ when not empty
  size_t index_ = 0;
  size_t offset_ = 0;  // into the front range
  size_t remaining_ = 0;
};

// Destination of a read.
class UserOut : public UserPieces {
 public:
  UserOut(UserMemory& mem, UserAddr addr, size_t n) : UserPieces(&mem, addr, n) {}
  // `ranges` as checked by ImportIovec.
  UserOut(UserMemory& mem, std::vector<UserRange> ranges) : UserPieces(&mem, std::move(ranges)) {}
  UserOut(void* buffer, size_t n) : UserPieces(static_cast<char*>(buffer), n) {}

  // Copies min(n, remaining) bytes out and consumes them. Short if memory ends; EFAULT if not
  // even one byte could be written (and min(n, remaining) > 0).
  ErrnoOr<size_t> Write(const void* data, size_t n);
  ErrnoOr<size_t> WriteZeros(size_t n);
  // Writes one object whole or answers EFAULT; EINVAL if remaining() is too small.
  template <typename T>
  ErrnoOr<size_t> Put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (remaining() < sizeof(T)) return Errno::kInval;
    size_t n = TRY(Write(&value, sizeof(T)));
    return n == sizeof(T) ? ErrnoOr<size_t>(n) : Errno::kFault;
  }
  // Lets `sink` fill the front directly, at most `max` bytes; consumes what it used. May be short.
  ErrnoOr<size_t> Fill(size_t max, PieceSink& sink) {
    return Transfer(max, Access{.write = true}, sink);
  }
};

// Source of a write.
class UserIn : public UserPieces {
 public:
  UserIn(UserMemory& mem, UserAddr addr, size_t n) : UserPieces(&mem, addr, n) {}
  UserIn(UserMemory& mem, std::vector<UserRange> ranges) : UserPieces(&mem, std::move(ranges)) {}
  UserIn(const void* buffer, size_t n)
      : UserPieces(static_cast<char*>(const_cast<void*>(buffer)), n) {}

  // Copies min(n, remaining) bytes in and consumes them; as UserOut::Write.
  ErrnoOr<size_t> Read(void* data, size_t n);
  template <typename T>
  ErrnoOr<T> Get() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    if (remaining() < sizeof(T)) return Errno::kInval;
    size_t n = TRY(Read(&value, sizeof(T)));
    if (n != sizeof(T)) return Errno::kFault;
    return value;
  }
  // Lets `sink` take the front directly, at most `max` bytes; consumes what it used. May be short.
  ErrnoOr<size_t> Drain(size_t max, PieceSink& sink) {
    return Transfer(max, Access{.read = true}, sink);
  }
};

// Reads and checks an iovec array as readv(2) does: EINVAL for a bad count or lengths whose sum
// overflows, EFAULT also for ranges outside user space; the total is clamped to kMaxTransfer.
ErrnoOr<std::vector<UserRange>> ImportIovec(UserMemory& mem, UserAddr iov, uint64_t count);

// memcpy and memset between sentry memory and file-backed sentry mappings that may raise SIGBUS
// (host file truncated, host out of memory). Answers bytes done. InstallFaultHandler is called
// once at start.
size_t SafeCopy(void* dst, const void* src, size_t n);
size_t SafeZero(void* dst, size_t n);
// Atomics with the same protection; false if faulted.
bool SafeLoad32(const uint32_t* addr, uint32_t* out);
bool SafeCompareExchange32(uint32_t* addr, uint32_t expected, uint32_t desired, uint32_t* found);
void InstallFaultHandler();

}  // namespace runsc

#endif  // SENTRY_USERMEM_USERMEM_H_
