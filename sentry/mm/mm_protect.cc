// mprotect(2) and the mlock(2) family.

#include <sys/mman.h>

#include <algorithm>

#include "sentry/mm/mm_impl.h"

namespace runsc {

Status MemoryManager::MProtect(UserAddr addr, uint64_t length, Access access, bool grows_down,
                               const MemoryLimits& limits) {
  if (!PageAligned(addr.value)) return Errno::kInval;
  if (length == 0) return Ok();
  uint64_t size = PageUp(length);
  uint64_t end = addr.value + size;
  if (size == 0 || end <= addr.value) return Errno::kNomem;

  Discards discards(impl_->memory);
  Impl& m = *impl_;
  MmLock lock(m);
  m.limits = limits;
  AddrRange range{addr.value, end};
  auto it = m.vmas.Find(range.start);
  if (it == m.vmas.end()) return Errno::kNomem;
  if (grows_down) {
    if (it->first >= end) return Errno::kNomem;
    if (!it->second.grows_down) return Errno::kInval;
    range.start = it->first;
  } else if (it->first > range.start) {
    return Errno::kNomem;
  }
  if (m.AnySealed(range)) return Errno::kPerm;

  // What comes before the first mapping that refuses is changed, as Linux does.
  Status status = Ok();
  uint64_t at = range.start;
  for (; at < range.end; at = it->second.end, ++it) {
    if (it == m.vmas.end() || it->first > at) {
      status = Errno::kNomem;
      break;
    }
    const Vma& v = it->second;
    if (!v.max_access.Allows(access)) {
      status = Errno::kAcces;
      break;
    }
    if (v.Private() && access.write && !v.access.write && !v.grows_down) {
      uint64_t bytes = AddrRange{it->first, v.end}.Intersect(range).size();
      if (!m.MayExpand(0, bytes, limits)) {
        status = Errno::kNomem;
        break;
      }
    }
  }
  range.end = std::min(range.end, at);
  if (range.empty()) return status;
  if (m.vmas.size() + 2 > kMaxMapCount) return Errno::kNomem;
  m.ChangeVmas(range, [access](Vma& v) { v.access = access; });
  MapBatch batch(m.as, m.batch_depth);
  Status changed = m.UpdateRights(range);
  if (access.Any()) {
    for (auto v = m.vmas.Find(range.start); v != m.vmas.end() && v->first < range.end; ++v) {
      AddrRange part = AddrRange{v->first, v->second.end}.Intersect(range);
      bool populate = v->second.locked && !v->second.lock_on_fault;
      Status filled = m.Fill(v, part, populate);
      if (changed.ok()) changed = filled;
    }
  }
  Status sent = batch.Finish();
  if (changed.ok()) changed = sent;
  return changed.ok() ? status : changed;
}

Status MemoryManager::MLock(UserAddr addr, uint64_t length, bool on_fault,
                            const MemoryLimits& limits) {
  uint64_t start = PageDown(addr.value);
  uint64_t size = PageUp(length + (addr.value & kPageMask));
  if (limits.memlock == 0 && !limits.can_lock_any) return Errno::kPerm;
  if (size < length || start + size < start) return Errno::kInval;
  if (size == 0) return Ok();
  AddrRange range{start, start + size};
  Discards discards(impl_->memory);
  Impl& m = *impl_;
  MmLock lock(m);
  m.limits = limits;
  uint64_t already = 0;
  for (auto it = m.vmas.Find(start); it != m.vmas.end() && it->first < range.end; ++it) {
    if (it->second.locked) already += AddrRange{it->first, it->second.end}.Intersect(range).size();
  }
  uint64_t locked = m.vmas.totals().locked - already;
  if (!limits.can_lock_any && (size > limits.memlock || locked > limits.memlock - size)) {
    return Errno::kNomem;
  }
  if (!m.vmas.Covers(range) || !m.MayCut(range)) return Errno::kNomem;
  m.ChangeVmas(range, [on_fault](Vma& v) {
    v.locked = true;
    v.lock_on_fault = on_fault;
  });
  if (on_fault) return Ok();
  Status populated = m.Populate(range, {.read = true}, discards);
  return populated.ok() ? Ok() : Status(Errno::kNomem);
}

Status MemoryManager::MUnlock(UserAddr addr, uint64_t length) {
  uint64_t start = PageDown(addr.value);
  uint64_t size = PageUp(length + (addr.value & kPageMask));
  if (size < length || start + size < start) return Errno::kInval;
  if (size == 0) return Ok();
  AddrRange range{start, start + size};
  MmLock lock(*impl_);
  if (!impl_->vmas.Covers(range) || !impl_->MayCut(range)) return Errno::kNomem;
  impl_->ChangeVmas(range, [](Vma& v) { v.locked = v.lock_on_fault = false; });
  return Ok();
}

Status MemoryManager::MLockAll(int flags, const MemoryLimits& limits) {
  constexpr int kKnown = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;
  if (flags == 0 || (flags & ~kKnown) != 0 || flags == MCL_ONFAULT) return Errno::kInval;
  if (limits.memlock == 0 && !limits.can_lock_any) return Errno::kPerm;
  const bool on_fault = (flags & MCL_ONFAULT) != 0;
  Discards discards(impl_->memory);
  Impl& m = *impl_;
  MmLock lock(m);
  m.limits = limits;
  const bool current = (flags & MCL_CURRENT) != 0;
  if (current && !limits.can_lock_any && m.vmas.totals().all > limits.memlock) {
    return Errno::kNomem;
  }
  m.lock_future = (flags & MCL_FUTURE) != 0;
  m.lock_future_on_fault = m.lock_future && on_fault;
  if (!current) return Ok();
  m.ChangeVmas({0, m.bounds.end}, [on_fault](Vma& v) {
    v.locked = true;
    v.lock_on_fault = on_fault;
  });
  // Linux ignores what cannot be made resident here.
  if (!on_fault) (void)m.Populate({0, m.bounds.end}, {.read = true}, discards);
  return Ok();
}

Status MemoryManager::MUnlockAll() {
  MmLock lock(*impl_);
  impl_->lock_future = impl_->lock_future_on_fault = false;
  impl_->ChangeVmas({0, impl_->bounds.end}, [](Vma& v) { v.locked = v.lock_on_fault = false; });
  return Ok();
}

}  // namespace runsc
