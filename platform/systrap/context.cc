#include "platform/systrap/context.h"

#include <linux/audit.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "platform/base/log.h"
#include "platform/systrap/calls.h"

namespace runsc::platform::systrap {
namespace {

static_assert(sizeof(arch::Registers) == sizeof(StubRegs));

// Sleeps while the guest runs. Longer than a host tick, so that arming the timer does not have to
// program the hardware, which leaves the VM; the later ones only look for what should not happen.
constexpr int64_t kFirstSleepNanos = 10000000;
constexpr int64_t kLongSleepNanos = 100000000;
// A guest can hide from the interrupt signal by running the stub's own code. Its stub is killed
// when an interrupt goes unanswered for so long.
constexpr uint64_t kResendNanos = 1000000000;
constexpr uint64_t kGiveUpNanos = 10000000000;

// Linux's selectors for 64-bit user code, the only ones a guest gets.
constexpr uint64_t kUserCs = 0x33;
constexpr uint64_t kUserSs = 0x2b;
constexpr uint32_t kVectorPageFault = 14;
constexpr uint32_t kPageFaultWrite = 2;
constexpr uint32_t kPageFaultFetch = 16;

uint32_t State(ThreadCtx* ctx) { return __atomic_load_n(&ctx->state, __ATOMIC_ACQUIRE); }

// What the thread itself published; hostile.
uint64_t PublishedCpuNanos(const ThreadCtx* ctx) {
  const int64_t sec = __atomic_load_n(&ctx->cpu_sec, __ATOMIC_RELAXED);
  const int64_t nsec = __atomic_load_n(&ctx->cpu_nsec, __ATOMIC_RELAXED);
  if (sec < 0 || sec > 1000000000 || nsec < 0 || nsec >= 1000000000) return 0;
  return static_cast<uint64_t>(sec) * 1000000000 + static_cast<uint64_t>(nsec);
}

// Offset in its slot of the guest's XSAVE area. The guest may claim what it likes; the area that a
// new thread has is always a valid one.
uint64_t CheckedFpuOffset(const GuestThread& t, uint64_t address) {
  const uint64_t room = STUB_SLOT_SIZE - STUB_CTX_SIZE - arch::XsaveSize();
  const uint64_t offset = address - t.address();
  return offset <= room && offset % 64 == 0 ? offset : (room - 256) & ~uint64_t{63};
}

Stop SegvOfKernel() {
  Stop stop;
  stop.event = Event::kSignal;
  stop.signal = Signal(SIGSEGV);
  stop.code = SI_KERNEL;
  return stop;
}

Stop FaultStop(uint32_t sig, int32_t code, uint64_t address, uint32_t err, uint32_t vector) {
  Stop stop;
  stop.address = address;
  if (sig == SIGSEGV && vector == kVectorPageFault) {
    stop.event = Event::kFault;
    stop.access.write = (err & kPageFaultWrite) != 0;
    stop.access.exec = (err & kPageFaultFetch) != 0;
    stop.access.read = !stop.access.write && !stop.access.exec;
    return stop;
  }
  if (sig != SIGSEGV && sig != SIGBUS && sig != SIGFPE && sig != SIGILL && sig != SIGTRAP) {
    return SegvOfKernel();
  }
  stop.event = Event::kSignal;
  stop.signal = Signal(static_cast<int32_t>(sig));
  stop.code = code;
  return stop;
}

}  // namespace

Status SystrapContext::Bind(SystrapAddressSpace& as) {
  if (stub_ == as.stub()) return Ok();
  Release();
  GuestThread* thread = TRY(as.stub()->AcquireThread());
  stub_ = as.stub();
  thread_ = thread;
  ctx_ = thread->ctx;
  thread->cpu_nanos_before = PublishedCpuNanos(ctx_);
  fpu_offset_ = CheckedFpuOffset(*thread, __atomic_load_n(&ctx_->fpu, __ATOMIC_RELAXED));
  std::memcpy(thread->memory() + fpu_offset_, fpu_.data(), fpu_.size());
  ctx_->fpu = thread->address() + fpu_offset_;
  written_valid_ = false;
  MutexLock lock(mu_);
  shared_stub_ = stub_;
  shared_thread_ = thread;
  return Ok();
}

void SystrapContext::Release() {
  placement_.Leave();
  if (!stub_) return;
  fpu_ = SaveFpu();
  ctx_->spin = 0;
  {
    MutexLock lock(mu_);
    const uint64_t now = PublishedCpuNanos(ctx_);
    past_cpu_nanos_ += now - std::min(now, thread_->cpu_nanos_before);
    shared_stub_.reset();
    shared_thread_ = nullptr;
  }
  stub_->ReleaseThread(thread_);
  thread_ = nullptr;
  ctx_ = nullptr;
  stub_.reset();
}

void SystrapContext::SetAffinity(const CpuSet& cpus) {
  {
    MutexLock lock(mu_);
    affinity_ = cpus;
  }
  affinity_changed_.store(true, std::memory_order_release);
  Interrupt();
}

void SystrapContext::TakeAffinity() {
  if (!affinity_changed_.exchange(false)) return;
  CpuSet cpus;
  {
    MutexLock lock(mu_);
    cpus = affinity_;
  }
  placement_.Restrict(cpus);
}

Stop SystrapContext::Switch(AddressSpace& as, arch::Registers& regs) {
  Stop stop;
  for (;;) {
    if (affinity_changed_.load(std::memory_order_relaxed)) [[unlikely]]
      TakeAffinity();
    if (interrupt_.load(std::memory_order_relaxed) && interrupt_.exchange(false)) {
      stop.event = Event::kInterrupted;
      return stop;
    }
    Status bound = Bind(static_cast<SystrapAddressSpace&>(as));
    if (!bound.ok()) {
      LOG_WARNING("systrap: no guest thread: %s", ErrnoName(bound.error()));
      stop.event = Event::kGone;
      return stop;
    }
    WriteRegisters(regs);
    if (!RunGuest()) {
      stop.event = Event::kGone;
      return stop;
    }
    stop = ReadStop(regs);
    if (stop.event != Event::kInterrupted || interrupt_.exchange(false)) return stop;
    // A signal that came late, for an interrupt that was reported already.
  }
}

// Most calls change one or two registers; what is not written need not travel to the other CPU.
void SystrapContext::WriteRegisters(const arch::Registers& regs) {
  constexpr size_t kWords = sizeof(arch::Registers) / sizeof(uint64_t);
  uint64_t want[kWords];
  uint64_t have[kWords];
  arch::Registers fixed = regs;
  fixed.cs = kUserCs;
  fixed.ss = kUserSs;
  std::memcpy(want, &fixed, sizeof(want));
  std::memcpy(have, &written_, sizeof(have));
  auto* to = reinterpret_cast<uint64_t*>(&ctx_->regs);
  for (size_t i = 0; i < kWords; ++i) {
    if (!written_valid_ || want[i] != have[i]) __atomic_store_n(to + i, want[i], __ATOMIC_RELAXED);
  }
}

bool SystrapContext::RunGuest() {
  if (stub_->gone()) return false;
  placement_.BeforeGuest(*thread_, *stub_);
  const uint64_t start = Tsc();
  entered_tsc_.store(start, std::memory_order_relaxed);
  in_guest_.store(true, std::memory_order_relaxed);
  // A full barrier: either Interrupt() sees in_guest_, or its request is seen here.
  __atomic_exchange_n(&ctx_->state, STATE_GUEST, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&ctx_->stub_waiting, __ATOMIC_RELAXED) != 0) FutexWake(&ctx_->state, 1);
  if (interrupt_.load(std::memory_order_seq_cst)) stub_->Interrupt(*thread_);
  const uint64_t limit = placement_.SpinTicks();
  uint64_t now = start;
  while (State(ctx_) == STATE_GUEST && now - start < limit) {
    __builtin_ia32_pause();
    now = Tsc();
  }
  bool alive = true;
  if (State(ctx_) == STATE_GUEST) {
    placement_.GuestRunsLong(*thread_);
    alive = SleepUntilStop();
  }
  in_guest_.store(false, std::memory_order_relaxed);
  placement_.AfterGuest(Tsc() - start);
  return alive;
}

