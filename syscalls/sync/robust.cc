#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process_access.h"
#include "sentry/kernel/thread_group.h"
#include "syscalls/sync/sync.h"

namespace runsc {
namespace {

constexpr uint64_t kHeadSize = 24;  // sizeof(struct robust_list_head)

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
  TRY(CheckProcessAccess(t.creds(), &t, *other, AccessIds::kReal));
  TRY(t.mem().Put<uint64_t>(length, kHeadSize));
  return t.mem().Put<uint64_t>(head, other->robust_list.value);
}

}  // namespace runsc
