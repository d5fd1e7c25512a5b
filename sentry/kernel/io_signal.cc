#include "sentry/kernel/io_signal.h"

#include <poll.h>
#include <signal.h>

#include "platform/abi/signal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"

namespace runsc {
namespace {

// si_band: the readiness that an event announces.
int64_t BandOf(IoEvent event) {
  switch (event) {
    case IoEvent::kIn:
      return POLLIN | POLLRDNORM;
    case IoEvent::kOut:
      return POLLOUT | POLLWRNORM | POLLWRBAND;
    case IoEvent::kMessage:
      return POLLIN | POLLRDNORM | POLLMSG;
    case IoEvent::kError:
      return POLLERR;
    case IoEvent::kUrgent:
      return POLLPRI | POLLRDBAND;
    case IoEvent::kHangup:
      return POLLHUP | POLLERR;
  }
  __builtin_unreachable();
}

// Signals whose positive si_code means something else, so that it cannot say POLL_IN.
constexpr SignalSet kOwnCodes =
    MakeSignalSet({SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP, SIGCHLD, SIGSYS});

Ref<const Credentials> CredsOf(ThreadGroup& group, Task* thread) {
  if (thread != nullptr) return thread->SharedCreds();
  for (const Ref<Task>& t : group.tasks()) {
    if (Ref<const Credentials> creds = t->SharedCreds()) return creds;
  }
  return nullptr;
}

}  // namespace

Ref<IoSignal> IoSignal::Find(File& file) {
  // The kernel makes no other kind.
  return Ref<IoSignal>(static_cast<IoSignal*>(file.io_owner().get()));
}

Ref<IoSignal> IoSignal::Of(File& file) {
  if (Ref<IoSignal> have = Find(file)) return have;
  return Ref<IoSignal>(static_cast<IoSignal*>(file.KeepIoOwner(MakeRef<IoSignal>()).get()));
}

IoSignal::Target IoSignal::target() {
  MutexLock l(mu_);
  return target_;
}

Status IoSignal::SetOwner(Task& caller, Kind kind, Tid id) {
  Kernel& kernel = caller.kernel();
  const PidNamespace& ns = caller.pid_ns();
  Target fresh{.kind = kind};
  if (id != 0) {
    fresh.ids = {caller.creds().ruid, caller.creds().euid};
    if (kind == Kind::kProcess) fresh.process = kernel.FindProcess(ns, id);
    if (kind == Kind::kGroup) fresh.group = kernel.FindProcessGroup(ns, id);
    if (!fresh.IsSet()) fresh.task = kernel.FindTask(ns, id);
    if (!fresh.IsSet() && !kernel.FindProcessGroup(ns, id)) return Errno::kSrch;
  }
  MutexLock l(mu_);
  if (id == 0) fresh.ids = target_.ids;  // fcntl(2) leaves them
  std::swap(target_, fresh);
  return Ok();
}

void IoSignal::SetDefaultOwner(Task& caller, Ref<ProcessGroup> group) {
  Target fresh{.kind = group ? Kind::kGroup : Kind::kProcess, .group = std::move(group)};
  if (!fresh.group) fresh.process = Ref<ThreadGroup>(&caller.group());
  fresh.ids = {caller.creds().ruid, caller.creds().euid};
  MutexLock l(mu_);
  if (!target_.IsSet()) std::swap(target_, fresh);
}

IoSignal::Owner IoSignal::GetOwner(Task& viewer) {
  Kernel& kernel = viewer.kernel();
  const PidNamespace& ns = viewer.pid_ns();
  Target to = target();
  Owner out{to.kind, 0};
  if (to.group) {
    out.id = to.group->IdIn(ns);
    if (!(kernel.FindProcessGroup(ns, out.id) == to.group)) out.id = 0;
  } else if (to.process) {
    out.id = to.process->PidIn(ns);
    if (!(kernel.FindProcess(ns, out.id) == to.process)) out.id = 0;
  } else if (to.task && to.kind == Kind::kTask) {
    out.id = to.task->TidIn(ns);
    if (!(kernel.FindTask(ns, out.id) == to.task)) out.id = 0;
  }
  return out;
}

IoSignal::Ids IoSignal::owner_ids() {
  MutexLock l(mu_);
  return target_.ids;
}

void IoSignal::Tell(std::optional<IoEvent> event) {
  Target to = target();
  if (to.group) {
    for (const Ref<ThreadGroup>& member : to.group->Members()) {
      SendTo(to, *member, nullptr, event);
    }
  } else if (to.process) {
    SendTo(to, *to.process, nullptr, event);
  } else if (to.task && to.kind != Kind::kGroup) {
    SendTo(to, to.task->group(), to.kind == Kind::kTask ? to.task.get() : nullptr, event);
  }
}

void IoSignal::SendTo(const Target& from, ThreadGroup& group, Task* thread,
                      std::optional<IoEvent> event) {
  Ref<const Credentials> creds = CredsOf(group, thread);
  // Who set the owner must be allowed to signal it; of capabilities only root's ids are known.
  if (!creds) return;
  const Ids& ids = from.ids;
  if (ids.effective != 0 && !creds->TakesSignalsOf(ids.real, ids.effective)) return;
  int32_t number = signal();
  if (number != 0 && event) {
    runsc::Signal chosen(number);
    int32_t code = kOwnCodes.Has(chosen) ? abi::kSiSigio : static_cast<int32_t>(*event);
    SignalInfo info =
        FromAbi(abi::PollInfo(chosen, code, BandOf(*event), fd_.load(std::memory_order_relaxed)));
    Status sent = thread != nullptr ? thread->TrySendSignal(info) : group.TrySendSignal(info);
    if (sent.ok()) return;
    // A realtime signal that finds no room says so by SIGIO.
  }
  SignalInfo plain = KernelSignalInfo(runsc::Signal(event ? SIGIO : SIGURG));
  if (thread != nullptr) {
    thread->SendSignal(plain);
  } else {
    group.SendSignal(plain);
  }
}

}  // namespace runsc
