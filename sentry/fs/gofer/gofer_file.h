#ifndef SENTRY_FS_GOFER_GOFER_FILE_H_
#define SENTRY_FS_GOFER_GOFER_FILE_H_

#include <memory>

#include "sentry/fs/gofer/gofer_inode.h"
#include "sentry/vfs/file.h"

namespace runsc {

// An open regular file: host calls on the donated descriptor.
class GoferFile final : public File {
 public:
  GoferFile(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<GoferInode> inode,
            Ref<HostFile> host);
  ~GoferFile() override;

  ErrnoOr<size_t> ReadAt(IoContext& io, UserOut& dst, uint64_t offset) override;
  ErrnoOr<size_t> WriteAt(IoContext& io, UserIn& src, uint64_t offset,
                          uint64_t* end_offset) override;
  ErrnoOr<uint64_t> SeekData(uint64_t offset, bool hole) override;
  Status Sync(bool data_only) override;
  Status Allocate(const OpContext& ctx, int mode, uint64_t offset, uint64_t length) override;
  Status Truncate(const OpContext& ctx, uint64_t size) override;
  ErrnoOr<Ref<Mappable>> Map(bool shared, Access access) override;

 private:
  // The inode may be below an overlay: not the one that File::inode() gives.
  const Ref<GoferInode> inode_;
  const Ref<HostFile> host_;
};

// An open directory.
class GoferDirFile final : public File {
 public:
  GoferDirFile(Path path, uint32_t flags, Ref<const Credentials> creds, Ref<GoferInode> inode);

  ErrnoOr<size_t> Read(IoContext& io, UserOut& dst) override { return Errno::kIsdir; }
  ErrnoOr<size_t> ReadAt(IoContext& io, UserOut& dst, uint64_t offset) override {
    return Errno::kIsdir;
  }
  Status ReadDir(const OpContext& ctx, DirSink& sink) override;
  Status Sync(bool data_only) override { return inode_->SyncDir(); }

 private:
  const Ref<GoferInode> inode_;
  std::shared_ptr<Listing> listing_ ABSL_GUARDED_BY(offset_mu_);
};

}  // namespace runsc

#endif  // SENTRY_FS_GOFER_GOFER_FILE_H_
