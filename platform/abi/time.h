#ifndef PLATFORM_ABI_TIME_H_
#define PLATFORM_ABI_TIME_H_

#include <cstdint>

// Kernel layouts of times as x86-64 guests pass them (include/uapi/linux/time_types.h, time.h).

namespace runsc::abi {

struct Timespec {
  int64_t sec;
  int64_t nsec;
};

struct Timeval {
  int64_t sec;
  int64_t usec;
};

struct Itimerspec {
  Timespec interval;
  Timespec value;
};

struct Itimerval {
  Timeval interval;
  Timeval value;
};

struct Timezone {
  int32_t minutes_west;
  int32_t dst_time;
};

// times(2)
struct Tms {
  int64_t user, system, child_user, child_system;
};

// utime(2)
struct Utimbuf {
  int64_t actime;
  int64_t modtime;
};

// adjtimex(2), struct timex
struct Timex {
  uint32_t modes;
  uint32_t pad0;
  int64_t offset, freq, maxerror, esterror;
  int32_t status;
  uint32_t pad1;
  int64_t constant, precision, tolerance;
  Timeval time;
  int64_t tick, ppsfreq, jitter;
  int32_t shift;
  uint32_t pad2;
  int64_t stabil, jitcnt, calcnt, errcnt, stbcnt;
  int32_t tai;
  int32_t pad3[11];
};

inline constexpr int64_t kNanosPerSecond = 1000000000;
inline constexpr int64_t kNanosPerMicro = 1000;
// USER_HZ, the unit of times(2) and of many /proc fields; AT_CLKTCK.
inline constexpr int64_t kClockTicksPerSecond = 100;

// utimensat(2): nsec values with a meaning of their own.
inline constexpr int64_t kUtimeNow = (1 << 30) - 1;
inline constexpr int64_t kUtimeOmit = (1 << 30) - 2;

static_assert(sizeof(Timespec) == 16 && sizeof(Itimerspec) == 32 && sizeof(Timex) == 208);

}  // namespace runsc::abi

#endif  // PLATFORM_ABI_TIME_H_
