#include "platform/systrap/stub.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstring>
#include <utility>

#include "platform/arch/registers.h"
#include "platform/arch/xsave_layout.h"
#include "platform/base/log.h"
#include "platform/base/types.h"
#include "platform/host/cpus.h"
#include "platform/systrap/calls.h"

namespace runsc::platform::systrap {
namespace {

// Added to a stub's event when it is dead.
constexpr uint64_t kGoneEvent = uint64_t{1} << 32;
// How old a guest thread's published CPU time may be when it stops.
constexpr uint64_t kClockMicros = 200;

// Protection keys are not the guest's to keep: the kernel resets PKRU at each signal.
constexpr uint64_t kXfeaturePkru = uint64_t{1} << 9;

void InitCtx(const GuestThread& t) {
  ThreadCtx* ctx = t.ctx;
  const uint64_t top = t.address() + STUB_SLOT_SIZE - STUB_CTX_SIZE;
  ctx->state = STATE_SENTRY;
  ctx->altstack[0] = t.address();
  ctx->altstack[1] = 0;
  ctx->altstack[2] = STUB_SLOT_SIZE - STUB_CTX_SIZE;
  // Where the first signal frame's XSAVE area would be; the new thread's stack is below.
  ctx->fpu = (top - arch::XsaveSize() - 256) & ~uint64_t{63};
  ctx->fpu_home = ctx->fpu;
  ctx->fpu_size = arch::XsaveSize();
  ctx->start_sp = ctx->fpu - 128;
  ctx->xmask = arch::XsaveFeatures() & ~kXfeaturePkru & ~arch::kXfeaturesDynamic;
  ctx->clock_period = static_cast<uint32_t>(TicksPerMicro() * kClockMicros);
}

Errno ErrorOf(int64_t result) {
  return result <= -1 && result >= -133 ? static_cast<Errno>(-result) : Errno::kNomem;
}

}  // namespace

ControlOp MapOp(uint64_t address, uint64_t size, int prot, bool populate, int fd, uint64_t offset) {
  const auto flags = static_cast<uint64_t>(MAP_SHARED | MAP_FIXED | (populate ? MAP_POPULATE : 0));
  return {SYS_mmap,
          {address, size, static_cast<uint64_t>(prot), flags, static_cast<uint64_t>(fd), offset},
          0};
}

ControlOp UnmapOp(uint64_t address, uint64_t size) {
  return {SYS_munmap, {address, size, 0, 0, 0, 0}, 0};
}

ControlOp ProtectOp(uint64_t address, uint64_t size, int prot) {
  return {SYS_mprotect, {address, size, static_cast<uint64_t>(prot), 0, 0, 0}, 0};
}

Stub::~Stub() {
  // Nobody has the process any more: it was reaped, or never started.
  MutexLock lock(mu_);
  for (auto& t : threads_) arena_.FreeSlot(t->slot);
  arena_.FreeStub(index_);
}

ErrnoOr<std::unique_ptr<GuestThread>> Stub::NewSlot() {
  auto thread = std::make_unique<GuestThread>();
  thread->slot = arena_.AllocateSlot();
  if (thread->slot == Arena::kNone) return Errno::kAgain;
  thread->ctx = arena_.ctx(thread->slot);
  InitCtx(*thread);
  return thread;
}

namespace {

// Maps a slot and starts a thread in it.
void ThreadOps(Arena& arena, const GuestThread& t, ControlOp ops[2]) {
  ops[0] = MapOp(t.address(), STUB_SLOT_SIZE, PROT_READ | PROT_WRITE, false, arena.slots_fd(),
                 uint64_t{t.slot} * STUB_SLOT_SIZE);
  ops[1] = {
      SYS_clone, {STUB_CLONE_FLAGS, t.address() + STUB_SLOT_SIZE - STUB_CTX_SIZE, 0, 0, 0, 0}, 0};
}

}  // namespace

Status Stub::Prepare() {
  const int event = NewEvent();
  if (event < 0) return Errno::kAgain;
  done_.Reset(event);
  std::unique_ptr<GuestThread> thread = TRY(NewSlot());
  ControlOp ops[2];
  ThreadOps(arena_, *thread, ops);
  MutexLock lock(mu_);
  threads_.push_back(std::move(thread));
  PostLocked(ops, 2);
  return Ok();
}

void Stub::PostLocked(const ControlOp* ops, size_t count) {
  ControlPage* page = arena_.control(index_);
  std::memcpy(page->ops, ops, count * sizeof(ControlOp));
  page->count = static_cast<uint32_t>(count);
  page->event_fd = done_.get();
  ++seq_;
  __atomic_store_n(&page->seq, seq_, __ATOMIC_SEQ_CST);
}

// The hand-off is cheap on one CPU only.
void Stub::BindControlLocked() {
  const int cpu = CurrentCpu();
  if (cpu == control_cpu_) return;
  MutexLock lock(pid_mu_);
  if (!pid_is_ours_) return;
  host::BindToCpu(pid_, cpu);
  control_cpu_ = cpu;
}

Status Stub::RunBatchLocked(const ControlOp* ops, size_t count) {
  BindControlLocked();
  batches_.fetch_add(1, std::memory_order_relaxed);
  PostLocked(ops, count);
  FutexWake(&arena_.control(index_)->seq, 1);
  return AwaitBatchLocked();
}

// The hint page, which the guest can write, tells at most the wrong error.
Status Stub::AwaitBatchLocked() {
  // A dead stub's event comes once.
  if (gone()) return Errno::kSrch;
  const uint64_t done = AwaitEvent(done_.get());
  if (gone()) return Errno::kSrch;
  if (done == BATCH_OK) return Ok();
  return ErrorOf(__atomic_load_n(&arena_.hint(index_)->error, __ATOMIC_RELAXED));
}

Status Stub::FinishStartLocked() {
  if (started_) return Ok();
  if (Status first = AwaitBatchLocked(); !first.ok()) {
    Kill();  // without its guest thread it is of no use
    return first;
  }
  started_ = true;
  GuestThread& first = *threads_[0];
  TRY(AdoptTidLocked(first, arena_.hint(index_)->results[1]));
  parked_.push_back(&first);
  return Ok();
}

Status Stub::Run(const ControlOp* ops, size_t count) {
  MutexLock lock(mu_);
  TRY(FinishStartLocked());
  Errno first = Errno::kOk;
  while (count > 0) {
    const size_t n = count < CONTROL_MAX_OPS ? count : CONTROL_MAX_OPS;
    Status status = RunBatchLocked(ops, n);
    if (!status.ok() && status.error() != Errno::kSrch) status = RunSinglyLocked(ops, n);
    if (!status.ok() && first == Errno::kOk) first = status.error();
    if (first == Errno::kSrch) return first;
    ops += n;
    count -= n;
  }
  return first;
}

// After a batch with an error, of which it is not known for sure where: one at a time. All
// operations may be repeated.
Status Stub::RunSinglyLocked(const ControlOp* ops, size_t count) {
  Errno first = Errno::kOk;
  for (size_t i = 0; i < count; ++i) {
    Status status = RunBatchLocked(ops + i, 1);
    if (status.ok()) continue;
    if (first == Errno::kOk) first = status.error();
    if (first == Errno::kSrch) return first;
    // A mapping that failed may have left what it should have replaced, and that memory is about
    // to belong to somebody else.
    if (ops[i].nr == SYS_mmap) {
      const ControlOp unmap = UnmapOp(ops[i].args[0], ops[i].args[1]);
      status = RunBatchLocked(&unmap, 1);
    }
    if (!status.ok() && ops[i].nr != SYS_mprotect) {
      LOG_WARNING("systrap: stub %d killed: munmap failed: %s", pid_, ErrnoName(status.error()));
      Kill();
      return Errno::kSrch;
    }
  }
  return first;
}

// The number comes from memory that the guest can write; it must at least name a thread of this
// stub, so that what is done to it (interrupt, CPU binding) stays here.
Status Stub::AdoptTidLocked(GuestThread& thread, int64_t tid) {
  MutexLock lock(pid_mu_);
  if (!pid_is_ours_) return Errno::kSrch;
  if (tid <= 0 || tid > 0x7fffffff || SignalThread(pid_, static_cast<int>(tid), 0) != 0) {
    return Errno::kAgain;
  }
  thread.tid = static_cast<int>(tid);
  return Ok();
}

ErrnoOr<GuestThread*> Stub::NewThreadLocked() {
  if (refused_ == nullptr) {
    threads_.push_back(TRY(NewSlot()));
    refused_ = threads_.back().get();
  }
  ControlOp ops[2];
  ThreadOps(arena_, *refused_, ops);
  TRY(RunBatchLocked(ops, 2));
  TRY(AdoptTidLocked(*refused_, arena_.hint(index_)->results[1]));
  return std::exchange(refused_, nullptr);
}

ErrnoOr<GuestThread*> Stub::AcquireThread() {
  MutexLock lock(mu_);
  TRY(FinishStartLocked());
  if (gone()) return Errno::kSrch;
  if (!parked_.empty()) {
    GuestThread* thread = parked_.back();
    parked_.pop_back();
    return thread;
  }
  return NewThreadLocked();
}

Status Stub::EnsureThread() {
  ReleaseThread(TRY(AcquireThread()));
  return Ok();
}

void Stub::ReleaseThread(GuestThread* thread) {
  MutexLock lock(mu_);
  parked_.push_back(thread);
}

void Stub::Interrupt(const GuestThread& thread) {
  MutexLock lock(pid_mu_);
  if (pid_is_ours_) SignalThread(pid_, thread.tid, STUB_INTERRUPT_SIGNAL);
}

uint64_t Stub::CpuNanos() {
  MutexLock lock(pid_mu_);
  return pid_is_ours_ ? ProcessCpuNanos(pid_) : 0;
}

void Stub::SetPid(int pid) {
  pid_ = pid;
  MutexLock lock(pid_mu_);
  pid_is_ours_ = true;
}

void Stub::Kill(std::unique_ptr<Baggage> kept) {
  MutexLock lock(pid_mu_);
  if (!pid_is_ours_) return;
  if (kept != nullptr) baggage_ = std::move(kept);
  KillProcess(pid_);
}

void Stub::MarkGone() {
  std::unique_ptr<Baggage> baggage;  // destroyed without locks
  {
    MutexLock lock(pid_mu_);
    baggage = std::move(baggage_);
    pid_is_ours_ = false;
    gone_.store(true, std::memory_order_release);
  }
  AddToEvent(done_.get(), kGoneEvent);
  MutexLock lock(mu_);
  for (auto& t : threads_) FutexWake(&t->ctx->state, 1000);
}

}  // namespace runsc::platform::systrap
