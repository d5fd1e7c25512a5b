#include "sentry/fs/gofer/gofer_file.h"

#include <linux/falloc.h>
#include <sys/stat.h>

#include "sentry/vfs/dentry.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

namespace runsc {

GoferFile::GoferFile(Path path, uint32_t flags, Ref<const Credentials> creds,
                     Ref<GoferInode> inode, Ref<HostFile> host)
    : File(std::move(path), flags, std::move(creds)),
      inode_(std::move(inode)),
      host_(std::move(host)) {
  inode_->FileOpened();
}

GoferFile::~GoferFile() { inode_->FileClosed(); }

ErrnoOr<size_t> GoferFile::ReadAt(IoContext& io, UserOut& dst, uint64_t offset) {
  return host_->Read(dst, offset);
}

ErrnoOr<size_t> GoferFile::WriteAt(IoContext& io, UserIn& src, uint64_t offset,
                                   uint64_t* end_offset) {
  size_t n = io.append ? TRY(inode_->Append(*host_, src, &offset))
                       : TRY(host_->Write(src, offset));
  inode_->Written();
  if (end_offset != nullptr) *end_offset = offset + n;
  return n;
}

ErrnoOr<uint64_t> GoferFile::SeekData(uint64_t offset, bool hole) {
  return host_->SeekData(offset, hole);
}

Status GoferFile::Sync(bool data_only) { return host_->Sync(data_only); }

Status GoferFile::Allocate(const OpContext& ctx, int mode, uint64_t offset, uint64_t length) {
  TRY(host_->Allocate(mode, offset, length));
  inode_->Written();
  constexpr int kMoves = FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE;
  if ((mode & kMoves) != 0) inode_->data()->Truncated(PageDown(offset));
  return Ok();
}

Status GoferFile::Truncate(const OpContext& ctx, uint64_t size) {
  TRY(host_->Truncate(size));
  inode_->Written();
  inode_->data()->Truncated(size);
  return Ok();
}

ErrnoOr<Ref<Mappable>> GoferFile::Map(bool shared, Access access) {
  // The inode's descriptors may have been taken back while this file was open.
  inode_->data()->Set(host_);
  inode_->data()->SetName(vfs::PathName(path(), Path(path().mount, path().mount->root())));
  return Ref<Mappable>(inode_->data());
}

GoferDirFile::GoferDirFile(Path path, uint32_t flags, Ref<const Credentials> creds,
                           Ref<GoferInode> inode)
    : File(std::move(path), flags, std::move(creds)), inode_(std::move(inode)) {}

Status GoferDirFile::ReadDir(const OpContext& ctx, DirSink& sink) {
  MutexLock l(offset_mu_);
  if (offset_ < 0) return Errno::kInval;
  if (offset_ == 0) {
    listing_.reset();
    Attr attr = TRY(inode_->GetAttr());
    if (!sink.Add(".", attr.ino, S_IFDIR, 1)) return Ok();
    offset_ = 1;
  }
  if (offset_ == 1) {
    if (!sink.Add("..", inode_->ParentIno(), S_IFDIR, 2)) return Ok();
    offset_ = 2;
  }
  uint64_t at = static_cast<uint64_t>(offset_) - 2;
  TRY(inode_->List(&at, &listing_, sink));
  offset_ = static_cast<int64_t>(at) + 2;
  return Ok();
}

}  // namespace runsc
