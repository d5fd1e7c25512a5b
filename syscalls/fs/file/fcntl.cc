#include <asm/sockios.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sentry/fs/pipe/pipe.h"
#include "syscalls/fs/file/async.h"
#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

constexpr int32_t kDupFdQuery = 1024 + 3;    // F_DUPFD_QUERY
constexpr int32_t kCreatedQuery = 1024 + 4;  // F_CREATED_QUERY
constexpr uint32_t kSettable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME;

ErrnoOr<int64_t> DupAbove(Task& t, Ref<File> file, uint64_t min, bool cloexec) {
  uint64_t limit = t.Limit(RLIMIT_NOFILE);
  if (min >= limit || min > INT32_MAX) return Errno::kInval;
  FdNum fd = TRY(t.fds().Install(std::move(file), cloexec, limit, static_cast<int32_t>(min)));
  return fd.value;
}

Status SetStatusFlags(Task& t, FdNum fd, File& file, uint32_t flags) {
  uint32_t changed = (file.flags() ^ flags) & kSettable;
  if ((changed & O_NOATIME & flags) != 0) {
    Attr attr = TRY(file.inode().GetAttr());
    if (attr.uid != t.creds().fsuid && !t.creds().HasCap(CAP_FOWNER)) return Errno::kPerm;
  }
  Inode& inode = file.inode();
  if ((flags & O_DIRECT) != 0 && inode.type() != S_IFIFO && !inode.TakesDirectIo()) {
    return Errno::kInval;
  }
  if (((file.flags() ^ flags) & O_ASYNC) != 0) TRY(SetAsync(t, fd, file, (flags & O_ASYNC) != 0));
  file.SetFlags(kSettable, flags);
  return Ok();
}

ErrnoOr<int64_t> PipeSize(Task& t, File& file, bool set, uint64_t arg) {
  Pipe* pipe = PipeOf(file);
  if (pipe == nullptr) return Errno::kBadf;
  if (!set) return static_cast<int64_t>(pipe->capacity());
  // As Linux takes it: an unsigned int.
  return static_cast<int64_t>(
      TRY(pipe->SetCapacity(static_cast<uint32_t>(arg), t.creds().HasCap(CAP_SYS_RESOURCE))));
}

// Leases are not served, so that there is none to give up.
ErrnoOr<int64_t> SetLease(Task& t, File& file, int32_t kind) {
  if (!file.inode().IsRegular()) return Errno::kInval;
  if (kind == F_UNLCK) return Errno::kAgain;
  if (kind != F_RDLCK && kind != F_WRLCK) return Errno::kInval;
  return t.Unimplemented("fcntl F_SETLEASE", Errno::kInval);
}

ErrnoOr<int64_t> DirectoryNotify(Task& t, File& file, uint32_t events) {
  if ((events & ~static_cast<uint32_t>(DN_MULTISHOT)) == 0) return 0;  // ends what is not there
  if (!file.inode().IsDir()) return Errno::kNotdir;
  return t.Unimplemented("fcntl F_NOTIFY", Errno::kInval);
}

// A hint about how long data will live, for devices that can use it: kept with the inode.
Status SetWriteHint(Task& t, Inode& inode, UserAddr arg) {
  Attr attr = TRY(inode.GetAttr());
  if (attr.uid != t.creds().fsuid && !t.creds().HasCap(CAP_FOWNER)) return Errno::kPerm;
  uint64_t hint = TRY(t.mem().Get<uint64_t>(arg));
  if (hint > RWH_WRITE_LIFE_EXTREME) return Errno::kInval;
  inode.write_hint.store(static_cast<uint8_t>(hint));
  return Ok();
}

