#include "sentry/vfs/fd_table.h"

#include <algorithm>
#include <bit>

#include "sentry/vfs/dentry.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/mount.h"

namespace runsc {
namespace {

uint64_t NextTableId() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

FdTable::FdTable() : id_(NextTableId()) {}

FdTable::~FdTable() {
  std::vector<Ref<File>> files = RemoveRange(0, UINT32_MAX, false);
  for (const Ref<File>& f : files) {
    Status ignored = Closed(OpContext{f->creds()}, *f);
    (void)ignored;  // nobody is left to tell
  }
}

Ref<FdTable> FdTable::New() { return Ref<FdTable>::Adopt(new FdTable); }

Ref<FdTable> FdTable::Fork(uint32_t end) {
  Ref<FdTable> copy = New();
  ReaderLock l(mu_);
  NestedMutexLock cl(copy->mu_);  // nobody else has it yet
  size_t n = std::min<size_t>(slots_.size(), end);
  copy->slots_.assign(slots_.begin(), slots_.begin() + static_cast<ptrdiff_t>(n));
  copy->used_.assign(used_.begin(), used_.begin() + static_cast<ptrdiff_t>((n + 63) / 64));
  if (n % 64 != 0) copy->used_.back() &= (uint64_t{1} << n % 64) - 1;
  for (uint64_t word : copy->used_) copy->count_ += static_cast<size_t>(std::popcount(word));
  return copy;
}

ErrnoOr<Ref<File>> FdTable::Get(FdNum fd) {
  ReaderLock l(mu_);
  size_t i = static_cast<size_t>(static_cast<uint32_t>(fd.value));
  if (i >= slots_.size() || !slots_[i].file) return Errno::kBadf;
  return slots_[i].file;
}

ErrnoOr<Ref<File>> FdTable::GetIo(FdNum fd) {
  ErrnoOr<Ref<File>> file = Get(fd);
  if (file.ok() && (*file)->is_path_only()) return Errno::kBadf;
  return file;
}

ErrnoOr<Ref<File>> FdTable::GetReadable(FdNum fd) {
  ErrnoOr<Ref<File>> file = Get(fd);
  if (file.ok() && !(*file)->readable()) return Errno::kBadf;
  return file;
}

ErrnoOr<Ref<File>> FdTable::GetWritable(FdNum fd) {
  ErrnoOr<Ref<File>> file = Get(fd);
  if (file.ok() && !(*file)->writable()) return Errno::kBadf;
  return file;
}

int32_t FdTable::LowestFreeLocked(int32_t min) {
  size_t word = std::max(first_free_word_, static_cast<size_t>(min) / 64);
  for (; word < used_.size(); ++word) {
    uint64_t taken = used_[word];
    if (word == static_cast<size_t>(min) / 64) taken |= (uint64_t{1} << min % 64) - 1;
    if (taken != UINT64_MAX) {
      return static_cast<int32_t>(word * 64 + static_cast<size_t>(std::countr_one(taken)));
    }
    if (word == first_free_word_ && used_[word] == UINT64_MAX) ++first_free_word_;
  }
  return std::max(static_cast<int32_t>(word * 64), min);
}

void FdTable::PutLocked(int32_t fd, Ref<File> file, bool cloexec) {
  size_t i = static_cast<size_t>(fd);
  if (i >= slots_.size()) slots_.resize(std::max(i + 1, slots_.size() * 2));
  used_.resize((slots_.size() + 63) / 64);  // a bit for every slot
  if (!slots_[i].file) ++count_;
  slots_[i].file = std::move(file);
  slots_[i].cloexec = cloexec;
  used_[i / 64] |= uint64_t{1} << i % 64;
}

Ref<File> FdTable::TakeLocked(int32_t fd) {
  size_t i = static_cast<size_t>(fd);
  used_[i / 64] &= ~(uint64_t{1} << i % 64);
  first_free_word_ = std::min(first_free_word_, i / 64);
  --count_;
  slots_[i].cloexec = false;
  return std::move(slots_[i].file);
}

ErrnoOr<FdNum> FdTable::Install(Ref<File> file, bool cloexec, uint64_t limit, int32_t min) {
  WriterLock l(mu_);
  int32_t fd = LowestFreeLocked(min);
  if (static_cast<uint64_t>(fd) >= limit) return Errno::kMfile;
  PutLocked(fd, std::move(file), cloexec);
  return FdNum(fd);
}

Status FdTable::CheckRoom(uint64_t limit) {
  WriterLock l(mu_);
  return static_cast<uint64_t>(LowestFreeLocked(0)) < limit ? Ok() : Status(Errno::kMfile);
}

Status FdTable::InstallPair(Ref<File> a, Ref<File> b, bool cloexec, uint64_t limit,
                            FdNum out[2]) {
  WriterLock l(mu_);
  int32_t first = LowestFreeLocked(0);
  int32_t second = LowestFreeLocked(first + 1);
  if (static_cast<uint64_t>(second) >= limit) return Errno::kMfile;
  PutLocked(first, std::move(a), cloexec);
  PutLocked(second, std::move(b), cloexec);
  out[0] = FdNum(first);
  out[1] = FdNum(second);
  return Ok();
}

ErrnoOr<Ref<File>> FdTable::Replace(FdNum fd, Ref<File> file, bool cloexec, uint64_t limit) {
  if (fd.value < 0 || static_cast<uint64_t>(fd.value) >= limit) return Errno::kBadf;
  WriterLock l(mu_);
  Ref<File> old;
  if (static_cast<size_t>(fd.value) < slots_.size()) {
    old = slots_[static_cast<size_t>(fd.value)].file;
  }
  PutLocked(fd.value, std::move(file), cloexec);
  return old;
}

ErrnoOr<Ref<File>> FdTable::Remove(FdNum fd) {
  WriterLock l(mu_);
  size_t i = static_cast<size_t>(static_cast<uint32_t>(fd.value));
  if (i >= slots_.size() || !slots_[i].file) return Errno::kBadf;
  return TakeLocked(fd.value);
}

std::vector<Ref<File>> FdTable::RemoveRange(uint32_t first, uint32_t last, bool only_cloexec) {
  std::vector<Ref<File>> out;
  WriterLock l(mu_);
  for (size_t i = first; i < slots_.size() && i <= last; ++i) {
    if (!slots_[i].file || (only_cloexec && !slots_[i].cloexec)) continue;
    out.push_back(TakeLocked(static_cast<int32_t>(i)));
  }
  return out;
}

Status FdTable::Closed(const OpContext& ctx, File& file) {
  if (file.is_path_only()) return Ok();
  Status s = file.OnDescriptorClose(ctx);
  file.inode().ReleasePosixLocks(id_);
  return s;
}

ErrnoOr<bool> FdTable::CloseOnExec(FdNum fd) {
  ReaderLock l(mu_);
  size_t i = static_cast<size_t>(static_cast<uint32_t>(fd.value));
  if (i >= slots_.size() || !slots_[i].file) return Errno::kBadf;
  return bool{slots_[i].cloexec};
}

Status FdTable::SetCloseOnExec(FdNum fd, bool on) {
  WriterLock l(mu_);
  size_t i = static_cast<size_t>(static_cast<uint32_t>(fd.value));
  if (i >= slots_.size() || !slots_[i].file) return Errno::kBadf;
  slots_[i].cloexec = on;
  return Ok();
}

void FdTable::SetCloseOnExecRange(uint32_t first, uint32_t last) {
  WriterLock l(mu_);
  for (size_t i = first; i < slots_.size() && i <= last; ++i) {
    if (slots_[i].file) slots_[i].cloexec = true;
  }
}

std::vector<int32_t> FdTable::List() {
  std::vector<int32_t> out;
  ReaderLock l(mu_);
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].file) out.push_back(static_cast<int32_t>(i));
  }
  return out;
}

size_t FdTable::Reach() {
  ReaderLock l(mu_);
  return slots_.size();
}

size_t FdTable::Count() {
  ReaderLock l(mu_);
  return count_;
}

}  // namespace runsc
