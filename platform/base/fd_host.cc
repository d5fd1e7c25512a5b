#include <unistd.h>

#include "platform/base/fd.h"

namespace runsc {

void Fd::Reset(int fd) {
  int old = std::exchange(fd_, fd);
  if (old >= 0) close(old);
}

}  // namespace runsc
