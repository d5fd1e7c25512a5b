#ifndef PLATFORM_BASE_RANDOM_H_
#define PLATFORM_BASE_RANDOM_H_

#include <cstddef>
#include <cstdint>

namespace runsc {

// Fills `out` with random bytes of the host's (getrandom(2)); ends the process if there are none.
void HostRandom(void* out, size_t size);
uint64_t HostRandom64();

}  // namespace runsc

#endif  // PLATFORM_BASE_RANDOM_H_
