#ifndef SYSCALLS_TIME_CONVERT_H_
#define SYSCALLS_TIME_CONVERT_H_

#include "platform/abi/time.h"
#include "platform/base/errno.h"

namespace runsc {

// Nanoseconds of a guest's time; EINVAL unless normalized and not negative. Saturates.
inline ErrnoOr<int64_t> ToNanos(const abi::Timespec& ts) {
  if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= abi::kNanosPerSecond) return Errno::kInval;
  if (ts.sec >= INT64_MAX / abi::kNanosPerSecond) return INT64_MAX;
  return ts.sec * abi::kNanosPerSecond + ts.nsec;
}
inline ErrnoOr<int64_t> ToNanos(const abi::Timeval& tv) {
  if (tv.usec < 0 || tv.usec >= 1000000) return Errno::kInval;
  return ToNanos(abi::Timespec{tv.sec, tv.usec * abi::kNanosPerMicro});
}
inline abi::Timespec ToTimespec(int64_t nanos) {
  return {nanos / abi::kNanosPerSecond, nanos % abi::kNanosPerSecond};
}
inline abi::Timeval ToTimeval(int64_t nanos) {
  return {nanos / abi::kNanosPerSecond, nanos % abi::kNanosPerSecond / abi::kNanosPerMicro};
}
// As ToTimeval, but what is left rounds up: a timer that runs never shows zero.
inline abi::Timeval ToTimevalUp(int64_t nanos) {
  return ToTimeval(nanos > INT64_MAX - 999 ? nanos : nanos + 999);
}
inline int64_t SaturatingAdd(int64_t a, int64_t b) {
  return a > INT64_MAX - b ? INT64_MAX : a + b;
}

}  // namespace runsc

#endif  // SYSCALLS_TIME_CONVERT_H_
