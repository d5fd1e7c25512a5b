#ifndef SENTRY_MM_VMA_H_
#define SENTRY_MM_VMA_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "platform/base/ref.h"
#include "platform/base/types.h"
#include "sentry/mm/mappable.h"

namespace runsc {

// Most mappings of one address space (Linux vm.max_map_count).
inline constexpr size_t kMaxMapCount = 65530;
// Unmapped distance kept below a stack that may grow (Linux stack_guard_gap).
inline constexpr uint64_t kStackGuard = 256 * kPageSize;

// A virtual memory area; its start is its key in the map.
struct Vma {
  uint64_t end = 0;
  uint64_t offset = 0;  // of its start in `file`
  Access access, max_access;
  bool shared = false;
  bool grows_down = false;
  bool noreserve = false;
  bool locked = false;
  bool lock_on_fault = false;
  bool dont_fork = false;
  bool wipe_on_fork = false;
  bool sealed = false;
  const char* name = "";  // static storage
  Ref<Mappable> file;     // null: private anonymous

  bool Private() const { return !shared; }
  bool Anonymous() const { return !file; }
  // May the guest store to the file's own pages through this, now or after mprotect.
  bool MayWriteFile() const { return shared && max_access.write; }
  // What accounting calls data: private, writable, not a stack (RLIMIT_DATA).
  bool IsData() const { return !shared && access.write && !grows_down; }
  // Equal but for the addresses; offset continuity is the map's business.
  bool SameKind(const Vma& o) const;
};

// Bytes by kind, kept up to date by VmaMap.
struct VmaTotals {
  uint64_t all = 0, locked = 0, data = 0, stack = 0, exec = 0, shared = 0;
};

// The VMAs of one address space in order, none overlapping. Not thread-safe.
class VmaMap {
 public:
  using Map = std::map<uint64_t, Vma>;
  using iterator = Map::iterator;

  // Placement happens inside `bounds` only.
  void SetBounds(AddrRange bounds);

  iterator begin() { return map_.begin(); }
  iterator end() { return map_.end(); }
  size_t size() const { return map_.size(); }
  const VmaTotals& totals() const { return totals_; }

  // The VMA that contains `addr`, or the first above it, or end().
  iterator Find(uint64_t addr);
  // The VMA that contains `addr`, or end().
  iterator At(uint64_t addr);
  bool Overlaps(AddrRange range);
  // Whether VMAs cover all of `range`.
  bool Covers(AddrRange range);
  // Inserts where nothing is; joins equal neighbours. Answers the VMA that holds `start`.
  iterator Insert(uint64_t start, Vma vma);
  // Cuts the VMA that contains `addr` in two there. Answers the first VMA at or above `addr`.
  iterator Split(uint64_t addr);
  iterator Erase(iterator it);
  // Moves the start of a VMA: down by `bytes`.
  iterator GrowDown(iterator it, uint64_t bytes);
  // Joins neighbours in `range` and at its ends that have become equal.
  void Join(AddrRange range);
  // Changes a VMA in place (not its addresses) with the totals kept right.
  template <typename F>
  void Change(iterator it, F change) {
    Account(it, -1);
    change(it->second);
    Account(it, 1);
  }
  // Bytes of `range` that are mapped; of those that are data.
  uint64_t MappedBytes(AddrRange range);
  uint64_t DataBytes(AddrRange range);

  // Highest (lowest) address in [low, high) where `size` bytes are free; stacks above keep their
  // guard.
  std::optional<uint64_t> FindTopDown(uint64_t size, uint64_t low, uint64_t high);
  std::optional<uint64_t> FindBottomUp(uint64_t size, uint64_t low, uint64_t high);

 private:
  static constexpr int kClasses = 48;
  static int ClassOf(uint64_t bytes) { return 63 - __builtin_clzll(bytes); }
  using GapSet = std::set<uint64_t>;

  void Account(iterator it, int sign);
  void AddGap(uint64_t start, uint64_t end);
  void RemoveGap(uint64_t start, uint64_t end);
  // Bounds of the gap around or next to a VMA.
  uint64_t EndBefore(iterator it);
  uint64_t StartAfter(iterator it);
  bool CanJoin(iterator a, iterator b);
  // The usable part of the gap that starts at `start`.
  AddrRange Usable(uint64_t start, uint64_t low, uint64_t high);

  Map map_;
  VmaTotals totals_;
  AddrRange bounds_;
  // Starts of the gaps between VMAs inside the bounds, by floor(log2(size)).
  std::array<GapSet, kClasses> gaps_;
};

}  // namespace runsc

#endif  // SENTRY_MM_VMA_H_
