#include "syscalls/signal/permission.h"

#include <signal.h>

#include "sentry/kernel/namespaces.h"

namespace runsc {
namespace {

constexpr int kCapKill = 5;

}  // namespace

Status CheckMaySignal(Task& t, ThreadGroup& target, Signal sig) {
  if (sig.value < 0 || sig.value > 64) return Errno::kInval;
  if (&target == &t.group()) return Ok();
  Ref<Task> leader = target.leader();
  if (!leader) return Errno::kSrch;
  Ref<const Credentials> theirs = leader->SharedCreds();
  const Credentials& mine = t.creds();
  if (theirs->TakesSignalsOf(mine.ruid, mine.euid)) return Ok();
  if (mine.HasCapIn(kCapKill, theirs->user_ns.get())) return Ok();
  if (sig.value == SIGCONT && target.session() == t.group().session()) return Ok();
  return Errno::kPerm;
}

SignalInfo SenderInfo(Task& t, ThreadGroup& target, Signal sig, int32_t code) {
  Ref<Task> leader = target.leader();
  return t.SenderInfo(leader ? *leader : t, sig, code);  // none: nobody gets it
}

ErrnoOr<SignalInfo> ReadGuestInfo(Task& t, UserAddr addr, Signal sig, bool to_self) {
  SignalInfo info = TRY(t.mem().Get<SignalInfo>(addr));
  info.signo = sig.value;
  if ((info.code >= 0 || info.code == abi::kSiTkill) && !to_self) return Errno::kPerm;
  return info;
}

}  // namespace runsc
