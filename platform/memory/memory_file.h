#ifndef PLATFORM_MEMORY_MEMORY_FILE_H_
#define PLATFORM_MEMORY_MEMORY_FILE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/types.h"

namespace runsc {

// [start, end) offsets in the memory file, page aligned.
struct FileRange {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t size() const { return end - start; }
  bool empty() const { return start >= end; }
  auto operator<=>(const FileRange&) const = default;
};

// Guest RAM: one memfd, mapped once, readable and writable, in the sentry. Pages are sparse: a
// page takes host memory when first touched. Ranges are reference counted per page run, so forks
// share them. Thread-safe.
class MemoryFile {
 public:
  // `limit` bytes of offset space (sparse). Host error text goes to the log; nullptr on failure.
  static std::unique_ptr<MemoryFile> Create(uint64_t limit);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;

  int fd() const { return fd_; }

  // A zeroed range of `bytes` (a multiple of the page size) with one reference. `resident_ok`:
  // the range may come from recycled pages that already have host memory (zeroed here): good for
  // small ranges that will be touched. `*resident` (if given) says whether it did. ENOMEM if the
  // offset space or the memory limit is used up.
  ErrnoOr<FileRange> Allocate(uint64_t bytes, bool resident_ok = false, bool* resident = nullptr);
  // Adds or drops one reference on every page of `range`. Dropping the last one frees: the pages
  // read as zero when next allocated, and their host memory goes back to the host, at once for
  // large ranges, from a bounded recycling pool soon for small ones.
  void IncRef(FileRange range);
  void DecRef(FileRange range);
  // Whether every page of `range` has exactly one reference.
  bool IsUnique(FileRange range);
  // Gives the host memory of `range` back; it reads as zero afterwards (MADV_DONTNEED, hole punch).
  void Decommit(FileRange range);

  // Sentry address of `offset`; valid as long as the caller keeps a reference on the page.
  char* At(uint64_t offset) const { return base_ + offset; }

  // Returns recycled pages to the host; called when idle.
  void TrimPool();
  // Host memory in use, bytes (fstat of the memfd).
  uint64_t HostBytes() const;
  // Limit on host memory that Allocate checks against, bytes; 0 is none.
  void SetLimit(uint64_t bytes) { byte_limit_ = bytes; }
  // Bytes allocated (referenced at least once), whether or not touched.
  uint64_t AllocatedBytes();

 private:
  struct Run {
    uint64_t end;
    uint32_t refs;
  };
  MemoryFile(int fd, char* base, uint64_t limit) : fd_(fd), base_(base), limit_(limit) {}

  void SplitLocked(uint64_t at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MergeLocked(FileRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FreeLocked(FileRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AddFreeLocked(FileRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<FileRange> TakeFreeLocked(uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const int fd_;
  char* const base_;
  const uint64_t limit_;
  uint64_t byte_limit_ = 0;

  Mutex<LockRank::kMemoryFile> mu_;
  // Allocated runs by start offset.
  std::map<uint64_t, Run> runs_ ABSL_GUARDED_BY(mu_);
  // Free, decommitted ranges: start -> end, coalesced. Above next_ everything is free.
  std::map<uint64_t, uint64_t> free_ ABSL_GUARDED_BY(mu_);
  // Free ranges that still have host memory and are not zeroed: the recycling pool.
  std::vector<FileRange> pool_ ABSL_GUARDED_BY(mu_);
  uint64_t pool_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t allocated_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace runsc

#endif  // PLATFORM_MEMORY_MEMORY_FILE_H_
