#include "platform/ptrace/stub_process.h"

#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "platform/base/log.h"

namespace runsc::ptrace_platform {
namespace {

constexpr int kReplyPollMs = 200;

struct KernelSigaction {
  uint64_t handler;
  uint64_t flags;
  uint64_t restorer;
  uint64_t mask;
};

uint64_t StubAddress(const uint8_t* label) {
  return PTRACE_STUB_BASE + static_cast<uint64_t>(label - runsc_ptrace_stub_begin);
}

// Signals from outside must neither kill nor stop a stub; a tracer sees them all the same.
// SIGSEGV goes to the code page, with nothing blocked while it is handled.
void SetStubSignals() {
  for (int signal = 1; signal <= 64; ++signal) {
    KernelSigaction action{};
    action.handler = 1;  // SIG_IGN
    if (signal == SIGSEGV) {
      action.handler = StubAddress(runsc_ptrace_stub_fault);
      action.flags = SA_SIGINFO | SA_NODEFER | 0x04000000 /* SA_RESTORER */;
      action.restorer = action.handler;
    }
    syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof(action.mask));
  }
  const uint64_t none = 0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof(none));
}

void DropPrivileges() {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  syscall(SYS_capset, &header, none);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  // The sentry attaches as an equal user, which a non-dumpable process would refuse.
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

// The kernel writes to the registered area whenever it likes; it is about to be unmapped.
void UnregisterRseq() {
  if (__rseq_size == 0) return;
  auto* area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  syscall(SYS_rseq, area, sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

[[noreturn]] void BecomeTemplate(const StubFiles& files, uint64_t offset, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != parent) _exit(1);
  prctl(PR_SET_NAME, "runsc-stub", 0, 0, 0);
  SetStubSignals();
  UnregisterRseq();
  DropPrivileges();
  runsc_ptrace_stub_init(files.code_fd(), files.control_fd(), offset);
}

Errno LastErrno() { return static_cast<Errno>(errno); }

}  // namespace

void KillStub(int32_t pid) {
  if (pid <= 0) return;
  kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, __WALL) == pid ? !(WIFEXITED(status) || WIFSIGNALED(status))
                                              : errno == EINTR) {
  }
}

ErrnoOr<std::unique_ptr<StubProcess>> StubProcess::Prepare(StubFiles& files) {
  const uint32_t slot = TRY(files.TakeSlot());
  std::unique_ptr<StubProcess> stub(new StubProcess(files, slot));
  stub->done_.Reset(eventfd(0, EFD_CLOEXEC));
  stub->result_.Reset(memfd_create("runsc-ptrace-result", MFD_CLOEXEC));
  if (!stub->done_.ok() || !stub->result_.ok()) return LastErrno();
  StubRequest* r = files.At(slot);
  r->done_fd = static_cast<uint32_t>(stub->done_.get());
  r->result_fd = static_cast<uint32_t>(stub->result_.get());
  r->one = 1;
  r->parent = static_cast<uint32_t>(getpid());
  return stub;
}

ErrnoOr<std::unique_ptr<StubProcess>> StubProcess::SpawnTemplate(StubFiles& files) {
  std::unique_ptr<StubProcess> stub = TRY(Prepare(files));
  const pid_t parent = getpid();
  // Descriptors stay shared for good: that is how files reach the stub's mmap.
  const long pid = syscall(SYS_clone, CLONE_FILES, nullptr, nullptr, nullptr, 0);
  if (pid < 0) return LastErrno();
  if (pid == 0) BecomeTemplate(files, StubFiles::Offset(stub->slot_), parent);
  stub->pid_ = static_cast<int32_t>(pid);
  // A call that always succeeds tells that the leader serves.
  const StubOp probe{SYS_getppid, {}, PTRACE_STUB_OP_PLAIN};
  Outcome outcome = stub->Run({&probe, 1});
  if (outcome.done != 1) {
    LOG_WARNING("ptrace: the first stub process did not start");
    return Errno::kAgain;
  }
  return stub;
}

