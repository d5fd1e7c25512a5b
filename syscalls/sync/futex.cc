#include <linux/futex.h>

#include "sentry/kernel/futex.h"
#include "syscalls/sync/futex_wait.h"
#include "syscalls/sync/sync.h"

namespace runsc {
namespace {

ErrnoOr<int32_t> Pi(Task& t, int command) {
  switch (command) {
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
      return t.Unimplemented("futex FUTEX_LOCK_PI", Errno::kNosys);
    case FUTEX_UNLOCK_PI:
      return t.Unimplemented("futex FUTEX_UNLOCK_PI", Errno::kNosys);
    case FUTEX_TRYLOCK_PI:
      return t.Unimplemented("futex FUTEX_TRYLOCK_PI", Errno::kNosys);
    case FUTEX_WAIT_REQUEUE_PI:
      return t.Unimplemented("futex FUTEX_WAIT_REQUEUE_PI", Errno::kNosys);
    case FUTEX_CMP_REQUEUE_PI:
      return t.Unimplemented("futex FUTEX_CMP_REQUEUE_PI", Errno::kNosys);
    default:
      return Errno::kNosys;
  }
}

ErrnoOr<int32_t> Wait(Task& t, const FutexTarget& target, UserAddr timeout, bool absolute,
                      bool realtime) {
  FutexDeadline deadline = TRY(ReadFutexDeadline(t, timeout, absolute, realtime));
  return WaitForFutex(t, target, deadline);
}

}  // namespace

ErrnoOr<int32_t> Futex(Task& t, UserAddr addr, int32_t op, uint32_t value, UserAddr timeout,
                       UserAddr addr2, uint32_t value3) {
  const int command = op & FUTEX_CMD_MASK;
  const bool priv = (op & FUTEX_PRIVATE_FLAG) != 0;
  const bool realtime = (op & FUTEX_CLOCK_REALTIME) != 0;
  if (realtime && command != FUTEX_WAIT_BITSET && command != FUTEX_WAIT_REQUEUE_PI &&
      command != FUTEX_LOCK_PI2) {
    return Errno::kNosys;
  }
  FutexTable& table = FutexTable::Get();
  const FutexWord word{t.mem(), addr, priv};
  const FutexWord word2{t.mem(), addr2, priv};
  const int32_t n = static_cast<int32_t>(value);
  // The time-out's register carries a second count in the calls that have no time-out.
  const int32_t n2 = static_cast<int32_t>(timeout.value);
  switch (command) {
    case FUTEX_WAIT:
      return Wait(t, {addr, value, FUTEX_BITSET_MATCH_ANY, priv}, timeout, false, false);
    case FUTEX_WAIT_BITSET:
      return Wait(t, {addr, value, value3, priv}, timeout, true, realtime);
    case FUTEX_WAKE:
      return table.Wake(word, n, FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAKE_BITSET:
      if (value3 == 0) return Errno::kInval;
      return table.Wake(word, n, value3);
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
      if (n < 0 || n2 < 0) return Errno::kInval;
      return table.Requeue(word, word2, n, n2, command == FUTEX_REQUEUE ? nullptr : &value3);
    case FUTEX_WAKE_OP:
      return table.WakeOp(word, word2, n, n2, value3);
    default:
      return Pi(t, command);
  }
}

}  // namespace runsc
