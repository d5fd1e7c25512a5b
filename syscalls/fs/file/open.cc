#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <algorithm>

#include "sentry/kernel/task_builder.h"
#include "syscalls/dispatch/blocking.h"
#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

constexpr uint32_t kKnownFlags =
    O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC |
    O_ASYNC | O_DIRECT | 0100000 /* O_LARGEFILE */ | O_DIRECTORY | O_NOFOLLOW | O_NOATIME |
    O_CLOEXEC | O_PATH | O_TMPFILE;
constexpr uint32_t kLargeFile = 0100000;
constexpr uint32_t kTmpFileBit = O_TMPFILE & ~O_DIRECTORY;

ErrnoOr<FdNum> DoOpen(Task& t, FdNum dirfd, UserAddr path, uint32_t flags, uint32_t mode,
                      uint64_t resolve) {
  AtPath at(t);
  TRY(at.Load(dirfd, path, resolve));
  TRY(t.fds().CheckRoom(t.Limit(RLIMIT_NOFILE)));  // before a file is made or emptied
  if ((flags & O_PATH) == 0) flags |= kLargeFile;
  Ref<File> file = TRY(vfs::Open(at.ctx(), at.text(), flags, mode & 07777));
  if (file->inode().type() == S_IFIFO && !file->is_path_only()) {
    TRY(BlockOnFile(t, *file, EPOLLIN | EPOLLOUT, [&] { return file->FinishOpen(); }));
  }
  return InstallFile(t, std::move(file), (flags & O_CLOEXEC) != 0);
}

// struct open_how, growing as copy_struct_from_user says: unknown tail bytes must be zero.
ErrnoOr<open_how> GetOpenHow(Task& t, UserAddr how, uint64_t size) {
  if (size < sizeof(open_how)) return Errno::kInval;
  if (size > kPageSize) return Errno::k2big;
  open_how out = TRY(t.mem().Get<open_how>(how));
  char tail[64];
  for (uint64_t at = sizeof(out); at < size; at += sizeof(tail)) {
    size_t n = std::min<uint64_t>(sizeof(tail), size - at);
    TRY(t.mem().CopyIn(tail, how + at, n));
    if (std::any_of(tail, tail + n, [](char c) { return c != 0; })) return Errno::k2big;
  }
  return out;
}

Status CloseAll(Task& t, std::vector<Ref<File>> files) {
  OpContext op = t.op();
  for (const Ref<File>& f : files) (void)t.fds().Closed(op, *f);
  return Ok();
}

}  // namespace

ErrnoOr<FdNum> Open(Task& t, UserAddr path, uint32_t flags, uint32_t mode) {
  return Openat(t, FdNum(AT_FDCWD), path, flags, mode);
}

ErrnoOr<FdNum> Openat(Task& t, FdNum dirfd, UserAddr path, uint32_t flags, uint32_t mode) {
  // open(2) ignores flags it does not know, and with O_PATH most of those it knows.
  flags &= kKnownFlags;
  if ((flags & O_PATH) != 0) flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  return DoOpen(t, dirfd, path, flags, mode, 0);
}

ErrnoOr<FdNum> Creat(Task& t, UserAddr path, uint32_t mode) {
  return Openat(t, FdNum(AT_FDCWD), path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

ErrnoOr<FdNum> Openat2(Task& t, FdNum dirfd, UserAddr path, UserAddr how_addr, uint64_t size) {
  open_how how = TRY(GetOpenHow(t, how_addr, size));
  constexpr uint64_t kResolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS |
                                RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED;
  if ((how.flags & ~uint64_t{kKnownFlags}) != 0 || (how.resolve & ~kResolve) != 0) {
    return Errno::kInval;
  }
  constexpr uint64_t kScoped = RESOLVE_BENEATH | RESOLVE_IN_ROOT;
  if ((how.resolve & kScoped) == kScoped) return Errno::kInval;
  uint32_t flags = static_cast<uint32_t>(how.flags);
  if ((flags & (O_CREAT | kTmpFileBit)) != 0) {
    if ((how.mode & ~uint64_t{07777}) != 0) return Errno::kInval;
  } else if (how.mode != 0) {
    return Errno::kInval;
  }
  if ((flags & O_CREAT) != 0 && (flags & O_DIRECTORY) != 0) return Errno::kInval;
  if ((flags & O_PATH) != 0 && (flags & ~(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) != 0) {
    return Errno::kInval;
  }
  return DoOpen(t, dirfd, path, flags, static_cast<uint32_t>(how.mode), how.resolve);
}

ErrnoOr<void> Close(Task& t, FdNum fd) {
  Ref<File> file = TRY(t.fds().Remove(fd));
  return t.fds().Closed(t.op(), *file);
}

ErrnoOr<void> CloseRange(Task& t, uint32_t first, uint32_t last, uint32_t flags) {
  if ((flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) != 0) return Errno::kInval;
  if (first > last) return Errno::kInval;
  if ((flags & CLOSE_RANGE_UNSHARE) != 0 && t.fds().RefCount() > 1) {
    TRY(TaskBuilder::Unshare(t, CLONE_FILES));
  }
  if ((flags & CLOSE_RANGE_CLOEXEC) != 0) {
    t.fds().SetCloseOnExecRange(first, last);
    return Ok();
  }
  return CloseAll(t, t.fds().RemoveRange(first, last, false));
}

ErrnoOr<FdNum> Dup(Task& t, FdNum fd) {
  return InstallFile(t, TRY(t.fds().Get(fd)), false);
}

ErrnoOr<FdNum> Dup2(Task& t, FdNum from, FdNum to) {
  if (from == to) {
    TRY(t.fds().Get(from));
    return to;
  }
  return Dup3(t, from, to, 0);
}

ErrnoOr<FdNum> Dup3(Task& t, FdNum from, FdNum to, uint32_t flags) {
  if ((flags & ~static_cast<uint32_t>(O_CLOEXEC)) != 0 || from == to) return Errno::kInval;
  Ref<File> file = TRY(t.fds().Get(from));
  Ref<File> old = TRY(t.fds().Replace(to, std::move(file), (flags & O_CLOEXEC) != 0,
                                      t.Limit(RLIMIT_NOFILE)));
  if (old) (void)t.fds().Closed(t.op(), *old);
  return to;
}

}  // namespace runsc
