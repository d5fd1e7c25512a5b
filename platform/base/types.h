#ifndef PLATFORM_BASE_TYPES_H_
#define PLATFORM_BASE_TYPES_H_

#include <compare>
#include <cstddef>
#include <cstdint>

namespace runsc {

inline constexpr size_t kPageSize = 4096;
inline constexpr uint64_t kPageMask = kPageSize - 1;
inline constexpr uint64_t PageDown(uint64_t v) { return v & ~kPageMask; }
// Wraps to 0 near the top; check before use on hostile values.
inline constexpr uint64_t PageUp(uint64_t v) { return (v + kPageMask) & ~kPageMask; }
inline constexpr bool PageAligned(uint64_t v) { return (v & kPageMask) == 0; }

// An address in a guest's address space. Never dereferenced; hostile until sentry/usermem or
// sentry/mm has checked it.
struct UserAddr {
  uint64_t value = 0;
  constexpr UserAddr() = default;
  constexpr explicit UserAddr(uint64_t v) : value(v) {}
  auto operator<=>(const UserAddr&) const = default;
  constexpr UserAddr operator+(uint64_t n) const { return UserAddr(value + n); }
  constexpr UserAddr operator-(uint64_t n) const { return UserAddr(value - n); }
  constexpr uint64_t operator-(UserAddr o) const { return value - o.value; }
  constexpr bool IsNull() const { return value == 0; }
};

// [start, end) of guest addresses.
struct AddrRange {
  uint64_t start = 0;
  uint64_t end = 0;
  constexpr uint64_t size() const { return end - start; }
  constexpr bool empty() const { return start >= end; }
  constexpr bool Contains(uint64_t a) const { return a >= start && a < end; }
  constexpr bool Covers(AddrRange o) const { return o.start >= start && o.end <= end; }
  constexpr bool Overlaps(AddrRange o) const { return start < o.end && o.start < end; }
  constexpr AddrRange Intersect(AddrRange o) const {
    return {start > o.start ? start : o.start, end < o.end ? end : o.end};
  }
  auto operator<=>(const AddrRange&) const = default;
};

// What an access does or a mapping allows. `write` implies nothing about `read`.
struct Access {
  bool read = false;
  bool write = false;
  bool exec = false;
  constexpr bool Any() const { return read || write || exec; }
  constexpr bool Allows(Access want) const {
    return (read || !want.read) && (write || !want.write) && (exec || !want.exec);
  }
  // PROT_* bits.
  constexpr int Prot() const { return (read ? 1 : 0) | (write ? 2 : 0) | (exec ? 4 : 0); }
  static constexpr Access FromProt(uint64_t p) {
    return {(p & 1) != 0, (p & 2) != 0, (p & 4) != 0};
  }
  bool operator==(const Access&) const = default;
};

// A guest's file descriptor number as passed; may be negative or out of range.
struct FdNum {
  int32_t value = -1;
  constexpr FdNum() = default;
  constexpr explicit FdNum(int32_t v) : value(v) {}
  auto operator<=>(const FdNum&) const = default;
};

// A thread or process id as the guest sees it in its own pid namespace.
using Tid = int32_t;

// A signal number, 1..64 when valid.
struct Signal {
  int32_t value = 0;
  constexpr Signal() = default;
  constexpr explicit Signal(int32_t v) : value(v) {}
  constexpr bool IsValid() const { return value >= 1 && value <= 64; }
  constexpr bool IsRealtime() const { return value >= 32 && value <= 64; }
  auto operator<=>(const Signal&) const = default;
};

// A set of signals, bit n-1 for signal n, as in the kernel's sigset_t.
struct SignalSet {
  uint64_t bits = 0;
  static constexpr uint64_t Bit(Signal s) { return uint64_t{1} << (s.value - 1); }
  constexpr bool Has(Signal s) const { return (bits & Bit(s)) != 0; }
  constexpr void Add(Signal s) { bits |= Bit(s); }
  constexpr void Remove(Signal s) { bits &= ~Bit(s); }
  constexpr bool Empty() const { return bits == 0; }
  bool operator==(const SignalSet&) const = default;
};

// A device number split as Linux does.
struct DeviceId {
  uint32_t major = 0;
  uint32_t minor = 0;
  bool operator==(const DeviceId&) const = default;
};

}  // namespace runsc

#endif  // PLATFORM_BASE_TYPES_H_
