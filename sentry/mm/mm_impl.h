#ifndef SENTRY_MM_MM_IMPL_H_
#define SENTRY_MM_MM_IMPL_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "platform/base/mutex.h"
#include "sentry/mm/memory_manager.h"
#include "sentry/mm/page_runs.h"
#include "sentry/mm/vma.h"

namespace runsc {

// Anonymous VMAs up to this size get their pages' places and are mapped at once; longer ones in
// pieces on first access, so that reservations cost nothing.
inline constexpr uint64_t kEagerBytes = uint64_t{1} << 30;
inline constexpr uint64_t kLazyPiece = uint64_t{64} << 20;
// Ranges up to this size are worth taking from recycled pages that are zeroed and entered at once.
inline constexpr uint64_t kSmallBytes = 16 * kPageSize;
// Private writable file mappings up to this size are copied when mapped.
inline constexpr uint64_t kCopyAheadBytes = 16 * kPageSize;
// Pages copied by one copy-on-write fault: at first, and at most when faults come in sequence.
inline constexpr uint64_t kCowWindow = 8 * kPageSize;
inline constexpr uint64_t kCowWindowMax = 64 * kPageSize;
// Lowest address a guest may map (vm.mmap_min_addr).
inline constexpr uint64_t kMinAddr = 65536;

// What an operation let go of: dropped when this goes out of scope, which must be after the
// memory manager's lock is (declare it before the lock).
class Discards {
 public:
  explicit Discards(MemoryFile& memory) : memory_(memory) {}
  ~Discards();
  Discards(const Discards&) = delete;
  void Add(FileRange pages);
  void Add(Ref<Mappable> object) { objects_.push_back(std::move(object)); }
  // Moves the pages, and none of the objects, to `other`.
  void MovePagesTo(Discards& other) { std::swap(pages_, other.pages_); }

 private:
  MemoryFile& memory_;
  std::vector<FileRange> pages_;
  std::vector<Ref<Mappable>> objects_;
};

// Whether an address can be accessed now, and if not why.
enum class Touched { kOk, kUnmapped, kForbidden, kNoFilePage, kNoMemory };

// How many bytes of a sentry mapping take host memory; 0 on host errors. residency_host.cc.
uint64_t ResidentBytes(const char* sentry, uint64_t bytes);
// Calls `found(start, end)` for each piece of [start, end) of file `fd` that is not a hole.
void ForEachDataRange(int fd, uint64_t start, uint64_t end,
                      const std::function<void(uint64_t, uint64_t)>& found);
// One byte a page as mincore(2); false on host errors.
bool ResidencyMap(const char* sentry, uint64_t bytes, uint8_t* out);

struct MemoryManager::Impl {
  Impl(platform::Platform& platform, MemoryFile& memory, platform::AddressSpace& as,
       MappingSpace* self);

  platform::Platform& platform;
  MemoryFile& memory;
  platform::AddressSpace& as;
  MappingSpace* const self;
  const AddrRange bounds;  // what the guest may map

