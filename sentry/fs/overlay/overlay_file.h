#ifndef SENTRY_FS_OVERLAY_OVERLAY_FILE_H_
#define SENTRY_FS_OVERLAY_OVERLAY_FILE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "sentry/fs/overlay/overlay_inode.h"
#include "sentry/vfs/file.h"

namespace runsc {

// An open regular file: an open file of a layer. One that was opened for reading below goes over to
// the upper layer when the file is copied up.
class OverlayFile final : public File {
 public:
  // `first`: open in the upper layer if `in_upper`.
  OverlayFile(const Path& path, uint32_t flags, Ref<const Credentials> creds, Ref<File> first,
              bool in_upper);
  ~OverlayFile() override;

  ErrnoOr<size_t> ReadAt(IoContext& io, UserOut& dst, uint64_t offset) override;
  ErrnoOr<size_t> WriteAt(IoContext& io, UserIn& src, uint64_t offset,
                          uint64_t* end_offset) override;
  ErrnoOr<uint64_t> SeekData(uint64_t offset, bool hole) override;
  Status Sync(bool data_only) override;
  Status Allocate(const OpContext& ctx, int mode, uint64_t offset, uint64_t length) override;
  Status Truncate(const OpContext& ctx, uint64_t size) override;
  ErrnoOr<Ref<Mappable>> Map(bool shared, Access access) override;

 private:
  OverlayInode& node() const { return static_cast<OverlayInode&>(inode()); }
  // The layer's file that counts now; valid as long as this.
  ErrnoOr<File*> Real();

  const Ref<File> first_;
  std::atomic<File*> upper_;  // owns a reference unless it is first_
};

// An open directory. If only one layer has it, that one's listing is passed through; otherwise both
// are read and merged when listing begins.
class OverlayDirFile final : public File {
 public:
  struct Item {
    std::string name;
    uint64_t ino;
    uint32_t type;
  };
  OverlayDirFile(const Path& path, uint32_t flags, Ref<const Credentials> creds);

  Status ReadDir(const OpContext& ctx, DirSink& sink) override;
  Status Sync(bool data_only) override { return Ok(); }

 private:
  OverlayInode& node() const { return static_cast<OverlayInode&>(inode()); }
  Status Begin(const OpContext& ctx) ABSL_EXCLUSIVE_LOCKS_REQUIRED(listing_mu_);
  Status Merge(const OpContext& ctx) ABSL_EXCLUSIVE_LOCKS_REQUIRED(listing_mu_);
  Status PassThrough(const OpContext& ctx, DirSink& sink)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(listing_mu_);
  Status ListMerged(DirSink& sink) ABSL_EXCLUSIVE_LOCKS_REQUIRED(listing_mu_);

  Mutex<LockRank::kOverlayListing> listing_mu_;
  Ref<File> one_ ABSL_GUARDED_BY(listing_mu_);  // the only layer's directory
  bool one_is_lower_ ABSL_GUARDED_BY(listing_mu_) = false;
  bool begun_ ABSL_GUARDED_BY(listing_mu_) = false;
  std::vector<Item> merged_ ABSL_GUARDED_BY(listing_mu_);
};

}  // namespace runsc

#endif  // SENTRY_FS_OVERLAY_OVERLAY_FILE_H_
