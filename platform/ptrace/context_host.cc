#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <utility>

#include "platform/ptrace/context.h"
#include "platform/ptrace/platform.h"

namespace runsc::ptrace_platform {
namespace {

using platform::Event;
using platform::Stop;

int32_t ThreadId() {
  static thread_local const int32_t id = static_cast<int32_t>(syscall(SYS_gettid));
  return id;
}

// CPU time of the process that serves as the guest thread (clock_getcpuclockid(3)); `otherwise` if
// it is gone.
uint64_t ProcessCpuNanos(int32_t pid, uint64_t otherwise) {
  constexpr uint32_t kSchedClock = 2;
  const auto clock = static_cast<clockid_t>(~static_cast<uint32_t>(pid) << 3 | kSchedClock);
  timespec t{};
  if (clock_gettime(clock, &t) != 0) return otherwise;
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

}  // namespace

PtraceContext::PtraceContext(PtracePlatform& platform)
    : seat_(platform.placement()), fpu_(arch::InitialFpuState()) {}

PtraceContext::~PtraceContext() { Release(); }

uint64_t PtraceContext::GuestCpuNanos() {
  MutexLock l(usage_mu_);
  if (usage_pid_ < 0) return used_before_;
  return used_before_ + ProcessCpuNanos(usage_pid_, place_start_) - place_start_;
}

void PtraceContext::StartUsage(int32_t pid) {
  MutexLock l(usage_mu_);
  usage_pid_ = pid;
  place_start_ = ProcessCpuNanos(pid, 0);
}

void PtraceContext::StopUsage() {
  const uint64_t used = GuestCpuNanos();
  MutexLock l(usage_mu_);
  used_before_ = used;
  usage_pid_ = -1;
}

// From the parent's thread: attaching is the tracer's, at the first Switch.
Status PtraceContext::Prepare(platform::AddressSpace& as) {
  Release();
  const std::shared_ptr<Space>& space = static_cast<PtraceAddressSpace&>(as).space();
  place_ = TRY(space->TakePlace());
  reserved_ = space;
  return Ok();
}

bool PtraceContext::Bind(const std::shared_ptr<Space>& space) {
  if (space_ == space && tracer_ == ThreadId()) return true;
  if (reserved_ != space) {
    Release();
    ErrnoOr<Place> place = space->TakePlace();
    if (!place.ok()) return false;
    place_ = *place;
  }
  reserved_ = nullptr;
  if (!Tracee::Attach(place_.pid, place_.slot, tracee_)) {
    KillStub(place_.pid);
    space->DropPlace(place_);
    return false;
  }
  space_ = space;
  tracer_ = ThreadId();
  StartUsage(place_.pid);
  seat_.Forget();
  return true;
}

// The place is dead and reaped, or beyond reach.
void PtraceContext::PlaceDied() {
  StopUsage();
  KillStub(place_.pid);
  space_->DropPlace(place_);
  space_ = nullptr;
  stale_ = true;
}

void PtraceContext::Release() {
  seat_.Idle();
  if (reserved_ != nullptr) std::exchange(reserved_, nullptr)->ReturnPlace(place_);
  if (space_ == nullptr) return;
  if (!stale_ && tracee_.GetFpu(fpu_)) stale_ = true;
  // From another thread than the tracer all this fails, and the place can only be killed.
  if (tracee_.Park()) {
    StopUsage();
    space_->ReturnPlace(place_);
    space_ = nullptr;
    stale_ = true;
  } else {
    PlaceDied();
  }
}

Stop PtraceContext::RunOnce(arch::Registers& regs) {
  // Interrupt looks at these two in the other order: whoever comes second sees the other's.
  running_pid_.store(place_.pid);
  Stop stop{.event = Event::kInterrupted};
  if (!interrupt_.load()) stop = tracee_.Run(regs);
  running_pid_.store(-1);
  return stop;
}

void PtraceContext::SetAffinity(const platform::CpuSet& cpus) {
  {
    MutexLock l(affinity_mu_);
    affinity_ = cpus;
  }
  affinity_changed_.store(true);
  Interrupt();
}

void PtraceContext::TakeAffinity() {
  if (!affinity_changed_.exchange(false)) return;
  MutexLock l(affinity_mu_);
  seat_.Restrict(affinity_);
}

Stop PtraceContext::Switch(platform::AddressSpace& as, arch::Registers& regs) {
  if (affinity_changed_.load(std::memory_order_relaxed)) TakeAffinity();
  if (interrupt_.exchange(false)) return {.event = Event::kInterrupted};
  if (!Bind(static_cast<PtraceAddressSpace&>(as).space())) return {.event = Event::kGone};
  seat_.Enter(place_.pid);
  if (stale_ && tracee_.SetFpu(fpu_)) stale_ = false;
  Stop stop;
  do {
    stop = RunOnce(regs);
    // A nudge that was sent for an interrupt reported long ago is nobody's.
  } while (stop.event == Event::kInterrupted && !interrupt_.exchange(false));
  seat_.Leave();
  if (stop.event == Event::kGone) PlaceDied();
  return stop;
}

void PtraceContext::Interrupt() {
  interrupt_.store(true);
  const int32_t pid = running_pid_.load();
  if (pid > 0) Tracee::Nudge(pid);
}

arch::FpuState PtraceContext::SaveFpu() {
  if (!stale_) tracee_.GetFpu(fpu_);
  return fpu_;
}

void PtraceContext::LoadFpu(const arch::FpuState& state) {
  fpu_ = state;
  arch::SanitizeFpuState(fpu_);
  stale_ = true;
}

}  // namespace runsc::ptrace_platform
