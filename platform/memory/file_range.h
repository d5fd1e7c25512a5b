#ifndef PLATFORM_MEMORY_FILE_RANGE_H_
#define PLATFORM_MEMORY_FILE_RANGE_H_

#include <compare>
#include <cstdint>

namespace runsc {

// [start, end) offsets in the memory file, page aligned.
struct FileRange {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t size() const { return end - start; }
  bool empty() const { return start >= end; }
  auto operator<=>(const FileRange&) const = default;
};

}  // namespace runsc

#endif  // PLATFORM_MEMORY_FILE_RANGE_H_
