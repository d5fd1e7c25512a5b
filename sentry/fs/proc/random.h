#ifndef SENTRY_FS_PROC_RANDOM_H_
#define SENTRY_FS_PROC_RANDOM_H_

#include <cstddef>

namespace runsc {

// Fills `out` with `n` (at most 256) random bytes of the host's.
void RandomBytes(void* out, size_t n);

}  // namespace runsc

#endif  // SENTRY_FS_PROC_RANDOM_H_