  RwMutex<LockRank::kMmMap> mu;
  // Changes at every exclusive section; unique over all address spaces. Copies cache by it.
  uint64_t generation ABSL_GUARDED_BY(mu);
  VmaMap vmas ABSL_GUARDED_BY(mu);
  RunMap runs ABSL_GUARDED_BY(mu);
  ImageLayout image ABSL_GUARDED_BY(mu);
  Ref<RefCounted> executable ABSL_GUARDED_BY(mu);
  int dumpable ABSL_GUARDED_BY(mu) = 1;
  uint64_t mmap_base ABSL_GUARDED_BY(mu);
  bool bottom_up ABSL_GUARDED_BY(mu) = false;
  uint64_t brk ABSL_GUARDED_BY(mu) = 0;
  uint64_t brk_start ABSL_GUARDED_BY(mu) = 0;
  // Limits as last told, for copies that grow a stack.
  MemoryLimits limits ABSL_GUARDED_BY(mu);
  // mlockall(MCL_FUTURE): new mappings are locked.
  bool lock_future ABSL_GUARDED_BY(mu) = false;
  bool lock_future_on_fault ABSL_GUARDED_BY(mu) = false;
  uint64_t peak_vm ABSL_GUARDED_BY(mu) = 0;
  uint64_t peak_resident ABSL_GUARDED_BY(mu) = 0;
  uint64_t freed ABSL_GUARDED_BY(mu) = 0;  // about, since peak_resident was last looked after
  // End of the last copy-on-write window and its size, to notice sequences.
  uint64_t cow_end ABSL_GUARDED_BY(mu) = 0;
  uint64_t cow_window ABSL_GUARDED_BY(mu) = kCowWindow;
  // Faults so far in the private file mapping that starts at cow_vma.
  uint64_t cow_vma ABSL_GUARDED_BY(mu) = 0;
  uint32_t cow_file_faults ABSL_GUARDED_BY(mu) = 0;
  // Faults in a row at one address that looked resolved already.
  uint64_t stuck_addr ABSL_GUARDED_BY(mu) = 0;
  uint32_t stuck_count ABSL_GUARDED_BY(mu) = 0;
  int batch_depth ABSL_GUARDED_BY(mu) = 0;  // MapBatch
  bool any_sealed ABSL_GUARDED_BY(mu) = false;
  bool cleared ABSL_GUARDED_BY(mu) = false;

