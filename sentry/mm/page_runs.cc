#include "sentry/mm/page_runs.h"

#include <iterator>

namespace runsc {

RunMap::iterator RunMap::Find(uint64_t addr) {
  auto it = map_.upper_bound(addr);
  if (it != map_.begin()) {
    auto prev = std::prev(it);
    if (prev->second.end > addr) return prev;
  }
  return it;
}

RunMap::iterator RunMap::At(uint64_t addr) {
  auto it = Find(addr);
  return it != map_.end() && it->first <= addr ? it : map_.end();
}

bool RunMap::Covers(AddrRange range) {
  uint64_t at = range.start;
  for (auto it = Find(at); at < range.end; ++it) {
    if (it == map_.end() || it->first > at) return false;
    at = it->second.end;
  }
  return true;
}

bool RunMap::Meets(AddrRange range) {
  auto it = Find(range.start);
  return it != map_.end() && it->first < range.end;
}

bool RunMap::CanJoin(uint64_t start, const Run& a, const Run& b) {
  uint64_t size = a.end - start;
  return a.fd == b.fd && a.offset + size == b.offset && a.owned == b.owned && a.cow == b.cow &&
         a.storable == b.storable && a.reusable == b.reusable && a.readable == b.readable &&
         a.writable == b.writable &&
         (a.sentry == nullptr ? b.sentry == nullptr : a.sentry + size == b.sentry);
}

RunMap::iterator RunMap::Insert(uint64_t start, Run run) {
  auto it = map_.emplace(start, run).first;
  auto next = std::next(it);
  if (next != map_.end() && next->first == it->second.end &&
      CanJoin(start, it->second, next->second)) {
    it->second.end = next->second.end;
    map_.erase(next);
  }
  if (it == map_.begin()) return it;
  auto prev = std::prev(it);
  if (prev->second.end != start || !CanJoin(prev->first, prev->second, it->second)) return it;
  prev->second.end = it->second.end;
  map_.erase(it);
  return prev;
}

RunMap::iterator RunMap::Split(uint64_t addr) {
  auto it = Find(addr);
  if (it == map_.end() || it->first >= addr) return it;
  uint64_t cut = addr - it->first;
  Run upper = it->second;
  upper.offset += cut;
  if (upper.sentry != nullptr) upper.sentry += cut;
  it->second.end = addr;
  return map_.emplace_hint(std::next(it), addr, upper);
}

void RunMap::Join(AddrRange range) {
  auto it = Find(range.start);
  if (it == map_.end()) return;
  if (it != map_.begin()) --it;
  while (it != map_.end() && it->first < range.end) {
    auto next = std::next(it);
    if (next == map_.end()) return;
    if (it->second.end == next->first && CanJoin(it->first, it->second, next->second)) {
      it->second.end = next->second.end;
      map_.erase(next);
    } else {
      it = next;
    }
  }
}

}  // namespace runsc
