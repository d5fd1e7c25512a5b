#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

#include "platform/base/log.h"
#include "platform/memory/memory_file.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace runsc {
namespace {

constexpr int kLeavingPolls = 200;
constexpr useconds_t kLeavingPollMicros = 1000;

int CreateMemfd() {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  // Guests map code from it, so it must stay executable where vm.memfd_noexec says otherwise;
  // kernels before 6.3 do not know the flag.
  int fd = memfd_create("runsc-memory", kFlags | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("runsc-memory", kFlags);
  return fd;
}

void SortAndJoin(std::vector<FileRange>& ranges) {
  std::sort(ranges.begin(), ranges.end());
  size_t out = 0;
  for (const FileRange& r : ranges) {
    if (out > 0 && ranges[out - 1].end == r.start) {
      ranges[out - 1].end = r.end;
    } else {
      ranges[out++] = r;
    }
  }
  ranges.resize(out);
}

}  // namespace

std::unique_ptr<MemoryFile> MemoryFile::Create(uint64_t limit) {
  limit = PageDown(limit);
  int fd = CreateMemfd();
  if (fd < 0) {
    LOG_WARNING("memory file: memfd_create: %s", std::strerror(errno));
    return nullptr;
  }
  // The seals keep the size for ever, so that no access below `limit` can raise SIGBUS.
  if (ftruncate(fd, static_cast<off_t>(limit)) != 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    LOG_WARNING("memory file: setting its size to %llu: %s", static_cast<unsigned long long>(limit),
                std::strerror(errno));
    close(fd);
    return nullptr;
  }
  void* base = mmap(nullptr, limit, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (base == MAP_FAILED) {
    LOG_WARNING("memory file: mapping %llu bytes: %s", static_cast<unsigned long long>(limit),
                std::strerror(errno));
    close(fd);
    return nullptr;
  }
  return std::unique_ptr<MemoryFile>(new MemoryFile(fd, static_cast<char*>(base), limit));
}

MemoryFile::MemoryFile(int fd, char* base, uint64_t limit) : fd_(fd), base_(base), limit_(limit) {
  MutexLock l(mu_);
  free_.Add({0, limit});
}

MemoryFile::~MemoryFile() {
  munmap(base_, limit_);
  close(fd_);
}

uint64_t MemoryFile::HostBytes() const {
  struct stat st{};
  if (fstat(fd_, &st) != 0) return 0;
  return static_cast<uint64_t>(st.st_blocks) * 512;
}

bool MemoryFile::OverLimit(uint64_t bytes) {
  const uint64_t limit = byte_limit_.load(std::memory_order_relaxed);
  if (limit == 0) return false;
  if (bytes > limit) return true;
  {
    MutexLock l(mu_);
    if (allocated_ + pool_.bytes() + bytes <= limit) return false;
  }
  // A long range is sparse: only its beginning is sure to be touched.
  const uint64_t sure = std::min(bytes, RecyclePool::kMaxPages * kPageSize);
  if (Fits(sure, limit)) return false;
  TrimPool();
  for (int i = 0; i < kLeavingPolls && leaving_.load(std::memory_order_relaxed) != 0; ++i) {
    if (Fits(sure, limit)) return false;
    usleep(kLeavingPollMicros);
    TrimPool();
  }
  return !Fits(sure, limit);
}

ErrnoOr<FileRange> MemoryFile::TakeFreeLocked(uint64_t bytes) {
  std::optional<FileRange> range = free_.Take(bytes);
  if (!range) return Errno::kNomem;
  AddRunLocked(*range);
  return *range;
}

ErrnoOr<FileRange> MemoryFile::Allocate(uint64_t bytes, bool resident_ok, bool* resident) {
  if (resident != nullptr) *resident = false;
  if (bytes == 0 || !PageAligned(bytes)) return Errno::kInval;
  if (bytes > limit_ || OverLimit(bytes)) return Errno::kNomem;
  std::optional<FileRange> recycled;
  bool retry = false;
  {
    MutexLock l(mu_);
    if (resident_ok) recycled = pool_.Take(bytes);
    if (recycled) {
      AddRunLocked(*recycled);
    } else {
      ErrnoOr<FileRange> fresh = TakeFreeLocked(bytes);
      retry = !fresh.ok() && pool_.bytes() != 0;
      if (!retry) return fresh;
    }
  }
  if (recycled) {
    // The caller's reference is in place: nobody else can see the range while it is zeroed.
    std::memset(At(recycled->start), 0, recycled->size());
    if (resident != nullptr) *resident = true;
    return *recycled;
  }
  TrimPool();
  MutexLock l(mu_);
  return TakeFreeLocked(bytes);
}

MemoryFile::Runs::iterator MemoryFile::SplitLocked(uint64_t at) {
  auto it = runs_.upper_bound(at);
  if (it == runs_.begin()) return it;
  auto prev = std::prev(it);
  if (prev->second.end <= at) return it;
  if (prev->first == at) return prev;
  Run upper = prev->second;
  prev->second.end = at;
  return runs_.emplace_hint(it, at, upper);
}

MemoryFile::Runs::iterator MemoryFile::MergeBackLocked(Runs::iterator it) {
  if (it == runs_.begin() || it == runs_.end()) return it;
  auto prev = std::prev(it);
  if (prev->second.end != it->first || prev->second.refs != it->second.refs) return it;
  prev->second.end = it->second.end;
  runs_.erase(it);
  return prev;
}

void MemoryFile::AddRunLocked(FileRange range) {
  allocated_ += range.size();
  auto it = runs_.emplace(range.start, Run{range.end, 1}).first;
  it = MergeBackLocked(it);
  MergeBackLocked(std::next(it));
}

void MemoryFile::IncRef(FileRange range) {
  if (range.empty()) return;
  MutexLock l(mu_);
  auto it = SplitLocked(range.start);
  SplitLocked(range.end);
  uint64_t at = range.start;
  while (at < range.end) {
    CHECK_OR_PANIC(it != runs_.end() && it->first == at);
    ++it->second.refs;
    CHECK_OR_PANIC(it->second.refs != 0);
    at = it->second.end;
    it = std::next(MergeBackLocked(it));
  }
  MergeBackLocked(it);
}

std::vector<FileRange> MemoryFile::DropLocked(FileRange range) {
  std::vector<FileRange> freed;
  auto it = SplitLocked(range.start);
  SplitLocked(range.end);
  uint64_t at = range.start;
  while (at < range.end) {
    CHECK_OR_PANIC(it != runs_.end() && it->first == at);
    const FileRange run{at, it->second.end};
    at = run.end;
    if (--it->second.refs != 0) {
      it = std::next(MergeBackLocked(it));
      continue;
    }
    it = runs_.erase(it);
    allocated_ -= run.size();
    if (!freed.empty() && freed.back().end == run.start) {
      freed.back().end = run.end;
    } else {
      freed.push_back(run);
    }
  }
  MergeBackLocked(it);
  return freed;
}

void MemoryFile::DecRef(FileRange range) {
  if (range.empty()) return;
  std::vector<FileRange> to_host;
  {
    MutexLock l(mu_);
    for (const FileRange& r : DropLocked(range)) {
      if (RecyclePool::Accepts(r)) {
        pool_.Add(r);
      } else {
        to_host.push_back(r);
      }
    }
    // Half at a time, so that the punches of neighbours join into few calls.
    if (pool_.bytes() > RecyclePool::kMaxBytes) pool_.Evict(RecyclePool::kMaxBytes / 2, to_host);
  }
  DecommitAndFree(std::move(to_host));
}

// The ranges belong to nobody here (neither allocated nor free), so no lock is needed to punch.
void MemoryFile::DecommitAndFree(std::vector<FileRange> ranges) {
  if (ranges.empty()) return;
  SortAndJoin(ranges);
  for (const FileRange& r : ranges) PunchHole(r);
  MutexLock l(mu_);
  for (const FileRange& r : ranges) free_.Add(r);
}

bool MemoryFile::IsUnique(FileRange range) {
  MutexLock l(mu_);
  uint64_t at = range.start;
  auto it = runs_.upper_bound(at);
  if (it != runs_.begin()) --it;
  for (; at < range.end; ++it) {
    if (it == runs_.end() || it->first > at || it->second.end <= at) return false;
    if (it->second.refs != 1) return false;
    at = it->second.end;
  }
  return true;
}

void MemoryFile::PunchHole(FileRange range) {
  int rc = 0;
  do {
    rc = fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(range.start),
                   static_cast<off_t>(range.size()));
  } while (rc != 0 && errno == EINTR);
  if (rc == 0) return;
  // Whoever gets the range next must read zero, so give up the saving but not the contents.
  LOG_WARNING("memory file: punching a hole: %s", std::strerror(errno));
  std::memset(At(range.start), 0, range.size());
}

void MemoryFile::Decommit(FileRange range) {
  if (!range.empty()) PunchHole(range);
}

void MemoryFile::TrimPool() {
  std::vector<FileRange> ranges;
  {
    MutexLock l(mu_);
    pool_.Evict(0, ranges);
  }
  DecommitAndFree(std::move(ranges));
}

uint64_t MemoryFile::AllocatedBytes() {
  MutexLock l(mu_);
  return allocated_;
}

}  // namespace runsc
