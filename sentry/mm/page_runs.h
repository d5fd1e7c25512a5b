#ifndef SENTRY_MM_PAGE_RUNS_H_
#define SENTRY_MM_PAGE_RUNS_H_

#include <cstdint>
#include <map>

#include "platform/base/types.h"
#include "platform/memory/memory_file.h"

namespace runsc {

// Pages behind consecutive guest addresses that lie one after the other in one host file, all
// with the same rights. Its start is its key in the map.
struct Run {
  uint64_t end = 0;
  uint64_t offset = 0;     // of its start in the host file `fd`
  char* sentry = nullptr;  // sentry address of its start; null if the sentry cannot reach it
  int fd = -1;
  bool owned = false;     // private pages in the memory file; the run holds one reference on each
  bool cow = false;       // owned: others may hold references too, so copy before a store
  bool storable = false;  // borrowed: stores go to the file (shared mapping)
  bool reusable = false;  // borrowed: as in Backing
  // What the guest may do with it, given the VMA and the above; copies look here only.
  bool readable = false;
  bool writable = false;

  bool CanStore() const { return owned ? !cow : storable; }
  void SetRights(Access vma) {
    readable = vma.Any();
    writable = vma.write && CanStore();
  }
  // What the platform may let the guest do. Writable memory is readable on x86, also while
  // stores to it trap.
  Access Shown(Access vma) const {
    return {vma.read || vma.write, vma.write && CanStore(), vma.exec};
  }
};

// The runs of one address space. Not thread-safe; const lookups may run concurrently.
class RunMap {
 public:
  using Map = std::map<uint64_t, Run>;
  using iterator = Map::iterator;

  iterator begin() { return map_.begin(); }
  iterator end() { return map_.end(); }
  size_t size() const { return map_.size(); }
  bool empty() const { return map_.empty(); }

  // The run that contains `addr`, or the first above, or end().
  iterator Find(uint64_t addr);
  iterator At(uint64_t addr);
  // Whether runs cover all of `range`.
  bool Covers(AddrRange range);
  // Whether any run meets `range`.
  bool Meets(AddrRange range);
  // Inserts where nothing is, joining continuing neighbours. Answers the run that holds `start`.
  iterator Insert(uint64_t start, Run run);
  // Cuts the run that contains `addr`; answers the first run at or above it.
  iterator Split(uint64_t addr);
  // Cuts at both ends; answers the first run in the range.
  iterator Isolate(AddrRange range) {
    Split(range.end);
    return Split(range.start);
  }
  iterator Erase(iterator it) { return map_.erase(it); }
  // Joins continuing neighbours in `range` and at its ends.
  void Join(AddrRange range);
  void Clear() { map_.clear(); }

 private:
  static bool CanJoin(uint64_t start, const Run& a, const Run& b);
  Map map_;
};

}  // namespace runsc

#endif  // SENTRY_MM_PAGE_RUNS_H_