bool SystrapContext::SleepUntilStop() {
  __atomic_store_n(&ctx_->sentry_waiting, 1, __ATOMIC_SEQ_CST);
  int64_t sleep = kFirstSleepNanos;
  uint64_t waited = 0;  // since an interrupt was first seen pending
  bool alive = true;
  while (State(ctx_) == STATE_GUEST) {
    const long rc = FutexWait(&ctx_->state, STATE_GUEST, sleep);
    if (State(ctx_) != STATE_GUEST) break;
    alive = !stub_->gone();
    if (!alive) break;
    if (rc != -ETIMEDOUT) continue;
    placement_.GuestStillRuns(*thread_, *stub_);
    waited = interrupt_.load(std::memory_order_relaxed) ? waited + static_cast<uint64_t>(sleep) : 0;
    if (!OnSleepTimeout(waited)) stub_->Kill();
    sleep = kLongSleepNanos;
  }
  __atomic_store_n(&ctx_->sentry_waiting, 0, __ATOMIC_RELAXED);
  return alive;
}

// False: the guest evades the interrupt.
bool SystrapContext::OnSleepTimeout(uint64_t waited_nanos) {
  if (waited_nanos >= kGiveUpNanos) {
    LOG_WARNING("systrap: stub %d killed: its guest does not stop", stub_->pid());
    return false;
  }
  if (waited_nanos >= kResendNanos) stub_->Interrupt(*thread_);
  return true;
}

