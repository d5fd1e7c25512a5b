#ifndef PLATFORM_PTRACE_RANGE_SET_H_
#define PLATFORM_PTRACE_RANGE_SET_H_

#include <cstdint>
#include <map>
#include <vector>

#include "platform/base/types.h"

namespace runsc::ptrace_platform {

// A set of addresses kept as coalesced ranges. Not thread-safe.
class RangeSet {
 public:
  void Add(AddrRange range);
  void Remove(AddrRange range);
  // The parts of `range` that are in the set, in order.
  std::vector<AddrRange> Parts(AddrRange range) const;
  bool empty() const { return ranges_.empty(); }
  void clear() { ranges_.clear(); }

 private:
  std::map<uint64_t, uint64_t> ranges_;  // start -> end
};

}  // namespace runsc::ptrace_platform

#endif  // PLATFORM_PTRACE_RANGE_SET_H_
