#ifndef PLATFORM_ARCH_REGISTERS_H_
#define PLATFORM_ARCH_REGISTERS_H_

#include <cstdint>
#include <vector>

namespace runsc::arch {

// General registers of a guest thread, x86-64. Layout is the kernel's struct user_regs_struct
// order, so ptrace can fill it directly. Segment selectors are fixed by the platform and not
// under the guest's control.
struct Registers {
  uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
  // System-call number at a system-call stop (-1 otherwise); rax then holds -ENOSYS or the number
  // and is not to be used.
  uint64_t orig_rax;
  uint64_t rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;

  uint64_t pc() const { return rip; }
  void set_pc(uint64_t v) { rip = v; }
  uint64_t sp() const { return rsp; }
  void set_sp(uint64_t v) { rsp = v; }
  uint64_t tls() const { return fs_base; }
  void set_tls(uint64_t v) { fs_base = v; }
  uint64_t syscall_number() const { return orig_rax; }
  // Argument 0..5 of a system call.
  uint64_t syscall_arg(int i) const {
    const uint64_t a[6] = {rdi, rsi, rdx, r10, r8, r9};
    return a[i];
  }
  void set_syscall_return(uint64_t v) { rax = v; }
  uint64_t syscall_return() const { return rax; }
  // Makes the system call at which the thread stopped run again on resume: pc back over the
  // instruction, number register restored to `number`.
  void RestartSyscall(uint64_t number) {
    rip -= 2;
    rax = number;
  }
};

// Size in bytes of the XSAVE area that this host's kernel puts in a signal frame (CPUID leaf 0xD
// for the enabled XCR0 features); at least the 512+64-byte legacy area and header.
uint32_t XsaveSize();
// XCR0 of this host, without features that need a permission first (AMX tile data).
uint64_t XsaveFeatures();

// FPU/SSE/AVX state of a guest thread in standard (non-compacted) XSAVE format, XsaveSize() bytes.
using FpuState = std::vector<uint8_t>;
// State of a new program: x87 and SSE control words at their ABI defaults, all else zero.
FpuState InitialFpuState();
// Clears what XRSTOR would fault on or what this CPU lacks (reserved MXCSR bits, unknown XSTATE_BV
// bits, a compacted header), so hostile state from a guest signal frame can be loaded.
void SanitizeFpuState(FpuState& state);
// Clears reserved and privileged bits of eflags, makes pc/sp-independent fields valid, so hostile
// registers from a guest can be loaded. Non-canonical rip, rsp, fs_base, gs_base: answers false.
bool SanitizeRegisters(Registers& regs);

// What a new program's first thread starts with: pc and sp as given, all else zero.
Registers InitialRegisters(uint64_t pc, uint64_t sp);

}  // namespace runsc::arch

#endif  // PLATFORM_ARCH_REGISTERS_H_
