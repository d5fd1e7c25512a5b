// mmap(2), munmap(2), brk(2), mseal(2): where mappings go and what they replace.

#include <algorithm>
#include <atomic>
#include <utility>

#include "sentry/mm/mm_impl.h"

namespace runsc {
namespace {

std::atomic<uint64_t> g_total_memory{0};

// Linux's heuristic overcommit: only what could never fit is refused.
bool Overcommits(const MMapRequest& r, uint64_t length) {
  uint64_t total = g_total_memory.load(std::memory_order_relaxed);
  bool accounted = !r.noreserve && (r.shared ? !r.file : r.access.write);
  return total != 0 && accounted && length > total;
}

Vma MakeVma(const MMapRequest& r, uint64_t end) {
  Vma v;
  v.end = end;
  v.offset = r.file ? r.offset : 0;
  v.access = r.access;
  v.max_access = r.max_access;
  v.shared = r.shared;
  v.grows_down = r.grows_down || r.stack;
  v.noreserve = r.noreserve;
  v.locked = r.locked;
  v.name = r.name;
  v.file = r.file;
  return v;
}

}  // namespace

void MemoryManager::SetTotalMemory(uint64_t bytes) {
  g_total_memory.store(bytes, std::memory_order_relaxed);
}

bool MemoryManager::Impl::AnySealed(AddrRange range) {
  if (!any_sealed) return false;
  for (auto it = vmas.Find(range.start); it != vmas.end() && it->first < range.end; ++it) {
    if (it->second.sealed) return true;
  }
  return false;
}

ErrnoOr<uint64_t> MemoryManager::Impl::FindFree(uint64_t length, bool low32) {
  std::optional<uint64_t> at;
  if (low32) {
    at = vmas.FindBottomUp(length, 0x40000000, 0x80000000);
  } else {
    if (!bottom_up) at = vmas.FindTopDown(length, bounds.start, mmap_base);
    if (!at) at = vmas.FindBottomUp(length, bottom_up ? mmap_base : bounds.end / 3, bounds.end);
  }
  if (!at) return Errno::kNomem;
  return *at;
}

ErrnoOr<uint64_t> MemoryManager::Impl::Place(const MMapRequest& r, uint64_t length) {
  if (length > bounds.end) return Errno::kNomem;
  uint64_t addr = r.addr.value;
  if (r.fixed || r.fixed_noreplace) {
    if (addr > bounds.end - length) return Errno::kNomem;
    if (!PageAligned(addr)) return Errno::kInval;
    if (addr < bounds.start) return Errno::kPerm;
    if (r.fixed_noreplace && vmas.Overlaps({addr, addr + length})) return Errno::kExist;
    return addr;
  }
  addr = PageDown(addr);
  if (addr != 0 && addr < bounds.start) addr = bounds.start;
  if (addr != 0 && addr <= bounds.end - length && (!r.map_32bit || addr + length <= 0x80000000)) {
    auto at = vmas.FindBottomUp(length, addr, addr + length);
    if (at) return *at;
  }
  return FindFree(length, r.map_32bit);
}

Status MemoryManager::Impl::MapAt(uint64_t start, Vma vma, bool populate, Discards& discards) {
  AddrRange range{start, vma.end};
  MapBatch batch(as, batch_depth);
  bool had_runs = RemoveRange(range, discards, false);
  ErrnoOr<VmaMap::iterator> it = InsertVma(start, std::move(vma));
  Status status = it.ok() ? Fill(*it, range, populate) : Status(it.error());
  // What is shown anew has replaced what the platform had there.
  if (had_runs && status.ok()) HideGaps(range);
  Status sent = batch.Finish();
  if (status.ok()) status = sent;
  if (status.ok()) return Ok();
  bool shown = RemoveRange(range, discards, true);
  if (had_runs && !shown) as.Unmap(range);
  return status;
}

ErrnoOr<UserAddr> MemoryManager::MMap(const MMapRequest& r, const MemoryLimits& limits) {
  if (r.length == 0 || !PageAligned(r.offset)) return Errno::kInval;
  uint64_t length = PageUp(r.length);
  if (length == 0) return Errno::kNomem;
  if (r.offset + length < r.offset) return Errno::kOverflow;
  if (Overcommits(r, length)) return Errno::kNomem;

  Discards discards(impl_->memory);
  MmLock lock(*impl_);
  impl_->limits = limits;
  uint64_t start = TRY(impl_->Place(r, length));
  AddrRange range{start, start + length};
  if (impl_->vmas.size() >= kMaxMapCount) return Errno::kNomem;

  Vma vma = MakeVma(r, range.end);
  if (r.locked && limits.memlock == 0 && !limits.can_lock_any) return Errno::kPerm;
  if (impl_->lock_future && !vma.locked) {
    vma.locked = true;
    vma.lock_on_fault = impl_->lock_future_on_fault;
  }
  if (vma.locked && !limits.can_lock_any) {
    uint64_t locked = impl_->vmas.totals().locked;
    if (length > limits.memlock || locked > limits.memlock - length) return Errno::kAgain;
  }
  bool replaces = r.fixed && impl_->vmas.Overlaps(range);
  uint64_t gone = replaces ? impl_->vmas.MappedBytes(range) : 0;
  uint64_t data_gone = replaces ? impl_->vmas.DataBytes(range) : 0;
  uint64_t data = vma.IsData() ? length - std::min(length, data_gone) : 0;
  if (!impl_->MayExpand(length - gone, data, limits)) return Errno::kNomem;
  if (replaces && impl_->AnySealed(range)) return Errno::kPerm;
  if (vma.shared && !vma.file) {
    vma.file = NewSharedAnonymous(impl_->memory, length);
    vma.offset = 0;
  }
  bool populate = r.populate || (vma.locked && !vma.lock_on_fault);
  TRY(impl_->MapAt(start, std::move(vma), populate, discards));
  return UserAddr(start);
}

Status MemoryManager::MUnmap(UserAddr addr, uint64_t length) {
  if (!PageAligned(addr.value) || length == 0) return Errno::kInval;
  uint64_t size = PageUp(length);
  const AddrRange bounds = impl_->bounds;
  if (size == 0 || size > bounds.end || addr.value > bounds.end - size) return Errno::kInval;
  AddrRange range{addr.value, addr.value + size};
  Discards discards(impl_->memory);
  MmLock lock(*impl_);
  if (impl_->AnySealed(range)) return Errno::kPerm;
  auto first = impl_->vmas.Find(range.start);
  // Cutting a hole makes one mapping more.
  if (first != impl_->vmas.end() && first->first < range.start &&
      first->second.end > range.end && impl_->vmas.size() >= kMaxMapCount) {
    return Errno::kNomem;
  }
  impl_->RemoveRange(range, discards, true);
  return Ok();
}

UserAddr MemoryManager::Brk(UserAddr addr, const MemoryLimits& limits) {
  Discards discards(impl_->memory);
  Impl& m = *impl_;
  MmLock lock(m);
  m.limits = limits;
  UserAddr now(m.brk);
  if (addr.value < m.brk_start || m.brk_start == 0 || addr.value > m.bounds.end - kPageSize) {
    return now;
  }
  uint64_t data = m.image.end_data - m.image.start_data;
  uint64_t heap = addr.value - m.brk_start;
  if (limits.data != UINT64_MAX && (heap > limits.data || data > limits.data - heap)) return now;
  uint64_t old_end = PageUp(m.brk);
  uint64_t new_end = PageUp(addr.value);
  if (new_end < old_end) {
    if (m.AnySealed({new_end, old_end})) return now;
    m.RemoveRange({new_end, old_end}, discards, true);
  } else if (new_end > old_end) {
    uint64_t bytes = new_end - old_end;
    auto next = m.vmas.Find(old_end);
    uint64_t guard = next != m.vmas.end() && next->second.grows_down ? kStackGuard : 0;
    if (next != m.vmas.end() && next->first < new_end + guard) return now;
    if (!m.MayExpand(bytes, bytes, limits) || m.vmas.size() >= kMaxMapCount) return now;
    MMapRequest request;
    request.access = {.read = true, .write = true};
    request.name = "[heap]";
    Vma vma = MakeVma(request, new_end);
    vma.locked = m.lock_future;
    vma.lock_on_fault = m.lock_future_on_fault;
    uint64_t locked = m.vmas.totals().locked;
    if (vma.locked && !limits.can_lock_any &&
        (bytes > limits.memlock || locked > limits.memlock - bytes)) {
      return now;
    }
    if (Overcommits(request, bytes)) return now;
    bool populate = vma.locked && !vma.lock_on_fault;
    if (!m.MapAt(old_end, std::move(vma), populate, discards).ok()) return now;
  }
  m.brk = addr.value;
  return addr;
}

void MemoryManager::SetBrkStart(UserAddr start) {
  MmLock lock(*impl_);
  impl_->brk_start = start.value;
  impl_->brk = start.value;
}

Status MemoryManager::RemapFilePages(UserAddr addr, uint64_t length, uint64_t offset) {
  uint64_t start = PageDown(addr.value);
  uint64_t size = PageDown(length);
  if (size == 0 || start + size <= start || offset + size < offset) return Errno::kInval;
  AddrRange range{start, start + size};
  Impl& m = *impl_;
  Discards discards(m.memory);
  MmLock lock(m);
  auto it = m.vmas.At(start);
  if (it == m.vmas.end() || !it->second.shared || !it->second.file) return Errno::kInval;
  Vma vma = it->second;
  // Other pieces of the range must show the same file in the same way.
  for (uint64_t at = start; at < range.end; at = it->second.end, ++it) {
    if (it == m.vmas.end() || it->first > at || it->second.file != vma.file ||
        !(it->second.access == vma.access)) {
      return Errno::kInval;
    }
  }
  if (m.AnySealed(range)) return Errno::kPerm;
  vma.end = range.end;
  vma.offset = offset;
  return m.MapAt(start, std::move(vma), true, discards);
}

bool MemoryManager::IsMapped(UserAddr addr) {
  Impl& m = *impl_;
  ReaderLock lock(m.mu);
  return m.vmas.At(addr.value) != m.vmas.end();
}

Status MemoryManager::MSeal(UserAddr addr, uint64_t length) {
  if (!PageAligned(addr.value)) return Errno::kInval;
  uint64_t size = PageUp(length);
  if (size < length || addr.value + size < addr.value) return Errno::kInval;
  if (size == 0) return Ok();
  AddrRange range{addr.value, addr.value + size};
  MmLock lock(*impl_);
  if (!impl_->vmas.Covers(range) || !impl_->MayCut(range)) return Errno::kNomem;
  impl_->any_sealed = true;
  impl_->ChangeVmas(range, [](Vma& v) { v.sealed = true; });
  return Ok();
}

}  // namespace runsc
