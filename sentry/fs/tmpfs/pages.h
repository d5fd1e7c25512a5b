#ifndef SENTRY_FS_TMPFS_PAGES_H_
#define SENTRY_FS_TMPFS_PAGES_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/memory/memory_file.h"
#include "sentry/mm/mappable.h"
#include "sentry/mm/mapping_set.h"
#include "sentry/usermem/usermem.h"

namespace runsc {

// What a tmpfs may use and uses: pages of data and inodes. Shared by the file system and the pages
// of its files, which may outlive it.
class TmpfsSpace : public RefCounted {
 public:
  // Zero limits are none.
  TmpfsSpace(uint64_t max_pages, uint64_t max_inodes)
      : max_pages_(max_pages), max_inodes_(max_inodes) {}
  // Takes as many of `n` as there is room for; answers how many.
  uint64_t TakePages(uint64_t n);
  void PutPages(uint64_t n) { pages_.fetch_sub(n, std::memory_order_relaxed); }
  bool TakeInode();
  void PutInode() { inodes_.fetch_sub(1, std::memory_order_relaxed); }
  // EINVAL if less than what is in use.
  Status SetLimits(uint64_t max_pages, uint64_t max_inodes);
  uint64_t max_pages() const { return max_pages_.load(std::memory_order_relaxed); }
  uint64_t max_inodes() const { return max_inodes_.load(std::memory_order_relaxed); }
  uint64_t pages() const { return pages_.load(std::memory_order_relaxed); }
  uint64_t inodes() const { return inodes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> max_pages_, max_inodes_;
  std::atomic<uint64_t> pages_{0}, inodes_{0};
};

// The data of one regular file: pages of the memory file, by extents, with holes between. Reads
// hold the inode's I/O lock shared, all that changes size or frees pages holds it exclusively;
// Translate, which mm calls with its locks held, only ever adds pages, under mu_.
class TmpfsPages : public Mappable {
 public:
  TmpfsPages(MemoryFile& memory, Ref<TmpfsSpace> space);

  uint64_t size() const { return size_.load(std::memory_order_acquire); }
  // Pages present.
  uint64_t page_count();
  // I/O lock held shared. 0 at the end.
  ErrnoOr<size_t> Read(UserOut& dst, uint64_t offset);
  // The rest: I/O lock held exclusively. ENOSPC; short if only part fits.
  ErrnoOr<size_t> Write(UserIn& src, uint64_t offset);
  void Truncate(uint64_t size);
  // fallocate(2) without and with FALLOC_FL_PUNCH_HOLE.
  Status Reserve(uint64_t offset, uint64_t length, bool keep_size);
  void Punch(uint64_t start, uint64_t end);
  // Shared or exclusive. ENXIO.
  ErrnoOr<uint64_t> Seek(uint64_t offset, bool hole);

  // F_SEAL_* bits (memfd_create(2)). EBUSY if a shared writable mapping stands against
  // F_SEAL_WRITE, EPERM if sealed against sealing.
  uint32_t seals() const { return seals_.load(std::memory_order_acquire); }
  Status AddSeals(uint32_t seals);
  void InitSeals(uint32_t seals) { seals_ = seals; }

  // Mappable.
  ErrnoOr<Backing> Translate(uint64_t offset, uint64_t length, Access want) override;
  Status AddMapping(MappingSpace* space, AddrRange range, uint64_t offset, bool writable) override;
  void RemoveMapping(MappingSpace* space, AddrRange range, uint64_t offset,
                     bool writable) override;
  Status SyncMapped(uint64_t start, uint64_t end) override { return Ok(); }
  Status PunchHole(uint64_t start, uint64_t end) override;
  Identity MappedIdentity() override;
  void SetIdentity(Identity identity);
  bool HasIdentity();

 private:
  struct Extents;
  // What is at an offset: data (`memory` set) or a hole, for `length` bytes.
  struct Piece {
    char* memory = nullptr;
    uint64_t length = 0;
  };
  ~TmpfsPages() override;

  Piece PieceAt(uint64_t offset, uint64_t end);
  // Fills holes in page range [start, end), as much as there is room for: answers the end of what
  // is present from `start` on. ENOSPC if not even the first page.
  ErrnoOr<uint64_t> FillLocked(uint64_t start, uint64_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<FileRange> TakeLocked(uint64_t at, uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Cuts page range [start, end) out; the pages are pushed to `freed`.
  void CutLocked(uint64_t start, uint64_t end, std::vector<FileRange>& freed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ZeroLocked(uint64_t start, uint64_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropReserveLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Zeroes the page parts and frees the whole pages of [start, end); tells mappings.
  void Remove(uint64_t start, uint64_t end, bool private_copies);

  MemoryFile& memory_;
  const Ref<TmpfsSpace> space_;
  MappingSet mappings_;
  std::atomic<uint64_t> size_{0};  // written with mu_ and the I/O lock
  std::atomic<uint32_t> seals_;
  Mutex<LockRank::kMappable> mu_;
  const std::unique_ptr<Extents> extents_ ABSL_PT_GUARDED_BY(mu_);
  // Room in the memory file behind the extent that ends at reserve_at_, for appends.
  FileRange reserve_ ABSL_GUARDED_BY(mu_);
  uint64_t reserve_at_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t page_count_ ABSL_GUARDED_BY(mu_) = 0;
  std::unique_ptr<Identity> identity_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FS_TMPFS_PAGES_H_
