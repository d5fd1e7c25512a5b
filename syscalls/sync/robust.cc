#include <linux/capability.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/thread_group.h"
#include "syscalls/sync/sync.h"

namespace runsc {
namespace {

constexpr uint64_t kHeadSize = 24;  // sizeof(struct robust_list_head)

// PTRACE_MODE_READ of ptrace(2), as far as credentials go.
bool MayRead(Task& t, Task& other) {
  if (&t.group() == &other.group()) return true;
  Ref<const Credentials> theirs = other.SharedCreds();
  const Credentials& c = t.creds();
  bool same = c.fsuid == theirs->euid && c.fsuid == theirs->suid && c.fsuid == theirs->ruid &&
              c.fsgid == theirs->egid && c.fsgid == theirs->sgid && c.fsgid == theirs->rgid;
  return same || c.HasCapIn(CAP_SYS_PTRACE, theirs->user_ns.get());
}

}  // namespace

ErrnoOr<void> SetRobustList(Task& t, UserAddr head, uint64_t length) {
  if (length != kHeadSize) return Errno::kInval;
  t.robust_list = head;
  t.robust_list_len = length;
  return Ok();
}

ErrnoOr<void> GetRobustList(Task& t, Tid pid, UserAddr head, UserAddr length) {
  Ref<Task> other = pid == 0 ? Ref<Task>(&t) : t.kernel().FindTask(t.pid_ns(), pid);
  if (!other) return Errno::kSrch;
  if (!MayRead(t, *other)) return Errno::kPerm;
  TRY(t.mem().Put<uint64_t>(length, kHeadSize));
  return t.mem().Put<uint64_t>(head, other->robust_list.value);
}

}  // namespace runsc
