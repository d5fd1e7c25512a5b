#include <sys/random.h>

#include <algorithm>
#include <array>

#include "platform/base/random.h"
#include "syscalls/system/system.h"

namespace runsc {

ErrnoOr<size_t> Getrandom(Task& t, UserAddr buf, size_t length, uint32_t flags) {
  if ((flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) != 0) return Errno::kInval;
  if ((flags & GRND_RANDOM) != 0 && (flags & GRND_INSECURE) != 0) return Errno::kInval;
  length = std::min(length, kMaxTransfer);
  std::array<uint8_t, 4096> chunk;
  size_t done = 0;
  while (done < length) {
    size_t n = std::min(chunk.size(), length - done);
    HostRandom(chunk.data(), n);
    ErrnoOr<size_t> copied = t.mem().CopyOutPartial(buf + done, chunk.data(), n);
    if (!copied.ok()) return done != 0 ? ErrnoOr<size_t>(done) : copied.error();
    done += *copied;
    if (*copied < n) return done;
    // A long request can be interrupted between chunks.
    if (done >= 256 && t.Interrupted()) return done;
  }
  return done;
}

}  // namespace runsc
