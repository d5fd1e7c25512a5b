#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "platform/abi/time.h"
#include "sentry/kernel/group_state.h"
#include "sentry/kernel/signal_delivery.h"
#include "sentry/kernel/signalfd.h"
#include "sentry/kernel/task_state.h"
#include "sentry/time/clock.h"
#include "syscalls/dispatch/blocking.h"
#include "syscalls/signal/signal.h"

namespace runsc {
namespace {

ErrnoOr<SignalSet> ReadSet(Task& t, UserAddr addr, uint64_t size) {
  if (size != sizeof(uint64_t)) return Errno::kInval;
  return SignalSet{TRY(t.mem().Get<uint64_t>(addr)) & ~kUnblockable.bits};
}

// While it lives, signals of the set wake the task instead of running a handler.
class WaitingFor {
 public:
  WaitingFor(Task& t, SignalSet set) : t_(t) { Store(set); }
  ~WaitingFor() { Store(SignalSet{}); }

 private:
  void Store(SignalSet set) {
    GroupState& s = t_.group().state();
    MutexLock l(s.mu);
    t_.state().waiting = set;
  }
  Task& t_;
};

ErrnoOr<int64_t> DeadlineAfter(Task& t, UserAddr timeout) {
  if (timeout.IsNull()) return Blocker::kForever;
  abi::Timespec ts = TRY(t.mem().Get<abi::Timespec>(timeout));
  if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= abi::kNanosPerSecond) return Errno::kInval;
  if (ts.sec == 0 && ts.nsec == 0) return 0;
  if (ts.sec > INT64_MAX / abi::kNanosPerSecond / 2) return Blocker::kForever;
  return MonotonicNanos() + ts.sec * abi::kNanosPerSecond + ts.nsec;
}

}  // namespace

ErrnoOr<void> RtSigsuspend(Task& t, UserAddr mask, uint64_t size) {
  if (size != sizeof(uint64_t)) return Errno::kInval;
  t.SetTemporaryMask(SignalSet{TRY(t.mem().Get<uint64_t>(mask))});
  return Pause(t);
}

ErrnoOr<void> Pause(Task& t) {
  for (;;) {
    t.blocker().ClearWake();
    if (!WaitOnce(t, Blocker::kForever).ok()) return Errno::kRestartNoHand;
  }
}

ErrnoOr<int32_t> RtSigtimedwait(Task& t, UserAddr set_addr, UserAddr info_addr, UserAddr timeout,
                                uint64_t size) {
  SignalSet set = TRY(ReadSet(t, set_addr, size));
  int64_t deadline = TRY(DeadlineAfter(t, timeout));
  SignalInfo info;
  bool got = SignalDelivery::TakePending(t, set, &info);
  if (!got && deadline != 0) {
    t.blocker().ClearWake();
    WaitingFor waiting(t, set);
    while (!(got = SignalDelivery::TakePending(t, set, &info))) {
      Status slept = WaitOnce(t, deadline);
      if (slept.ok()) continue;
      if (slept.error() == Errno::kTimedout) break;
      got = SignalDelivery::TakePending(t, set, &info);
      if (!got) return Errno::kIntr;
      break;
    }
  }
  if (!got) return Errno::kAgain;
  if (!info_addr.IsNull()) TRY(t.mem().Put(info_addr, info));
  return info.signo;
}

ErrnoOr<FdNum> Signalfd4(Task& t, FdNum fd, UserAddr mask, uint64_t size, uint32_t flags) {
  SignalSet set = TRY(ReadSet(t, mask, size));
  if ((flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)) != 0) return Errno::kInval;
  if (fd.value != -1) {
    Ref<File> file = TRY(t.fds().Get(fd));
    if (!SetSignalFdMask(*file, set)) return Errno::kInval;
    return fd;
  }
  Ref<File> file = NewSignalFd(set, flags & SFD_NONBLOCK, t.creds_ref());
  return t.fds().Install(std::move(file), (flags & SFD_CLOEXEC) != 0, t.Limit(RLIMIT_NOFILE));
}

ErrnoOr<FdNum> Signalfd(Task& t, FdNum fd, UserAddr mask, uint64_t size) {
  return Signalfd4(t, fd, mask, size, 0);
}

}  // namespace runsc
