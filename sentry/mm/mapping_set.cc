#include "sentry/mm/mapping_set.h"

#include <vector>

namespace runsc {

void MappingSet::Add(MappingSpace* space, AddrRange range, bool writable) {
  MutexLock l(mu_);
  Bytes& b = spaces_[space];
  b.all += range.size();
  if (writable) b.writable += range.size();
}

void MappingSet::Remove(MappingSpace* space, AddrRange range, bool writable) {
  MutexLock l(mu_);
  auto it = spaces_.find(space);
  if (it == spaces_.end()) return;
  it->second.all -= range.size();
  if (writable) it->second.writable -= range.size();
  if (it->second.all == 0) spaces_.erase(it);
}

bool MappingSet::empty() const {
  MutexLock l(mu_);
  return spaces_.empty();
}

bool MappingSet::HasWritable() const {
  MutexLock l(mu_);
  for (const auto& [space, bytes] : spaces_) {
    if (bytes.writable != 0) return true;
  }
  return false;
}

void MappingSet::Invalidate(Mappable* self, uint64_t start, uint64_t end, bool private_copies) {
  std::vector<MappingSpace*> pinned;
  {
    MutexLock l(mu_);
    for (const auto& [space, bytes] : spaces_) {
      if (space->Pin()) pinned.push_back(space);
    }
  }
  for (MappingSpace* space : pinned) {
    space->InvalidateMappable(self, start, end, private_copies);
    space->Unpin();
  }
}

}  // namespace runsc
