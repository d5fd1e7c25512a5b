#include "syscalls/fs/file/common.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>

namespace runsc {

Status PathArg::Load(Task& t, UserAddr path) {
  size_t step = 128;  // most paths fit
  size_ = 0;
  while (size_ < kMax) {
    UserAddr at = path + size_;
    size_t to_page_end = kPageSize - (at.value & kPageMask);
    size_t want = std::min({step, to_page_end, kMax - size_});
    size_t got = TRY(t.mem().CopyInPartial(buffer_ + size_, at, want));
    const void* nul = memchr(buffer_ + size_, 0, got);
    if (nul != nullptr) {
      size_ = static_cast<size_t>(static_cast<const char*>(nul) - buffer_);
      return Ok();
    }
    if (got < want) return Errno::kFault;
    size_ += got;
    step = kMax;
  }
  return Errno::kNametoolong;
}

Status AtPath::SetStart(FdNum dirfd) {
  if (dirfd.value == AT_FDCWD) {
    ctx_.start = t_.fs().cwd();
    return Ok();
  }
  Ref<File> dir = TRY(t_.fds().Get(dirfd));
  ctx_.start = dir->path();
  return Ok();
}

Status AtPath::Load(FdNum dirfd, UserAddr path, uint64_t resolve) {
  TRY(arg_.Load(t_, path));
  ctx_.resolve = resolve;
  // The walk says ENOENT of an empty path, which in calls with two is after errors of the other. An
  // absolute path has no use for the start unless that is its root.
  if (arg_.empty()) return Ok();
  if (arg_.text()[0] == '/' && (resolve & RESOLVE_IN_ROOT) == 0) return Ok();
  return SetStart(dirfd);
}

Status AtPath::LoadMaybeEmpty(FdNum dirfd, UserAddr path, bool allow_empty) {
  if (!allow_empty) return Load(dirfd, path);
  if (!path.IsNull()) {
    TRY(arg_.Load(t_, path));
    if (!arg_.empty()) {
      return arg_.text()[0] == '/' ? Ok() : SetStart(dirfd);
    }
  }
  self_ = true;
  return SetStart(dirfd);
}

ErrnoOr<Path> AtPath::Resolve(bool follow) {
  if (self_) return ctx_.start;
  return vfs::Lookup(ctx_, arg_.text(), follow);
}

ErrnoOr<Uid> KernelUid(Task& t, uint32_t uid) {
  if (uid == kNoId) return kNoId;
  Uid k = t.creds().user_ns->UidToKernel(uid);
  return k == kNoId ? ErrnoOr<Uid>(Errno::kInval) : k;
}

ErrnoOr<Gid> KernelGid(Task& t, uint32_t gid) {
  if (gid == kNoId) return kNoId;
  Gid k = t.creds().user_ns->GidToKernel(gid);
  return k == kNoId ? ErrnoOr<Gid>(Errno::kInval) : k;
}

ErrnoOr<size_t> CheckLength(size_t count) {
  if (static_cast<ssize_t>(count) < 0) return Errno::kInval;
  return std::min(count, kMaxTransfer);
}

ErrnoOr<FdNum> InstallFile(Task& t, Ref<File> file, bool cloexec) {
  return t.fds().Install(std::move(file), cloexec, t.Limit(RLIMIT_NOFILE));
}

}  // namespace runsc
