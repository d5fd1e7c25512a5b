#include "sentry/mm/vma.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace runsc {

bool Vma::SameKind(const Vma& o) const {
  return file == o.file && access == o.access && max_access == o.max_access &&
         shared == o.shared && grows_down == o.grows_down && noreserve == o.noreserve &&
         locked == o.locked && lock_on_fault == o.lock_on_fault && dont_fork == o.dont_fork &&
         wipe_on_fork == o.wipe_on_fork && sealed == o.sealed && name == o.name;
}

void VmaMap::SetBounds(AddrRange bounds) {
  bounds_ = bounds;
  for (GapSet& g : gaps_) g.clear();
  uint64_t at = bounds.start;
  for (auto& [start, vma] : map_) {
    AddGap(at, start);
    at = std::max(at, vma.end);
  }
  AddGap(at, bounds.end);
}

void VmaMap::AddGap(uint64_t start, uint64_t end) {
  start = std::max(start, bounds_.start);
  end = std::min(end, bounds_.end);
  if (start < end) gaps_[static_cast<size_t>(ClassOf(end - start))].insert(start);
}

void VmaMap::RemoveGap(uint64_t start, uint64_t end) {
  start = std::max(start, bounds_.start);
  end = std::min(end, bounds_.end);
  if (start < end) gaps_[static_cast<size_t>(ClassOf(end - start))].erase(start);
}

uint64_t VmaMap::EndBefore(iterator it) {
  return it == map_.begin() ? bounds_.start : std::prev(it)->second.end;
}

uint64_t VmaMap::StartAfter(iterator it) {
  auto next = std::next(it);
  return next == map_.end() ? std::max(bounds_.end, it->second.end) : next->first;
}

void VmaMap::Account(iterator it, int sign) {
  const Vma& v = it->second;
  uint64_t bytes = (v.end - it->first) * static_cast<uint64_t>(static_cast<int64_t>(sign));
  totals_.all += bytes;
  if (v.locked) totals_.locked += bytes;
  if (v.IsData()) totals_.data += bytes;
  if (v.grows_down) totals_.stack += bytes;
  if (v.access.exec && !v.access.write) totals_.exec += bytes;
  if (v.shared) totals_.shared += bytes;
}

VmaMap::iterator VmaMap::Find(uint64_t addr) {
  auto it = map_.upper_bound(addr);
  if (it != map_.begin()) {
    auto prev = std::prev(it);
    if (prev->second.end > addr) return prev;
  }
  return it;
}

VmaMap::iterator VmaMap::At(uint64_t addr) {
  auto it = Find(addr);
  return it != map_.end() && it->first <= addr ? it : map_.end();
}

bool VmaMap::Overlaps(AddrRange range) {
  auto it = Find(range.start);
  return it != map_.end() && it->first < range.end;
}

bool VmaMap::Covers(AddrRange range) {
  uint64_t at = range.start;
  for (auto it = Find(at); at < range.end; ++it) {
    if (it == map_.end() || it->first > at) return false;
    at = it->second.end;
  }
  return true;
}

bool VmaMap::CanJoin(iterator a, iterator b) {
  const Vma& x = a->second;
  const Vma& y = b->second;
  if (x.end != b->first || !x.SameKind(y)) return false;
  return x.Anonymous() || x.offset + (x.end - a->first) == y.offset;
}

VmaMap::iterator VmaMap::Insert(uint64_t start, Vma vma) {
  uint64_t end = vma.end;
  auto it = map_.emplace(start, std::move(vma)).first;
  Account(it, 1);
  uint64_t before = EndBefore(it);
  uint64_t after = StartAfter(it);
  RemoveGap(before, after);
  AddGap(before, start);
  AddGap(end, after);
  Join({start, end});
  return Find(start);
}

VmaMap::iterator VmaMap::Split(uint64_t addr) {
  auto it = Find(addr);
  if (it == map_.end() || it->first >= addr) return it;
  Vma upper = it->second;
  if (!upper.Anonymous()) upper.offset += addr - it->first;
  it->second.end = addr;
  return map_.emplace_hint(std::next(it), addr, std::move(upper));
}

