// fork(2): sharing private pages copy-on-write, and copying the few that both sides will write to
// at once anyway.

#include <algorithm>
#include <utility>
#include <vector>

#include "sentry/mm/mm_impl.h"

namespace runsc {
namespace {

// Pages copied ahead at fork: writable pieces up to kSmallPiece long and those around the stack
// pointer, as long as the budget lasts. A fault costs more than copying a dozen pages.
constexpr uint64_t kSmallPiece = 6 * kPageSize;
constexpr uint64_t kStackBelow = 2 * kPageSize;
constexpr uint64_t kStackAbove = 3 * kPageSize;
constexpr uint64_t kCopyBudget = 48 * kPageSize;
// Longer runs are not asked for holes page by page.
constexpr uint64_t kResidencyLimit = uint64_t{2} << 20;

}  // namespace

// The work of one fork.
class Forker {
 public:
  using Impl = MemoryManager::Impl;
  Forker(Impl& parent, Impl& child, uint64_t stack_pointer)
      : parent_(parent), child_(child), stack_pointer_(stack_pointer) {}

  // The caller holds both locks, under names that the analysis cannot match.
  Status Copy() ABSL_NO_THREAD_SAFETY_ANALYSIS { return CopyAll(); }

 private:
  Status CopyAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(parent_.mu, child_.mu) {
    for (auto v = parent_.vmas.begin(); v != parent_.vmas.end(); ++v) {
      if (v->second.dont_fork) continue;
      Vma copy = v->second;
      copy.locked = copy.lock_on_fault = false;
      TRY(child_.InsertVma(v->first, std::move(copy)));
      if (v->second.wipe_on_fork) continue;
      TRY(CopyRuns(v));
    }
    return FlushProtect();
  }

  Status CopyRuns(VmaMap::iterator v) ABSL_EXCLUSIVE_LOCKS_REQUIRED(parent_.mu, child_.mu) {
    const Vma& vma = v->second;
    // By address: sharing cuts runs, and a run may go on into the next VMA.
    for (uint64_t at = v->first; at < vma.end;) {
      auto r = parent_.runs.Find(at);
      if (r == parent_.runs.end() || r->first >= vma.end) break;
      AddrRange part = AddrRange{r->first, r->second.end}.Intersect({at, vma.end});
      at = part.end;
      if (r->second.owned) {
        TRY(CopyOwned(part, vma));
      } else {
        TRY(Give(part, r, vma, false));
      }
    }
    return Ok();
  }

  // Private pages of one run: in pieces that are copied, shared, or (never touched) left out.
  Status CopyOwned(AddrRange part, const Vma& vma)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(parent_.mu, child_.mu) {
    auto r = parent_.runs.At(part.start);
    char* sentry = r->second.sentry + (part.start - r->first);
    std::vector<AddrRange> pieces;
    if (part.size() <= kResidencyLimit) {
      FindResident(part, sentry, pieces);
    } else {
      FindData(part, r, pieces);
    }
    for (AddrRange piece : pieces) {
      if (vma.access.write && stack_pointer_ != 0) TRY(CopyHot(piece, vma));
      if (!piece.empty()) TRY(Share(piece, vma));
    }
    return Ok();
  }

  static void Append(std::vector<AddrRange>& pieces, AddrRange piece) {
    if (!pieces.empty() && pieces.back().end == piece.start) {
      pieces.back().end = piece.end;
    } else {
      pieces.push_back(piece);
    }
  }

  void FindResident(AddrRange part, char* sentry, std::vector<AddrRange>& pieces) {
    map_.resize(part.size() / kPageSize);
    if (!ResidencyMap(sentry, part.size(), map_.data())) {
      pieces.push_back(part);
      return;
    }
    for (size_t i = 0; i < map_.size(); ++i) {
      if ((map_[i] & 1) == 0) continue;
      Append(pieces, {part.start + i * kPageSize, part.start + (i + 1) * kPageSize});
    }
  }

  void FindData(AddrRange part, RunMap::iterator r, std::vector<AddrRange>& pieces) {
    const uint64_t shift = r->second.offset - r->first;
    ForEachDataRange(r->second.fd, part.start + shift, part.end + shift,
                     [&](uint64_t start, uint64_t end) {
                       Append(pieces, {start - shift, end - shift});
                     });
  }

