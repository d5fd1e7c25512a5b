#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "sentry/mm/mm_impl.h"

namespace runsc {

bool ResidencyMap(const char* sentry, uint64_t bytes, uint8_t* out) {
  return mincore(const_cast<char*>(sentry), bytes, out) == 0;
}

uint64_t ResidentBytes(const char* sentry, uint64_t bytes) {
  constexpr uint64_t kPiece = uint64_t{16} << 20;
  uint8_t map[kPiece / kPageSize];
  uint64_t pages = 0;
  for (uint64_t at = 0; at < bytes; at += kPiece) {
    uint64_t n = std::min(kPiece, bytes - at);
    if (!ResidencyMap(sentry + at, n, map)) return pages * kPageSize;
    for (uint64_t i = 0; i < n / kPageSize; ++i) pages += map[i] & 1;
  }
  return pages * kPageSize;
}

void ForEachDataRange(int fd, uint64_t start, uint64_t end,
                      const std::function<void(uint64_t, uint64_t)>& found) {
  uint64_t at = start;
  while (at < end) {
    off_t data = lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) return;
    // Without an answer all of it counts.
    if (data < 0) return found(at, end);
    if (static_cast<uint64_t>(data) >= end) return;
    off_t hole = lseek(fd, data, SEEK_HOLE);
    uint64_t stop = hole < 0 ? end : std::min(static_cast<uint64_t>(hole), end);
    found(static_cast<uint64_t>(data), stop);
    at = stop;
  }
}

}  // namespace runsc
