#include "platform/ptrace/range_set.h"

#include <algorithm>
#include <iterator>

namespace runsc::ptrace_platform {

void RangeSet::Add(AddrRange range) {
  auto it = ranges_.upper_bound(range.start);
  if (it != ranges_.begin() && std::prev(it)->second >= range.start) {
    --it;
    range.start = it->first;
    range.end = std::max(range.end, it->second);
    it = ranges_.erase(it);
  }
  while (it != ranges_.end() && it->first <= range.end) {
    range.end = std::max(range.end, it->second);
    it = ranges_.erase(it);
  }
  ranges_[range.start] = range.end;
}

void RangeSet::Remove(AddrRange range) {
  auto it = ranges_.upper_bound(range.start);
  if (it != ranges_.begin() && std::prev(it)->second > range.start) {
    --it;
    const AddrRange old{it->first, it->second};
    it = ranges_.erase(it);
    if (old.start < range.start) ranges_[old.start] = range.start;
    if (old.end > range.end) ranges_[range.end] = old.end;
  }
  while (it != ranges_.end() && it->first < range.end) {
    const uint64_t end = it->second;
    it = ranges_.erase(it);
    if (end > range.end) ranges_[range.end] = end;
  }
}

std::vector<AddrRange> RangeSet::Parts(AddrRange range) const {
  std::vector<AddrRange> parts;
  auto it = ranges_.upper_bound(range.start);
  if (it != ranges_.begin() && std::prev(it)->second > range.start) --it;
  for (; it != ranges_.end() && it->first < range.end; ++it) {
    parts.push_back(AddrRange{it->first, it->second}.Intersect(range));
  }
  return parts;
}

}  // namespace runsc::ptrace_platform
