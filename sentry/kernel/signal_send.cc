#include <signal.h>
#include <sys/resource.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/signal_delivery.h"
#include "sentry/kernel/task_state.h"

namespace runsc {
namespace {

bool IsFatalOrStop(Signal s) { return s.value == SIGKILL || s.value == SIGSTOP; }

// Linux sig_task_ignored. The action and the flag are the process's; what a thread blocks or waits
// for is kept even if ignored.
bool IsIgnored(ThreadGroup& g, const GroupState& s, const TaskState& ts, Signal sig, bool forced) {
  if (SignalSet{ts.mask.load(std::memory_order_relaxed) | ts.waiting.bits}.Has(sig)) return false;
  SignalAction action = g.handlers().Get(sig);
  if (action.handler == abi::kSigIgn) return true;
  if (action.handler != abi::kSigDfl) return false;
  if (s.unkillable && !(forced && IsFatalOrStop(sig))) return true;
  DefaultAction def = DefaultActionOf(sig);
  return def == DefaultAction::kIgnore || def == DefaultAction::kContinue;
}

bool Wants(Task& t, Signal sig) {
  const TaskState& ts = t.state();
  if (ts.dead || t.exiting()) return false;
  if (ts.waiting.Has(sig)) return true;
  return !SignalSet{ts.mask.load(std::memory_order_relaxed)}.Has(sig) && !ts.stopped;
}

void Nudge(Task& t, Signal sig) {
  // A thread in rt_sigtimedwait(2) takes the signal itself; only a handler interrupts it.
  if (t.state().waiting.Has(sig)) {
    t.blocker().Wake();
  } else {
    t.Interrupt();
  }
}

void DiscardEverywhere(GroupState& s, SignalSet set) ABSL_EXCLUSIVE_LOCKS_REQUIRED(s.mu) {
  s.pending.Discard(set);
  for (const Ref<Task>& t : s.tasks) t->state().pending.Discard(set);
}

void Continue(GroupState& s) ABSL_EXCLUSIVE_LOCKS_REQUIRED(s.mu) {
  DiscardEverywhere(s, kStopSignals);
  if (s.stop_signal == 0) return;
  if (s.stop_left == 0) {
    s.unreported_stop = 0;
    s.unreported_continue = true;
    s.parent_notice = abi::kCldContinued;
  } else {
    s.parent_notice = abi::kCldStopped;
  }
  s.stop_signal = 0;
  s.stop_left = 0;
  for (const Ref<Task>& t : s.tasks) {
    t->state().stopping = false;
    t->Interrupt();
  }
}

// Rules of __send_signal_locked for a full queue: kill(2) and the kernel still mark the signal.
Status Enqueue(PendingSignals& queue, GroupState& s, const SignalInfo& info,
               const Ref<UserAccount>& account, const SendOptions& options) {
  Signal sig(info.signo);
  bool over = account->pending_signals.load(std::memory_order_relaxed) >=
              s.soft[RLIMIT_SIGPENDING].load(std::memory_order_relaxed);
  // Legacy signals from kill(2) and the kernel are queued past the limit.
  bool exempt = sig.value < 32 && (info.code >= 0 || info.code == abi::kSiTkill);
  if (!over || exempt || options.source) {
    // A source was charged when it was made.
    bool added = queue.Add(info, options.source ? nullptr : account, options.source);
    if (options.queued != nullptr) *options.queued = added;
    return Ok();
  }
  if (options.check_limit && sig.value >= 32 && info.code != abi::kSiUser) return Errno::kAgain;
  queue.AddBare(sig);
  return Ok();
}

}  // namespace

void SignalDelivery::ExitLocked(GroupState& s, ExitStatus status) {
  if (s.exiting.load(std::memory_order_relaxed)) return;
  s.exit_status = status;
  s.exiting.store(true, std::memory_order_release);
  for (const Ref<Task>& t : s.tasks) t->Interrupt();
}

Status SignalDelivery::SendLocked(ThreadGroup& g, GroupState& s, const SignalInfo& info,
                                  const SendOptions& options) {
  Signal sig(info.signo);
  if (s.tasks.empty() || s.exiting.load(std::memory_order_relaxed)) return Ok();
  if (sig.value == SIGCONT) Continue(s);
  if (kStopSignals.Has(sig)) DiscardEverywhere(s, MakeSignalSet({SIGCONT}));
  Task* first = options.target != nullptr ? options.target : s.tasks.front().get();
  if (IsIgnored(g, s, first->state(), sig, options.forced)) return Ok();
  if (sig.value == SIGKILL) {
    ExitLocked(s, ExitStatus{.signal = SIGKILL});
    return Ok();
  }
  PendingSignals& queue = options.target != nullptr ? options.target->state().pending : s.pending;
  if (sig.value < 32 && !options.source && queue.set().Has(sig)) return Ok();
  TRY(Enqueue(queue, s, info, first->state().account, options));
  if (Wants(*first, sig)) {
    Nudge(*first, sig);
    return Ok();
  }
  if (options.target != nullptr) return Ok();
  for (const Ref<Task>& t : s.tasks) {
    if (!Wants(*t, sig)) continue;
    Nudge(*t, sig);
    break;
  }
  return Ok();
}

Status SignalDelivery::Send(ThreadGroup& g, const SignalInfo& info, SendOptions options) {
  Task* sender = Task::Current();
  if (sender == nullptr || info.code == abi::kSiKernel || info.code > 0) {
    options.forced = true;
  } else {
    if (sender->TidIn(*g.state().pid_ns) == 0) options.forced = true;
  }
  Status result;
  {
    GroupState& s = g.state();
    MutexLock l(s.mu);
    if (options.target != nullptr && options.target->state().dead) return Ok();
    result = SendLocked(g, s, info, options);
  }
  g.signal_events().Notify(1);  // EPOLLIN
  return result;
}

void ThreadGroup::SendSignal(const SignalInfo& info) {
  (void)SignalDelivery::Send(*this, info, SendOptions{});
}

Status ThreadGroup::TrySendSignal(const SignalInfo& info) {
  return SignalDelivery::Send(*this, info, SendOptions{.check_limit = true});
}

void Task::SendSignal(const SignalInfo& info) {
  (void)SignalDelivery::Send(*group_, info, SendOptions{.target = this});
}

Status Task::TrySendSignal(const SignalInfo& info) {
  return SignalDelivery::Send(*group_, info, SendOptions{.target = this, .check_limit = true});
}

SignalInfo Task::SenderInfo(Task& receiver, Signal sig, int32_t code) {
  return UserSignalInfo(sig, group_->PidIn(receiver.pid_ns()),
                        receiver.SharedCreds()->user_ns->MungedUid(SharedCreds()->ruid), code);
}

void Task::RaiseSelf(Signal sig) { SendSignal(SenderInfo(*this, sig, abi::kSiUser)); }

void Task::ForceSignal(const SignalInfo& info) {
  Signal sig(info.signo);
  GroupState& s = group_->state();
  MutexLock l(s.mu);
  SignalAction action = group_->handlers().Get(sig);
  uint64_t mask = state_->mask.load(std::memory_order_relaxed);
  if (SignalSet{mask}.Has(sig) || action.handler == abi::kSigIgn) {
    action = SignalAction{};
    group_->handlers().Set(sig, action);
    state_->mask.store(mask & ~SignalSet::Bit(sig), std::memory_order_relaxed);
  }
  if (action.handler == abi::kSigDfl) s.unkillable = false;
  state_->pending.Add(info);
  blocker_.Interrupt();
}

}  // namespace runsc
