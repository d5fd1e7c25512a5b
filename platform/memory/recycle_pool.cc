#include "platform/memory/recycle_pool.h"

namespace runsc {

void RecyclePool::Add(FileRange range) {
  const uint64_t c = range.size() / kPageSize - 1;
  classes_[c].push_back(range.start);
  nonempty_ |= uint64_t{1} << c;
  bytes_ += range.size();
}

std::optional<FileRange> RecyclePool::Take(uint64_t bytes) {
  const uint64_t want = bytes / kPageSize - 1;
  if (want >= kMaxPages) return std::nullopt;
  const uint64_t usable = nonempty_ & (~uint64_t{0} << want);
  if (usable == 0) return std::nullopt;
  const uint64_t c = static_cast<uint64_t>(__builtin_ctzll(usable));
  const uint64_t start = classes_[c].back();
  classes_[c].pop_back();
  if (classes_[c].empty()) nonempty_ &= ~(uint64_t{1} << c);
  bytes_ -= (c + 1) * kPageSize;
  if (c > want) Add({start + bytes, start + (c + 1) * kPageSize});
  return FileRange{start, start + bytes};
}

void RecyclePool::Evict(uint64_t keep, std::vector<FileRange>& out) {
  for (uint64_t c = kMaxPages; c-- > 0 && bytes_ > keep;) {
    const uint64_t size = (c + 1) * kPageSize;
    while (bytes_ > keep && !classes_[c].empty()) {
      out.push_back({classes_[c].back(), classes_[c].back() + size});
      classes_[c].pop_back();
      bytes_ -= size;
    }
    if (classes_[c].empty()) nonempty_ &= ~(uint64_t{1} << c);
  }
}

}  // namespace runsc
