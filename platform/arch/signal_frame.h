#ifndef PLATFORM_ARCH_SIGNAL_FRAME_H_
#define PLATFORM_ARCH_SIGNAL_FRAME_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "platform/arch/registers.h"
#include "platform/base/errno.h"

namespace runsc::arch {

// The frame that Linux pushes for a signal handler on x86-64 and that rt_sigreturn(2) pops
// (arch/x86/include/asm/sigframe.h): pure functions over bytes, hostile-proof.

using SigInfoBytes = std::array<uint8_t, 128>;

// A thread's alternate stack as kept by the kernel: flags as sigaltstack(2) stored them.
struct AltStack {
  uint64_t sp = 0;
  uint32_t flags = 2;  // SS_DISABLE
  uint64_t size = 0;

  // Whether a thread whose stack pointer is `at` runs on it (SS_AUTODISARM: never).
  bool Contains(uint64_t at) const;
};

// Bytes of the frame up to the FPU state, and of the FPU state with its closing magic.
inline constexpr size_t kSignalFrameSize = 440;
uint32_t FpuFrameSize();

// Where the pieces go.
struct FrameLayout {
  uint64_t frame = 0;    // sp at the handler's first instruction
  uint64_t fpstate = 0;  // 64-byte aligned
  uint64_t end = 0;      // first byte after the FPU state
};
// The layout below `sp`; on a stack switch `sp` is the new stack's top.
FrameLayout LayoutSignalFrame(uint64_t sp);

struct SignalDelivery {
  Registers regs;  // to return to, with a restart of the system call already decided
  const FpuState* fpu = nullptr;
  int32_t signo = 0;
  SigInfoBytes info{};
  uint64_t mask = 0;  // signal mask to restore
  AltStack altstack;
  uint64_t handler = 0;
  uint64_t restorer = 0;
  uint64_t flags = 0;  // SA_*
  // Of the last CPU exception of this thread: page-fault error code, vector and address.
  uint64_t error_code = 0;
  uint64_t trap_number = 0;
  uint64_t fault_address = 0;
};

struct SignalFrame {
  uint64_t address = 0;
  std::vector<uint8_t> bytes;  // to store at `address`
  Registers regs;              // to enter the handler with; the FPU state is InitialFpuState()
};

// EFAULT (Linux then forces SIGSEGV): the frame does not fit on the alternate stack, wraps, or there is no
// restorer.
ErrnoOr<SignalFrame> BuildSignalFrame(const SignalDelivery& delivery);

// What rt_sigreturn(2) restores. The caller drops SIGKILL and SIGSTOP from the mask, and applies
// the alternate stack as sigaltstack(2) would, ignoring its errors.
struct SignalReturn {
  Registers regs;
  FpuState fpu;
  uint64_t mask = 0;
  AltStack altstack;
};

// Reads `size` guest bytes at an address; false on a fault.
using GuestReader = std::function<bool(uint64_t address, void* out, size_t size)>;

// `regs`: at the rt_sigreturn call. EFAULT (Linux then forces SIGSEGV): unreadable or not loadable.
ErrnoOr<SignalReturn> ParseSignalFrame(const Registers& regs, const GuestReader& read);

}  // namespace runsc::arch

#endif  // PLATFORM_ARCH_SIGNAL_FRAME_H_
