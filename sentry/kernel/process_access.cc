#include "sentry/kernel/process_access.h"

#include <linux/capability.h>

#include "sentry/kernel/thread_group.h"

namespace runsc {

Status CheckProcessAccess(const Credentials& mine, const Task* caller, Task& target,
                          AccessIds ids) {
  if (caller != nullptr && &caller->group() == &target.group()) return Ok();
  Ref<const Credentials> theirs = target.SharedCreds();
  if (!theirs) return Errno::kSrch;
  auto uid = ids == AccessIds::kFs ? mine.fsuid : mine.ruid;
  auto gid = ids == AccessIds::kFs ? mine.fsgid : mine.rgid;
  bool same = uid == theirs->ruid && uid == theirs->euid && uid == theirs->suid &&
              gid == theirs->rgid && gid == theirs->egid && gid == theirs->sgid;
  if (mine.HasCapIn(CAP_SYS_PTRACE, theirs->user_ns.get())) return Ok();
  if (!same) return Errno::kPerm;
  Ref<MemoryManager> mm = target.SharedMm();
  if (mm && mm->dumpable() != 1) return Errno::kPerm;
  // Whoever could look into a process that may do more could make it do so.
  if (mine.user_ns != theirs->user_ns) return Errno::kPerm;
  uint64_t own = ids == AccessIds::kFs ? mine.effective.bits : mine.permitted.bits;
  return (theirs->permitted.bits & ~own) == 0 ? Ok() : Status(Errno::kPerm);
}

}  // namespace runsc
