#include "sentry/kernel/task_runner.h"

#include <signal.h>

#include "sentry/kernel/exception_arch.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/signal_delivery.h"
#include "sentry/kernel/task_exit.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/task_tree.h"

namespace runsc {
namespace {

thread_local Task* current_task = nullptr;

constexpr int64_t kFirstRestartCode = -static_cast<int64_t>(Errno::kRestartBlock);
constexpr int64_t kLastRestartCode = -static_cast<int64_t>(Errno::kRestartSys);

}  // namespace

Task* Task::Current() { return current_task; }

void TaskRunner::Syscall(Task& t) {
  arch::Registers& regs = t.regs_;
  t.syscall_number_ = regs.syscall_number();
  int64_t result = t.kernel_.options().syscalls->Serve(t, t.syscall_number_);
  if (t.keep_registers_) [[unlikely]] {
    t.keep_registers_ = false;
    return;
  }
  regs.set_syscall_return(static_cast<uint64_t>(result));
  bool restart = result <= kLastRestartCode && result >= kFirstRestartCode;
  if (restart) [[unlikely]] t.restart_code_ = static_cast<Errno>(-result);
  if (t.has_saved_mask_) [[unlikely]] {
    // An interrupted call keeps its mask until the signal is delivered.
    bool interrupted = restart || result == -static_cast<int64_t>(Errno::kIntr);
    if (!interrupted) SignalDelivery::RestoreMask(t);
  }
}

void TaskRunner::HandleFault(Task& t, const platform::Stop& stop) {
  std::atomic<uint64_t>& faults = t.state().minor_faults;
  faults.store(faults.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  FaultOutcome outcome =
      t.mm_->HandleFault(UserAddr(stop.address), stop.access, t.memory_limits());
  if (outcome.handled) return;
  SignalDelivery::ForceException(
      t, FaultSignalInfo(outcome.signal, outcome.code, stop.address), kPageFaultTrap,
      PageFaultErrorCode(stop.access, outcome.code != abi::kSegvMaperr), stop.address);
}

void TaskRunner::HandleStop(Task& t, const platform::Stop& stop) {
  switch (stop.event) {
    case platform::Event::kFault:
      HandleFault(t, stop);
      return;
    case platform::Event::kSignal: {
      SignalInfo info = FaultSignalInfo(stop.signal, stop.code, stop.address);
      SignalDelivery::ForceException(t, info, TrapNumber(stop.signal, stop.code), 0,
                                     t.state().fault_address);
      return;
    }
    case platform::Event::kGone:
      t.group().Exit(ExitStatus{.signal = SIGKILL});
      t.blocker_.Interrupt();
      return;
    case platform::Event::kInterrupted:
    case platform::Event::kSyscall:
      return;
  }
}

void TaskRunner::Run(Task& t) {
  current_task = &t;
  t.context_ = t.state().context.get();
  t.state().cpu.Start(t.context_);
  LoadAverage& load = t.kernel_.tree().load;
  load.Change(1);
  for (;;) {
    bool attention = t.blocker_.interrupted() || t.restart_code_ != Errno::kOk ||
                     t.has_saved_mask_;
    if (attention) [[unlikely]] {
      if (!SignalDelivery::PrepareToRun(t)) break;
    }
    platform::Stop stop = t.context_->Switch(t.mm_->address_space(), t.regs_);
    if (stop.event == platform::Event::kSyscall) [[likely]] {
      Syscall(t);
    } else {
      HandleStop(t, stop);
    }
  }
  TaskExit::Run(t);
  load.Change(-1);
  current_task = nullptr;
}

}  // namespace runsc
