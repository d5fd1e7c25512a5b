#include "sentry/kernel/signal_delivery.h"

#include <signal.h>
#include <sys/syscall.h>

#include "platform/arch/signal_frame.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/task_tree.h"

namespace runsc {

struct SignalDelivery::Work {
  enum Kind { kNothing, kExit, kTellParent, kStop, kTryStop, kHandler } kind = kNothing;
  SignalInfo info;
  SignalAction action;
  int32_t why = 0, status = 0;  // kTellParent
};

SignalSet Task::signal_mask() { return {state_->mask.load(std::memory_order_relaxed)}; }

// Newly blocked signals that are pending for the process are for other threads now; newly
// unblocked ones are for this one.
void SignalDelivery::SetMaskLocked(Task& t, GroupState& s, SignalSet mask) {
  TaskState& ts = t.state();
  mask.bits &= ~kUnblockable.bits;
  uint64_t old = ts.mask.load(std::memory_order_relaxed);
  ts.mask.store(mask.bits, std::memory_order_relaxed);
  uint64_t lost = s.pending.set().bits & mask.bits & ~old;
  if (lost != 0) {
    for (const Ref<Task>& other : s.tasks) {
      if ((lost & ~other->state().mask.load(std::memory_order_relaxed)) != 0) other->Interrupt();
    }
  }
  if (((ts.pending.set().bits | s.pending.set().bits) & ~mask.bits) != 0) t.blocker_.Interrupt();
}

void Task::SetSignalMask(SignalSet mask) {
  MutexLock l(group_->state().mu);
  SignalDelivery::SetMaskLocked(*this, group_->state(), mask);
}

void Task::SetTemporaryMask(SignalSet mask) {
  if (!has_saved_mask_) state_->saved_mask = signal_mask();
  has_saved_mask_ = true;
  SetSignalMask(mask);
}

void SignalDelivery::RestoreMask(Task& t) {
  t.has_saved_mask_ = false;
  t.SetSignalMask(t.state().saved_mask);
}

bool Task::HasDeliverableSignal() {
  GroupState& s = group_->state();
  MutexLock l(s.mu);
  uint64_t pending = state_->pending.set().bits | s.pending.set().bits;
  return (pending & ~state_->mask.load(std::memory_order_relaxed)) != 0 || exiting();
}

bool SignalDelivery::TakePending(Task& t, SignalSet set, SignalInfo* out) {
  GroupState& s = t.group().state();
  MutexLock l(s.mu);
  return t.state().pending.Take(set, out) || s.pending.Take(set, out);
}

SignalDelivery::Work SignalDelivery::NextWork(Task& t) {
  Work w;
  TaskState& ts = t.state();
  GroupState& s = t.group().state();
  MutexLock l(s.mu);
  for (;;) {
    if (t.exiting()) return w.kind = Work::kExit, w;
    if (s.parent_notice != 0) {
      w.kind = Work::kTellParent;
      w.why = std::exchange(s.parent_notice, 0);
      w.status = w.why == abi::kCldContinued ? SIGCONT : SIGSTOP;
      return w;
    }
    if (ts.stopping) return w.kind = Work::kStop, w;
    SignalSet open{~ts.mask.load(std::memory_order_relaxed)};
    if (!ts.pending.Take(open, &w.info) && !s.pending.Take(open, &w.info)) return w;
    Signal sig(w.info.signo);
    w.action = t.group().handlers().Get(sig);
    if (w.action.handler == abi::kSigIgn) continue;
    if (w.action.handler != abi::kSigDfl) {
      if ((w.action.flags & SA_RESETHAND) != 0) {
        SignalAction reset = w.action;
        reset.handler = abi::kSigDfl;
        t.group().handlers().Set(sig, reset);
      }
      return w.kind = Work::kHandler, w;
    }
    DefaultAction def = DefaultActionOf(sig);
    if (def == DefaultAction::kIgnore || def == DefaultAction::kContinue) continue;
    if (s.unkillable && sig.value != SIGSTOP && sig.value != SIGKILL) continue;
    if (def == DefaultAction::kStop) return w.kind = Work::kTryStop, w;
    ExitLocked(s, ExitStatus{.signal = sig.value});
  }
}

// Stops the process unless it would never be continued (an orphaned process group). Answers
// whether a stop began.
bool SignalDelivery::StartStop(Task& t, Signal signal) {
  ThreadGroup& g = t.group();
  if (signal.value != SIGSTOP) {
    Ref<ProcessGroup> pg = g.process_group();
    if (!pg || pg->IsOrphaned()) return false;
  }
  GroupState& s = g.state();
  MutexLock l(s.mu);
  if (s.exiting.load(std::memory_order_relaxed) || s.stop_signal != 0) return false;
  // A SIGCONT since the signal was taken cancels it.
  if (s.pending.set().Has(Signal(SIGCONT)) || t.state().pending.set().Has(Signal(SIGCONT))) {
    return false;
  }
  s.stop_signal = signal.value;
  s.stop_left = s.tasks.size();
  for (const Ref<Task>& other : s.tasks) {
    other->state().stopping = true;
    if (other != &t) other->Interrupt();
  }
  return true;
}

bool SignalDelivery::LeaveStopLocked(GroupState& s, TaskState& ts) {
  if (!ts.stopping || ts.stopped || s.stop_signal == 0) return false;
  ts.stopping = false;
  if (s.stop_left == 0 || --s.stop_left != 0) return false;
  s.unreported_stop = s.stop_signal;
  s.unreported_continue = false;
  return true;
}

void SignalDelivery::WaitWhileStopped(Task& t) {
  TaskState& ts = t.state();
  GroupState& s = t.group().state();
  int32_t completed = 0;
  {
    MutexLock l(s.mu);
    if (!ts.stopping) return;
    ts.stopped = true;
    if (s.stop_left != 0 && --s.stop_left == 0) {
      s.unreported_stop = completed = s.stop_signal;
      s.unreported_continue = false;
    }
  }
  if (completed != 0) TellParent(t.group(), abi::kCldStopped, completed);
  for (;;) {
    t.blocker_.ClearInterrupt();
    {
      MutexLock l(s.mu);
      if (!ts.stopping || t.exiting()) {
        ts.stopped = ts.stopping = false;
        break;
      }
      ts.run_state.store('T', std::memory_order_relaxed);
    }
    t.kernel().tree().load.Change(-1);
    t.context_->BeforeBlock();
    t.blocker_.Wait(Blocker::kForever);
    t.context_->AfterBlock();
    t.kernel().tree().load.Change(1);
  }
  ts.run_state.store('R', std::memory_order_relaxed);
}

// Decides what becomes of an interrupted call: `handler` is the action about to run, or null.
void SignalDelivery::ApplyRestart(Task& t, const SignalAction* handler) {
  Errno code = std::exchange(t.restart_code_, Errno::kOk);
  if (code == Errno::kOk) return;
  bool restart = true;
  if (handler != nullptr) {
    restart = code == Errno::kRestartNoIntr ||
              (code == Errno::kRestartSys && (handler->flags & SA_RESTART) != 0);
  }
  if (!restart) {
    t.regs_.set_syscall_return(static_cast<uint64_t>(-static_cast<int64_t>(Errno::kIntr)));
    return;
  }
  t.regs_.RestartSyscall(code == Errno::kRestartBlock ? SYS_restart_syscall : t.syscall_number_);
}

bool SignalDelivery::EnterHandler(Task& t, const SignalInfo& info, const SignalAction& action) {
  ApplyRestart(t, &action);
  TaskState& ts = t.state();
  arch::FpuState fpu = t.context_->SaveFpu();
  arch::SignalDelivery d;
  d.regs = t.regs_;
  d.fpu = &fpu;
  d.signo = info.signo;
  std::memcpy(d.info.data(), &info, sizeof(info));
  SignalSet before = t.has_saved_mask_ ? ts.saved_mask : t.signal_mask();
  d.mask = before.bits;
  d.altstack = {t.alt_stack_.sp, t.alt_stack_.flags, t.alt_stack_.size};
  d.handler = action.handler;
  d.restorer = action.restorer;
  d.flags = action.flags;
  d.error_code = ts.error_code;
  d.trap_number = ts.trap_number;
  d.fault_address = ts.fault_address;
  ErrnoOr<arch::SignalFrame> frame = arch::BuildSignalFrame(d);
  if (!frame.ok()) return false;
  if (!t.mm_->CopyOut(UserAddr(frame->address), frame->bytes.data(), frame->bytes.size()).ok()) {
    return false;
  }
  t.regs_ = frame->regs;
  t.context_->LoadFpu(arch::InitialFpuState());
  if ((t.alt_stack_.flags & (1u << 31)) != 0) t.alt_stack_ = AltStack{};  // SS_AUTODISARM
  t.has_saved_mask_ = false;
  SignalSet mask{t.signal_mask().bits | action.mask.bits};
  if ((action.flags & SA_NODEFER) == 0) mask.Add(Signal(info.signo));
  t.SetSignalMask(mask);
  return true;
}

bool SignalDelivery::PrepareToRun(Task& t) {
  for (;;) {
    t.blocker_.ClearInterrupt();
    Work w = NextWork(t);
    switch (w.kind) {
      case Work::kExit:
        return false;
      case Work::kTellParent:
        TellParent(t.group(), w.why, w.status);
        continue;
      case Work::kStop:
        WaitWhileStopped(t);
        continue;
      case Work::kTryStop:
        StartStop(t, Signal(w.info.signo));
        continue;
      case Work::kHandler:
        if (!EnterHandler(t, w.info, w.action)) {
          // The frame does not fit: SIGSEGV, which a broken SIGSEGV handler cannot catch again.
          if (w.info.signo == SIGSEGV) t.group().handlers().Set(Signal(SIGSEGV), SignalAction{});
          t.ForceSignal(KernelSignalInfo(Signal(SIGSEGV)));
        }
        continue;
      case Work::kNothing:
        break;
    }
    ApplyRestart(t, nullptr);
    if (t.has_saved_mask_) RestoreMask(t);
    if (!t.blocker_.interrupted()) return true;
  }
}

void SignalDelivery::ForceException(Task& t, const SignalInfo& info, uint64_t trap, uint64_t error,
                                    uint64_t address) {
  TaskState& ts = t.state();
  ts.trap_number = trap;
  ts.error_code = error;
  ts.fault_address = address;
  t.ForceSignal(info);
}

void SignalDelivery::SignalReturn(Task& t) {
  t.keep_registers_ = true;
  t.restart_block_.reset();
  auto read = [&t](uint64_t address, void* out, size_t n) {
    return t.mm_->CopyIn(out, UserAddr(address), n).ok();
  };
  ErrnoOr<arch::SignalReturn> frame = arch::ParseSignalFrame(t.regs_, read);
  if (!frame.ok()) {
    t.ForceSignal(KernelSignalInfo(Signal(SIGSEGV)));
    return;
  }
  t.regs_ = frame->regs;
  t.context_->LoadFpu(frame->fpu);
  t.SetSignalMask(SignalSet{frame->mask});
  // As sigaltstack(2), whose errors Linux ignores here.
  constexpr uint32_t kAutodisarm = 1u << 31;
  const arch::AltStack& a = frame->altstack;
  bool disable = (a.flags & SS_DISABLE) != 0;
  bool valid = (a.flags & ~(SS_DISABLE | SS_ONSTACK | kAutodisarm)) == 0;
  if (valid && (disable || a.size >= 2048)) {
    t.alt_stack_ = disable ? AltStack{} : AltStack{a.sp, a.size, a.flags & kAutodisarm};
  }
}

void Task::SignalReturn() { SignalDelivery::SignalReturn(*this); }

}  // namespace runsc
