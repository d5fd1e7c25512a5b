#include "platform/memory/free_map.h"

#include <iterator>

namespace runsc {

namespace {
// How many ranges of the allocation's own size class are looked at before a longer one is cut.
constexpr int kMaxProbes = 16;
}  // namespace

void FreeMap::Index(uint64_t start, uint64_t end) {
  ranges_[start] = end;
  by_class_[static_cast<size_t>(ClassOf(end - start))].insert(start);
}

void FreeMap::Unindex(uint64_t start, uint64_t end) {
  ranges_.erase(start);
  by_class_[static_cast<size_t>(ClassOf(end - start))].erase(start);
}

void FreeMap::Add(FileRange range) {
  bytes_ += range.size();
  auto next = ranges_.lower_bound(range.start);
  if (next != ranges_.begin()) {
    auto prev = std::prev(next);
    if (prev->second == range.start) {
      range.start = prev->first;
      Unindex(prev->first, prev->second);
    }
  }
  if (next != ranges_.end() && next->first == range.end) {
    range.end = next->second;
    Unindex(next->first, next->second);
  }
  Index(range.start, range.end);
}

FileRange FreeMap::TakeFrom(uint64_t start, uint64_t bytes) {
  uint64_t end = ranges_.at(start);
  Unindex(start, end);
  if (start + bytes < end) Index(start + bytes, end);
  bytes_ -= bytes;
  return {start, start + bytes};
}

std::optional<uint64_t> FreeMap::SearchClass(int size_class, uint64_t bytes) const {
  const std::set<uint64_t>& starts = by_class_[static_cast<size_t>(size_class)];
  int probes = 0;
  for (uint64_t start : starts) {
    if (ranges_.at(start) - start >= bytes) return start;
    if (++probes == kMaxProbes) break;
  }
  return std::nullopt;
}

std::optional<FileRange> FreeMap::Take(uint64_t bytes) {
  const int own = ClassOf(bytes);
  const bool power_of_two = (bytes & (bytes - 1)) == 0;
  std::optional<uint64_t> best;
  for (int c = power_of_two ? own : own + 1; c < 64; ++c) {
    const std::set<uint64_t>& starts = by_class_[static_cast<size_t>(c)];
    if (!starts.empty() && (!best || *starts.begin() < *best)) best = *starts.begin();
  }
  if (!power_of_two) {
    std::optional<uint64_t> snug = SearchClass(own, bytes);
    if (snug && (!best || *snug < *best)) best = snug;
  }
  if (!best) {
    // Last resort, near exhaustion only: every range of the own class.
    for (uint64_t start : by_class_[static_cast<size_t>(own)]) {
      if (ranges_.at(start) - start >= bytes) {
        best = start;
        break;
      }
    }
  }
  if (!best) return std::nullopt;
  return TakeFrom(*best, bytes);
}

}  // namespace runsc
