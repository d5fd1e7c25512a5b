#include <fcntl.h>
#include <linux/capability.h>

#include "syscalls/fs/file/common.h"

namespace runsc {

ErrnoOr<void> LinkCall(Task& t, UserAddr from, UserAddr to) {
  return Linkat(t, FdNum(AT_FDCWD), from, FdNum(AT_FDCWD), to, 0);
}

ErrnoOr<void> Linkat(Task& t, FdNum fromdir, UserAddr from, FdNum todir, UserAddr to,
                     uint32_t flags) {
  if ((flags & ~static_cast<uint32_t>(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0) {
    return Errno::kInval;
  }
  AtPath source(t), target(t);
  TRY(source.LoadMaybeEmpty(fromdir, from, (flags & AT_EMPTY_PATH) != 0));
  // Naming a descriptor's file would get around the directories that hide it: only who opened it may.
  if (source.is_dirfd() && fromdir.value != AT_FDCWD && !t.creds().HasCap(CAP_DAC_READ_SEARCH)) {
    Ref<File> file = TRY(t.fds().Get(fromdir));
    if (&file->creds() != &t.creds()) return Errno::kNoent;
  }
  Path place = TRY(source.Resolve((flags & AT_SYMLINK_FOLLOW) != 0));
  TRY(target.Load(todir, to));
  return vfs::Link(place, target.ctx(), target.text());
}

ErrnoOr<void> SymlinkCall(Task& t, UserAddr target, UserAddr path) {
  return Symlinkat(t, target, FdNum(AT_FDCWD), path);
}

ErrnoOr<void> Symlinkat(Task& t, UserAddr target, FdNum dirfd, UserAddr path) {
  PathArg text;
  TRY(text.Load(t, target));
  if (text.empty()) return Errno::kNoent;
  AtPath at(t);
  TRY(at.Load(dirfd, path));
  return vfs::Symlink(at.ctx(), text.text(), at.text());
}

ErrnoOr<void> UnlinkCall(Task& t, UserAddr path) {
  return Unlinkat(t, FdNum(AT_FDCWD), path, 0);
}

ErrnoOr<void> Unlinkat(Task& t, FdNum dirfd, UserAddr path, uint32_t flags) {
  if ((flags & ~static_cast<uint32_t>(AT_REMOVEDIR)) != 0) return Errno::kInval;
  AtPath at(t);
  TRY(at.Load(dirfd, path));
  return flags != 0 ? vfs::Rmdir(at.ctx(), at.text()) : vfs::Unlink(at.ctx(), at.text());
}

ErrnoOr<void> RenameCall(Task& t, UserAddr from, UserAddr to) {
  return Renameat2(t, FdNum(AT_FDCWD), from, FdNum(AT_FDCWD), to, 0);
}

ErrnoOr<void> Renameat(Task& t, FdNum fromdir, UserAddr from, FdNum todir, UserAddr to) {
  return Renameat2(t, fromdir, from, todir, to, 0);
}

ErrnoOr<void> Renameat2(Task& t, FdNum fromdir, UserAddr from, FdNum todir, UserAddr to,
                        uint32_t flags) {
  AtPath source(t), target(t);
  TRY(source.Load(fromdir, from));
  TRY(target.Load(todir, to));
  return vfs::Rename(source.ctx(), source.text(), target.ctx(), target.text(), flags);
}

}  // namespace runsc
