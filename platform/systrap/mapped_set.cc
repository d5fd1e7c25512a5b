#include "platform/systrap/mapped_set.h"

namespace runsc::platform::systrap {

std::map<uint64_t, uint64_t>::const_iterator MappedSet::FirstEndingAfter(uint64_t at) const {
  auto it = runs_.upper_bound(at);
  if (it != runs_.begin()) {
    auto before = std::prev(it);
    if (before->second > at) return before;
  }
  return it;
}

void MappedSet::Add(AddrRange range) {
  if (range.empty()) return;
  auto it = runs_.upper_bound(range.start);
  if (it != runs_.begin() && std::prev(it)->second >= range.start) {
    --it;
    range.start = it->first;
    if (it->second > range.end) range.end = it->second;
    it = runs_.erase(it);
  }
  while (it != runs_.end() && it->first <= range.end) {
    if (it->second > range.end) range.end = it->second;
    it = runs_.erase(it);
  }
  runs_.emplace_hint(it, range.start, range.end);
}

void MappedSet::Remove(AddrRange range) {
  if (range.empty()) return;
  auto it = FirstEndingAfter(range.start);
  while (it != runs_.end() && it->first < range.end) {
    const AddrRange run{it->first, it->second};
    it = runs_.erase(it);
    if (run.start < range.start) runs_.emplace(run.start, range.start);
    if (run.end > range.end) {
      runs_.emplace(range.end, run.end);
      return;
    }
  }
}

bool MappedSet::Overlaps(AddrRange range) const {
  auto it = FirstEndingAfter(range.start);
  return it != runs_.end() && it->first < range.end;
}

std::vector<AddrRange> MappedSet::In(AddrRange range) const {
  std::vector<AddrRange> parts;
  for (auto it = FirstEndingAfter(range.start); it != runs_.end() && it->first < range.end; ++it) {
    parts.push_back(AddrRange{it->first, it->second}.Intersect(range));
  }
  return parts;
}

}  // namespace runsc::platform::systrap
