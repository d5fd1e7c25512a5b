// mremap(2), in the order of checks of Linux mm/mremap.c.

#include <sys/mman.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "sentry/mm/mm_impl.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

namespace runsc {

Status MemoryManager::Impl::CheckResize(uint64_t addr, uint64_t old_size, uint64_t new_size,
                                        const MemoryLimits& limits) {
  auto it = vmas.At(addr);
  if (it == vmas.end()) return Errno::kFault;
  const Vma& vma = it->second;
  if (old_size == 0 && !vma.shared) return Errno::kInval;
  if (old_size > vma.end - addr) return Errno::kFault;
  if (new_size == old_size) return Ok();
  if (vma.file) {
    uint64_t offset = vma.offset + (addr - it->first);
    if (offset + new_size < offset) return Errno::kInval;
  }
  uint64_t more = new_size > old_size ? new_size - old_size : 0;
  if (vma.locked && !limits.can_lock_any &&
      (more > limits.memlock || vmas.totals().locked > limits.memlock - more)) {
    return Errno::kAgain;
  }
  if (!MayExpand(more, vma.IsData() ? more : 0, limits)) return Errno::kNomem;
  return Ok();
}

// Gives the runs of `from` the addresses at `to`, where nothing is. The platform is not told.
void MemoryManager::Impl::MoveRuns(AddrRange from, uint64_t to) {
  std::vector<std::pair<uint64_t, Run>> moved;
  for (auto it = runs.Isolate(from); it != runs.end() && it->first < from.end;) {
    Run run = it->second;
    uint64_t at = it->first - from.start + to;
    run.end = run.end - from.start + to;
    moved.emplace_back(at, run);
    it = runs.Erase(it);
  }
  for (auto& [at, run] : moved) runs.Insert(at, run);
}

ErrnoOr<UserAddr> MemoryManager::Impl::MoveVma(const Move& m, Discards& discards) {
  if (vmas.size() >= kMaxMapCount - 3) return Errno::kNomem;
  auto it = vmas.At(m.from);
  Vma vma = it->second;
  if (vma.file) vma.offset += m.from - it->first;
  vma.end = m.to + m.new_size;
  if (m.keep_old) {
    // The pages go, the mapping stays, and is not locked any more.
    vmas.Split(m.from + m.old_size);
    auto old = vmas.Split(m.from);
    vmas.Change(old, [](Vma& v) { v.locked = v.lock_on_fault = false; });
    vmas.Join({m.from, m.from + m.old_size});
  }
  uint64_t kept = std::min(m.old_size, m.new_size);
  MapBatch batch(as, batch_depth);
  auto inserted = TRY(InsertVma(m.to, vma));
  Status status = Ok();
  if (m.old_size != 0) {
    AddrRange from{m.from, m.from + kept};
    if (runs.Meets(from)) {
      MoveRuns(from, m.to);
      as.Unmap(from);
      status = ShowRuns({m.to, m.to + kept}, false);
    }
    if (!m.keep_old) RemoveRange({m.from, m.from + m.old_size}, discards, true);
  }
  if (status.ok() && m.new_size > kept) {
    bool populate = vma.locked && !vma.lock_on_fault;
    inserted = vmas.At(m.to);
    status = Fill(inserted, {m.to + kept, m.to + m.new_size}, populate);
  }
  Status sent = batch.Finish();
  if (status.ok()) status = sent;
  if (status.ok()) return UserAddr(m.to);
  // Half moved and the host refuses more: what moved is lost with the new mapping.
  RemoveRange({m.to, m.to + m.new_size}, discards, true);
  return status.error();
}

ErrnoOr<UserAddr> MemoryManager::Impl::RemapTo(const Move& move, bool fixed,
                                               const MemoryLimits& limits, Discards& discards) {
  Move m = move;
  if (fixed) {
    if (!PageAligned(m.to) || m.new_size > bounds.end || m.to > bounds.end - m.new_size) {
      return Errno::kInval;
    }
    if (m.to < bounds.start) return Errno::kPerm;
    if (AddrRange{m.from, m.from + m.old_size}.Overlaps({m.to, m.to + m.new_size})) {
      return Errno::kInval;
    }
    if (vmas.size() + 2 >= kMaxMapCount - 3) return Errno::kNomem;
    if (AnySealed({m.to, m.to + m.new_size})) return Errno::kPerm;
    RemoveRange({m.to, m.to + m.new_size}, discards, true);
  }
  if (m.old_size > m.new_size) {
    RemoveRange({m.from + m.new_size, m.from + m.old_size}, discards, true);
    m.old_size = m.new_size;
  }
  TRY(CheckResize(m.from, m.old_size, m.new_size, limits));
  if (m.keep_old) {
    auto it = vmas.At(m.from);
    bool data = it->second.IsData();
    if (!MayExpand(m.old_size, data ? m.old_size : 0, limits)) return Errno::kNomem;
  }
  if (!fixed) {
    uint64_t hint = m.to;
    m.to = 0;
    if (m.keep_old && PageAligned(hint) && hint >= bounds.start &&
        m.new_size <= bounds.end && hint <= bounds.end - m.new_size &&
        !vmas.Overlaps({hint, hint + m.new_size})) {
      m.to = hint;
    }
    if (m.to == 0) m.to = TRY(FindFree(m.new_size, false));
  }
  return MoveVma(m, discards);
}

ErrnoOr<UserAddr> MemoryManager::MRemap(UserAddr old_addr, uint64_t old_size, uint64_t new_size,
                                        int flags, UserAddr new_addr,
                                        const MemoryLimits& limits) {
  constexpr int kKnown = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
  const uint64_t addr = old_addr.value;
  const bool may_move = (flags & MREMAP_MAYMOVE) != 0;
  const bool fixed = (flags & MREMAP_FIXED) != 0;
  const bool keep_old = (flags & MREMAP_DONTUNMAP) != 0;
  if ((flags & ~kKnown) != 0 || (fixed && !may_move)) return Errno::kInval;
  if (keep_old && (!may_move || old_size != new_size)) return Errno::kInval;
  if (!PageAligned(addr)) return Errno::kInval;
  uint64_t old_len = PageUp(old_size);
  uint64_t new_len = PageUp(new_size);
  if (new_len == 0 || old_len < old_size) return Errno::kInval;

  Discards discards(impl_->memory);
  Impl& m = *impl_;
  MmLock lock(m);
  m.limits = limits;
  if (m.vmas.At(addr) == m.vmas.end()) return Errno::kFault;
  if (m.AnySealed({addr, addr + std::max(old_len, kPageSize)})) return Errno::kPerm;
  Impl::Move move{addr, old_len, new_addr.value, new_len, keep_old};
  if (fixed || keep_old) return m.RemapTo(move, fixed, limits, discards);
  if (old_len >= new_len) {
    if (old_len > m.bounds.end || addr > m.bounds.end - old_len) return Errno::kInval;
    if (old_len > new_len) m.RemoveRange({addr + new_len, addr + old_len}, discards, true);
    return old_addr;
  }
  TRY(m.CheckResize(addr, old_len, new_len, limits));
  auto it = m.vmas.At(addr);
  uint64_t end = it->second.end;
  uint64_t more = new_len - old_len;
  AddrRange extension{end, end + more};
  if (old_len == end - addr && old_len != 0 && more <= m.bounds.end - end &&
      !m.vmas.Overlaps(extension)) {
    Vma vma = it->second;
    if (vma.file) vma.offset += end - it->first;
    vma.end = extension.end;
    bool populate = vma.locked && !vma.lock_on_fault;
    TRY(m.MapAt(end, std::move(vma), populate, discards));
    return old_addr;
  }
  if (!may_move) return Errno::kNomem;
  move.to = TRY(m.FindFree(new_len, false));
  return m.MoveVma(move, discards);
}

}  // namespace runsc
