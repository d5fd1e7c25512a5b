#ifndef SENTRY_FS_GOFER_GOFER_DATA_H_
#define SENTRY_FS_GOFER_GOFER_DATA_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "gofer/protocol/messages.h"
#include "platform/base/errno.h"
#include "platform/base/fd.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/mm/mappable.h"
#include "sentry/mm/mapping_set.h"
#include "sentry/usermem/usermem.h"

namespace runsc {

// A regular host file that the gofer donated: every operation on the bytes goes straight to the
// host. Thread-safe.
class HostFile : public RefCounted {
 public:
  HostFile(Fd fd, bool writable) : fd_(std::move(fd)), writable_(writable) {}

  int fd() const { return fd_.get(); }
  bool writable() const { return writable_; }

  // Moves bytes between guest memory and the file at `offset`. 0 at end of file.
  ErrnoOr<size_t> Read(UserOut& dst, uint64_t offset) const;
  ErrnoOr<size_t> Write(UserIn& src, uint64_t offset) const;
  ErrnoOr<uint64_t> SeekData(uint64_t offset, bool hole) const;
  Status Truncate(uint64_t size) const;
  // fallocate(2).
  Status Allocate(int mode, uint64_t offset, uint64_t length) const;
  Status Sync(bool data_only) const;
  ErrnoOr<uint64_t> Size() const;
  // Refreshes in `attr` what fstat(2) tells; birth time stays.
  Status Stat(gofer::Attr* attr) const;

 private:
  const Fd fd_;
  const bool writable_;
};

// The contents of a regular gofer file as far as the sentry holds descriptors of it: one for
// reading or, once somebody wrote, one for both; and the windows of it that are mapped into the
// sentry. Mappings of guests are mappings of the host's page cache.
class GoferData final : public Mappable {
 public:
  explicit GoferData(Identity identity) : identity_(std::move(identity)) {}

  // The descriptor that serves, or null if the gofer must be asked.
  Ref<HostFile> Get(bool writable);
  // Keeps `file` unless one of its kind is kept already.
  void Set(Ref<HostFile> file);
  // Lets go of the descriptors unless the file is mapped; whether it did.
  bool Forget();
  bool IsUnmapped() const { return mappings_.empty(); }
  // Whether a guest may have changed bytes and times through a mapping since the last call.
  bool TakeMappedWrites() {
    return was_mapped_writable_.load(std::memory_order_relaxed) &&
           (mappings_.HasWritable() || was_mapped_writable_.exchange(false));
  }
  // Bytes beyond `size` are gone: private copies of them must go too. No locks held.
  void Truncated(uint64_t size);
  void SetName(std::string name);

  // Mappable.
  ErrnoOr<Backing> Translate(uint64_t offset, uint64_t length, Access want) override;
  Status AddMapping(MappingSpace* space, AddrRange range, uint64_t offset, bool writable) override;
  void RemoveMapping(MappingSpace* space, AddrRange range, uint64_t offset,
                     bool writable) override;
  Status SyncMapped(uint64_t start, uint64_t end) override;
  Status PunchHole(uint64_t start, uint64_t end) override;
  Identity MappedIdentity() override;

 private:
  ~GoferData() override;
  struct Window {
    char* base = nullptr;
    bool writable = false;
  };
  ErrnoOr<Window> WindowLocked(uint64_t index, const HostFile& file, bool writable)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  MappingSet mappings_;
  std::atomic<bool> was_mapped_writable_{false};
  Mutex<LockRank::kMappable> mu_;
  Ref<HostFile> reader_ ABSL_GUARDED_BY(mu_);
  Ref<HostFile> writer_ ABSL_GUARDED_BY(mu_);  // reads too
  std::map<uint64_t, Window> windows_ ABSL_GUARDED_BY(mu_);
  Identity identity_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FS_GOFER_GOFER_DATA_H_