VmaMap::iterator VmaMap::Erase(iterator it) {
  Account(it, -1);
  uint64_t before = EndBefore(it);
  uint64_t after = StartAfter(it);
  RemoveGap(before, it->first);
  RemoveGap(it->second.end, after);
  AddGap(before, after);
  return map_.erase(it);
}

VmaMap::iterator VmaMap::GrowDown(iterator it, uint64_t bytes) {
  Account(it, -1);
  uint64_t before = EndBefore(it);
  RemoveGap(before, it->first);
  auto node = map_.extract(it);
  node.key() -= bytes;
  if (!node.mapped().Anonymous()) node.mapped().offset -= bytes;
  it = map_.insert(std::move(node)).position;
  AddGap(before, it->first);
  Account(it, 1);
  return it;
}

void VmaMap::Join(AddrRange range) {
  auto it = Find(range.start);
  if (it == map_.end()) return;
  if (it != map_.begin()) --it;
  while (it != map_.end() && it->first < range.end) {
    auto next = std::next(it);
    if (next == map_.end()) return;
    if (CanJoin(it, next)) {
      it->second.end = next->second.end;
      map_.erase(next);
    } else {
      it = next;
    }
  }
}

uint64_t VmaMap::MappedBytes(AddrRange range) {
  uint64_t sum = 0;
  for (auto it = Find(range.start); it != map_.end() && it->first < range.end; ++it) {
    sum += AddrRange{it->first, it->second.end}.Intersect(range).size();
  }
  return sum;
}

uint64_t VmaMap::DataBytes(AddrRange range) {
  uint64_t sum = 0;
  for (auto it = Find(range.start); it != map_.end() && it->first < range.end; ++it) {
    if (it->second.IsData()) sum += AddrRange{it->first, it->second.end}.Intersect(range).size();
  }
  return sum;
}

AddrRange VmaMap::Usable(uint64_t start, uint64_t low, uint64_t high) {
  auto next = map_.lower_bound(start);
  uint64_t end = bounds_.end;
  if (next != map_.end()) {
    end = std::min(end, next->first);
    if (next->second.grows_down) end = end > kStackGuard ? end - kStackGuard : 0;
  }
  return AddrRange{start, end}.Intersect({low, high});
}

// A gap of a higher class than the size's own always fits unless bounds or a guard clip it, so
// looking at the first few of each class finds the right one; only if that fails is everything
// looked at.
std::optional<uint64_t> VmaMap::FindTopDown(uint64_t size, uint64_t low, uint64_t high) {
  for (int probes : {32, INT32_MAX}) {
    std::optional<uint64_t> best;
    for (int c = ClassOf(size); c < kClasses; ++c) {
      const GapSet& set = gaps_[static_cast<size_t>(c)];
      int left = probes;
      for (auto it = set.lower_bound(high); it != set.begin() && left > 0; --left) {
        --it;
        AddrRange gap = Usable(*it, low, high);
        if (best && gap.end <= *best) break;
        if (gap.empty() || gap.size() < size) continue;
        best = gap.end - size;
        break;
      }
    }
    if (best) return best;
  }
  return std::nullopt;
}

std::optional<uint64_t> VmaMap::FindBottomUp(uint64_t size, uint64_t low, uint64_t high) {
  for (int probes : {32, INT32_MAX}) {
    std::optional<uint64_t> best;
    for (int c = ClassOf(size); c < kClasses; ++c) {
      const GapSet& set = gaps_[static_cast<size_t>(c)];
      auto it = set.lower_bound(low);
      if (it != set.begin()) --it;  // the gap that `low` may be in
      for (int left = probes; it != set.end() && left > 0; ++it, --left) {
        if (*it >= high || (best && *it >= *best)) break;
        AddrRange gap = Usable(*it, low, high);
        if (gap.empty() || gap.size() < size) continue;
        best = gap.start;
        break;
      }
    }
    if (best) return best;
  }
  return std::nullopt;
}

}  // namespace runsc
