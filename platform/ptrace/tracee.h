#ifndef PLATFORM_PTRACE_TRACEE_H_
#define PLATFORM_PTRACE_TRACEE_H_

#include <cstdint>

#include "platform/api/platform.h"
#include "platform/arch/registers.h"

namespace runsc::ptrace_platform {

// A guest thread's process as seen by the one sentry thread that traces it. All but Nudge is for
// that thread only. The process is stopped except within Run.
class Tracee {
 public:
  // Attaches to the parked process `pid` and waits until it has stopped. `slot`: where faults of
  // this thread push their frame (stub_layout.h).
  static bool Attach(int32_t pid, uint32_t slot, Tracee& out);

  // Runs guest code from `regs` until something happens to the guest; kInterrupted: a nudge came.
  platform::Stop Run(arch::Registers& regs);
  // Makes Run return kInterrupted, now or the next time. From any thread.
  static void Nudge(int32_t pid);

  bool GetFpu(arch::FpuState& state) const;
  bool SetFpu(const arch::FpuState& state) const;
  // Sends it back to its parking place, traced by nobody.
  bool Park();

  int32_t pid() const { return pid_; }

 private:
  enum class Halt { kDead, kSyscall, kSignal, kOther };

  bool SetRegisters(const arch::Registers& regs);
  bool Resume(int signal);
  Halt Wait(int& signal);
  platform::Stop AtSyscall(arch::Registers& regs);
  platform::Stop AtSignal(int signal, arch::Registers& regs);
  platform::Stop AtPageFault(uint64_t address, int32_t code, arch::Registers& regs);
  bool FaultErrorCode(const arch::Registers& regs, uint64_t& error_code);

  int32_t pid_ = -1;
  uint32_t slot_ = 0;
  // What the kernel holds, if known_: saves storing what has not changed.
  arch::Registers seen_{};
  bool known_ = false;
};

}  // namespace runsc::ptrace_platform

#endif  // PLATFORM_PTRACE_TRACEE_H_
