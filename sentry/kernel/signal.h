#ifndef SENTRY_KERNEL_SIGNAL_H_
#define SENTRY_KERNEL_SIGNAL_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <list>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/types.h"

namespace runsc {

// siginfo_t as the guest sees it: the kernel's 128 bytes (x86-64 layout). Typed builders are in
// platform/abi/siginfo.h.
struct SignalInfo {
  int32_t signo = 0;
  int32_t error = 0;
  int32_t code = 0;
  int32_t pad = 0;
  std::array<uint8_t, 112> fields{};
};
static_assert(sizeof(SignalInfo) == 128);

// SignalInfo as kill(2) gives it (SI_USER), and as the kernel itself does (SI_KERNEL).
SignalInfo UserSignalInfo(Signal s, Tid sender, uint32_t uid, int32_t code);
SignalInfo KernelSignalInfo(Signal s);
// SIGSEGV, SIGBUS, …: with si_addr.
SignalInfo FaultSignalInfo(Signal s, int32_t code, uint64_t address);

// One entry of rt_sigaction(2), guest layout.
struct SignalAction {
  uint64_t handler = 0;  // SIG_DFL 0, SIG_IGN 1, or an address
  uint64_t flags = 0;    // SA_*
  uint64_t restorer = 0;
  SignalSet mask;
};

// Actions of a process, shared with CLONE_SIGHAND between processes too, so it has a lock of its
// own, taken after a group's signal lock.
class SignalHandlers : public RefCounted {
 public:
  Ref<SignalHandlers> Fork();
  // execve(2): caught signals go back to default, ignored ones stay.
  void ResetForExec();
  SignalAction Get(Signal s);
  // Answers the old action.
  SignalAction Set(Signal s, const SignalAction& action);

 private:
  Mutex<LockRank::kSignalActions> mu_;
  std::array<SignalAction, 65> actions_ ABSL_GUARDED_BY(mu_);
};

// Queue of pending signals of a task or process. The owner's lock guards it.
class PendingSignals {
 public:
  // Standard signals coalesce (answers false if already pending); realtime ones queue in order.
  bool Add(const SignalInfo& info);
  // Removes and answers the next signal of `set`: lowest number first, synchronous faults first
  // (SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS), FIFO within a number.
  bool Take(SignalSet set, SignalInfo* out);
  void Discard(SignalSet set);
  SignalSet set() const { return set_; }
  size_t count() const { return queue_.size(); }

 private:
  SignalSet set_;
  std::list<SignalInfo> queue_;
};

// sigaltstack(2).
struct AltStack {
  uint64_t sp = 0;
  uint64_t size = 0;
  uint32_t flags = 2;  // SS_DISABLE
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_SIGNAL_H_
