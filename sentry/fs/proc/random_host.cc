#include <sys/random.h>

#include "sentry/fs/proc/random.h"

namespace runsc {

void RandomBytes(void* out, size_t n) {
  // Up to 256 bytes getrandom(2) is never short once the host's pool is ready.
  if (getrandom(out, n, 0) != static_cast<ssize_t>(n)) __builtin_trap();
}

}  // namespace runsc
