// What arguments a system call takes, as far as making good random ones needs to know.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace fuzz {

enum class Kind : uint8_t {
  kNone,
  kFd,
  kDirFd,
  kPath,
  kBuffer,
  kSize,
  kNumber,
  kSmall,
  kFlags,
  kTime,
  kIoVector,
  kMessage,
  kAddress,
  kRegion,
  kLength,
  kSignal,
  kIoctl,
  kPid,
  kMapFd,
  kIovCount,
  kXattr,  // an attribute's name
  kSigset,
  kBad,  // only addresses that cannot be used
};

struct Arg {
  Kind kind = Kind::kNone;
  uint64_t bits = 0;  // kFlags: the flags that exist; kSmall: exclusive upper bound.
};

enum class Result : uint8_t { kNothing, kFd, kRegion, kTwoFds };

struct Shape {
  long number;
  Arg args[6];
  Result result = Result::kNothing;
};

extern const Shape kShapes[];
extern const size_t kShapeCount;

// Numbers never called with arbitrary arguments: they end the caller, block it for good, or reach
// beyond its own process tree where this runs natively.
extern const long kDenied[];
extern const size_t kDeniedCount;

}  // namespace fuzz
