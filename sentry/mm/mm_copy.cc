// Copies between the sentry and a guest: UserMemory over the runs.

#include <algorithm>

#include "sentry/mm/mm_impl.h"

namespace runsc {
namespace {

// Runs this thread used last. An entry is right as long as its generation is the address space's.
struct Hit {
  uint64_t generation = 0;
  uint64_t start = 0, end = 0;
  char* sentry = nullptr;
  bool writable = false;
};
constexpr size_t kHits = 8;
thread_local Hit t_hits[kHits];

// After a touch that succeeded the page is there; it can only be gone again if others unmap it in
// between, over and over.
constexpr int kMaxRetries = 64;

}  // namespace

bool MemoryManager::Impl::Lookup(uint64_t addr, bool write, Span* out) {
  Hit& hit = t_hits[(addr / kPageSize) % kHits];
  if (hit.generation != generation || addr - hit.start >= hit.end - hit.start) {
    auto it = runs.At(addr);
    if (it == runs.end() || !it->second.readable || it->second.sentry == nullptr) return false;
    hit = {generation, it->first, it->second.end, it->second.sentry, it->second.writable};
  }
  if (write && !hit.writable) return false;
  out->at = hit.sentry + (addr - hit.start);
  out->bytes = hit.end - addr;
  return true;
}

bool MemoryManager::Impl::TouchForCopy(uint64_t addr, Access want) {
  Discards discards(memory);
  MmLock lock(*this);
  return Touch(addr, want, false, discards) == Touched::kOk;
}

// Calls `copy(span, done)` for the pieces of [addr, addr+n) in order; it answers the bytes done.
template <typename F>
ErrnoOr<size_t> MemoryManager::Impl::Walk(uint64_t addr, size_t n, Access want, F copy) {
  if (n == 0) return size_t{0};
  if (addr >= bounds.end) return Errno::kFault;
  n = std::min(n, bounds.end - addr);
  size_t done = 0;
  for (int tries = 0; tries < kMaxRetries; ++tries) {
    {
      ReaderLock lock(mu);
      Span span;
      while (done < n && Lookup(addr + done, want.write, &span)) {
        span.bytes = std::min(span.bytes, n - done);
        size_t got = copy(span, done);
        done += got;
        tries = 0;
        if (got < span.bytes) return done != 0 ? ErrnoOr<size_t>(done) : Errno::kFault;
      }
    }
    if (done == n) return done;
    if (!TouchForCopy(addr + done, want)) break;
  }
  return done != 0 ? ErrnoOr<size_t>(done) : Errno::kFault;
}

ErrnoOr<size_t> MemoryManager::CopyInPartial(void* dst, UserAddr src, size_t n) {
  char* to = static_cast<char*>(dst);
  return impl_->Walk(src.value, n, {.read = true}, [to](Impl::Span s, size_t done) {
    return SafeCopy(to + done, s.at, s.bytes);
  });
}

ErrnoOr<size_t> MemoryManager::CopyOutPartial(UserAddr dst, const void* src, size_t n) {
  const char* from = static_cast<const char*>(src);
  return impl_->Walk(dst.value, n, {.write = true}, [from](Impl::Span s, size_t done) {
    return SafeCopy(s.at, from + done, s.bytes);
  });
}

ErrnoOr<size_t> MemoryManager::ZeroPartial(UserAddr dst, size_t n) {
  return impl_->Walk(dst.value, n, {.write = true},
                     [](Impl::Span s, size_t) { return SafeZero(s.at, s.bytes); });
}

ErrnoOr<size_t> MemoryManager::WithPieces(UserAddr addr, size_t n, Access want, PieceSink& sink) {
  constexpr int kMaxPieces = 64;
  if (n == 0) return size_t{0};
  const uint64_t limit = impl_->bounds.end;
  if (addr.value >= limit) return Errno::kFault;
  n = std::min({n, limit - addr.value, kMaxTransfer});
  for (int tries = 0; tries < kMaxRetries; ++tries) {
    // What is missing is made accessible first; the sink runs once, with all that is there.
    for (size_t ready = 0; ready < n;) {
      Impl::Span span;
      bool there;
      {
        ReaderLock lock(impl_->mu);
        there = impl_->Lookup(addr.value + ready, want.write, &span);
      }
      if (!there && !impl_->TouchForCopy(addr.value + ready, want)) {
        if (ready == 0) return Errno::kFault;
        n = ready;
      } else if (there) {
        ready += std::min(span.bytes, n - ready);
      }
    }
    iovec pieces[kMaxPieces];
    int count = 0;
    ReaderLock lock(impl_->mu);
    Impl::Span span;
    for (size_t at = 0; at < n && count < kMaxPieces; ++count) {
      if (!impl_->Lookup(addr.value + at, want.write, &span)) break;
      span.bytes = std::min(span.bytes, n - at);
      pieces[count] = {span.at, span.bytes};
      at += span.bytes;
    }
    if (count != 0) return sink.OnPieces(pieces, count);
  }
  return Errno::kFault;
}

ErrnoOr<uint32_t> MemoryManager::Load32(UserAddr addr) {
  if ((addr.value & 3) != 0) return Errno::kInval;
  uint32_t value = 0;
  TRY(impl_->Walk(addr.value, 4, {.read = true}, [&](Impl::Span s, size_t) {
    return SafeLoad32(reinterpret_cast<uint32_t*>(s.at), &value) ? size_t{4} : size_t{0};
  }));
  return value;
}

ErrnoOr<uint32_t> MemoryManager::CompareExchange32(UserAddr addr, uint32_t old,
                                                   uint32_t desired) {
  if ((addr.value & 3) != 0) return Errno::kInval;
  uint32_t found = 0;
  TRY(impl_->Walk(addr.value, 4, {.write = true}, [&](Impl::Span s, size_t) {
    auto* word = reinterpret_cast<uint32_t*>(s.at);
    return SafeCompareExchange32(word, old, desired, &found) ? size_t{4} : size_t{0};
  }));
  return found;
}

ErrnoOr<size_t> MemoryManager::Impl::ForcedCopy(uint64_t addr, size_t n, bool write,
                                                char* buffer) {
  if (n == 0) return size_t{0};
  if (addr >= bounds.end) return Errno::kFault;
  n = std::min(n, bounds.end - addr);
  Discards discards(memory);
  MmLock lock(*this);
  size_t done = 0;
  while (done < n) {
    uint64_t at = addr + done;
    if (Touch(at, {.read = !write, .write = write}, true, discards) != Touched::kOk) break;
    auto run = runs.At(at);
    if (run == runs.end() || run->second.sentry == nullptr) break;
    char* memory_at = run->second.sentry + (at - run->first);
    size_t bytes = std::min(n - done, run->second.end - at);
    size_t got = write ? SafeCopy(memory_at, buffer + done, bytes)
                       : SafeCopy(buffer + done, memory_at, bytes);
    done += got;
    if (got < bytes) break;
  }
  return done != 0 ? ErrnoOr<size_t>(done) : Errno::kFault;
}

ErrnoOr<size_t> MemoryManager::PeekPartial(void* dst, UserAddr src, size_t n) {
  return impl_->ForcedCopy(src.value, n, false, static_cast<char*>(dst));
}

ErrnoOr<size_t> MemoryManager::PokePartial(UserAddr dst, const void* src, size_t n) {
  return impl_->ForcedCopy(dst.value, n, true, static_cast<char*>(const_cast<void*>(src)));
}

ErrnoOr<MemoryManager::FutexKey> MemoryManager::GetFutexKey(UserAddr addr, bool process_private) {
  if ((addr.value & 3) != 0) return Errno::kInval;
  if (addr.value >= impl_->bounds.end) return Errno::kFault;
  if (process_private) return FutexKey{this, addr.value};
  ReaderLock lock(impl_->mu);
  auto it = impl_->vmas.At(addr.value);
  if (it == impl_->vmas.end()) return Errno::kFault;
  const Vma& vma = it->second;
  if (!vma.shared) return FutexKey{this, addr.value};
  return FutexKey{vma.file.get(), vma.offset + (addr.value - it->first)};
}

}  // namespace runsc
