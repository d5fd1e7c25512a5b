#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "syscalls/signal/permission.h"
#include "syscalls/signal/signal.h"

namespace runsc {
namespace {

Status SignalProcess(Task& t, ThreadGroup& target, Signal sig) {
  TRY(CheckMaySignal(t, target, sig));
  if (sig.value == 0) return Ok();
  return target.TrySendSignal(SenderInfo(t, target, sig, abi::kSiUser));
}

// kill(2) to several: succeeds if one could be signalled; EPERM only if none could.
Status SignalMany(Task& t, const std::vector<Ref<ThreadGroup>>& targets, Signal sig) {
  Status result = Errno::kSrch;
  bool any = false;
  for (const Ref<ThreadGroup>& g : targets) {
    Status one = SignalProcess(t, *g, sig);
    if (one.ok()) any = true;
    if (!any) result = one;
  }
  return any ? Ok() : result;
}

// Unlike a process group, everyone may well be out of reach: Linux tells only of other errors.
Status SignalEveryone(Task& t, Signal sig) {
  std::vector<Ref<ThreadGroup>> targets;
  for (Ref<ThreadGroup>& g : t.kernel().Processes(t.pid_ns())) {
    if (g->PidIn(t.pid_ns()) > 1 && g.get() != &t.group()) targets.push_back(std::move(g));
  }
  if (targets.empty()) return Errno::kSrch;
  Status result;
  for (const Ref<ThreadGroup>& g : targets) {
    Status one = SignalProcess(t, *g, sig);
    if (one.error() != Errno::kPerm) result = one;
  }
  return result;
}

Status SignalGroup(Task& t, Tid pgid, Signal sig) {
  Ref<ProcessGroup> pg = pgid == 0 ? t.group().process_group()
                                   : t.kernel().FindProcessGroup(t.pid_ns(), pgid);
  if (!pg) return Errno::kSrch;
  return SignalMany(t, pg->Members(), sig);
}

// A thread, of process `tgid` unless that is 0.
ErrnoOr<Ref<Task>> FindThread(Task& t, Tid tgid, Tid tid) {
  Ref<Task> target = t.kernel().FindTask(t.pid_ns(), tid);
  if (!target || (tgid != 0 && target->group().PidIn(t.pid_ns()) != tgid)) return Errno::kSrch;
  return target;
}

Status SignalThread(Task& t, Tid tgid, Tid tid, Signal sig) {
  Ref<Task> target = TRY(FindThread(t, tgid, tid));
  TRY(CheckMaySignal(t, target->group(), sig));
  if (sig.value == 0) return Ok();
  return target->TrySendSignal(SenderInfo(t, target->group(), sig, abi::kSiTkill));
}

}  // namespace

ErrnoOr<void> Kill(Task& t, Tid pid, Signal sig) {
  if (sig.value < 0 || sig.value > 64) return Errno::kInval;
  if (pid == INT32_MIN) return Errno::kSrch;
  if (pid == -1) return SignalEveryone(t, sig);
  if (pid <= 0) return SignalGroup(t, -pid, sig);
  Ref<Task> target = t.kernel().FindTask(t.pid_ns(), pid);
  if (!target) return Errno::kSrch;
  return SignalProcess(t, target->group(), sig);
}

ErrnoOr<void> Tkill(Task& t, Tid tid, Signal sig) {
  if (tid <= 0) return Errno::kInval;
  return SignalThread(t, 0, tid, sig);
}

ErrnoOr<void> Tgkill(Task& t, Tid tgid, Tid tid, Signal sig) {
  if (tid <= 0 || tgid <= 0) return Errno::kInval;
  return SignalThread(t, tgid, tid, sig);
}

ErrnoOr<void> RtSigqueueinfo(Task& t, Tid pid, Signal sig, UserAddr addr) {
  Ref<Task> target = t.kernel().FindTask(t.pid_ns(), pid);
  bool to_self = target.get() == &t;
  SignalInfo info = TRY(ReadGuestInfo(t, addr, sig, to_self));
  if (!target) return Errno::kSrch;
  TRY(CheckMaySignal(t, target->group(), sig));
  return sig.value == 0 ? Ok() : target->group().TrySendSignal(info);
}

ErrnoOr<void> RtTgsigqueueinfo(Task& t, Tid tgid, Tid tid, Signal sig, UserAddr addr) {
  ErrnoOr<Ref<Task>> target = FindThread(t, tgid, tid);
  bool to_self = target.ok() && target->get() == &t;
  ErrnoOr<SignalInfo> read = ReadGuestInfo(t, addr, sig, to_self);
  if (!read.ok() && read.error() == Errno::kFault) return Errno::kFault;
  if (tid <= 0 || tgid <= 0) return Errno::kInval;
  SignalInfo info = TRY(read);
  if (!target.ok()) return target.error();
  TRY(CheckMaySignal(t, (*target)->group(), sig));
  return sig.value == 0 ? Ok() : (*target)->TrySendSignal(info);
}

}  // namespace runsc
