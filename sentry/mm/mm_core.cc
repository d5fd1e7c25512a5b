// What all operations share: inserting and removing VMAs and runs, and telling the platform.

#include <algorithm>
#include <atomic>
#include <iterator>
#include <utility>

#include "sentry/mm/mm_impl.h"

namespace runsc {
namespace {

// Two address spaces never have the same generation number.
uint64_t FirstGeneration() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed) << 36;
}

}  // namespace

Discards::~Discards() {
  for (const FileRange& r : pages_) memory_.DecRef(r);
}

void Discards::Add(FileRange pages) {
  if (!pages_.empty() && pages_.back().end == pages.start) {
    pages_.back().end = pages.end;
  } else {
    pages_.push_back(pages);
  }
}

MemoryManager::Impl::Impl(platform::Platform& platform, MemoryFile& memory,
                          platform::AddressSpace& as, MappingSpace* self)
    : platform(platform),
      memory(memory),
      as(as),
      self(self),
      bounds{std::max(platform.user_range().start, kMinAddr), platform.user_range().end},
      generation(FirstGeneration()),
      mmap_base(platform.user_range().end) {
  vmas.SetBounds(bounds);
}

ErrnoOr<VmaMap::iterator> MemoryManager::Impl::InsertVma(uint64_t start, Vma vma) {
  if (vma.file) {
    TRY(vma.file->AddMapping(self, {start, vma.end}, vma.offset, vma.MayWriteFile()));
  }
  auto it = vmas.Insert(start, std::move(vma));
  NotePeaks();
  return it;
}

void MemoryManager::Impl::NotePeaks() { peak_vm = std::max(peak_vm, vmas.totals().all); }

bool MemoryManager::Impl::DropRuns(AddrRange range, Discards& discards) {
  if (!runs.Meets(range)) return false;
  for (auto it = runs.Isolate(range); it != runs.end() && it->first < range.end;) {
    const Run& r = it->second;
    if (r.owned) discards.Add(FileRange{r.offset, r.offset + (r.end - it->first)});
    it = runs.Erase(it);
  }
  return true;
}

bool MemoryManager::Impl::RemoveRange(AddrRange range, Discards& discards, bool hide) {
  if (!vmas.Overlaps(range)) return false;
  if (range.end != UINT64_MAX) NotePagesGo(range);  // else it ends, and was looked at
  vmas.Split(range.end);
  for (auto it = vmas.Split(range.start); it != vmas.end() && it->first < range.end;) {
    Vma& v = it->second;
    if (v.file) {
      v.file->RemoveMapping(self, {it->first, v.end}, v.offset, v.MayWriteFile());
      discards.Add(std::move(v.file));
    }
    it = vmas.Erase(it);
  }
  bool had_runs = DropRuns(range, discards);
  if (had_runs && hide) as.Unmap(range);
  return had_runs;
}

void MemoryManager::Impl::HideGaps(AddrRange range) {
  uint64_t at = range.start;
  for (auto r = runs.Find(at); r != runs.end() && r->first < range.end; ++r) {
    if (r->first > at) as.Unmap({at, r->first});
    at = r->second.end;
  }
  if (at < range.end) as.Unmap({at, range.end});
}

Status MemoryManager::Impl::ShowOwned(uint64_t start, FileRange pages, const Vma& vma,
                                      bool populate) {
  Run run;
  run.end = start + pages.size();
  run.offset = pages.start;
  run.sentry = memory.At(pages.start);
  run.fd = memory.fd();
  run.owned = true;
  run.SetRights(vma.access);
  Status shown =
      as.MapFile({start, run.end}, {run.fd, run.offset}, run.Shown(vma.access), populate);
  if (!shown.ok()) {
    memory.DecRef(pages);
    return shown;
  }
  runs.Insert(start, run);
  return Ok();
}

Status MemoryManager::Impl::AllocateAnonymous(AddrRange range, const Vma& vma, bool populate) {
  bool resident = false;
  FileRange pages = TRY(memory.Allocate(range.size(), range.size() <= kSmallBytes, &resident));
  return ShowOwned(range.start, pages, vma, populate || resident);
}

// A private copy of file pages at once: what is written to for certain (relocations, .data) would
// fault page by page otherwise. Answers false if the file cannot be read; access will tell.
ErrnoOr<bool> MemoryManager::Impl::CopyAhead(AddrRange range, uint64_t vma_start, const Vma& vma) {
  uint64_t offset = vma.offset + (range.start - vma_start);
  ErrnoOr<Backing> b = vma.file->Translate(offset, range.size(), {.read = true});
  if (!b.ok() || b->length < range.size() || b->sentry == nullptr) return false;
  FileRange pages = TRY(memory.Allocate(range.size(), true));
  if (SafeCopy(memory.At(pages.start), b->sentry, range.size()) != range.size()) {
    memory.DecRef(pages);
    return false;
  }
  TRY(ShowOwned(range.start, pages, vma, true));
  return true;
}

