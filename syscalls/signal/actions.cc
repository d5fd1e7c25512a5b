#include <signal.h>

#include "sentry/kernel/group_state.h"
#include "sentry/kernel/task_state.h"
#include "syscalls/signal/signal.h"

namespace runsc {
namespace {

constexpr uint32_t kAutodisarm = 1u << 31;
constexpr uint64_t kKnownFlags = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO |
                                 abi::kSaExposeTagbits | SA_ONSTACK | SA_RESTART | SA_NODEFER |
                                 uint64_t{SA_RESETHAND} | abi::kSaRestorer;

// Pending signals that become ignored are thrown away (POSIX 3.3.1.3).
void DiscardIgnored(Task& t, Signal sig) {
  GroupState& s = t.group().state();
  SignalSet set;
  set.Add(sig);
  MutexLock l(s.mu);
  s.pending.Discard(set);
  for (const Ref<Task>& other : s.tasks) other->state().pending.Discard(set);
}

bool IgnoredBy(const SignalAction& action, Signal sig) {
  if (action.handler == abi::kSigIgn) return true;
  if (action.handler != abi::kSigDfl) return false;
  DefaultAction def = DefaultActionOf(sig);
  return def == DefaultAction::kIgnore || def == DefaultAction::kContinue;
}

bool OnAltStack(Task& t) {
  const AltStack& a = t.alt_stack();
  uint64_t sp = t.regs().sp();
  return (a.flags & kAutodisarm) == 0 && a.size != 0 && sp > a.sp && sp - a.sp <= a.size;
}

}  // namespace

ErrnoOr<void> RtSigaction(Task& t, Signal sig, UserAddr addr, UserAddr old, uint64_t size) {
  if (size != sizeof(uint64_t)) return Errno::kInval;
  abi::SigAction raw{};
  if (!addr.IsNull()) raw = TRY(t.mem().Get<abi::SigAction>(addr));
  if (!sig.IsValid()) return Errno::kInval;
  if (!addr.IsNull() && kUnblockable.Has(sig)) return Errno::kInval;
  SignalAction before;
  if (addr.IsNull()) {
    before = t.group().handlers().Get(sig);
  } else {
    // Unknown flags are cleared, so that programs can ask which ones there are.
    SignalAction action{raw.handler, raw.flags & kKnownFlags, raw.restorer,
                        {raw.mask & ~kUnblockable.bits}};
    before = t.group().handlers().Set(sig, action);
    if (IgnoredBy(action, sig)) DiscardIgnored(t, sig);
  }
  if (old.IsNull()) return Ok();
  return t.mem().Put(
      old, abi::SigAction{before.handler, before.flags, before.restorer, before.mask.bits});
}

ErrnoOr<void> RtSigprocmask(Task& t, int32_t how, UserAddr set, UserAddr old, uint64_t size) {
  if (size != sizeof(uint64_t)) return Errno::kInval;
  uint64_t before = t.signal_mask().bits;
  if (!set.IsNull()) {
    uint64_t bits = TRY(t.mem().Get<uint64_t>(set));
    switch (how) {
      case SIG_BLOCK:
        bits |= before;
        break;
      case SIG_UNBLOCK:
        bits = before & ~bits;
        break;
      case SIG_SETMASK:
        break;
      default:
        return Errno::kInval;
    }
    if ((bits & ~kUnblockable.bits) != before) t.SetSignalMask(SignalSet{bits});
  }
  return old.IsNull() ? Ok() : t.mem().Put(old, before);
}

ErrnoOr<void> RtSigreturn(Task& t) {
  t.SignalReturn();
  return Ok();
}

ErrnoOr<void> RtSigpending(Task& t, UserAddr set, uint64_t size) {
  if (size > sizeof(uint64_t)) return Errno::kInval;
  GroupState& s = t.group().state();
  uint64_t bits;
  {
    MutexLock l(s.mu);
    bits = (s.pending.set().bits | t.state().pending.set().bits) & t.signal_mask().bits;
  }
  return t.mem().CopyOut(set, &bits, size);
}

ErrnoOr<void> Sigaltstack(Task& t, UserAddr stack, UserAddr old) {
  const AltStack& now = t.alt_stack();
  uint32_t state = now.size == 0 ? uint32_t{SS_DISABLE} : OnAltStack(t) ? uint32_t{SS_ONSTACK} : 0;
  abi::SigStack before{now.size == 0 ? 0 : now.sp, state | (now.flags & kAutodisarm), 0, now.size};
  if (!stack.IsNull()) {
    abi::SigStack s = TRY(t.mem().Get<abi::SigStack>(stack));
    if (OnAltStack(t)) return Errno::kPerm;
    uint32_t mode = s.flags & ~kAutodisarm;
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0) return Errno::kInval;
    if (mode == SS_DISABLE) {
      t.SetAltStack(AltStack{0, 0, SS_DISABLE | (s.flags & kAutodisarm)});
    } else {
      constexpr uint64_t kMinSize = 2048;  // MINSIGSTKSZ
      if (s.size < kMinSize) return Errno::kNomem;
      t.SetAltStack(AltStack{s.sp, s.size, s.flags & kAutodisarm});
    }
  }
  return old.IsNull() ? Ok() : t.mem().Put(old, before);
}

ErrnoOr<int64_t> RestartSyscall(Task& t) {
  std::unique_ptr<RestartBlock> block = t.TakeRestartBlock();
  if (block == nullptr) return Errno::kIntr;
  return block->Restart(t);
}

}  // namespace runsc
