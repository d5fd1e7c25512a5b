#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/vfs/file_locks.h"
#include "syscalls/dispatch/blocking.h"
#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

struct LockCommand {
  bool ofd, get, wait;
};

ErrnoOr<LockCommand> Decode(int32_t command) {
  switch (command) {
    case F_GETLK: return LockCommand{false, true, false};
    case F_SETLK: return LockCommand{false, false, false};
    case F_SETLKW: return LockCommand{false, false, true};
    case F_OFD_GETLK: return LockCommand{true, true, false};
    case F_OFD_SETLK: return LockCommand{true, false, false};
    case F_OFD_SETLKW: return LockCommand{true, false, true};
    default: return Errno::kInval;
  }
}

// l_whence, l_start, l_len as a range; negative lengths reach backwards.
Status SetRange(File& file, const struct flock& fl, ByteRangeLock& out) {
  int64_t base = 0;
  switch (fl.l_whence) {
    case SEEK_SET: break;
    case SEEK_CUR: base = file.offset(); break;
    case SEEK_END: base = static_cast<int64_t>(TRY(file.inode().GetAttr()).size); break;
    default: return Errno::kInval;
  }
  int64_t start, end;
  if (__builtin_add_overflow(base, fl.l_start, &start)) return Errno::kOverflow;
  if (start < 0) return Errno::kInval;
  if (fl.l_len == 0) {
    out.start = static_cast<uint64_t>(start);
    out.end = kLockEnd;
    return Ok();
  }
  if (fl.l_len > 0) {
    if (__builtin_add_overflow(start, fl.l_len - 1, &end)) return Errno::kOverflow;
    ++end;
  } else {
    end = start;
    if (__builtin_add_overflow(start, fl.l_len, &start) || start < 0) return Errno::kInval;
  }
  out.start = static_cast<uint64_t>(start);
  out.end = static_cast<uint64_t>(end);
  return Ok();
}

Status ReportConflict(Task& t, FileLocks& locks, const ByteRangeLock& want, struct flock& fl,
                      UserAddr arg) {
  std::optional<ByteRangeLock> c = locks.Conflict(want);
  if (!c) {
    fl.l_type = F_UNLCK;
  } else {
    fl.l_type = c->exclusive ? F_WRLCK : F_RDLCK;
    fl.l_whence = SEEK_SET;
    fl.l_start = static_cast<off_t>(c->start);
    fl.l_len = c->end == kLockEnd ? 0 : static_cast<off_t>(c->end - c->start);
    fl.l_pid = c->owner.kind == LockOwner::kOfd
                     ? -1
                     : t.kernel().PidAsSeen(t.pid_ns(), c->owner.pid);
  }
  return t.mem().Put(arg, fl);
}

}  // namespace

ErrnoOr<int64_t> RecordLock(Task& t, File& file, int32_t number, UserAddr arg) {
  LockCommand command = TRY(Decode(number));
  struct flock fl = TRY(t.mem().Get<struct flock>(arg));
  if (command.ofd && fl.l_pid != 0) return Errno::kInval;
  ByteRangeLock want;
  want.owner = command.ofd ? LockOwner{LockOwner::kOfd, file.id(), -1}
                           : LockOwner{LockOwner::kPosix, t.fds().id(), t.group().pid()};
  want.file_id = file.id();
  TRY(SetRange(file, fl, want));
  if (fl.l_type != F_RDLCK && fl.l_type != F_WRLCK && fl.l_type != F_UNLCK) return Errno::kInval;
  want.exclusive = fl.l_type == F_WRLCK;
  FileLocks& locks = file.inode().locks();
  if (command.get) {
    if (fl.l_type == F_UNLCK && !command.ofd) return Errno::kInval;
    TRY(ReportConflict(t, locks, want, fl, arg));
    return 0;
  }
  if (fl.l_type == F_UNLCK) {
    locks.Unlock(want.owner, want.start, want.end);
    return 0;
  }
  if (want.exclusive ? !file.writable() : !file.readable()) return Errno::kBadf;
  if (!command.wait) {
    TRY(locks.Lock(want, nullptr));
    return 0;
  }
  LockWait wait;
  TRY(BlockOn<QueueScope>(t, locks.released(), EPOLLOUT, Blocker::kForever,
                          [&] { return locks.Lock(want, &wait); }));
  return 0;
}

ErrnoOr<void> Flock(Task& t, FdNum fd, uint32_t operation) {
  bool nonblock = (operation & LOCK_NB) != 0;
  uint32_t kind = operation & ~static_cast<uint32_t>(LOCK_NB);
  Ref<File> file = TRY(t.fds().GetIo(fd));
  FileLocks& locks = file->inode().locks();
  if (kind == LOCK_UN) {
    locks.Funlock(file->id());
    return Ok();
  }
  if (kind != LOCK_SH && kind != LOCK_EX) return Errno::kInval;
  LockWait wait;
  auto attempt = [&] {
    return locks.Flock(file->id(), t.group().pid(), kind == LOCK_EX, nonblock ? nullptr : &wait);
  };
  if (nonblock) return attempt();
  return BlockOn<QueueScope>(t, locks.released(), EPOLLOUT, Blocker::kForever, attempt);
}

}  // namespace runsc
