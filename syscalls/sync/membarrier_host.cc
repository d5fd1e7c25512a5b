#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "syscalls/sync/sync.h"

namespace runsc {
namespace {

constexpr int kCommands = MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_PRIVATE_EXPEDITED |
                          MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;

// Every running thread of the host passes a barrier, those in stubs included: what a process-wide
// barrier would reach is a part of that. Slower than Linux's expedited form, by milliseconds.
Status HostBarrier() {
  long r = syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
  return r == 0 ? Ok() : Status(Errno::kNosys);
}

bool HostHasBarrier() {
  static const bool has = [] {
    long r = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    return r >= 0 && (r & MEMBARRIER_CMD_GLOBAL) != 0;
  }();
  return has;
}

}  // namespace

ErrnoOr<int32_t> Membarrier(Task& t, int32_t command, uint32_t flags, int32_t) {
  if (!HostHasBarrier()) return t.Unimplemented("membarrier on this host", Errno::kNosys);
  if (flags != 0) return Errno::kInval;
  switch (command) {
    case MEMBARRIER_CMD_QUERY:
      return kCommands;
    case MEMBARRIER_CMD_GLOBAL:
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
      TRY(HostBarrier());
      return 0;
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
      return 0;  // nothing to prepare: any barrier reaches everybody
    default:
      return Errno::kInval;
  }
}

}  // namespace runsc
