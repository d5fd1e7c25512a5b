#ifndef PLATFORM_SYSTRAP_MAPPED_SET_H_
#define PLATFORM_SYSTRAP_MAPPED_SET_H_

#include <cstdint>
#include <map>
#include <vector>

#include "platform/base/types.h"

namespace runsc::platform::systrap {

// Which guest addresses have a mapping in the stub; neighbours are merged. Saves host calls on
// what is not mapped, and finds the holes at which mprotect(2) would stop.
class MappedSet {
 public:
  void Add(AddrRange range);
  void Remove(AddrRange range);
  bool Overlaps(AddrRange range) const;
  // The mapped parts of `range`, in order.
  std::vector<AddrRange> In(AddrRange range) const;
  size_t runs() const { return runs_.size(); }

 private:
  // First run that ends after `at`.
  std::map<uint64_t, uint64_t>::const_iterator FirstEndingAfter(uint64_t at) const;

  std::map<uint64_t, uint64_t> runs_;  // start -> end
};

}  // namespace runsc::platform::systrap

#endif  // PLATFORM_SYSTRAP_MAPPED_SET_H_
