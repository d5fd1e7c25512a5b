#include "sentry/vfs/inotify.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>

#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/kernel.h"
#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

ErrnoOr<Ref<Inotify>> GetInotify(Task& t, FdNum fd) {
  Ref<File> file = TRY(t.fds().GetIo(fd));
  auto* inotify = dynamic_cast<Inotify*>(file.get());
  if (inotify == nullptr) return Errno::kInval;
  return Ref<Inotify>(inotify);
}

}  // namespace

ErrnoOr<FdNum> InotifyInit(Task& t) { return InotifyInit1(t, 0); }

ErrnoOr<FdNum> InotifyInit1(Task& t, uint32_t flags) {
  if ((flags & ~static_cast<uint32_t>(IN_CLOEXEC | IN_NONBLOCK)) != 0) return Errno::kInval;
  Ref<File> file = TRY(Inotify::New(flags & IN_NONBLOCK, t.creds_ref()));
  return InstallFile(t, std::move(file), (flags & IN_CLOEXEC) != 0);
}

ErrnoOr<int32_t> InotifyAddWatch(Task& t, FdNum fd, UserAddr path, uint32_t mask) {
  constexpr uint32_t kKnown = IN_ALL_EVENTS | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK |
                              IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR | IN_ONESHOT |
                              IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED;
  if ((mask & kKnown) == 0) return Errno::kInval;
  if ((mask & IN_MASK_ADD) != 0 && (mask & IN_MASK_CREATE) != 0) return Errno::kInval;
  Ref<Inotify> inotify = TRY(GetInotify(t, fd));
  AtPath at(t);
  TRY(at.Load(FdNum(AT_FDCWD), path));
  Path place = TRY(at.Resolve((mask & IN_DONT_FOLLOW) == 0));
  Ref<Inode> inode = place.dentry->inode();
  if ((mask & IN_ONLYDIR) != 0 && !inode->IsDir()) return Errno::kNotdir;
  TRY(inode->CheckAccess(at.op(), Access{.read = true}));
  return inotify->AddWatch(std::move(inode), mask);
}

ErrnoOr<void> InotifyRmWatch(Task& t, FdNum fd, int32_t wd) {
  return TRY(GetInotify(t, fd))->RemoveWatch(wd);
}

ErrnoOr<FdNum> MemfdCreate(Task& t, UserAddr name_addr, uint32_t flags) {
  constexpr uint32_t kNoexecSeal = 8, kExec = 0x10;
  if ((flags & MFD_HUGETLB) != 0) return t.Unimplemented("memfd_create MFD_HUGETLB", Errno::kInval);
  if ((flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoexecSeal | kExec)) != 0) {
    return Errno::kInval;
  }
  if ((flags & kNoexecSeal) != 0 && (flags & kExec) != 0) return Errno::kInval;
  constexpr size_t kMaxName = 249;  // NAME_MAX less "memfd:"
  ErrnoOr<std::string> name = t.mem().GetString(name_addr, kMaxName);
  if (!name.ok()) return name.error() == Errno::kNametoolong ? Errno::kInval : name.error();
  Ref<File> file = TRY(NewMemfd(t.kernel().memory(), *name, (flags & MFD_ALLOW_SEALING) != 0,
                                (flags & kNoexecSeal) == 0, t.creds_ref()));
  return InstallFile(t, std::move(file), (flags & MFD_CLOEXEC) != 0);
}

}  // namespace runsc
