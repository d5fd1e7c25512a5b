#ifndef PLATFORM_MEMORY_MEMORY_FILE_H_
#define PLATFORM_MEMORY_MEMORY_FILE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/types.h"
#include "platform/memory/free_map.h"
#include "platform/memory/recycle_pool.h"

namespace runsc {

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
  // Limit on host memory, bytes; 0 is none. Allocate answers ENOMEM once the memory in use is
  // there; sparse ranges may promise more than that, as Linux overcommits.
  void SetLimit(uint64_t bytes) { byte_limit_.store(bytes, std::memory_order_relaxed); }
  // Exists while references that nobody needs any more wait for the end of mappings: Allocate waits
  // for them (up to 200 ms) before it says that the limit is reached.
  class Leaving {
   public:
    explicit Leaving(MemoryFile& memory) : memory_(memory) { ++memory_.leaving_; }
    ~Leaving() { --memory_.leaving_; }
    Leaving(const Leaving&) = delete;

   private:
    MemoryFile& memory_;
  };
  // Bytes allocated (referenced at least once), whether or not touched.
  uint64_t AllocatedBytes();

 private:
  struct Run {
    uint64_t end;
    uint32_t refs;
  };
  using Runs = std::map<uint64_t, Run>;

  MemoryFile(int fd, char* base, uint64_t limit);

  bool OverLimit(uint64_t bytes);
  bool Fits(uint64_t bytes, uint64_t limit) const { return HostBytes() + bytes <= limit; }
  void PunchHole(FileRange range);
  void DecommitAndFree(std::vector<FileRange> ranges) ABSL_LOCKS_EXCLUDED(mu_);

  // First run that ends above `at`; its start is moved up to `at` by a split if below.
  Runs::iterator SplitLocked(uint64_t at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Joins `it` with the run before it if they touch and count alike; answers the joined run.
  Runs::iterator MergeBackLocked(Runs::iterator it) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AddRunLocked(FileRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ranges whose last reference went.
  std::vector<FileRange> DropLocked(FileRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<FileRange> TakeFreeLocked(uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const int fd_;
  char* const base_;
  const uint64_t limit_;
  std::atomic<uint64_t> byte_limit_{0};
  std::atomic<uint32_t> leaving_{0};

  Mutex<LockRank::kMemoryFile> mu_;
  Runs runs_ ABSL_GUARDED_BY(mu_);  // allocated runs by start offset
  FreeMap free_ ABSL_GUARDED_BY(mu_);
  RecyclePool pool_ ABSL_GUARDED_BY(mu_);
  uint64_t allocated_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace runsc

#endif  // PLATFORM_MEMORY_MEMORY_FILE_H_
