#ifndef SENTRY_LOADER_RANDOM_H_
#define SENTRY_LOADER_RANDOM_H_

#include <cstddef>

namespace runsc {

// Fills `out` with random bytes of the host's kernel.
void LoaderRandom(void* out, size_t size);

}  // namespace runsc

#endif  // SENTRY_LOADER_RANDOM_H_
