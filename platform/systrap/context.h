#ifndef PLATFORM_SYSTRAP_CONTEXT_H_
#define PLATFORM_SYSTRAP_CONTEXT_H_

#include <atomic>
#include <cstdint>

#include "platform/api/platform.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/systrap/address_space.h"
#include "platform/systrap/placement.h"
#include "platform/systrap/stub.h"

namespace runsc::platform::systrap {

// One guest thread's place in a stub, and the sentry thread's half of the hand-off.
class SystrapContext : public Context {
 public:
  explicit SystrapContext(const CpuTable& cpus) : placement_(cpus), fpu_(arch::InitialFpuState()) {}
  ~SystrapContext() override { Release(); }

  Status Prepare(AddressSpace& as) override { return Bind(static_cast<SystrapAddressSpace&>(as)); }
  Stop Switch(AddressSpace& as, arch::Registers& regs) override;
  void Interrupt() override;
  arch::FpuState SaveFpu() override;
  void LoadFpu(const arch::FpuState& state) override;
  void SetAffinity(const CpuSet& cpus) override;
  void BeforeBlock() override;
  void AfterBlock() override {}
  uint64_t GuestCpuNanos() override;
  void Release() override;

 private:
  Status Bind(SystrapAddressSpace& as);
  void WriteRegisters(const arch::Registers& regs);
  // Lets the guest run until it stops. False if the stub is gone.
  bool RunGuest();
  bool SleepUntilStop();
  // What to do when the guest still runs after a sleep; false: give it up.
  bool OnSleepTimeout(uint64_t waited_nanos);
  void TakeAffinity();
  Stop ReadStop(arch::Registers& regs);

  // The sentry thread's own.
  Placement placement_;
  Ref<Stub> stub_;
  GuestThread* thread_ = nullptr;
  ThreadCtx* ctx_ = nullptr;  // of thread_
  // Ours while not bound; else the guest thread's slot has it at fpu_offset_.
  arch::FpuState fpu_;
  uint64_t fpu_offset_ = 0;
  arch::Registers written_{};  // what the slot holds, as far as we wrote or read it
  bool written_valid_ = false;

  // affinity_ is new.
  std::atomic<bool> affinity_changed_{false};
  // Asked for and not yet reported.
  std::atomic<bool> interrupt_{false};
  // The guest may be running: an interrupt needs the signal.
  std::atomic<bool> in_guest_{false};
  std::atomic<uint64_t> entered_tsc_{0};

  // stub_ and thread_ once more, for other threads.
  Mutex<LockRank::kPlatformContext> mu_;
  Ref<Stub> shared_stub_ ABSL_GUARDED_BY(mu_);
  GuestThread* shared_thread_ ABSL_GUARDED_BY(mu_) = nullptr;
  uint64_t past_cpu_nanos_ ABSL_GUARDED_BY(mu_) = 0;  // on threads released since
  CpuSet affinity_ ABSL_GUARDED_BY(mu_);
  uint64_t reported_cpu_nanos_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace runsc::platform::systrap

#endif  // PLATFORM_SYSTRAP_CONTEXT_H_