  // --- mm_core.cc ---
  bool ValidRange(uint64_t addr, uint64_t length) const {
    return addr >= bounds.start && length <= bounds.end && addr <= bounds.end - length;
  }
  // Inserts a VMA and tells its file.
  ErrnoOr<VmaMap::iterator> InsertVma(uint64_t start, Vma vma) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Removes VMAs and runs of `range`; from the platform too if `hide`. Answers whether there were
  // runs.
  bool RemoveRange(AddrRange range, Discards& discards, bool hide)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Takes from the platform what no run of `range` covers.
  void HideGaps(AddrRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  bool DropRuns(AddrRange range, Discards& discards) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Inserts a run of private pages with the reference held by `pages`, and shows it.
  Status ShowOwned(uint64_t start, FileRange pages, const Vma& vma, bool populate)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Fresh zero pages for [start, end), where no runs are.
  Status AllocateAnonymous(AddrRange range, const Vma& vma, bool populate)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  ErrnoOr<bool> CopyAhead(AddrRange range, uint64_t vma_start, const Vma& vma)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Maps file pages from `start` up to `end` as one run; answers its end.
  ErrnoOr<uint64_t> BorrowRun(AddrRange range, uint64_t vma_start, const Vma& vma, Access want,
                              bool populate) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Gives `range` of one VMA its runs where it has none, as far as that is done ahead of access.
  Status Fill(VmaMap::iterator it, AddrRange range, bool populate)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Fill for every VMA in `range`, with copy-on-write broken where writable, pages entered.
  Status Populate(AddrRange range, Access want, Discards& discards)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Maps the runs of `range` in the platform again.
  Status ShowRuns(AddrRange range, bool populate) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // After VMAs of `range` changed access: new rights for runs, told to the platform.
  Status UpdateRights(AddrRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  bool MayExpand(uint64_t bytes, uint64_t data_bytes, const MemoryLimits& limits)
      ABSL_SHARED_LOCKS_REQUIRED(mu);
  void NotePeaks() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // --- mm_info.cc ---
  // Before pages of `range` go: brings peak_resident up to date once a part of it that matters has
  // gone since the last time, so that looking costs little beside freeing.
  void NotePagesGo(AddrRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void NotePeakResident() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // --- mm_map.cc ---
  ErrnoOr<uint64_t> Place(const MMapRequest& request, uint64_t length)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  ErrnoOr<uint64_t> FindFree(uint64_t length, bool low32) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  Status MapAt(uint64_t start, Vma vma, bool populate, Discards& discards)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  bool AnySealed(AddrRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // --- mm_remap.cc ---
  struct Move {
    uint64_t from, old_size, to, new_size;
    bool keep_old;
  };
  Status CheckResize(uint64_t addr, uint64_t old_size, uint64_t new_size,
                     const MemoryLimits& limits) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  ErrnoOr<UserAddr> RemapTo(const Move& move, bool fixed, const MemoryLimits& limits,
                            Discards& discards) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  ErrnoOr<UserAddr> MoveVma(const Move& move, Discards& discards) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void MoveRuns(AddrRange from, uint64_t to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // --- mm_fault.cc ---
  // Makes the page at `addr` accessible as `want`, or says why not. `force`: past the VMA's
  // protection (ptrace).
  Touched Touch(uint64_t addr, Access want, bool force, Discards& discards)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  Touched TouchMissing(VmaMap::iterator it, uint64_t addr, Access want, Discards& discards)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  Touched BreakCow(VmaMap::iterator vma, uint64_t addr, Discards& discards)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  bool TakeBackUnique(VmaMap::iterator vma, RunMap::iterator run, AddrRange window)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  AddrRange CowRange(VmaMap::iterator vma, RunMap::iterator run, uint64_t addr)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  VmaMap::iterator GrowStack(uint64_t addr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  Touched Probe(uint64_t addr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // --- mm_copy.cc ---
  struct Span {
    char* at;
    uint64_t bytes;
  };
  // The memory behind `addr` if it can be accessed right now.
  bool Lookup(uint64_t addr, bool write, Span* out) ABSL_SHARED_LOCKS_REQUIRED(mu);
  bool TouchForCopy(uint64_t addr, Access want);
  template <typename F>
  ErrnoOr<size_t> Walk(uint64_t addr, size_t n, Access want, F copy);
  ErrnoOr<size_t> ForcedCopy(uint64_t addr, size_t n, bool write, char* buffer);

  // --- mm_fork.cc ---
  Status ForkInto(Impl& child, uint64_t stack_pointer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu, child.mu);

  // --- mm_advise.cc ---
  Status AdviseRange(VmaMap::iterator it, AddrRange range, int advice, Discards& discards)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  Status DropContents(VmaMap::iterator it, AddrRange range, Discards& discards)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Whether mappings may be cut at the ends of `range` (vm.max_map_count).
  bool MayCut(AddrRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    size_t cuts = 0;
    for (uint64_t at : {range.start, range.end}) {
      auto it = vmas.At(at);
      if (it != vmas.end() && it->first < at) ++cuts;
    }
    return cuts == 0 || vmas.size() + cuts <= kMaxMapCount;
  }
  // Splits VMAs at the ends of `range` and runs `change(vma)` on each inside.
  template <typename F>
  void ChangeVmas(AddrRange range, F change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    vmas.Split(range.end);
    for (auto it = vmas.Split(range.start); it != vmas.end() && it->first < range.end; ++it) {
      vmas.Change(it, change);
    }
    vmas.Join(range);
  }
};

// Exclusive use of an address space's state.
class ABSL_SCOPED_LOCKABLE MmLock {
 public:
  explicit MmLock(MemoryManager::Impl& impl) ABSL_EXCLUSIVE_LOCK_FUNCTION(impl.mu) : impl_(impl) {
    impl_.mu.Lock();
    ++impl_.generation;
  }
  ~MmLock() ABSL_UNLOCK_FUNCTION() { impl_.mu.Unlock(); }
  MmLock(const MmLock&) = delete;

 private:
  MemoryManager::Impl& impl_;
};

// Sends the platform's map calls together; Finish answers the first error. Only the outermost of
// nested ones sends (`depth` counts them, one counter an address space).
class MapBatch {
 public:
  MapBatch(platform::AddressSpace& as, int& depth) : as_(as), depth_(depth) {
    if (depth_++ == 0) as_.BeginBatch();
  }
  ~MapBatch() {
    if (!done_) (void)Finish();
  }
  MapBatch(const MapBatch&) = delete;
  Status Finish() {
    done_ = true;
    return --depth_ == 0 ? as_.EndBatch() : Ok();
  }

 private:
  platform::AddressSpace& as_;
  int& depth_;
  bool done_ = false;
};

}  // namespace runsc

#endif  // SENTRY_MM_MM_IMPL_H_
