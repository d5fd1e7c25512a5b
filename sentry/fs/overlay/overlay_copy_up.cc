// Copying a file of the lower layer to the upper one before its first change.
//
// The copy is made complete in the work directory and then moved into place, so that nobody sees
// half of it and a full upper layer leaves nothing behind.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "platform/base/log.h"
#include "sentry/fs/overlay/overlay_inode.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/file.h"

namespace runsc {
namespace {

constexpr size_t kChunk = 256 << 10;

AttrChange OwnerAndMode(const Attr& attr) {
  AttrChange c;
  c.uid = attr.uid;
  c.gid = attr.gid;
  if (!S_ISLNK(attr.mode)) c.mode = attr.mode & 07777;
  return c;
}

AttrChange Times(const Attr& attr) {
  AttrChange c;
  c.atime = attr.atime;
  c.mtime = attr.mtime;
  c.ctime = attr.ctime;
  return c;
}

// Copies [from, to) of one file to another through a buffer.
Status CopyRange(const OpContext& ctx, File& in, File& out, uint64_t from, uint64_t to,
                 char* buffer) {
  IoContext io{ctx.creds};
  while (from < to) {
    UserOut dst(buffer, std::min<uint64_t>(kChunk, to - from));
    size_t n = TRY(in.ReadAt(io, dst, from));
    if (n == 0) return Ok();
    UserIn src(buffer, n);
    uint64_t end = 0;
    for (uint64_t at = from; src.remaining() > 0;) at += TRY(out.WriteAt(io, src, at, &end));
    from += n;
  }
  return Ok();
}

}  // namespace

Status OverlayInode::CopyUp(uint64_t limit) {
  if (upper() != nullptr) return Ok();
  std::vector<Ref<OverlayInode>> chain;
  for (Ref<OverlayInode> at(this); at && at->upper() == nullptr;) {
    Ref<OverlayInode> next;
    {
      NestedMutexLock l(at->copy_up_mu_);
      if (!at->nameless_) next = at->parent_;
    }
    chain.push_back(std::move(at));
    at = std::move(next);
  }
  for (; !chain.empty(); chain.pop_back()) {
    bool last = chain.size() == 1;
    TRY(chain.back()->CopyUpOne(last ? limit : UINT64_MAX));
  }
  return Ok();
}

Status OverlayInode::CopyUpOne(uint64_t limit) {
  {
    NestedMutexLock l(copy_up_mu_);
    if (upper() != nullptr) return Ok();
    Attr attr = TRY(lower_->GetAttr());
    std::string temp = overlay().NextTempName();
    Ref<Inode> made = TRY(MakeCopyLocked(attr, temp, limit));
    Status placed = PlaceLocked(attr, temp, made);
    if (!placed.ok()) {
      NestedMutexLock w(overlay().work_->dir_mutex);
      (void)(IsDir() ? overlay().work_->Rmdir(overlay().super(), temp, *made)
                     : overlay().work_->Unlink(overlay().super(), temp, *made))
          .ok();
      return placed;
    }
  }
  ForgetAttrCache();
  if (IsRegular()) SwitchMappable();
  return Ok();
}

ErrnoOr<Ref<Inode>> OverlayInode::MakeCopyLocked(const Attr& attr, const std::string& temp,
                                                 uint64_t limit) {
  const OpContext& ctx = overlay().super();
  Inode& work = *overlay().work_;
  Ref<Inode> made;
  {
    std::string target = IsSymlink() ? TRY(lower_->Readlink(ctx)) : "";
    NestedMutexLock l(work.dir_mutex);
    switch (type_) {
      case S_IFDIR: made = TRY(work.Mkdir(ctx, temp, attr.mode)); break;
      case S_IFREG: made = TRY(work.Create(ctx, temp, attr.mode)); break;
      case S_IFLNK: made = TRY(work.Symlink(ctx, temp, target)); break;
      default: made = TRY(work.Mknod(ctx, temp, attr.mode, attr.rdev)); break;
    }
  }
  Status done = Ok();
  if (IsRegular()) done = CopyData(*made, std::min(attr.size, limit));
  if (done.ok()) done = CopyXattrs(*made);
  if (done.ok()) done = made->SetAttr(ctx, OwnerAndMode(attr));
  if (done.ok()) return made;
  NestedMutexLock l(work.dir_mutex);
  (void)(IsDir() ? work.Rmdir(ctx, temp, *made) : work.Unlink(ctx, temp, *made)).ok();
  return done.error();
}

Status OverlayInode::CopyData(Inode& to, uint64_t size) {
  if (size == 0) return Ok();
  const OpContext& ctx = overlay().super();
  Ref<File> in = TRY(lower_->Open(ctx, overlay().LayerPath(*lower_), {O_RDONLY}));
  Ref<File> out = TRY(to.Open(ctx, overlay().LayerPath(to), {O_WRONLY}));
  auto buffer = std::make_unique_for_overwrite<char[]>(kChunk);
  uint64_t at = 0;
  while (at < size) {
    ErrnoOr<uint64_t> data = in->SeekData(at, false);
    if (!data.ok() || *data >= size) break;  // ENXIO: holes up to the end
    ErrnoOr<uint64_t> hole = in->SeekData(*data, true);
    uint64_t end = std::min(hole.ok() ? *hole : size, size);
    TRY(CopyRange(ctx, *in, *out, *data, end, buffer.get()));
    at = std::max(end, at + 1);
  }
  AttrChange change;
  change.size = size;  // a hole at the end
  return to.SetAttr(ctx, change);
}

Status OverlayInode::CopyXattrs(Inode& to) {
  const OpContext& ctx = overlay().super();
  ErrnoOr<std::vector<std::string>> names = lower_->ListXattr(ctx);
  if (!names.ok()) return names.error() == Errno::kOpnotsupp ? Ok() : Status(names.error());
  for (const std::string& name : *names) {
    ErrnoOr<std::string> value = lower_->GetXattr(ctx, name);
    if (!value.ok()) continue;  // it went away, or is not for us
    TRY(to.SetXattr(ctx, name, *value, 0));
  }
  return Ok();
}

Status OverlayInode::PlaceLocked(const Attr& attr, const std::string& temp,
                                 const Ref<Inode>& made) {
  OverlayFs& fs = overlay();
  const OpContext& ctx = fs.super();
  OverlayFs::Origin origin;
  if (IsDir()) origin.lower = lower_;
  origin.ino = ino_;
  origin.lower_ino = attr.ino;
  uint64_t made_ino = TRY(made->GetAttr()).ino;
  if (nameless_) {
    NestedMutexLock w(fs.work_->dir_mutex);
    TRY(IsDir() ? fs.work_->Rmdir(ctx, temp, *made) : fs.work_->Unlink(ctx, temp, *made));
    TRY(made->SetAttr(ctx, Times(attr)));
  } else {
    Inode& dir = *parent_->upper();
    Attr before = TRY(dir.GetAttr());
    NestedMutexLock w(fs.work_->dir_mutex);
    NestedMutexLock d(dir.dir_mutex);
    if (!IsDir() && attr.nlink > 1) {
      // The name in the work directory stays: other names below lead to it through linked_.
      TRY(dir.Link(ctx, name_, *made));
      origin.index = temp;
      origin.extra_links = static_cast<int64_t>(attr.nlink) - 2;
    } else {
      TRY(fs.work_->Rename(ctx, temp, *made, dir, name_, nullptr, 0));
    }
    // Nothing has changed as far as the guest can see.
    TRY(made->SetAttr(ctx, Times(attr)));
    TRY(dir.SetAttr(ctx, Times(before)));
    fs.Publish(this, made.get(), made_ino, std::move(origin));
    upper_.store(Ref<Inode>(made).release(), std::memory_order_release);
    return Ok();
  }
  upper_ino_ = made_ino;
  upper_.store(Ref<Inode>(made).release(), std::memory_order_release);
  return Ok();
}

void OverlayInode::SwitchMappable() {
  {
    MutexLock l(mappable_mu_);
    if (!mappable_) return;
  }
  const OpContext& ctx = overlay().super();
  auto file = upper()->Open(ctx, overlay().LayerPath(*upper()), {O_RDONLY});
  if (!file.ok()) return;
  auto real = (*file)->Map(true, Access{.read = true});
  if (real.ok()) EnsureMappable().SetReal(std::move(*real));
}

}  // namespace runsc
