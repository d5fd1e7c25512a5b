#ifndef SENTRY_VFS_FILE_TIME_H_
#define SENTRY_VFS_FILE_TIME_H_

#include <cstdint>

#include "sentry/vfs/types.h"

namespace runsc {

// A time in seconds and nanoseconds; what lies beyond the years 1677 to 2262 is clamped.
inline FileTime ClampedFileTime(int64_t seconds, int64_t nanos) {
  FileTime out;
  if (__builtin_mul_overflow(seconds, int64_t{1'000'000'000}, &out) ||
      __builtin_add_overflow(out, nanos, &out)) {
    return seconds < 0 ? INT64_MIN : INT64_MAX;
  }
  return out;
}

}  // namespace runsc

#endif  // SENTRY_VFS_FILE_TIME_H_