// Everything in the slot is hostile: each field is read once, then used.
Stop SystrapContext::ReadStop(arch::Registers& regs) {
  const ThreadCtx& c = *ctx_;
  const auto sig = __atomic_load_n(&c.sig, __ATOMIC_RELAXED);
  const auto fpu = __atomic_load_n(&c.fpu, __ATOMIC_RELAXED);
  std::memcpy(&written_, &c.regs, sizeof(written_));
  __asm__ volatile("" ::: "memory");
  written_valid_ = true;
  regs = written_;
  regs.cs = kUserCs;
  regs.ss = kUserSs;
  regs.orig_rax = ~uint64_t{0};
  fpu_offset_ = CheckedFpuOffset(*thread_, fpu);
  Stop stop;
  if (sig == STUB_INTERRUPT_SIGNAL) {
    stop.event = Event::kInterrupted;
    return stop;
  }
  if (sig != SIGSYS) {
    return FaultStop(
        sig, __atomic_load_n(&c.code, __ATOMIC_RELAXED), __atomic_load_n(&c.addr, __ATOMIC_RELAXED),
        __atomic_load_n(&c.err, __ATOMIC_RELAXED), __atomic_load_n(&c.trapno, __ATOMIC_RELAXED));
  }
  if (__atomic_load_n(&c.arch, __ATOMIC_RELAXED) != AUDIT_ARCH_X86_64) {
    // int $0x80 and its like, on a kernel without 32-bit programs: a general protection fault.
    regs.rip -= 2;
    return SegvOfKernel();
  }
  const auto number = static_cast<int32_t>(__atomic_load_n(&c.sysno, __ATOMIC_RELAXED));
  stop.event = Event::kSyscall;
  regs.orig_rax = static_cast<uint64_t>(static_cast<int64_t>(number));
  return stop;
}

void SystrapContext::Interrupt() {
  if (interrupt_.exchange(true, std::memory_order_seq_cst)) return;
  if (!in_guest_.load(std::memory_order_seq_cst)) return;
  MutexLock lock(mu_);
  if (shared_stub_) shared_stub_->Interrupt(*shared_thread_);
}

arch::FpuState SystrapContext::SaveFpu() {
  if (!stub_) return fpu_;
  arch::FpuState state(arch::XsaveSize());
  std::memcpy(state.data(), thread_->memory() + fpu_offset_, state.size());
  arch::SanitizeFpuState(state);
  return state;
}

void SystrapContext::LoadFpu(const arch::FpuState& state) {
  arch::FpuState clean = state;
  arch::SanitizeFpuState(clean);
  if (!stub_) {
    fpu_ = std::move(clean);
    return;
  }
  std::memcpy(thread_->memory() + fpu_offset_, clean.data(), clean.size());
  ctx_->fpu = thread_->address() + fpu_offset_;
}

void SystrapContext::BeforeBlock() {
  placement_.Rest();
  if (ctx_ != nullptr) ctx_->spin = 0;
}

uint64_t SystrapContext::GuestCpuNanos() {
  MutexLock lock(mu_);
  uint64_t total = past_cpu_nanos_;
  if (shared_stub_) {
    const uint64_t published = PublishedCpuNanos(shared_thread_->ctx);
    const uint64_t used = published - std::min(published, shared_thread_->cpu_nanos_before);
    total += used;
    if (in_guest_.load(std::memory_order_relaxed)) {
      // Not yet published: at most the time since it entered, and what the process can have used.
      const uint64_t since = Tsc() - entered_tsc_.load(std::memory_order_relaxed);
      const uint64_t process = shared_stub_->CpuNanos();
      total += std::min(since * 1000 / TicksPerMicro(), process - std::min(process, published));
    }
  }
  reported_cpu_nanos_ = std::max(reported_cpu_nanos_, total);
  return reported_cpu_nanos_;
}

}  // namespace runsc::platform::systrap
