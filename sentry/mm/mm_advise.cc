// madvise(2), msync(2), mincore(2).

#include <sys/mman.h>

#include <algorithm>

#include "sentry/mm/mm_impl.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace runsc {
namespace {

// Advice that changes nothing the guest can observe.
bool IsHint(int advice) {
  switch (advice) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_COLD:
    case MADV_PAGEOUT:
      return true;
    default:
      return false;
  }
}

bool IsKnown(int advice) {
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
    case MADV_FREE:
    case MADV_REMOVE:
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
      return true;
    default:
      return IsHint(advice);
  }
}

}  // namespace

// Private pages of `range` (of one VMA) read as the file or as zero again.
Status MemoryManager::Impl::DropContents(VmaMap::iterator it, AddrRange range,
                                         Discards& discards) {
  const Vma& vma = it->second;
  if (vma.shared) return Ok();  // the next access finds the file's pages again
  NotePagesGo(range);
  bool dropped = false;
  for (auto r = runs.Isolate(range); r != runs.end() && r->first < range.end;) {
    Run& run = r->second;
    if (!run.owned) {
      ++r;
      continue;
    }
    FileRange pages{run.offset, run.offset + (run.end - r->first)};
    if (vma.Anonymous() && !run.cow) {
      // Stays mapped; the host takes the pages away under it.
      memory.Decommit(pages);
      ++r;
      continue;
    }
    if (vma.Anonymous() && memory.IsUnique(pages)) {
      memory.Decommit(pages);
      ++r;
      continue;
    }
    discards.Add(pages);
    r = runs.Erase(r);
    dropped = true;
  }
  runs.Join(range);
  if (!dropped) return Ok();
  MapBatch batch(as, batch_depth);
  as.Unmap(range);
  // What else was in the range is shown again together with what takes the place of the dropped.
  Status filled = Fill(it, range, false);
  TRY(batch.Finish());
  TRY(filled);
  return ShowRuns(range, false);
}

Status MemoryManager::Impl::AdviseRange(VmaMap::iterator it, AddrRange range, int advice,
                                        Discards& discards) {
  const Vma& vma = it->second;
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
      if (vma.locked && advice == MADV_DONTNEED) return Errno::kInval;
      if (vma.sealed && !vma.shared && !vma.access.write) return Errno::kPerm;
      return DropContents(it, range, discards);
    case MADV_FREE:
      if (!vma.Anonymous() || vma.locked) return Errno::kInval;
      return DropContents(it, range, discards);
    case MADV_REMOVE: {
      if (vma.locked || !vma.file) return Errno::kInval;
      if (!vma.shared || !vma.access.write) return Errno::kAcces;
      uint64_t offset = vma.offset + (range.start - it->first);
      TRY(vma.file->PunchHole(offset, offset + range.size()));
      DropRuns(range, discards);
      as.Unmap(range);
      return Fill(it, range, false);
    }
    default:
      return Ok();
  }
}

