#ifndef PLATFORM_PTRACE_CONTEXT_H_
#define PLATFORM_PTRACE_CONTEXT_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "platform/api/platform.h"
#include "platform/base/mutex.h"
#include "platform/ptrace/address_space.h"
#include "platform/ptrace/placement.h"
#include "platform/ptrace/tracee.h"

namespace runsc::ptrace_platform {

// One guest thread. The sentry thread that switches is the tracer of its place.
class PtraceContext final : public platform::Context {
 public:
  explicit PtraceContext(PtracePlatform& platform);
  ~PtraceContext() override;

  Status Prepare(platform::AddressSpace& as) override;
  platform::Stop Switch(platform::AddressSpace& as, arch::Registers& regs) override;
  void Interrupt() override;
  arch::FpuState SaveFpu() override;
  void LoadFpu(const arch::FpuState& state) override;
  void SetAffinity(const platform::CpuSet& cpus) override;
  void BeforeBlock() override { seat_.Idle(); }
  uint64_t GuestCpuNanos() override;
  void Release() override;

 private:
  bool Bind(const std::shared_ptr<Space>& space);
  void PlaceDied();
  void TakeAffinity();
  platform::Stop RunOnce(arch::Registers& regs);
  void StartUsage(int32_t pid);
  void StopUsage();

  Placement::Seat seat_;
  std::shared_ptr<Space> reserved_;  // where place_ is taken and not yet attached to, or null
  std::shared_ptr<Space> space_;     // where it is bound, or null
  Place place_;                      // of whichever is not null
  int32_t tracer_ = -1;  // thread id of the thread that attached
  Tracee tracee_;
  // What to load before the next run, if stale_; else the place has the state.
  arch::FpuState fpu_;
  bool stale_ = true;

  // CPU time, which others ask for too: of the places given up, and of the place in use less what
  // it had used when it was taken.
  Mutex<LockRank::kPlacement> usage_mu_;
  uint64_t used_before_ ABSL_GUARDED_BY(usage_mu_) = 0;
  uint64_t place_start_ ABSL_GUARDED_BY(usage_mu_) = 0;
  int32_t usage_pid_ ABSL_GUARDED_BY(usage_mu_) = -1;

  Mutex<LockRank::kPlatformContext> affinity_mu_;
  platform::CpuSet affinity_ ABSL_GUARDED_BY(affinity_mu_);
  std::atomic<bool> affinity_changed_{false};
  std::atomic<bool> interrupt_{false};
  std::atomic<int32_t> running_pid_{-1};
};

}  // namespace runsc::ptrace_platform

#endif  // PLATFORM_PTRACE_CONTEXT_H_
