#include <sys/random.h>

#include "platform/base/log.h"
#include "sentry/loader/random.h"

namespace runsc {

void LoaderRandom(void* out, size_t size) {
  // At most 256 bytes are never short.
  CHECK_OR_PANIC(size <= 256);
  CHECK_OR_PANIC(getrandom(out, size, 0) == static_cast<ssize_t>(size));
}

}  // namespace runsc