  // Copies what of `piece` is hot and cuts it off.
  Status CopyHot(AddrRange& piece, const Vma& vma)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(parent_.mu, child_.mu) {
    uint64_t sp = PageDown(stack_pointer_);
    AddrRange hot = piece;
    if (piece.size() > kSmallPiece) {
      uint64_t low = sp > kStackBelow ? sp - kStackBelow : 0;
      hot = piece.Intersect({low, sp + kStackAbove});
    }
    if (hot.empty() || hot.size() > budget_) return Ok();
    ErrnoOr<FileRange> pages = child_.memory.Allocate(hot.size(), true);
    if (!pages.ok()) return Ok();  // sharing may still do
    auto r = parent_.runs.At(hot.start);
    char* from = r->second.sentry + (hot.start - r->first);
    if (SafeCopy(child_.memory.At(pages->start), from, hot.size()) != hot.size()) {
      child_.memory.DecRef(*pages);
      return Errno::kNomem;
    }
    budget_ -= hot.size();
    TRY(child_.ShowOwned(hot.start, *pages, vma, true));
    // Both ends may be left over; the one below is shared here.
    if (hot.start > piece.start) TRY(Share({piece.start, hot.start}, vma));
    piece.start = hot.end;
    return Ok();
  }

  Status Share(AddrRange piece, const Vma& vma)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(parent_.mu, child_.mu) {
    auto r = parent_.runs.At(piece.start);
    if (!r->second.cow) {
      bool was_writable = r->second.writable;
      r = parent_.runs.Isolate(piece);
      r->second.cow = true;
      r->second.SetRights(vma.access);
      if (was_writable) TRY(Protect(piece, r->second.Shown(vma.access)));
    }
    uint64_t offset = r->second.offset + (piece.start - r->first);
    child_.memory.IncRef({offset, offset + piece.size()});
    return Give(piece, r, vma, true);
  }

  // The child gets the parent's run, or the part of it in `piece`.
  Status Give(AddrRange piece, RunMap::iterator r, const Vma& vma, bool owned)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(parent_.mu, child_.mu) {
    Run run = r->second;
    uint64_t skip = piece.start - r->first;
    run.end = piece.end;
    run.offset += skip;
    if (run.sentry != nullptr) run.sentry += skip;
    // Inserted first: if the platform refuses, clearing the child drops the reference.
    child_.runs.Insert(piece.start, run);
    return child_.as.MapFile(piece, {run.fd, run.offset}, run.Shown(vma.access),
                             owned && piece.size() <= kSmallPiece);
  }

  // Write-protects in the parent; neighbours in one call.
  Status Protect(AddrRange range, Access access) {
    if (!pending_.empty() && pending_.end == range.start && pending_access_ == access) {
      pending_.end = range.end;
      return Ok();
    }
    Status s = FlushProtect();
    pending_ = range;
    pending_access_ = access;
    return s;
  }
  Status FlushProtect() {
    if (pending_.empty()) return Ok();
    AddrRange range = std::exchange(pending_, AddrRange{});
    return parent_.as.Protect(range, pending_access_);
  }

  Impl& parent_;
  Impl& child_;
  const uint64_t stack_pointer_;
  uint64_t budget_ = kCopyBudget;
  std::vector<uint8_t> map_;
  AddrRange pending_;
  Access pending_access_;
};

Status MemoryManager::Impl::ForkInto(Impl& child, uint64_t stack_pointer) {
  child.image = image;
  child.executable = executable;
  child.dumpable = dumpable;
  child.mmap_base = mmap_base;
  child.bottom_up = bottom_up;
  child.brk = brk;
  child.brk_start = brk_start;
  child.limits = limits;
  child.any_sealed = any_sealed;
  MapBatch parent_batch(as, batch_depth);
  MapBatch child_batch(child.as, child.batch_depth);
  Status status = Forker(*this, child, stack_pointer).Copy();
  // The parent's copy-on-write marks stay even if the child fails: it only faults once more.
  Status protect = parent_batch.Finish();
  Status mapped = child_batch.Finish();
  runs.Join({0, UINT64_MAX});
  if (!status.ok()) return status;
  if (!protect.ok()) return protect;
  return mapped;
}

ErrnoOr<Ref<MemoryManager>> MemoryManager::Fork(UserAddr stack_pointer) {
  Ref<MemoryManager> child = TRY(Create(impl_->platform, impl_->memory));
  Status status = Ok();
  {
    MmLock lock(*impl_);
    child->impl_->mu.LockNested();
    status = impl_->ForkInto(*child->impl_, stack_pointer.value);
    child->impl_->mu.Unlock();
  }
  if (!status.ok()) return status.error();
  return child;
}

}  // namespace runsc