// Commands that need more than an O_PATH descriptor.
ErrnoOr<int64_t> FcntlIo(Task& t, FdNum fd, File& file, int32_t command, uint64_t arg) {
  if (std::optional<ErrnoOr<int64_t>> owner = OwnerCommand(t, file, command, arg)) return *owner;
  switch (command) {
    case F_SETFL:
      TRY(SetStatusFlags(t, fd, file, static_cast<uint32_t>(arg)));
      return 0;
    case F_GETLK: case F_SETLK: case F_SETLKW:
    case F_OFD_GETLK: case F_OFD_SETLK: case F_OFD_SETLKW:
      return RecordLock(t, file, command, UserAddr(arg));
    case F_SETPIPE_SZ: case F_GETPIPE_SZ:
      return PipeSize(t, file, command == F_SETPIPE_SZ, arg);
    case F_ADD_SEALS:
      if (!file.writable()) return Errno::kPerm;
      TRY(file.inode().AddSeals(static_cast<uint32_t>(arg)));
      return 0;
    case F_GET_SEALS:
      return TRY(file.inode().GetSeals());
    case F_GETLEASE:
      return F_UNLCK;  // nobody can hold one
    case F_SETLEASE:
      return SetLease(t, file, static_cast<int32_t>(arg));
    case F_NOTIFY:
      return DirectoryNotify(t, file, static_cast<uint32_t>(arg));
    case F_GET_RW_HINT:
      TRY(t.mem().Put(UserAddr(arg), uint64_t{file.inode().write_hint.load()}));
      return 0;
    case F_SET_RW_HINT:
      TRY(SetWriteHint(t, file.inode(), UserAddr(arg)));
      return 0;
    default:
      return Errno::kInval;
  }
}

ErrnoOr<int64_t> SetFlagFromInt(Task& t, File& file, uint32_t flag, uint64_t arg) {
  int32_t on = TRY(t.mem().Get<int32_t>(UserAddr(arg)));
  file.SetFlags(flag, on != 0 ? flag : 0);
  return 0;
}

// FIONREAD on regular files: what is between the offset and the end.
ErrnoOr<int64_t> BytesLeft(Task& t, File& file, uint64_t arg) {
  int64_t left = static_cast<int64_t>(TRY(file.inode().GetAttr()).size) - file.offset();
  TRY(t.mem().Put(UserAddr(arg), static_cast<int32_t>(left)));
  return 0;
}

}  // namespace

ErrnoOr<int64_t> Fcntl(Task& t, FdNum fd, int32_t command, uint64_t arg) {
  Ref<File> file = TRY(t.fds().Get(fd));
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      return DupAbove(t, std::move(file), arg, command == F_DUPFD_CLOEXEC);
    case F_GETFD:
      return TRY(t.fds().CloseOnExec(fd)) ? FD_CLOEXEC : 0;
    case F_SETFD:
      TRY(t.fds().SetCloseOnExec(fd, (arg & FD_CLOEXEC) != 0));
      return 0;
    case F_GETFL:
      return file->flags();
    case kDupFdQuery: {
      Ref<File> other = TRY(t.fds().Get(FdNum(static_cast<int32_t>(arg))));
      return other == file ? 1 : 0;
    }
    case kCreatedQuery:
      return file->created() ? 1 : 0;
    default:
      if (file->is_path_only()) return Errno::kBadf;
      return FcntlIo(t, fd, *file, command, arg);
  }
}

ErrnoOr<int64_t> IoctlCall(Task& t, FdNum fd, uint32_t command, uint64_t arg) {
  Ref<File> file = TRY(t.fds().GetIo(fd));
  switch (command) {
    case FIOCLEX:
    case FIONCLEX:
      TRY(t.fds().SetCloseOnExec(fd, command == FIOCLEX));
      return 0;
    case FIONBIO:
      return SetFlagFromInt(t, *file, O_NONBLOCK, arg);
    case FIOASYNC:
      TRY(SetAsyncFromInt(t, fd, *file, UserAddr(arg)));
      return 0;
    case FIOSETOWN: case SIOCSPGRP: case FIOGETOWN: case SIOCGPGRP:
      if (file->inode().type() != S_IFSOCK) break;
      return SocketOwnerIoctl(t, *file, command, UserAddr(arg));
    case FIGETBSZ: {
      Attr attr = TRY(file->inode().GetAttr());
      if (!S_ISREG(attr.mode) && !S_ISDIR(attr.mode)) break;
      TRY(t.mem().Put(UserAddr(arg), static_cast<int32_t>(attr.blksize)));
      return 0;
    }
    case FIONREAD:
      if (file->inode().IsRegular()) return BytesLeft(t, *file, arg);
      break;
    default:
      break;
  }
  IoContext io = t.io(*file);
  return file->Ioctl(io, IoctlRequest{command, arg, t.mem()});
}

}  // namespace runsc
