#include "sentry/kernel/futex_exit.h"

#include <utility>

namespace runsc {

void FutexExit(Task& t) {
  UserAddr addr = std::exchange(t.clear_child_tid, UserAddr());
  t.robust_list = UserAddr();
  if (!addr.IsNull()) (void)t.mem().Put<int32_t>(addr, 0);
}

}  // namespace runsc
