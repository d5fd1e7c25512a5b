#ifndef PLATFORM_MEMORY_FREE_MAP_H_
#define PLATFORM_MEMORY_FREE_MAP_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "platform/memory/file_range.h"

namespace runsc {

// Free offsets of the memory file: ranges coalesced by address and indexed by size class, so that
// an allocation finds the lowest range of a class that surely fits in O(log n). Not thread-safe.
class FreeMap {
 public:
  // Adds a range that does not overlap what is free.
  void Add(FileRange range);
  // Takes `bytes` (page multiple, not 0) from a free range; nullopt if none is long enough.
  std::optional<FileRange> Take(uint64_t bytes);
  uint64_t bytes() const { return bytes_; }

 private:
  using Ranges = std::map<uint64_t, uint64_t>;  // start -> end

  static int ClassOf(uint64_t bytes) { return 63 - __builtin_clzll(bytes); }
  void Index(uint64_t start, uint64_t end);
  void Unindex(uint64_t start, uint64_t end);
  FileRange TakeFrom(uint64_t start, uint64_t bytes);
  // Start of a range that is long enough but in the class where some are too short.
  std::optional<uint64_t> SearchClass(int size_class, uint64_t bytes) const;

  Ranges ranges_;
  std::array<std::set<uint64_t>, 64> by_class_;  // floor(log2(size)) -> starts
  uint64_t bytes_ = 0;
};

}  // namespace runsc

#endif  // PLATFORM_MEMORY_FREE_MAP_H_
