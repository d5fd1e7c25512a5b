#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

constexpr uint32_t kMaxListing = 256 << 10;

// Lays entries out as getdents64(2) or, with `old`, getdents(2) do. A plain buffer: the guest's
// memory is not touched while the directory is locked.
class DirentWriter final : public DirSink {
 public:
  DirentWriter(size_t size, bool old)
      : size_(size), old_(old), buffer_(std::make_unique_for_overwrite<char[]>(size)) {}

  bool Add(std::string_view name, uint64_t ino, uint32_t type_bits, int64_t next) override {
    // ino, off, reclen; the new form then has the type, the old one puts it in the last byte.
    size_t head = old_ ? 18 : 19;
    size_t length = (head + name.size() + (old_ ? 2 : 1) + 7) & ~size_t{7};
    if (length > size_ - used_) {
      full_ = true;
      return false;
    }
    char* p = buffer_.get() + used_;
    memset(p, 0, length);
    uint16_t reclen = static_cast<uint16_t>(length);
    char type = static_cast<char>(type_bits >> 12);
    memcpy(p, &ino, 8);
    memcpy(p + 8, &next, 8);
    memcpy(p + 16, &reclen, 2);
    if (old_) {
      p[length - 1] = type;
    } else {
      p[18] = type;
    }
    memcpy(p + head, name.data(), name.size());
    used_ += length;
    return true;
  }

  size_t used() const { return used_; }
  bool full() const { return full_; }
  const char* data() const { return buffer_.get(); }

 private:
  const size_t size_;
  const bool old_;
  const std::unique_ptr<char[]> buffer_;
  size_t used_ = 0;
  bool full_ = false;
};

ErrnoOr<int64_t> DoGetdents(Task& t, FdNum fd, UserAddr buf, uint32_t count, bool old) {
  Ref<File> dir = TRY(t.fds().GetIo(fd));
  if (!dir->inode().IsDir()) return Errno::kNotdir;
  if (dir->path().dentry->IsUnlinked()) return Errno::kNoent;  // removed: not even "."
  DirentWriter out(std::min(count, kMaxListing), old);
  int64_t before = dir->offset();
  TRY(dir->ReadDir(t.op(), out));
  if (out.used() == 0 && out.full()) return Errno::kInval;
  Status put = t.mem().CopyOut(buf, out.data(), out.used());
  if (!put.ok()) {
    dir->SetOffset(before);
    return put.error();
  }
  vfs::NotifyRead(*dir);
  return static_cast<int64_t>(out.used());
}

Status CheckSearch(Task& t, const Path& path) {
  if (!path.dentry->get_inode()->IsDir()) return Errno::kNotdir;
  return vfs::CheckAccess(t.op(), path, Access{.exec = true});
}

}  // namespace

ErrnoOr<int64_t> Getdents(Task& t, FdNum fd, UserAddr buf, uint32_t count) {
  return DoGetdents(t, fd, buf, count, true);
}

ErrnoOr<int64_t> Getdents64(Task& t, FdNum fd, UserAddr buf, uint32_t count) {
  return DoGetdents(t, fd, buf, count, false);
}

ErrnoOr<int64_t> Getcwd(Task& t, UserAddr buf, uint64_t size) {
  Path cwd = t.fs().cwd();
  if (cwd.dentry->IsUnlinked()) return Errno::kNoent;
  std::string name = vfs::PathName(cwd, t.fs().root());
  if (name.size() + 1 > 4096) return Errno::kNametoolong;
  if (name.size() + 1 > size) return Errno::kRange;
  TRY(t.mem().CopyOut(buf, name.c_str(), name.size() + 1));
  return static_cast<int64_t>(name.size() + 1);
}

ErrnoOr<void> Chdir(Task& t, UserAddr path) {
  AtPath at(t);
  TRY(at.Load(FdNum(AT_FDCWD), path));
  Path place = TRY(at.Resolve(true));
  TRY(CheckSearch(t, place));
  t.fs().SetCwd(std::move(place));
  return Ok();
}

ErrnoOr<void> Fchdir(Task& t, FdNum fd) {
  Ref<File> dir = TRY(t.fds().Get(fd));
  TRY(CheckSearch(t, dir->path()));
  t.fs().SetCwd(dir->path());
  return Ok();
}

ErrnoOr<void> Chroot(Task& t, UserAddr path) {
  AtPath at(t);
  TRY(at.Load(FdNum(AT_FDCWD), path));
  Path place = TRY(at.Resolve(true));
  TRY(CheckSearch(t, place));
  if (!t.creds().HasCap(CAP_SYS_CHROOT)) return Errno::kPerm;
  t.fs().SetRoot(std::move(place));
  return Ok();
}

ErrnoOr<uint32_t> Umask(Task& t, uint32_t mask) { return t.fs().SetUmask(mask); }

ErrnoOr<void> MkdirCall(Task& t, UserAddr path, uint32_t mode) {
  return Mkdirat(t, FdNum(AT_FDCWD), path, mode);
}

ErrnoOr<void> Mkdirat(Task& t, FdNum dirfd, UserAddr path, uint32_t mode) {
  AtPath at(t);
  TRY(at.Load(dirfd, path));
  return vfs::Mkdir(at.ctx(), at.text(), mode);
}

ErrnoOr<void> RmdirCall(Task& t, UserAddr path) {
  return Unlinkat(t, FdNum(AT_FDCWD), path, AT_REMOVEDIR);
}

ErrnoOr<void> MknodCall(Task& t, UserAddr path, uint32_t mode, uint32_t dev) {
  return Mknodat(t, FdNum(AT_FDCWD), path, mode, dev);
}

ErrnoOr<void> Mknodat(Task& t, FdNum dirfd, UserAddr path, uint32_t mode, uint32_t dev) {
  AtPath at(t);
  TRY(at.Load(dirfd, path));
  return vfs::Mknod(at.ctx(), at.text(), mode & 0177777, DecodeDevice(dev));
}

}  // namespace runsc
