// What /proc, getrusage(2) and futexes ask; the end of an address space.

#include <algorithm>
#include <utility>

#include "platform/base/log.h"
#include "sentry/mm/mm_impl.h"

namespace runsc {
namespace {

// Longer pieces are asked of the memory file, which skips holes; shorter ones page by page.
constexpr uint64_t kMapLimit = uint64_t{4} << 20;
// Of a mapped file about this much is touched, as Linux maps around faults.
constexpr uint64_t kFilePart = 64 * kPageSize;
// What may go before the peak is looked after: this much, or that part of the peak.
constexpr uint64_t kFreedUnseen = uint64_t{1} << 20;
constexpr uint64_t kFreedPart = 8;
// Shorter pieces are taken for resident without asking.
constexpr uint64_t kSmallPiece = uint64_t{256} << 10;

uint64_t ResidentIn(const Run& run, uint64_t start, AddrRange part) {
  if (run.sentry == nullptr) return 0;
  uint64_t from = part.start - start;
  if (run.owned && part.size() > kMapLimit) {
    uint64_t bytes = 0;
    ForEachDataRange(run.fd, run.offset + from, run.offset + from + part.size(),
                     [&bytes](uint64_t data, uint64_t end) { bytes += end - data; });
    return bytes;
  }
  return ResidentBytes(run.sentry + from, part.size());
}

}  // namespace

ErrnoOr<Ref<MemoryManager>> MemoryManager::Create(platform::Platform& platform,
                                                  MemoryFile& memory) {
  std::unique_ptr<platform::AddressSpace> as = TRY(platform.NewAddressSpace());
  return Ref<MemoryManager>::Adopt(new MemoryManager(platform, memory, std::move(as)));
}

MemoryManager::MemoryManager(platform::Platform& platform, MemoryFile& memory,
                             std::unique_ptr<platform::AddressSpace> as)
    : as_(std::move(as)), impl_(std::make_unique<Impl>(platform, memory, *as_, this)) {}

// The guest may reach its pages until the platform has torn the address space down, which need not
// be waited for. Files go at once, for others see that they are no longer in use; but not before
// the guest has lost pages that would go with them.
MemoryManager::~MemoryManager() {
  class Pages : public platform::Baggage {
   public:
    explicit Pages(MemoryFile& memory) : leaving(memory), pages(memory) {}
    MemoryFile::Leaving leaving;
    Discards pages;
  };
  Discards discards(impl_->memory);
  auto kept = std::make_unique<Pages>(impl_->memory);
  Impl& m = *impl_;
  MmLock lock(m);
  MapBatch batch(m.as, m.batch_depth);
  for (const auto& [start, run] : m.runs) {
    if (run.reusable) m.as.Unmap({start, run.end});
  }
  (void)batch.Finish();
  m.RemoveRange({0, UINT64_MAX}, discards, false);
  discards.MovePagesTo(kept->pages);
  m.as.Close(std::move(kept));
}

void MemoryManager::Clear() {
  Ref<RefCounted> executable;
  Discards discards(impl_->memory);
  Impl& m = *impl_;
  MmLock lock(m);
  executable = std::move(m.executable);
  if (m.vmas.begin() == m.vmas.end()) return;
  bool had_runs = m.RemoveRange({0, UINT64_MAX}, discards, false);
  if (had_runs) m.as.Unmap(m.platform.user_range());
}

void MemoryManager::InvalidateMappable(Mappable* object, uint64_t start, uint64_t end,
                                       bool private_copies) {
  Discards discards(impl_->memory);
  Impl& m = *impl_;
  MmLock lock(m);
  for (auto it = m.vmas.begin(); it != m.vmas.end(); ++it) {
    const Vma& v = it->second;
    if (v.file != object) continue;
    uint64_t file_end = v.offset + (v.end - it->first);
    uint64_t from = std::max(start, v.offset);
    uint64_t to = std::min(end, file_end);
    if (from >= to) continue;
    AddrRange range{it->first + (from - v.offset), it->first + (to - v.offset)};
    for (auto r = m.runs.Isolate(range); r != m.runs.end() && r->first < range.end;) {
      const Run& run = r->second;
      if (run.owned && !private_copies) {
        ++r;
        continue;
      }
      AddrRange gone{r->first, run.end};
      if (run.owned) discards.Add(FileRange{run.offset, run.offset + gone.size()});
      r = m.runs.Erase(r);
      m.as.Unmap(gone);
    }
    m.runs.Join(range);
  }
}

void MemoryManager::CheckConsistency() {
  Impl& m = *impl_;
  MmLock lock(m);
  uint64_t all = 0;
  uint64_t last = 0;
  for (auto& [start, v] : m.vmas) {
    CHECK_OR_PANIC(start >= last && v.end > start && PageAligned(start) && PageAligned(v.end));
    last = v.end;
    all += v.end - start;
  }
  CHECK_OR_PANIC(all == m.vmas.totals().all);
  last = 0;
  for (auto& [start, run] : m.runs) {
    CHECK_OR_PANIC(start >= last && run.end > start);
    last = run.end;
    for (uint64_t at = start; at < run.end;) {
      auto v = m.vmas.At(at);
      CHECK_OR_PANIC(v != m.vmas.end());
      Run expected = run;
      expected.SetRights(v->second.access);
      CHECK_OR_PANIC(expected.readable == run.readable && expected.writable == run.writable);
      CHECK_OR_PANIC(!run.owned || v->second.Private());
      CHECK_OR_PANIC(run.owned || v->second.file);
      at = v->second.end;
    }
  }
}

std::vector<VmaInfo> MemoryManager::ListVmas(bool with_usage) {
  std::vector<VmaInfo> out;
  Impl& m = *impl_;
  ReaderLock lock(m.mu);
  out.reserve(m.vmas.size());
  for (auto& [start, v] : m.vmas) {
    VmaInfo info;
    info.range = {start, v.end};
    info.access = v.access;
    info.max_access = v.max_access;
    info.shared = v.shared;
    info.grows_down = v.grows_down;
    info.locked = v.locked;
    info.dont_fork = v.dont_fork;
    info.wipe_on_fork = v.wipe_on_fork;
    info.noreserve = v.noreserve;
    if (v.file) {
      info.offset = v.offset;
      info.identity = v.file->MappedIdentity();
    }
    if (info.identity.name.empty()) info.identity.name = v.name;
    auto r = with_usage ? m.runs.Find(start) : m.runs.end();
    for (; r != m.runs.end() && r->first < v.end; ++r) {
      AddrRange part = AddrRange{r->first, r->second.end}.Intersect(info.range);
      uint64_t resident = ResidentIn(r->second, r->first, part);
      info.resident += resident;
      if (!r->second.owned) continue;
      info.anonymous_bytes += resident;
      if (!r->second.cow) info.private_bytes += resident;
    }
    out.push_back(std::move(info));
  }
  return out;
}

MemoryUsage MemoryManager::Usage() {
  MemoryUsage u;
  Impl& m = *impl_;
  MmLock lock(m);
  const VmaTotals& t = m.vmas.totals();
  u.total_vm = t.all;
  u.data = t.data;
  u.stack = t.stack;
  u.exec = t.exec;
  u.locked = t.locked;
  for (auto& [start, run] : m.runs) {
    uint64_t resident = ResidentIn(run, start, {start, run.end});
    u.resident += resident;
    if (!run.owned) u.shared += resident;
  }
  m.peak_resident = std::max(m.peak_resident, u.resident);
  u.peak_resident = m.peak_resident;
  u.peak_vm = m.peak_vm;
  return u;
}

void MemoryManager::Impl::NotePeakResident() {
  uint64_t resident = 0;
  for (auto& [start, run] : runs) {
    resident +=
        run.owned ? ResidentIn(run, start, {start, run.end}) : std::min(run.end - start, kFilePart);
  }
  peak_resident = std::max(peak_resident, resident);
  freed = 0;
}

void MemoryManager::Impl::NotePagesGo(AddrRange range) {
  for (auto r = runs.Find(range.start); r != runs.end() && r->first < range.end; ++r) {
    AddrRange part = AddrRange{r->first, r->second.end}.Intersect(range);
    uint64_t bytes = part.size();
    if (!r->second.owned) {
      bytes = std::min(bytes, kFilePart);
    } else if (bytes > kSmallPiece) {
      bytes = ResidentIn(r->second, r->first, part);
    }
    freed += bytes;
  }
  if (freed > std::max(kFreedUnseen, peak_resident / kFreedPart)) NotePeakResident();
}

uint64_t MemoryManager::PeakResidentAtEnd() {
  Impl& m = *impl_;
  MmLock lock(m);
  if (RefCountForTest() == 1) m.NotePeakResident();
  return m.peak_resident;
}

}  // namespace runsc
