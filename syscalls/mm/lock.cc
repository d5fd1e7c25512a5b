#include <sys/mman.h>

#include <algorithm>

#include "syscalls/mm/mm.h"

namespace runsc {

ErrnoOr<void> Mincore(Task& t, UserAddr addr, uint64_t length, UserAddr vec) {
  // Bounds what one request can make the sentry allocate.
  constexpr uint64_t kPiece = uint64_t{64} << 20;
  if (!PageAligned(addr.value)) return Errno::kInval;
  uint64_t size = PageUp(length);
  if (size < length || addr.value + size < addr.value) return Errno::kNomem;
  for (uint64_t done = 0; done < size; done += kPiece) {
    std::vector<uint8_t> map = TRY(t.mem().MinCore(addr + done, std::min(kPiece, size - done)));
    TRY(t.mem().CopyOut(vec + done / kPageSize, map.data(), map.size()));
  }
  return Ok();
}

ErrnoOr<void> Mlock(Task& t, UserAddr addr, uint64_t length) {
  return t.mem().MLock(addr, length, false, t.memory_limits());
}

ErrnoOr<void> Mlock2(Task& t, UserAddr addr, uint64_t length, int32_t flags) {
  if ((flags & ~MLOCK_ONFAULT) != 0) return Errno::kInval;
  return t.mem().MLock(addr, length, (flags & MLOCK_ONFAULT) != 0, t.memory_limits());
}

ErrnoOr<void> Munlock(Task& t, UserAddr addr, uint64_t length) {
  return t.mem().MUnlock(addr, length);
}

ErrnoOr<void> Mlockall(Task& t, int32_t flags) {
  return t.mem().MLockAll(flags, t.memory_limits());
}

ErrnoOr<void> Munlockall(Task& t) { return t.mem().MUnlockAll(); }

}  // namespace runsc
