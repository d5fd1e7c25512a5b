#ifndef SENTRY_MM_MAPPING_SET_H_
#define SENTRY_MM_MAPPING_SET_H_

#include <cstdint>
#include <map>

#include "platform/base/mutex.h"
#include "platform/base/types.h"
#include "sentry/mm/mappable.h"

namespace runsc {

// The address spaces in which one Mappable is mapped: what Mappable::AddMapping and RemoveMapping
// keep. Thread-safe; costs one small tree node per space.
class MappingSet {
 public:
  void Add(MappingSpace* space, AddrRange range, bool writable);
  void Remove(MappingSpace* space, AddrRange range, bool writable);
  bool empty() const;
  // Whether a shared mapping that may write exists.
  bool HasWritable() const;
  // Tells every space. The caller holds no lock ranked kMmMap or higher, and has already changed
  // what Translate answers, so that whoever asks again gets the new state.
  void Invalidate(Mappable* self, uint64_t start, uint64_t end, bool private_copies);

 private:
  struct Bytes {
    uint64_t all = 0;
    uint64_t writable = 0;
  };
  mutable Mutex<LockRank::kMappingSet> mu_;
  std::map<MappingSpace*, Bytes> spaces_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_MM_MAPPING_SET_H_
