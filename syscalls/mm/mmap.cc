#include <fcntl.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include "sentry/vfs/file.h"
#include "sentry/vfs/mount.h"
#include "syscalls/mm/mm.h"

#ifndef MAP_UNINITIALIZED
#define MAP_UNINITIALIZED 0x4000000
#endif

namespace runsc {
namespace {

// What MAP_SHARED_VALIDATE lets pass (Linux LEGACY_MAP_MASK).
constexpr uint64_t kLegacyFlags = MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS |
                                  MAP_DENYWRITE | MAP_EXECUTABLE | MAP_UNINITIALIZED |
                                  MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE |
                                  MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_32BIT |
                                  (uint64_t{MAP_HUGE_MASK} << MAP_HUGE_SHIFT);
constexpr int kTypeMask = 0x0f;  // MAP_TYPE

// Checks of Linux's do_mmap on the file, and what the mapping may become.
Status AttachFile(Task& t, FdNum fd, MMapRequest& r) {
  Ref<File> file = TRY(t.fds().GetIo(fd));
  const bool no_exec = (file->path().mount->flags() & MS_NOEXEC) != 0;
  if (r.shared) {
    if (r.access.write && !file->writable()) return Errno::kAcces;
    if (!file->writable()) r.max_access.write = false;
  }
  if (!file->readable()) return Errno::kAcces;
  if (no_exec && r.access.exec) return Errno::kPerm;
  if (no_exec) r.max_access.exec = false;
  Ref<Mappable> object = TRY(file->Map(r.shared, r.access));
  if (r.grows_down) return Errno::kInval;
  r.file = std::move(object);
  return Ok();
}

Status DecodeType(uint64_t flags, bool anonymous, MMapRequest& r) {
  switch (flags & kTypeMask) {
    case MAP_PRIVATE:
      return Ok();
    case MAP_SHARED_VALIDATE:
      if (anonymous) return Errno::kInval;
      if ((flags & ~kLegacyFlags) != 0) return Errno::kOpnotsupp;
      [[fallthrough]];
    case MAP_SHARED:
      r.shared = true;
      return r.grows_down && anonymous ? Status(Errno::kInval) : Ok();
    default:
      return Errno::kInval;
  }
}

}  // namespace

ErrnoOr<UserAddr> Mmap(Task& t, UserAddr addr, uint64_t length, uint64_t prot, uint64_t flags,
                       FdNum fd, uint64_t offset) {
  if (!PageAligned(offset)) return Errno::kInval;
  const bool anonymous = (flags & MAP_ANONYMOUS) != 0;
  MMapRequest r;
  r.addr = addr;
  r.length = length;
  r.access = Access::FromProt(prot);
  r.fixed = (flags & MAP_FIXED) != 0;
  r.fixed_noreplace = (flags & MAP_FIXED_NOREPLACE) != 0;
  r.grows_down = (flags & MAP_GROWSDOWN) != 0;
  r.noreserve = (flags & MAP_NORESERVE) != 0;
  r.populate = (flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE;
  r.locked = (flags & MAP_LOCKED) != 0;
  r.map_32bit = (flags & MAP_32BIT) != 0;
  r.offset = anonymous ? 0 : offset;
  // The descriptor comes first, then the length, then what the flags say about each other.
  if (!anonymous) (void)TRY(t.fds().GetIo(fd));
  if (length == 0) return Errno::kInval;
  TRY(DecodeType(flags, anonymous, r));
  if (anonymous && (flags & MAP_HUGETLB) != 0) return Errno::kNomem;  // none are reserved
  if (!anonymous) TRY(AttachFile(t, fd, r));
  return t.mem().MMap(r, t.memory_limits());
}

ErrnoOr<void> Munmap(Task& t, UserAddr addr, uint64_t length) {
  return t.mem().MUnmap(addr, length);
}

ErrnoOr<void> Mprotect(Task& t, UserAddr addr, uint64_t length, uint64_t prot) {
  constexpr uint64_t kSem = 0x8;  // PROT_SEM, without a meaning
  const bool down = (prot & PROT_GROWSDOWN) != 0;
  const bool up = (prot & PROT_GROWSUP) != 0;
  if (down && up) return Errno::kInval;
  if (!PageAligned(addr.value)) return Errno::kInval;
  if (length == 0) return Ok();
  prot &= ~uint64_t{PROT_GROWSDOWN | PROT_GROWSUP};
  if ((prot & ~(kSem | PROT_READ | PROT_WRITE | PROT_EXEC)) != 0) return Errno::kInval;
  if (up) return Errno::kInval;  // no mapping grows up here
  return t.mem().MProtect(addr, length, Access::FromProt(prot), down, t.memory_limits());
}

ErrnoOr<UserAddr> Mremap(Task& t, UserAddr old_addr, uint64_t old_size, uint64_t new_size,
                         uint64_t flags, UserAddr new_addr) {
  if (flags > INT32_MAX) return Errno::kInval;
  return t.mem().MRemap(old_addr, old_size, new_size, static_cast<int>(flags), new_addr,
                        t.memory_limits());
}

ErrnoOr<UserAddr> BrkCall(Task& t, UserAddr addr) {
  return t.mem().Brk(addr, t.memory_limits());
}

ErrnoOr<void> RemapFilePages(Task& t, UserAddr addr, uint64_t size, uint64_t prot, uint64_t pgoff,
                             uint64_t) {
  if (prot != 0 || pgoff > UINT64_MAX / kPageSize) return Errno::kInval;
  return t.mem().RemapFilePages(addr, size, pgoff * kPageSize);
}

ErrnoOr<void> Mseal(Task& t, UserAddr addr, uint64_t length, uint64_t flags) {
  if (flags != 0) return Errno::kInval;
  return t.mem().MSeal(addr, length);
}

}  // namespace runsc
