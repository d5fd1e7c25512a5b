#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sentry/fs/pipe/pipe.h"
#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

constexpr int32_t kDupFdQuery = 1024 + 3;  // F_DUPFD_QUERY
constexpr uint32_t kSettable = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME;

ErrnoOr<int64_t> DupAbove(Task& t, Ref<File> file, uint64_t min, bool cloexec) {
  uint64_t limit = t.Limit(RLIMIT_NOFILE);
  if (min >= limit || min > INT32_MAX) return Errno::kInval;
  FdNum fd = TRY(t.fds().Install(std::move(file), cloexec, limit, static_cast<int32_t>(min)));
  return fd.value;
}

Status SetStatusFlags(Task& t, File& file, uint32_t flags) {
  uint32_t changed = (file.flags() ^ flags) & kSettable;
  if ((changed & O_NOATIME & flags) != 0) {
    Attr attr = TRY(file.inode().GetAttr());
    if (attr.uid != t.creds().fsuid && !t.creds().HasCap(CAP_FOWNER)) return Errno::kPerm;
  }
  if ((changed & O_ASYNC & flags) != 0) (void)t.Unimplemented("fcntl O_ASYNC", Errno::kInval);
  file.SetFlags(kSettable, flags);
  return Ok();
}

// struct f_owner_ex; its type is any number that the guest likes, which libc's enum cannot hold.
struct OwnerEx {
  int32_t type;
  int32_t pid;
};

Status SetOwner(File& file, int type, int32_t pid) {
  File::AsyncOwner o = file.async_owner();
  o.type = type;
  o.pid = pid;
  file.SetAsyncOwner(o);
  return Ok();
}

ErrnoOr<int64_t> OwnerCommand(Task& t, File& file, int32_t command, uint64_t arg) {
  File::AsyncOwner o = file.async_owner();
  switch (command) {
    case F_SETOWN: {
      int32_t who = static_cast<int32_t>(arg);
      if (who == INT32_MIN) return Errno::kInval;
      TRY(SetOwner(file, who < 0 ? F_OWNER_PGRP : F_OWNER_PID, who < 0 ? -who : who));
      return 0;
    }
    case F_GETOWN:
      return o.type == F_OWNER_PGRP ? -o.pid : o.pid;
    case F_SETOWN_EX: {
      OwnerEx ex = TRY(t.mem().Get<OwnerEx>(UserAddr(arg)));
      if (ex.type < F_OWNER_TID || ex.type > F_OWNER_PGRP) return Errno::kInval;
      TRY(SetOwner(file, ex.type, ex.pid));
      return 0;
    }
    case F_GETOWN_EX: {
      OwnerEx ex{o.type, o.pid};
      TRY(t.mem().Put(UserAddr(arg), ex));
      return 0;
    }
    case F_SETSIG:
      if (static_cast<int32_t>(arg) < 0 || arg > 64) return Errno::kInval;
      o.signal = static_cast<int32_t>(arg);
      file.SetAsyncOwner(o);
      return 0;
    default:
      return o.signal;
  }
}

ErrnoOr<int64_t> PipeSize(Task& t, File& file, bool set, uint64_t arg) {
  Pipe* pipe = PipeOf(file);
  if (pipe == nullptr) return Errno::kBadf;
  if (!set) return static_cast<int64_t>(pipe->capacity());
  if (arg > INT32_MAX) return Errno::kInval;
  return static_cast<int64_t>(
      TRY(pipe->SetCapacity(arg, t.creds().HasCap(CAP_SYS_RESOURCE))));
}

// Commands that need more than an O_PATH descriptor.
ErrnoOr<int64_t> FcntlIo(Task& t, File& file, int32_t command, uint64_t arg) {
  switch (command) {
    case F_SETFL:
      TRY(SetStatusFlags(t, file, static_cast<uint32_t>(arg)));
      return 0;
    case F_GETLK: case F_SETLK: case F_SETLKW:
    case F_OFD_GETLK: case F_OFD_SETLK: case F_OFD_SETLKW:
      return RecordLock(t, file, command, UserAddr(arg));
    case F_SETOWN: case F_GETOWN: case F_SETOWN_EX: case F_GETOWN_EX: case F_SETSIG:
    case F_GETSIG:
      return OwnerCommand(t, file, command, arg);
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
      return t.Unimplemented("fcntl F_SETLEASE", Errno::kInval);
    case F_NOTIFY:
      return t.Unimplemented("fcntl F_NOTIFY", Errno::kInval);
    case F_GET_RW_HINT: case F_SET_RW_HINT: case F_GET_FILE_RW_HINT: case F_SET_FILE_RW_HINT:
      return t.Unimplemented("fcntl F_*_RW_HINT", Errno::kInval);
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
    default:
      if (file->is_path_only()) return Errno::kBadf;
      return FcntlIo(t, *file, command, arg);
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
      return SetFlagFromInt(t, *file, O_ASYNC, arg);
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
