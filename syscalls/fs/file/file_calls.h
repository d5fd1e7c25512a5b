#ifndef SYSCALLS_FS_FILE_FILE_CALLS_H_
#define SYSCALLS_FS_FILE_FILE_CALLS_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/kernel/task.h"

namespace runsc {

// System calls on paths and descriptors, each as its man page in section 2 says. Where the plain
// name is taken by a class, the handler is called NameCall.

// rw.cc
ErrnoOr<size_t> Read(Task& t, FdNum fd, UserAddr buf, size_t count);
ErrnoOr<size_t> Write(Task& t, FdNum fd, UserAddr buf, size_t count);
ErrnoOr<size_t> Pread64(Task& t, FdNum fd, UserAddr buf, size_t count, int64_t offset);
ErrnoOr<size_t> Pwrite64(Task& t, FdNum fd, UserAddr buf, size_t count, int64_t offset);
ErrnoOr<size_t> Readv(Task& t, FdNum fd, UserAddr iov, uint64_t count);
ErrnoOr<size_t> Writev(Task& t, FdNum fd, UserAddr iov, uint64_t count);
ErrnoOr<size_t> Preadv(Task& t, FdNum fd, UserAddr iov, uint64_t count, int64_t offset,
                       uint64_t unused);
ErrnoOr<size_t> Pwritev(Task& t, FdNum fd, UserAddr iov, uint64_t count, int64_t offset,
                        uint64_t unused);
ErrnoOr<size_t> Preadv2(Task& t, FdNum fd, UserAddr iov, uint64_t count, int64_t offset,
                        uint64_t unused, uint32_t flags);
ErrnoOr<size_t> Pwritev2(Task& t, FdNum fd, UserAddr iov, uint64_t count, int64_t offset,
                         uint64_t unused, uint32_t flags);
ErrnoOr<int64_t> Lseek(Task& t, FdNum fd, int64_t offset, uint32_t whence);

// open.cc
ErrnoOr<FdNum> Open(Task& t, UserAddr path, uint32_t flags, uint32_t mode);
ErrnoOr<FdNum> Openat(Task& t, FdNum dirfd, UserAddr path, uint32_t flags, uint32_t mode);
ErrnoOr<FdNum> Openat2(Task& t, FdNum dirfd, UserAddr path, UserAddr how, uint64_t size);
ErrnoOr<FdNum> Creat(Task& t, UserAddr path, uint32_t mode);
ErrnoOr<void> Close(Task& t, FdNum fd);
ErrnoOr<void> CloseRange(Task& t, uint32_t first, uint32_t last, uint32_t flags);
ErrnoOr<FdNum> Dup(Task& t, FdNum fd);
ErrnoOr<FdNum> Dup2(Task& t, FdNum from, FdNum to);
ErrnoOr<FdNum> Dup3(Task& t, FdNum from, FdNum to, uint32_t flags);

// stat.cc
ErrnoOr<void> StatCall(Task& t, UserAddr path, UserAddr buf);
ErrnoOr<void> Lstat(Task& t, UserAddr path, UserAddr buf);
ErrnoOr<void> Fstat(Task& t, FdNum fd, UserAddr buf);
ErrnoOr<void> Newfstatat(Task& t, FdNum dirfd, UserAddr path, UserAddr buf, uint32_t flags);
ErrnoOr<void> Statx(Task& t, FdNum dirfd, UserAddr path, uint32_t flags, uint32_t mask,
                    UserAddr buf);
ErrnoOr<void> AccessCall(Task& t, UserAddr path, uint32_t mode);
ErrnoOr<void> Faccessat(Task& t, FdNum dirfd, UserAddr path, uint32_t mode);
ErrnoOr<void> Faccessat2(Task& t, FdNum dirfd, UserAddr path, uint32_t mode, uint32_t flags);
ErrnoOr<int64_t> Readlink(Task& t, UserAddr path, UserAddr buf, int32_t size);
ErrnoOr<int64_t> Readlinkat(Task& t, FdNum dirfd, UserAddr path, UserAddr buf, int32_t size);

// dir.cc
ErrnoOr<int64_t> Getdents(Task& t, FdNum fd, UserAddr buf, uint32_t count);
ErrnoOr<int64_t> Getdents64(Task& t, FdNum fd, UserAddr buf, uint32_t count);
ErrnoOr<int64_t> Getcwd(Task& t, UserAddr buf, uint64_t size);
ErrnoOr<void> Chdir(Task& t, UserAddr path);
ErrnoOr<void> Fchdir(Task& t, FdNum fd);
ErrnoOr<void> Chroot(Task& t, UserAddr path);
ErrnoOr<uint32_t> Umask(Task& t, uint32_t mask);
ErrnoOr<void> MkdirCall(Task& t, UserAddr path, uint32_t mode);
ErrnoOr<void> Mkdirat(Task& t, FdNum dirfd, UserAddr path, uint32_t mode);
ErrnoOr<void> RmdirCall(Task& t, UserAddr path);
ErrnoOr<void> MknodCall(Task& t, UserAddr path, uint32_t mode, uint32_t dev);
ErrnoOr<void> Mknodat(Task& t, FdNum dirfd, UserAddr path, uint32_t mode, uint32_t dev);

// link.cc
ErrnoOr<void> LinkCall(Task& t, UserAddr from, UserAddr to);
ErrnoOr<void> Linkat(Task& t, FdNum fromdir, UserAddr from, FdNum todir, UserAddr to,
                     uint32_t flags);
ErrnoOr<void> SymlinkCall(Task& t, UserAddr target, UserAddr path);
ErrnoOr<void> Symlinkat(Task& t, UserAddr target, FdNum dirfd, UserAddr path);
ErrnoOr<void> UnlinkCall(Task& t, UserAddr path);
ErrnoOr<void> Unlinkat(Task& t, FdNum dirfd, UserAddr path, uint32_t flags);
ErrnoOr<void> RenameCall(Task& t, UserAddr from, UserAddr to);
ErrnoOr<void> Renameat(Task& t, FdNum fromdir, UserAddr from, FdNum todir, UserAddr to);
ErrnoOr<void> Renameat2(Task& t, FdNum fromdir, UserAddr from, FdNum todir, UserAddr to,
                        uint32_t flags);

// attr.cc
ErrnoOr<void> TruncateCall(Task& t, UserAddr path, int64_t length);
ErrnoOr<void> Ftruncate(Task& t, FdNum fd, int64_t length);
ErrnoOr<void> Fallocate(Task& t, FdNum fd, int32_t mode, int64_t offset, int64_t length);
ErrnoOr<void> ChmodCall(Task& t, UserAddr path, uint32_t mode);
ErrnoOr<void> Fchmod(Task& t, FdNum fd, uint32_t mode);
ErrnoOr<void> Fchmodat(Task& t, FdNum dirfd, UserAddr path, uint32_t mode);
ErrnoOr<void> Fchmodat2(Task& t, FdNum dirfd, UserAddr path, uint32_t mode, uint32_t flags);
ErrnoOr<void> ChownCall(Task& t, UserAddr path, uint32_t uid, uint32_t gid);
ErrnoOr<void> Lchown(Task& t, UserAddr path, uint32_t uid, uint32_t gid);
ErrnoOr<void> Fchown(Task& t, FdNum fd, uint32_t uid, uint32_t gid);
ErrnoOr<void> Fchownat(Task& t, FdNum dirfd, UserAddr path, uint32_t uid, uint32_t gid,
                       uint32_t flags);
ErrnoOr<void> Utime(Task& t, UserAddr path, UserAddr times);
ErrnoOr<void> Utimes(Task& t, UserAddr path, UserAddr times);
ErrnoOr<void> Futimesat(Task& t, FdNum dirfd, UserAddr path, UserAddr times);
ErrnoOr<void> Utimensat(Task& t, FdNum dirfd, UserAddr path, UserAddr times, uint32_t flags);

// xattr.cc
ErrnoOr<void> Setxattr(Task& t, UserAddr path, UserAddr name, UserAddr value, uint64_t size,
                       int32_t flags);
ErrnoOr<void> Lsetxattr(Task& t, UserAddr path, UserAddr name, UserAddr value, uint64_t size,
                        int32_t flags);
ErrnoOr<void> Fsetxattr(Task& t, FdNum fd, UserAddr name, UserAddr value, uint64_t size,
                        int32_t flags);
ErrnoOr<int64_t> Getxattr(Task& t, UserAddr path, UserAddr name, UserAddr value, uint64_t size);
ErrnoOr<int64_t> Lgetxattr(Task& t, UserAddr path, UserAddr name, UserAddr value, uint64_t size);
ErrnoOr<int64_t> Fgetxattr(Task& t, FdNum fd, UserAddr name, UserAddr value, uint64_t size);
ErrnoOr<int64_t> Listxattr(Task& t, UserAddr path, UserAddr list, uint64_t size);
ErrnoOr<int64_t> Llistxattr(Task& t, UserAddr path, UserAddr list, uint64_t size);
ErrnoOr<int64_t> Flistxattr(Task& t, FdNum fd, UserAddr list, uint64_t size);
ErrnoOr<void> Removexattr(Task& t, UserAddr path, UserAddr name);
ErrnoOr<void> Lremovexattr(Task& t, UserAddr path, UserAddr name);
ErrnoOr<void> Fremovexattr(Task& t, FdNum fd, UserAddr name);

// fcntl.cc, locks.cc
ErrnoOr<int64_t> Fcntl(Task& t, FdNum fd, int32_t command, uint64_t arg);
ErrnoOr<int64_t> IoctlCall(Task& t, FdNum fd, uint32_t command, uint64_t arg);
ErrnoOr<void> Flock(Task& t, FdNum fd, uint32_t operation);

// sync.cc
ErrnoOr<void> Fsync(Task& t, FdNum fd);
ErrnoOr<void> Fdatasync(Task& t, FdNum fd);
ErrnoOr<void> SyncCall(Task& t);
ErrnoOr<void> Syncfs(Task& t, FdNum fd);
ErrnoOr<void> SyncFileRange(Task& t, FdNum fd, int64_t offset, int64_t length, uint32_t flags);
ErrnoOr<void> Readahead(Task& t, FdNum fd, int64_t offset, uint64_t count);
ErrnoOr<void> Fadvise64(Task& t, FdNum fd, int64_t offset, int64_t length, int32_t advice);

// copy.cc
ErrnoOr<size_t> Sendfile(Task& t, FdNum out, FdNum in, UserAddr offset, size_t count);
ErrnoOr<size_t> CopyFileRange(Task& t, FdNum in, UserAddr in_offset, FdNum out,
                              UserAddr out_offset, size_t count, uint32_t flags);
ErrnoOr<size_t> Splice(Task& t, FdNum in, UserAddr in_offset, FdNum out, UserAddr out_offset,
                       size_t count, uint32_t flags);
ErrnoOr<size_t> Tee(Task& t, FdNum in, FdNum out, size_t count, uint32_t flags);
ErrnoOr<size_t> Vmsplice(Task& t, FdNum fd, UserAddr iov, uint64_t count, uint32_t flags);

// mount.cc, statfs.cc
ErrnoOr<void> MountCall(Task& t, UserAddr source, UserAddr target, UserAddr type, uint64_t flags,
                        UserAddr data);
ErrnoOr<void> Umount2(Task& t, UserAddr target, int32_t flags);
ErrnoOr<void> PivotRootCall(Task& t, UserAddr new_root, UserAddr put_old);
ErrnoOr<void> Statfs(Task& t, UserAddr path, UserAddr buf);
ErrnoOr<void> Fstatfs(Task& t, FdNum fd, UserAddr buf);
ErrnoOr<void> Ustat(Task& t, uint32_t dev, UserAddr buf);
ErrnoOr<int64_t> NameToHandleAt(Task& t, FdNum dirfd, UserAddr path, UserAddr handle,
                                UserAddr mount_id, uint32_t flags);

// inotify.cc
ErrnoOr<FdNum> InotifyInit(Task& t);
ErrnoOr<FdNum> InotifyInit1(Task& t, uint32_t flags);
ErrnoOr<int32_t> InotifyAddWatch(Task& t, FdNum fd, UserAddr path, uint32_t mask);
ErrnoOr<void> InotifyRmWatch(Task& t, FdNum fd, int32_t wd);
ErrnoOr<FdNum> MemfdCreate(Task& t, UserAddr name, uint32_t flags);

}  // namespace runsc

#endif  // SYSCALLS_FS_FILE_FILE_CALLS_H_
