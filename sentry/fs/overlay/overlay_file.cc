#include "sentry/fs/overlay/overlay_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "sentry/vfs/dentry.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

namespace runsc {

OverlayFile::OverlayFile(const Path& path, uint32_t flags, Ref<const Credentials> creds,
                         Ref<File> first, bool in_upper)
    : File(path, flags, std::move(creds)),
      first_(std::move(first)),
      upper_(in_upper ? first_.get() : nullptr) {}

OverlayFile::~OverlayFile() {
  File* upper = upper_.load();
  if (upper != nullptr && upper != first_.get()) upper->DecRef();
}

ErrnoOr<File*> OverlayFile::Real() {
  File* upper = upper_.load(std::memory_order_acquire);
  if (upper != nullptr) return upper;
  if (node().upper() == nullptr) return first_.get();
  OverlayFs& fs = node().overlay();
  Ref<File> file =
      TRY(node().upper()->Open(fs.super(), fs.LayerPath(*node().upper()), {O_RDONLY}));
  if (upper_.compare_exchange_strong(upper, file.get())) return file.release();
  return upper;
}

ErrnoOr<size_t> OverlayFile::ReadAt(IoContext& io, UserOut& dst, uint64_t offset) {
  return TRY(Real())->ReadAt(io, dst, offset);
}

ErrnoOr<size_t> OverlayFile::WriteAt(IoContext& io, UserIn& src, uint64_t offset,
                                     uint64_t* end_offset) {
  return TRY(Real())->WriteAt(io, src, offset, end_offset);
}

ErrnoOr<uint64_t> OverlayFile::SeekData(uint64_t offset, bool hole) {
  return TRY(Real())->SeekData(offset, hole);
}

Status OverlayFile::Sync(bool data_only) { return TRY(Real())->Sync(data_only); }

Status OverlayFile::Allocate(const OpContext& ctx, int mode, uint64_t offset, uint64_t length) {
  return TRY(Real())->Allocate(ctx, mode, offset, length);
}

Status OverlayFile::Truncate(const OpContext& ctx, uint64_t size) {
  return TRY(Real())->Truncate(ctx, size);
}

ErrnoOr<Ref<Mappable>> OverlayFile::Map(bool shared, Access access) {
  // Again if the file was copied up meanwhile: what that put in place must not be undone.
  File* file = nullptr;
  for (File* now = TRY(Real()); now != file; now = TRY(Real())) {
    file = now;
    Ref<Mappable> real = TRY(file->Map(shared, access));
    node().EnsureMappable().SetReal(std::move(real));
  }
  OverlayMappable& m = node().EnsureMappable();
  Mappable::Identity identity;
  Attr attr = TRY(node().GetAttr());
  identity.dev = DecodeDevice(attr.dev);
  identity.ino = attr.ino;
  identity.name = vfs::PathName(path(), Path(path().mount, path().mount->root()));
  m.SetIdentity(std::move(identity));
  return Ref<Mappable>(&m);
}

}  // namespace runsc
