#include "syscalls/task/rusage.h"

namespace runsc {
namespace {

abi::Timeval ToTimeval(uint64_t nanos) {
  return {static_cast<int64_t>(nanos / abi::kNanosPerSecond),
          static_cast<int64_t>(nanos % abi::kNanosPerSecond / abi::kNanosPerMicro)};
}

}  // namespace

abi::Rusage ToRusage(const ResourceUse& use) {
  abi::Rusage r{};
  r.utime = ToTimeval(use.user_ns);
  r.stime = ToTimeval(use.system_ns);
  r.maxrss = static_cast<int64_t>(use.max_resident >> 10);
  r.minflt = static_cast<int64_t>(use.minor_faults);
  r.nvcsw = static_cast<int64_t>(use.voluntary_switches);
  return r;
}

}  // namespace runsc
