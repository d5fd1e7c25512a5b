#ifndef SENTRY_KERNEL_SIGNAL_H_
#define SENTRY_KERNEL_SIGNAL_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <list>

#include "platform/abi/signal.h"
#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/types.h"

namespace runsc {

// siginfo_t as the guest sees it: the kernel's 128 bytes (x86-64 layout). Typed builders are in
// platform/abi/signal.h.
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
// The same bytes under the name that has typed fields.
SignalInfo FromAbi(const abi::SigInfo& info);
abi::SigInfo ToAbi(const SignalInfo& info);

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
  // CLONE_CLEAR_SIGHAND: everything not ignored goes back to default.
  void ClearHandlers();
  SignalAction Get(Signal s);
  // Answers the old action.
  SignalAction Set(Signal s, const SignalAction& action);

 private:
  Mutex<LockRank::kSignalActions> mu_;
  std::array<SignalAction, 65> actions_ ABSL_GUARDED_BY(mu_);
};

// Something that queues one signal at a time and wants to know what becomes of it (POSIX timers).
// Called with the owner's signal lock held.
class SignalSource : public RefCounted {
 public:
  // The signal is about to be delivered; may change it (overruns). False: it is stale, drop it.
  virtual bool OnDequeue(SignalInfo* info) = 0;
  // It was thrown away without being seen.
  virtual void OnDiscard() = 0;
};

// What one user (real uid) holds in all processes; limits are checked against it.
class UserAccount : public RefCounted {
 public:
  explicit UserAccount(uint32_t uid) : uid_(uid) {}
  uint32_t uid() const { return uid_; }
  std::atomic<uint64_t> pending_signals{0};  // RLIMIT_SIGPENDING
  std::atomic<uint64_t> tasks{0};            // RLIMIT_NPROC

 private:
  const uint32_t uid_;
};

// Queue of pending signals of a task or process. The owner's lock guards it.
class PendingSignals {
 public:
  PendingSignals() = default;
  ~PendingSignals();
  PendingSignals(const PendingSignals&) = delete;
  // Standard signals coalesce (answers false if already pending); realtime ones queue in order.
  // `account`, if given, is charged while the signal is queued.
  bool Add(const SignalInfo& info) { return Add(info, nullptr, nullptr); }
  bool Add(const SignalInfo& info, Ref<UserAccount> account, Ref<SignalSource> source);
  // Marks a signal as pending without information (the queue limit was reached).
  void AddBare(Signal s) { set_.Add(s); }
  // Removes and answers the next signal of `set`: lowest number first, synchronous faults first
  // (SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS), FIFO within a number.
  bool Take(SignalSet set, SignalInfo* out);
  void Discard(SignalSet set);
  SignalSet set() const { return set_; }
  size_t count() const { return queue_.size(); }

 private:
  struct Entry {
    SignalInfo info;
    Ref<UserAccount> account;
    Ref<SignalSource> source;
  };
  // False if the entry of `s` was stale and nothing is taken.
  bool TakeOne(Signal s, SignalInfo* out);
  static void Uncharge(Entry& e);

  SignalSet set_;
  std::list<Entry> queue_;
};

// What a signal does when its action is SIG_DFL (signal(7)).
enum class DefaultAction { kTerminate, kCore, kStop, kContinue, kIgnore };
DefaultAction DefaultActionOf(Signal s);

// Sets used all over.
constexpr SignalSet MakeSignalSet(std::initializer_list<int> signals) {
  SignalSet set;
  for (int s : signals) set.Add(Signal(s));
  return set;
}
inline constexpr SignalSet kStopSignals = MakeSignalSet({19, 20, 21, 22});   // STOP TSTP TTIN TTOU
inline constexpr SignalSet kUnblockable = MakeSignalSet({9, 19});            // KILL STOP

// sigaltstack(2).
struct AltStack {
  uint64_t sp = 0;
  uint64_t size = 0;
  uint32_t flags = 2;  // SS_DISABLE
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_SIGNAL_H_