ErrnoOr<std::unique_ptr<StubProcess>> StubProcess::Fork() {
  std::unique_ptr<StubProcess> child = TRY(Prepare(files_));
  const StubOp op{SYS_clone,
                  {CLONE_FILES | CLONE_PARENT, 0, 0, 0, static_cast<uint64_t>(files_.control_fd()),
                   StubFiles::Offset(child->slot_)},
                  PTRACE_STUB_OP_FORK};
  Outcome outcome = Run({&op, 1});
  if (outcome.done != 1) return outcome.error == Errno::kSrch ? Errno::kAgain : outcome.error;
  child->pid_ = outcome.last;
  return child;
}

ErrnoOr<int32_t> StubProcess::NewThread() {
  const StubOp op{SYS_clone,
                  {CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_PARENT, 0, 0, 0, 0, 0},
                  PTRACE_STUB_OP_THREAD};
  Outcome outcome = Run({&op, 1});
  if (outcome.done != 1) return outcome.error;
  return outcome.last;
}

ErrnoOr<Place> StubProcess::TakePlace() {
  Place place;
  if (!parked_.empty()) {
    place = parked_.back();
    parked_.pop_back();
    return place;
  }
  if (free_slots_.empty()) {
    if (next_slot_ == PTRACE_STUB_SLOT_COUNT) return Errno::kAgain;
    free_slots_.push_back(next_slot_++);
  }
  place.pid = TRY(NewThread());
  place.slot = free_slots_.back();
  free_slots_.pop_back();
  return place;
}

StubProcess::~StubProcess() {
  for (const Place& place : parked_) KillStub(place.pid);
  KillStub(pid_);
  files_.ReturnSlot(slot_);
}

// The leader runs where the caller does: waking an idle CPU costs ten times the call.
void StubProcess::FollowCaller() {
  const int cpu = sched_getcpu();
  if (cpu < 0 || cpu == cpu_ || cpu >= CPU_SETSIZE) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  if (sched_setaffinity(pid_, sizeof(set), &set) == 0) cpu_ = cpu;
}

// Whether the leader answered; false if it is dead.
bool StubProcess::AwaitReply() {
  while (true) {
    pollfd p{done_.get(), POLLIN, 0};
    const int n = poll(&p, 1, kReplyPollMs);
    if (n > 0) {
      uint64_t ignored = 0;
      return read(done_.get(), &ignored, sizeof(ignored)) == sizeof(ignored);
    }
    int status = 0;
    if (n == 0 && waitpid(pid_, &status, WNOHANG | __WALL) != 0) return false;
  }
}

StubProcess::Outcome StubProcess::RunSome(std::span<const StubOp> ops) {
  StubRequest* r = files_.At(slot_);
  std::memcpy(static_cast<void*>(r->ops), ops.data(), ops.size_bytes());
  r->count = static_cast<uint32_t>(ops.size());
  std::atomic_ref<uint32_t> seq(r->seq);
  seq.store(r->seq + 1, std::memory_order_release);
  FollowCaller();
  syscall(SYS_futex, &r->seq, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  if (!AwaitReply()) {
    gone_ = true;
    pid_ = -1;
    return {0, Errno::kSrch, 0};
  }
  const int64_t result = lseek(result_.get(), 0, SEEK_CUR);
  const int32_t low = static_cast<int32_t>(result);
  Outcome outcome{static_cast<size_t>(result >> 32), Errno::kOk, low};
  if (outcome.done < ops.size()) outcome.error = static_cast<Errno>(-low);
  return outcome;
}

StubProcess::Outcome StubProcess::Run(std::span<const StubOp> ops) {
  Outcome all;
  while (!ops.empty()) {
    if (gone_) return {all.done, Errno::kSrch, 0};
    const size_t n = std::min(ops.size(), kMaxOps);
    const Outcome some = RunSome(ops.subspan(0, n));
    all.done += some.done;
    all.last = some.last;
    all.error = some.error;
    if (some.done != n) break;
    ops = ops.subspan(n);
  }
  return all;
}

}  // namespace runsc::ptrace_platform