Status MemoryManager::MAdvise(UserAddr addr, uint64_t length, int advice) {
  if (!IsKnown(advice)) return Errno::kInval;
  if (!PageAligned(addr.value)) return Errno::kInval;
  uint64_t size = PageUp(length);
  if (size < length || addr.value + size < addr.value) return Errno::kInval;
  if (size == 0) return Ok();
  AddrRange range{addr.value, addr.value + size};
  Discards discards(impl_->memory);
  Impl& m = *impl_;
  MmLock lock(m);
  // Holes answer ENOMEM, but what is mapped around them is done.
  bool holes = !m.vmas.Covers(range);
  if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE) {
    if (holes) return Errno::kNomem;
    bool write = advice == MADV_POPULATE_WRITE;
    for (auto it = m.vmas.Find(range.start); it != m.vmas.end() && it->first < range.end; ++it) {
      if (write ? !it->second.access.write : !it->second.access.Any()) return Errno::kInval;
    }
    return m.Populate(range, {.read = !write, .write = write}, discards);
  }
  Status status = Ok();
  const bool marks = advice == MADV_DONTFORK || advice == MADV_DOFORK ||
                     advice == MADV_WIPEONFORK || advice == MADV_KEEPONFORK;
  if (marks && !m.MayCut(range)) return Errno::kAgain;
  switch (advice) {
    case MADV_DONTFORK:
      m.ChangeVmas(range, [](Vma& v) { v.dont_fork = true; });
      break;
    case MADV_DOFORK:
      m.ChangeVmas(range, [](Vma& v) { v.dont_fork = false; });
      break;
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
      for (auto it = m.vmas.Find(range.start); it != m.vmas.end() && it->first < range.end;
           ++it) {
        if (it->second.file || it->second.shared) return Errno::kInval;
      }
      m.ChangeVmas(range, [advice](Vma& v) { v.wipe_on_fork = advice == MADV_WIPEONFORK; });
      break;
    default:
      if (IsHint(advice)) break;
      for (auto it = m.vmas.Find(range.start); it != m.vmas.end() && it->first < range.end;
           ++it) {
        AddrRange part = AddrRange{it->first, it->second.end}.Intersect(range);
        status = m.AdviseRange(it, part, advice, discards);
        if (!status.ok()) break;
      }
  }
  if (!status.ok()) return status;
  return holes ? Status(Errno::kNomem) : Ok();
}

Status MemoryManager::MSync(UserAddr addr, uint64_t length, int flags) {
  constexpr int kKnown = MS_ASYNC | MS_INVALIDATE | MS_SYNC;
  if ((flags & ~kKnown) != 0 || !PageAligned(addr.value)) return Errno::kInval;
  if ((flags & MS_ASYNC) != 0 && (flags & MS_SYNC) != 0) return Errno::kInval;
  uint64_t size = PageUp(length);
  if (size < length || addr.value + size < addr.value) return Errno::kNomem;
  if (size == 0) return Ok();
  AddrRange range{addr.value, addr.value + size};
  struct Sync {
    Ref<Mappable> file;
    uint64_t start, end;
  };
  std::vector<Sync> syncs;
  bool holes;
  {
    Impl& m = *impl_;
    ReaderLock lock(m.mu);
    holes = !m.vmas.Covers(range);
    for (auto it = m.vmas.Find(range.start); it != m.vmas.end() && it->first < range.end; ++it) {
      const Vma& v = it->second;
      if ((flags & MS_INVALIDATE) != 0 && v.locked) return Errno::kBusy;
      if ((flags & MS_SYNC) == 0 || !v.file || !v.shared) continue;
      AddrRange part = AddrRange{it->first, v.end}.Intersect(range);
      uint64_t offset = v.offset + (part.start - it->first);
      syncs.push_back({v.file, offset, offset + part.size()});
    }
  }
  // Slow, so not under the lock.
  for (Sync& s : syncs) TRY(s.file->SyncMapped(s.start, s.end));
  return holes ? Status(Errno::kNomem) : Ok();
}

ErrnoOr<std::vector<uint8_t>> MemoryManager::MinCore(UserAddr addr, uint64_t length) {
  if (!PageAligned(addr.value)) return Errno::kInval;
  uint64_t size = PageUp(length);
  const AddrRange bounds = impl_->bounds;
  if (size < length || size > bounds.end || addr.value > bounds.end - size) return Errno::kNomem;
  AddrRange range{addr.value, addr.value + size};
  Impl& m = *impl_;
  ReaderLock lock(m.mu);
  if (!m.vmas.Covers(range)) return Errno::kNomem;
  std::vector<uint8_t> out(size / kPageSize, 0);
  for (auto r = m.runs.Find(range.start); r != m.runs.end() && r->first < range.end; ++r) {
    if (r->second.sentry == nullptr) continue;
    AddrRange part = AddrRange{r->first, r->second.end}.Intersect(range);
    uint8_t* to = &out[(part.start - range.start) / kPageSize];
    ResidencyMap(r->second.sentry + (part.start - r->first), part.size(), to);
    for (uint64_t i = 0; i < part.size() / kPageSize; ++i) to[i] &= 1;
  }
  return out;
}

}  // namespace runsc
