#ifndef PLATFORM_MEMORY_RECYCLE_POOL_H_
#define PLATFORM_MEMORY_RECYCLE_POOL_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "platform/base/types.h"
#include "platform/memory/file_range.h"

namespace runsc {

// Small freed ranges that keep their host memory for the next small allocation, which must zero
// them: that is far cheaper than a hole punch and new page faults. Bounded. Not thread-safe.
class RecyclePool {
 public:
  static constexpr uint64_t kMaxPages = 64;         // longest range kept
  static constexpr uint64_t kMaxBytes = 8 << 20;    // of all ranges together

  static bool Accepts(FileRange r) { return r.size() <= kMaxPages * kPageSize; }
  void Add(FileRange range);
  // A range of exactly `bytes`, if there is one at least that long.
  std::optional<FileRange> Take(uint64_t bytes);
  // Removes ranges, longest first, until at most `keep` bytes are left; appends them to `out`.
  void Evict(uint64_t keep, std::vector<FileRange>& out);
  uint64_t bytes() const { return bytes_; }

 private:
  // Starts of the ranges of i+1 pages, and a bit per class that has any.
  std::array<std::vector<uint64_t>, kMaxPages> classes_;
  uint64_t nonempty_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace runsc

#endif  // PLATFORM_MEMORY_RECYCLE_POOL_H_
