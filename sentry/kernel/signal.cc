#include "sentry/kernel/signal.h"

#include <signal.h>

#include <bit>

namespace runsc {
namespace {

constexpr SignalSet kSynchronous =
    MakeSignalSet({SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS});

bool IsRealtimeKernel(Signal s) { return s.value >= 32; }

}  // namespace

SignalInfo FromAbi(const abi::SigInfo& info) {
  SignalInfo out;
  std::memcpy(&out, &info, sizeof(out));
  return out;
}

abi::SigInfo ToAbi(const SignalInfo& info) {
  abi::SigInfo out;
  std::memcpy(&out, &info, sizeof(out));
  return out;
}

SignalInfo UserSignalInfo(Signal s, Tid sender, uint32_t uid, int32_t code) {
  return FromAbi(abi::KillInfo(s, code, sender, uid));
}
SignalInfo KernelSignalInfo(Signal s) { return FromAbi(abi::KernelInfo(s)); }
SignalInfo FaultSignalInfo(Signal s, int32_t code, uint64_t address) {
  return FromAbi(abi::FaultInfo(s, code, address));
}

DefaultAction DefaultActionOf(Signal s) {
  switch (s.value) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH:
      return DefaultAction::kIgnore;
    case SIGCONT:
      return DefaultAction::kContinue;
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
      return DefaultAction::kStop;
    case SIGQUIT:
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGBUS:
    case SIGFPE:
    case SIGSEGV:
    case SIGXCPU:
    case SIGXFSZ:
    case SIGSYS:
      return DefaultAction::kCore;
    default:
      return DefaultAction::kTerminate;
  }
}

Ref<SignalHandlers> SignalHandlers::Fork() {
  auto copy = MakeRef<SignalHandlers>();
  std::array<SignalAction, 65> actions;
  {
    MutexLock l(mu_);
    actions = actions_;
  }
  MutexLock l(copy->mu_);
  copy->actions_ = actions;
  return copy;
}

void SignalHandlers::ResetForExec() {
  MutexLock l(mu_);
  for (SignalAction& a : actions_) {
    a = SignalAction{.handler = a.handler == abi::kSigIgn ? abi::kSigIgn : abi::kSigDfl};
  }
}

void SignalHandlers::ClearHandlers() { ResetForExec(); }

SignalAction SignalHandlers::Get(Signal s) {
  MutexLock l(mu_);
  return actions_[s.value];
}

SignalAction SignalHandlers::Set(Signal s, const SignalAction& action) {
  MutexLock l(mu_);
  return std::exchange(actions_[s.value], action);
}

PendingSignals::~PendingSignals() {
  for (Entry& e : queue_) Uncharge(e);
}

void PendingSignals::Uncharge(Entry& e) {
  if (e.account) e.account->pending_signals.fetch_sub(1, std::memory_order_relaxed);
}

bool PendingSignals::Add(const SignalInfo& info, Ref<UserAccount> account,
                         Ref<SignalSource> source) {
  Signal s(info.signo);
  if (!source && !IsRealtimeKernel(s) && set_.Has(s)) return false;
  set_.Add(s);
  if (account) account->pending_signals.fetch_add(1, std::memory_order_relaxed);
  queue_.push_back(Entry{info, std::move(account), std::move(source)});
  return true;
}

bool PendingSignals::TakeOne(Signal s, SignalInfo* out) {
  auto found = queue_.end();
  bool more = false;
  for (auto it = queue_.begin(); it != queue_.end(); ++it) {
    if (it->info.signo != s.value) continue;
    if (found != queue_.end()) {
      more = true;
      break;
    }
    found = it;
  }
  if (!more) set_.Remove(s);
  if (found == queue_.end()) {
    // Pending without an entry: the queue was full when it came.
    *out = UserSignalInfo(s, 0, 0, abi::kSiUser);
    return true;
  }
  Entry entry = std::move(*found);
  queue_.erase(found);
  Uncharge(entry);
  *out = entry.info;
  return !entry.source || entry.source->OnDequeue(out);
}

bool PendingSignals::Take(SignalSet set, SignalInfo* out) {
  for (;;) {
    uint64_t ready = set_.bits & set.bits;
    if (ready == 0) return false;
    if ((ready & kSynchronous.bits) != 0) ready &= kSynchronous.bits;
    if (TakeOne(Signal(std::countr_zero(ready) + 1), out)) return true;
  }
}

void PendingSignals::Discard(SignalSet set) {
  if ((set_.bits & set.bits) == 0) return;
  set_.bits &= ~set.bits;
  for (auto it = queue_.begin(); it != queue_.end();) {
    if (!set.Has(Signal(it->info.signo))) {
      ++it;
      continue;
    }
    Uncharge(*it);
    if (it->source) it->source->OnDiscard();
    it = queue_.erase(it);
  }
}

}  // namespace runsc
