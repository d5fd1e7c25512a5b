#include "sentry/kernel/signalfd.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <atomic>
#include <map>

#include "platform/base/strings.h"
#include "sentry/kernel/group_state.h"
#include "sentry/kernel/signal_delivery.h"
#include "sentry/kernel/task_state.h"
#include "sentry/vfs/anon.h"

namespace runsc {
namespace {

// The fields that Linux fills, by kind of signal (signalfd_copyinfo).
signalfd_siginfo ToRecord(const SignalInfo& info) {
  abi::SigInfo i = ToAbi(info);
  signalfd_siginfo out{};
  out.ssi_signo = i.signo;
  out.ssi_errno = i.err;
  out.ssi_code = i.code;
  bool fault = i.signo == 4 || i.signo == 5 || i.signo == 7 || i.signo == 8 || i.signo == 11;
  if (i.code == abi::kSiTimer) {
    out.ssi_tid = i.timer.tid;
    out.ssi_overrun = i.timer.overrun;
    out.ssi_ptr = i.timer.value;
    out.ssi_int = static_cast<int32_t>(i.timer.value);
  } else if (i.code > 0 && i.signo == 17) {
    out.ssi_pid = i.child.pid;
    out.ssi_uid = i.child.uid;
    out.ssi_status = i.child.status;
    out.ssi_utime = i.child.utime;
    out.ssi_stime = i.child.stime;
  } else if (i.code > 0 && i.code != abi::kSiKernel && fault) {
    out.ssi_addr = i.fault.addr;
  } else if (i.code > 0 && i.code != abi::kSiKernel && i.signo == 29) {
    out.ssi_band = static_cast<uint32_t>(i.poll.band);
    out.ssi_fd = i.poll.fd;
  } else {
    out.ssi_pid = i.rt.pid;
    out.ssi_uid = i.rt.uid;
    out.ssi_ptr = i.rt.value;
    out.ssi_int = static_cast<int32_t>(i.rt.value);
  }
  return out;
}

class SignalFd : public File {
 public:
  SignalFd(SignalSet set, uint32_t flags, Ref<const Credentials> creds)
      : File(AnonFilePath("signalfd"), O_RDWR | flags, std::move(creds)), set_(set.bits) {}

  void SetMask(SignalSet set) { set_.store(set.bits, std::memory_order_relaxed); }

  ErrnoOr<size_t> Read(IoContext& io, UserOut& dst) override {
    if (io.task == nullptr || dst.remaining() < sizeof(signalfd_siginfo)) return Errno::kInval;
    size_t done = 0;
    while (dst.remaining() >= sizeof(signalfd_siginfo)) {
      SignalInfo info;
      if (!SignalDelivery::TakePending(*io.task, mask(), &info)) break;
      done += TRY(dst.Put(ToRecord(info)));
    }
    return done == 0 ? ErrnoOr<size_t>(Errno::kWouldBlock) : done;
  }
  ErrnoOr<size_t> Write(IoContext&, UserIn&) override { return Errno::kInval; }
  bool seekable() const override { return false; }

  // Readiness is that of the process which asks, as in Linux.
  EventMask Poll(EventMask want) override {
    Task* t = Task::Current();
    if (t == nullptr) return 0;
    GroupState& s = t->group().state();
    MutexLock l(s.mu);
    uint64_t pending = s.pending.set().bits | t->state().pending.set().bits;
    return (pending & mask().bits) != 0 ? (EPOLLIN | EPOLLRDNORM) & want : 0;
  }
  void AddWaiter(Waiter* w, EventMask want, bool exclusive) override {
    Task* t = Task::Current();
    if (t == nullptr) return;
    {
      MutexLock l(waiters_mu_);
      waiters_.emplace(w, Ref<ThreadGroup>(&t->group()));
    }
    t->group().signal_events().Add(w, want, exclusive);
  }
  void RemoveWaiter(Waiter* w) override {
    Ref<ThreadGroup> group;
    {
      MutexLock l(waiters_mu_);
      auto it = waiters_.find(w);
      if (it == waiters_.end()) return;
      group = std::move(it->second);
      waiters_.erase(it);
    }
    group->signal_events().Remove(w);
  }

  std::string FdInfo() override {
    return StrPrintf("sigmask:\t%016lx\n", static_cast<unsigned long>(mask().bits));
  }

 private:
  SignalSet mask() const { return {set_.load(std::memory_order_relaxed)}; }

  std::atomic<uint64_t> set_;
  // Whose queue a waiter is in: it may be removed by another process that shares the file.
  Mutex<LockRank::kSignalFd> waiters_mu_;
  std::map<Waiter*, Ref<ThreadGroup>> waiters_ ABSL_GUARDED_BY(waiters_mu_);
};

}  // namespace

Ref<File> NewSignalFd(SignalSet set, uint32_t flags, Ref<const Credentials> creds) {
  return MakeRef<SignalFd>(set, flags, std::move(creds));
}

bool SetSignalFdMask(File& file, SignalSet set) {
  auto* fd = dynamic_cast<SignalFd*>(&file);
  if (fd == nullptr) return false;
  fd->SetMask(set);
  return true;
}

}  // namespace runsc
