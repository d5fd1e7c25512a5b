#include <time.h>

#include "sentry/vfs/types.h"

namespace runsc {

FileTime CurrentFileTime() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

}  // namespace runsc