ErrnoOr<uint64_t> MemoryManager::Impl::BorrowRun(AddrRange range, uint64_t vma_start,
                                                 const Vma& vma, Access want, bool populate) {
  uint64_t offset = vma.offset + (range.start - vma_start);
  Backing b = TRY(vma.file->Translate(offset, range.size(), want));
  if (b.length == 0 || !PageAligned(b.length) || !PageAligned(b.offset)) return Errno::kIo;
  Run run;
  run.end = range.start + std::min(b.length, range.size());
  run.offset = b.offset;
  run.sentry = b.sentry;
  run.fd = b.fd;
  run.storable = vma.shared && b.writable;
  run.reusable = b.reusable;
  run.SetRights(vma.access);
  TRY(as.MapFile({range.start, run.end}, {run.fd, run.offset}, run.Shown(vma.access), populate));
  runs.Insert(range.start, run);
  return run.end;
}

Status MemoryManager::Impl::Fill(VmaMap::iterator it, AddrRange range, bool populate) {
  const Vma& vma = it->second;
  if (!vma.access.Any()) return Ok();
  if (vma.Anonymous() && range.size() > kEagerBytes && !populate) return Ok();
  Access want = vma.shared ? Access{.read = true, .write = vma.access.write}
                           : Access{.read = true, .exec = vma.access.exec};
  // A file in many short pieces is mapped by faults instead.
  int budget = populate ? INT32_MAX : 64;
  for (uint64_t at = range.start; at < range.end;) {
    auto run = runs.Find(at);
    if (run != runs.end() && run->first <= at) {
      at = run->second.end;
      continue;
    }
    uint64_t end = run == runs.end() ? range.end : std::min(range.end, run->first);
    if (vma.Anonymous()) {
      TRY(AllocateAnonymous({at, end}, vma, populate));
      at = end;
      continue;
    }
    if (budget-- == 0) return Ok();
    if (vma.Private() && vma.access.write && end - at <= kCopyAheadBytes &&
        TRY(CopyAhead({at, end}, it->first, vma))) {
      at = end;
      continue;
    }
    ErrnoOr<uint64_t> borrowed = BorrowRun({at, end}, it->first, vma, want, populate);
    // The end of the file, or what only an access can answer.
    if (!borrowed.ok()) return borrowed.error() == Errno::kNomem ? Status(Errno::kNomem) : Ok();
    at = *borrowed;
  }
  return Ok();
}

Status MemoryManager::Impl::Populate(AddrRange range, Access want, Discards& discards) {
  for (auto it = vmas.Find(range.start); it != vmas.end() && it->first < range.end; ++it) {
    AddrRange part = AddrRange{it->first, it->second.end}.Intersect(range);
    bool write = want.write || (it->second.Private() && it->second.access.write);
    TRY(Fill(it, part, true));
    uint64_t at = part.start;
    while (write && it->second.access.write && at < part.end) {
      auto run = runs.At(at);
      if (run != runs.end() && run->second.writable) {
        at = run->second.end;
        continue;
      }
      Touched t = Touch(at, {.write = true}, false, discards);
      if (t == Touched::kNoMemory) return Errno::kNomem;
      if (t != Touched::kOk) return Errno::kFault;
      at += kPageSize;
    }
    if (!write && !runs.Covers(part)) return Errno::kFault;
  }
  return ShowRuns(range, true);
}

Status MemoryManager::Impl::ShowRuns(AddrRange range, bool populate) {
  MapBatch batch(as, batch_depth);
  for (auto v = vmas.Find(range.start); v != vmas.end() && v->first < range.end; ++v) {
    const Vma& vma = v->second;
    AddrRange part = AddrRange{v->first, vma.end}.Intersect(range);
    for (auto r = runs.Find(part.start); r != runs.end() && r->first < part.end; ++r) {
      AddrRange piece = AddrRange{r->first, r->second.end}.Intersect(part);
      TRY(as.MapFile(piece, {r->second.fd, r->second.offset + (piece.start - r->first)},
                     r->second.Shown(vma.access), populate));
    }
  }
  return batch.Finish();
}

Status MemoryManager::Impl::UpdateRights(AddrRange range) {
  if (!runs.Meets(range)) return Ok();
  MapBatch batch(as, batch_depth);
  Status first = Ok();
  runs.Split(range.end);
  auto r = runs.Split(range.start);
  // Neighbouring pieces that end up alike go to the platform as one call.
  AddrRange pending{0, 0};
  Access pending_access;
  auto flush = [&] {
    if (pending.empty()) return;
    Status s = as.Protect(pending, pending_access);
    if (first.ok()) first = s;
  };
  for (auto v = vmas.Find(range.start); v != vmas.end() && v->first < range.end; ++v) {
    runs.Split(v->second.end);
    while (r != runs.end() && r->second.end <= v->first) ++r;
    for (; r != runs.end() && r->first < std::min(v->second.end, range.end); ++r) {
      r->second.SetRights(v->second.access);
      Access shown = r->second.Shown(v->second.access);
      if (!pending.empty() && pending.end == r->first && shown == pending_access) {
        pending.end = r->second.end;
        continue;
      }
      flush();
      pending = {r->first, r->second.end};
      pending_access = shown;
    }
  }
  flush();
  runs.Join(range);
  Status sent = batch.Finish();
  return first.ok() ? sent : first;
}

bool MemoryManager::Impl::MayExpand(uint64_t bytes, uint64_t data_bytes,
                                    const MemoryLimits& limits) {
  const VmaTotals& t = vmas.totals();
  if (bytes > limits.as || t.all > limits.as - bytes) return false;
  if (data_bytes == 0) return true;
  return data_bytes <= limits.data && t.data <= limits.data - data_bytes;
}

}  // namespace runsc
