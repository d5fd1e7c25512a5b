// Making pages accessible: first touch, copy-on-write, stack growth.

#include <signal.h>

#include <algorithm>
#include <utility>

#include "sentry/mm/mm_impl.h"

namespace runsc {
namespace {

// How far a stack grows at once, so that deep recursion does not fault at every page.
constexpr uint64_t kStackStep = 16 * kPageSize;
// How much around a copy-on-write fault is given back without copying if nobody shares it.
constexpr uint64_t kUniqueWindow = uint64_t{4} << 20;
constexpr uint32_t kManyFileFaults = 16;
// After so many faults in a row that look resolved, the access is one that cannot be resolved.
constexpr uint32_t kMaxStuck = 2000;

Touched FromErrno(Errno e) {
  return e == Errno::kNomem ? Touched::kNoMemory : Touched::kNoFilePage;
}

}  // namespace

VmaMap::iterator MemoryManager::Impl::GrowStack(uint64_t addr) {
  auto it = vmas.Find(addr);
  if (it == vmas.end() || !it->second.grows_down || addr < bounds.start) return vmas.end();
  // The guest may only go as far as its limits let it; we go a bit further down than it asked.
  uint64_t end = it->second.end;
  uint64_t page = PageDown(addr);
  uint64_t lowest = limits.stack >= end - bounds.start ? bounds.start : end - limits.stack;
  lowest = PageUp(lowest);
  if (it != vmas.begin()) {
    auto below = std::prev(it);
    uint64_t guard = below->second.access.Any() && !below->second.grows_down ? kStackGuard : 0;
    lowest = std::max(lowest, below->second.end + guard);
  }
  if (page < lowest) return vmas.end();
  uint64_t target = std::max(lowest, it->first > kStackStep ? it->first - kStackStep : lowest);
  target = std::min(target, page);
  uint64_t bytes = it->first - target;
  if (!MayExpand(bytes, 0, limits)) return vmas.end();
  if (it->second.locked && !limits.can_lock_any && vmas.totals().locked + bytes > limits.memlock) {
    return vmas.end();
  }
  it = vmas.GrowDown(it, bytes);
  NotePeaks();
  // Failure shows at the access.
  (void)Fill(it, {target, target + bytes}, false);
  return it;
}

Touched MemoryManager::Impl::TouchMissing(VmaMap::iterator it, uint64_t addr, Access want,
                                          Discards& discards) {
  const Vma& vma = it->second;
  uint64_t page = PageDown(addr);
  auto next = runs.Find(page);
  uint64_t end = next == runs.end() ? vma.end : std::min(vma.end, next->first);
  if (vma.Anonymous()) {
    uint64_t piece = page & ~(kLazyPiece - 1);
    uint64_t start = std::max(piece, it->first);
    if (next != runs.begin()) start = std::max(start, std::prev(next)->second.end);
    AddrRange range{start, std::min(end, piece + kLazyPiece)};
    Status s = AllocateAnonymous(range, vma, false);
    // A piece that does not fit any more may still fit as a page.
    if (!s.ok()) s = AllocateAnonymous({page, page + kPageSize}, vma, false);
    return s.ok() ? Touched::kOk : FromErrno(s.error());
  }
  Access backing_want{.read = true, .write = want.write && vma.shared, .exec = want.exec};
  ErrnoOr<uint64_t> mapped = BorrowRun({page, end}, it->first, vma, backing_want, false);
  if (!mapped.ok()) return FromErrno(mapped.error());
  if (want.write && vma.Private()) return BreakCow(it, addr, discards);
  return Touched::kOk;
}

// The pages worth copying with the one at `addr`.
AddrRange MemoryManager::Impl::CowRange(VmaMap::iterator vma, RunMap::iterator run, uint64_t addr) {
  AddrRange whole = AddrRange{run->first, run->second.end}.Intersect({vma->first, vma->second.end});
  uint64_t page = PageDown(addr);
  uint64_t start;
  if (run->second.owned || cow_vma != vma->first) cow_file_faults = 0;
  cow_vma = vma->first;
  if (page == cow_end) {
    cow_window = std::min(cow_window * 2, kCowWindowMax);
    start = page;
  } else {
    // A program's data is mostly written to, if in no order; after a fork most pages stay shared.
    cow_window = std::min(kCowWindow << (cow_file_faults / 2), kCowWindowMax);
    start = page & ~(cow_window - 1);
  }
  if (cow_file_faults < kManyFileFaults) ++cow_file_faults;
  AddrRange window = AddrRange{start, start + cow_window}.Intersect(whole);
  cow_end = window.end;
  return window;
}

// Makes the run writable again where all other holders are gone.
bool MemoryManager::Impl::TakeBackUnique(VmaMap::iterator vma, RunMap::iterator run,
                                         AddrRange window) {
  AddrRange whole = AddrRange{run->first, run->second.end}.Intersect({vma->first, vma->second.end});
  AddrRange wide = AddrRange{window.start > kUniqueWindow ? window.start - kUniqueWindow : 0,
                             window.end + kUniqueWindow}
                       .Intersect(whole);
  for (AddrRange r : {wide, window}) {
    uint64_t offset = run->second.offset + (r.start - run->first);
    if (!memory.IsUnique({offset, offset + r.size()})) continue;
    auto it = runs.Isolate(r);
    it->second.cow = false;
    it->second.SetRights(vma->second.access);
    Status s = as.Protect(r, it->second.Shown(vma->second.access));
    runs.Join(r);
    return s.ok();
  }
  return false;
}

Touched MemoryManager::Impl::BreakCow(VmaMap::iterator vma, uint64_t addr, Discards& discards) {
  auto run = runs.At(addr);
  if (run == runs.end()) return Touched::kNoFilePage;
  AddrRange window = CowRange(vma, run, addr);
  if (run->second.owned && TakeBackUnique(vma, run, window)) return Touched::kOk;
  if (run->second.sentry == nullptr) return Touched::kNoFilePage;
  ErrnoOr<FileRange> pages = memory.Allocate(window.size(), true);
  if (!pages.ok()) {
    window = {PageDown(addr), PageDown(addr) + kPageSize};
    pages = memory.Allocate(window.size(), true);
    if (!pages.ok()) return Touched::kNoMemory;
  }
  // Pages that never were touched are zero in the copy already; reading would make them exist.
  uint64_t count = window.size() / kPageSize;
  uint8_t resident[kCowWindowMax / kPageSize];
  char* from = run->second.sentry + (window.start - run->first);
  if (!run->second.owned || count == 1 || !ResidencyMap(from, window.size(), resident)) {
    std::fill(resident, resident + count, 1);
  }
  for (uint64_t i = 0; i < count; ++i) {
    if ((resident[i] & 1) == 0) continue;
    if (SafeCopy(memory.At(pages->start + i * kPageSize), from + i * kPageSize, kPageSize) ==
        kPageSize) {
      continue;
    }
    // The host file is shorter than it was, or host memory is out: copy what there is.
    AddrRange got{window.start, window.start + i * kPageSize};
    memory.DecRef({pages->start + got.size(), pages->end});
    pages->end = pages->start + got.size();
    window = got;
    if (!got.Contains(addr)) {
      memory.DecRef(*pages);
      return run->second.owned ? Touched::kNoMemory : Touched::kNoFilePage;
    }
    break;
  }
  DropRuns(window, discards);
  Status shown = ShowOwned(window.start, *pages, vma->second, true);
  if (shown.ok()) return Touched::kOk;
  as.Unmap(window);
  return Touched::kNoMemory;
}

Touched MemoryManager::Impl::Touch(uint64_t addr, Access want, bool force, Discards& discards) {
  auto it = vmas.At(addr);
  if (it == vmas.end()) it = GrowStack(addr);
  if (it == vmas.end()) return Touched::kUnmapped;
  const Vma& vma = it->second;
  if (force) {
    // As Linux: reads of anything mapped; writes where they cannot reach a file.
    if (want.write && !vma.access.write && (vma.shared || !vma.max_access.write)) {
      return Touched::kForbidden;
    }
  } else if (want.write ? !vma.access.write : want.exec ? !vma.access.exec : !vma.access.Any()) {
    return Touched::kForbidden;
  }
  auto run = runs.At(addr);
  if (run == runs.end()) return TouchMissing(it, addr, want, discards);
  if (!want.write || run->second.CanStore()) return Touched::kOk;
  if (vma.Private()) return BreakCow(it, addr, discards);
  // Shared, and the file asks to be told of the first store.
  uint64_t page = PageDown(addr);
  uint64_t end = std::min(run->second.end, vma.end);
  DropRuns({page, end}, discards);
  ErrnoOr<uint64_t> mapped =
      BorrowRun({page, end}, it->first, vma, {.read = true, .write = true}, false);
  if (!mapped.ok()) {
    as.Unmap({page, end});
    return FromErrno(mapped.error());
  }
  if (*mapped < end) as.Unmap({*mapped, end});
  run = runs.At(addr);
  return run != runs.end() && run->second.CanStore() ? Touched::kOk : Touched::kNoFilePage;
}

// Whether the page really is there: a host file may have shrunk behind our back, the host's
// memory be out.
Touched MemoryManager::Impl::Probe(uint64_t addr) {
  auto run = runs.At(addr);
  if (run == runs.end() || run->second.sentry == nullptr) return Touched::kOk;
  char byte;
  if (SafeCopy(&byte, run->second.sentry + (addr - run->first), 1) == 1) return Touched::kOk;
  return run->second.owned ? Touched::kNoMemory : Touched::kNoFilePage;
}

FaultOutcome MemoryManager::HandleFault(UserAddr addr, Access access, const MemoryLimits& limits) {
  auto fail = [](int signal, int code) {
    FaultOutcome out;
    out.signal = Signal(signal);
    out.code = code;
    return out;
  };
  FaultOutcome resume;
  resume.handled = true;

  Discards discards(impl_->memory);
  Impl& m = *impl_;
  MmLock lock(m);
  m.limits = limits;
  auto run = m.runs.At(addr.value);
  auto vma = m.vmas.At(addr.value);
  bool seemed_fine = run != m.runs.end() && vma != m.vmas.end() &&
                     (access.write ? run->second.writable : run->second.readable) &&
                     (!access.exec || vma->second.access.exec);
  Touched t = m.Touch(addr.value, access, false, discards);
  if (t == Touched::kOk) t = m.Probe(addr.value);
  switch (t) {
    case Touched::kOk:
      break;
    case Touched::kUnmapped:
      return fail(SIGSEGV, SEGV_MAPERR);
    case Touched::kForbidden:
      return fail(SIGSEGV, SEGV_ACCERR);
    case Touched::kNoFilePage:
      return fail(SIGBUS, BUS_ADRERR);
    case Touched::kNoMemory:
      return fail(SIGKILL, SI_KERNEL);
  }
  if (!seemed_fine) return resume;
  // Another thread resolved it meanwhile, or the platform lost the mapping. If showing it again
  // does not help in the long run, the guest gets a signal instead of a loop.
  if (m.stuck_addr != addr.value) m.stuck_count = 0;
  m.stuck_addr = addr.value;
  if (++m.stuck_count == 1) return resume;
  if (m.stuck_count > kMaxStuck) return fail(SIGBUS, BUS_ADRERR);
  uint64_t page = PageDown(addr.value);
  (void)m.ShowRuns({page, page + kPageSize}, true);
  return resume;
}

}  // namespace runsc
