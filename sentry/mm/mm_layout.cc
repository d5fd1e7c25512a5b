// Where a program's parts go (Linux arch/x86/mm/mmap.c, fs/binfmt_elf.c), and what exec records.

#include <algorithm>
#include <utility>

#include "platform/base/random.h"
#include "sentry/mm/mm_impl.h"

namespace runsc {
namespace {

constexpr int kMmapRandomBits = 28;
constexpr int kStackRandomBits = 22;  // pages: 16 GiB
constexpr uint64_t kBrkRandomBytes = uint64_t{32} << 20;
constexpr uint64_t kMinGap = uint64_t{128} << 20;

uint64_t RandomPages(int bits) {
  return (HostRandom64() & ((uint64_t{1} << bits) - 1)) * kPageSize;
}

}  // namespace

void MemoryManager::BeginBatch() {
  MmLock lock(*impl_);
  if (impl_->batch_depth++ == 0) as_->BeginBatch();
}

Status MemoryManager::EndBatch() {
  MmLock lock(*impl_);
  return --impl_->batch_depth == 0 ? as_->EndBatch() : Ok();
}

void MemoryManager::SetLayout(bool randomize, uint64_t stack_limit) {
  uint64_t random = randomize ? RandomPages(kMmapRandomBits) : 0;
  MmLock lock(*impl_);
  const uint64_t top = impl_->bounds.end;
  if (stack_limit == UINT64_MAX) {
    impl_->bottom_up = true;
    impl_->mmap_base = PageUp(top / 3) + random;
    return;
  }
  uint64_t pad = kStackGuard + (randomize ? (kPageSize << kStackRandomBits) : 0);
  uint64_t gap = std::min(stack_limit, top) + pad;
  gap = std::clamp(gap, kMinGap, top / 6 * 5);
  impl_->bottom_up = false;
  impl_->mmap_base = PageDown(top - gap - random);
}

UserAddr MemoryManager::ChooseStackTop(bool randomize) {
  uint64_t random = randomize ? RandomPages(kStackRandomBits) : 0;
  return UserAddr(impl_->bounds.end - kPageSize - random);
}

UserAddr MemoryManager::ChoosePieBase(bool randomize) {
  uint64_t random = randomize ? RandomPages(kMmapRandomBits) : 0;
  return UserAddr(PageDown(impl_->bounds.end / 3 * 2) + random);
}

UserAddr MemoryManager::ChooseBrkStart(UserAddr end_bss, bool randomize) {
  uint64_t start = PageUp(end_bss.value);
  if (randomize) start += PageDown(HostRandom64() % kBrkRandomBytes);
  return UserAddr(start);
}

ImageLayout MemoryManager::layout() {
  ReaderLock lock(impl_->mu);
  ImageLayout image = impl_->image;
  image.start_brk = impl_->brk_start;
  return image;
}

void MemoryManager::SetImageLayout(const ImageLayout& layout) {
  MmLock lock(*impl_);
  impl_->image = layout;
}

void MemoryManager::SetExecutable(Ref<RefCounted> file) {
  Ref<RefCounted> old;
  MmLock lock(*impl_);
  old = std::exchange(impl_->executable, std::move(file));
}

Ref<RefCounted> MemoryManager::executable() {
  ReaderLock lock(impl_->mu);
  return impl_->executable;
}

int MemoryManager::dumpable() {
  ReaderLock lock(impl_->mu);
  return impl_->dumpable;
}

void MemoryManager::SetDumpable(int value) {
  MmLock lock(*impl_);
  impl_->dumpable = value;
}

}  // namespace runsc
