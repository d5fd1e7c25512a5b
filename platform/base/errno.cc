#include "platform/base/errno.h"

#include <cstring>

namespace runsc {

const char* ErrnoName(Errno e) {
  switch (e) {
    case Errno::kOk: return "OK";
    case Errno::kRestartSys: return "ERESTARTSYS";
    case Errno::kRestartNoIntr: return "ERESTARTNOINTR";
    case Errno::kRestartNoHand: return "ERESTARTNOHAND";
    case Errno::kRestartBlock: return "ERESTART_RESTARTBLOCK";
    default: break;
  }
  const char* name = strerrorname_np(static_cast<int>(e));
  return name == nullptr ? "E?" : name;
}

}  // namespace runsc
