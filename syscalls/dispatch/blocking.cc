#include "syscalls/dispatch/blocking.h"

namespace runsc {

Status WaitOnce(Task& t, int64_t deadline) {
  switch (t.Block(deadline)) {
    case Blocker::Result::kWoken:
      return Ok();
    case Blocker::Result::kTimeout:
      return Errno::kTimedout;
    case Blocker::Result::kInterrupted:
      return Errno::kRestartSys;
  }
  __builtin_unreachable();
}

}  // namespace runsc
