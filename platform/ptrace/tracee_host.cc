#include <elf.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "platform/ptrace/stub_layout.h"
#include "platform/ptrace/tracee.h"

namespace runsc::ptrace_platform {
namespace {

using arch::Registers;
using platform::Event;
using platform::Stop;

static_assert(sizeof(Registers) == sizeof(user_regs_struct));
static_assert(offsetof(Registers, orig_rax) == offsetof(user_regs_struct, orig_rax));
static_assert(offsetof(Registers, gs) == offsetof(user_regs_struct, gs));

constexpr int kNudgeSignal = SIGUSR1;
constexpr int kSyscallStop = SIGTRAP | 0x80;
constexpr uint64_t kUserCs = 0x33;
constexpr uint64_t kTrapFlag = 0x100;
constexpr uint64_t kNoSyscall = ~uint64_t{0};
// Where struct ucontext has the page fault's error code and the exception's number.
constexpr uint64_t kUcErrorCode = 40 + 19 * 8;
constexpr uint64_t kPfWrite = 2;
constexpr uint64_t kPfFetch = 16;
constexpr uint64_t kLongestInstruction = 15;

long Ptrace(int request, int32_t pid, uint64_t addr, void* data) {
  return ptrace(static_cast<__ptrace_request>(request), pid, addr, data);
}

uint64_t StubAddress(const uint8_t* label) {
  return PTRACE_STUB_BASE + static_cast<uint64_t>(label - runsc_ptrace_stub_begin);
}

Stop Gone() { return {.event = Event::kGone}; }

// The kernel acts on these in rax at the way back to user code while orig_rax says "in a call".
bool IsRestartCode(uint64_t v) {
  const int64_t s = static_cast<int64_t>(v);
  return s >= -516 && s <= -512;
}

}  // namespace

bool Tracee::Attach(int32_t pid, uint32_t slot, Tracee& out) {
  const uint64_t options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
  if (Ptrace(PTRACE_SEIZE, pid, 0, reinterpret_cast<void*>(options)) != 0) return false;
  if (Ptrace(PTRACE_INTERRUPT, pid, 0, nullptr) != 0) return false;
  out.pid_ = pid;
  out.slot_ = slot;
  out.known_ = false;
  int signal = 0;
  return out.Wait(signal) != Halt::kDead;
}

void Tracee::Nudge(int32_t pid) { syscall(SYS_tgkill, pid, pid, kNudgeSignal); }

bool Tracee::Park() {
  Registers regs{};
  regs.rip = StubAddress(runsc_ptrace_stub_park);
  regs.cs = kUserCs;
  regs.ss = 0x2b;
  known_ = false;
  if (!SetRegisters(regs)) return false;
  return Ptrace(PTRACE_DETACH, pid_, 0, nullptr) == 0;
}

bool Tracee::GetFpu(arch::FpuState& state) const {
  state.resize(arch::XsaveSize());
  iovec iov{state.data(), state.size()};
  if (Ptrace(PTRACE_GETREGSET, pid_, NT_X86_XSTATE, &iov) != 0) return false;
  arch::SanitizeFpuState(state);
  return true;
}

bool Tracee::SetFpu(const arch::FpuState& state) const {
  arch::FpuState copy = state;
  arch::SanitizeFpuState(copy);
  iovec iov{copy.data(), copy.size()};
  return Ptrace(PTRACE_SETREGSET, pid_, NT_X86_XSTATE, &iov) == 0;
}

bool Tracee::SetRegisters(const Registers& regs) {
  if (known_ && !IsRestartCode(regs.rax)) {
    // After most calls only the result differs.
    Registers same = seen_;
    same.rax = regs.rax;
    same.orig_rax = regs.orig_rax;
    if (std::memcmp(&same, &regs, sizeof(same)) == 0) {
      return Ptrace(PTRACE_POKEUSER, pid_, offsetof(user_regs_struct, rax),
                    reinterpret_cast<void*>(regs.rax)) == 0;
    }
  }
  Registers all = regs;
  all.orig_rax = kNoSyscall;
  if (Ptrace(PTRACE_SETREGS, pid_, 0, &all) == 0) return true;
  if (errno != EIO || !arch::SanitizeRegisters(all)) return false;
  return Ptrace(PTRACE_SETREGS, pid_, 0, &all) == 0;
}

bool Tracee::Resume(int signal) {
  return Ptrace(PTRACE_SYSEMU, pid_, 0,
                reinterpret_cast<void*>(static_cast<uintptr_t>(signal))) == 0;
}

Tracee::Halt Tracee::Wait(int& signal) {
  int status = 0;
  pid_t pid = -1;
  do {
    pid = waitpid(pid_, &status, __WALL);
  } while (pid < 0 && errno == EINTR);
  if (pid != pid_ || !WIFSTOPPED(status)) {
    pid_ = -1;
    return Halt::kDead;
  }
  signal = WSTOPSIG(status);
  if (signal == kSyscallStop) return Halt::kSyscall;
  // A group stop or the stop of an attach: nothing of the guest's.
  return (status >> 16) != 0 ? Halt::kOther : Halt::kSignal;
}

Stop Tracee::Run(Registers& regs) {
  if (!SetRegisters(regs)) return Gone();
  known_ = false;
  while (true) {
    int signal = 0;
    Halt halt = Resume(0) ? Wait(signal) : Halt::kDead;
    if (halt == Halt::kDead) return Gone();
    if (halt == Halt::kOther) continue;
    if (Ptrace(PTRACE_GETREGS, pid_, 0, &regs) != 0) return Gone();
    seen_ = regs;
    known_ = true;
    if (halt == Halt::kSyscall) return AtSyscall(regs);
    if (signal == kNudgeSignal) return {.event = Event::kInterrupted};
    switch (signal) {
      case SIGSEGV: case SIGBUS: case SIGILL: case SIGFPE: case SIGTRAP: case SIGSYS:
        return AtSignal(signal, regs);
      default:
        continue;  // from outside the sandbox: not for the guest
    }
  }
}

// The SYSCALL instruction leaves the return address in rcx and the flags in r11. Where they differ
// the guest came another way (int 0x80, or 32-bit code), with 32-bit call numbers; a host without
// 32-bit support would answer that with a protection fault.
Stop Tracee::AtSyscall(Registers& regs) {
  const bool native = regs.cs == kUserCs && regs.rcx == regs.rip &&
                      ((regs.r11 ^ regs.eflags) & ~kTrapFlag) == 0;
  if (native) return {.event = Event::kSyscall};
  regs.rip -= 2;
  regs.rax = regs.orig_rax & 0xffffffff;
  regs.orig_rax = kNoSyscall;
  return {.event = Event::kSignal, .signal = Signal(SIGSEGV), .code = SI_KERNEL};
}

Stop Tracee::AtSignal(int signal, Registers& regs) {
  siginfo_t info{};
  if (Ptrace(PTRACE_GETSIGINFO, pid_, 0, &info) != 0) return Gone();
  // Sent by a process outside: the guest did nothing.
  if (info.si_code <= 0) return {.event = Event::kInterrupted};
  if (signal == SIGSYS) {
    // The stub's filter caught a call through the vsyscall page: the host has popped the return
    // address already, and the number tells which call it was.
    regs.orig_rax = static_cast<uint64_t>(info.si_syscall);
    return {.event = Event::kSyscall};
  }
  const uint64_t address = reinterpret_cast<uint64_t>(info.si_addr);
  if (signal == SIGSEGV && info.si_code != SI_KERNEL) {
    return AtPageFault(address, info.si_code, regs);
  }
  return {.event = Event::kSignal,
          .signal = Signal(signal),
          .code = info.si_code,
          .address = info.si_code == SI_KERNEL ? 0 : address};
}

Stop Tracee::AtPageFault(uint64_t address, int32_t code, Registers& regs) {
  Stop stop{.event = Event::kFault, .address = address};
  if (code == SEGV_MAPERR && PageDown(address) == PageDown(regs.rip)) {
    // Unmapped where the instruction itself is: it was the fetch.
    stop.access.exec = true;
    return stop;
  }
  uint64_t error_code = 0;
  if (!FaultErrorCode(regs, error_code)) return Gone();
  const bool near = address - regs.rip < kLongestInstruction;
  if ((error_code & kPfFetch) != 0 && near) {
    stop.access.exec = true;
  } else if ((error_code & kPfWrite) != 0) {
    stop.access.write = true;
  } else {
    stop.access.read = true;
  }
  return stop;
}

// ptrace does not show what kind of access faulted, but the signal frame does. So the signal is
// delivered to the stub's own handler, on this thread's slot, and the frame's word is read. The
// guest could change that word meanwhile, and would deceive nobody but itself.
bool Tracee::FaultErrorCode(const Registers& regs, uint64_t& error_code) {
  arch::FpuState fpu;
  if (!GetFpu(fpu)) return false;
  Registers aside = regs;
  aside.rsp = PTRACE_STUB_SLOTS + uint64_t{slot_ + 1} * PTRACE_STUB_SLOT_SIZE - 64;
  aside.orig_rax = kNoSyscall;
  known_ = false;
  if (Ptrace(PTRACE_SETREGS, pid_, 0, &aside) != 0) return false;
  // A nudge that comes in between is dropped: the context still has its flag.
  Halt halt = Halt::kOther;
  for (int deliver = SIGSEGV; halt != Halt::kSyscall; deliver = 0) {
    int signal = 0;
    if (!Resume(deliver)) return false;
    halt = Wait(signal);
    if (halt == Halt::kDead || (halt == Halt::kSignal && signal == SIGSEGV)) return false;
  }
  Registers handler{};
  if (Ptrace(PTRACE_GETREGS, pid_, 0, &handler) != 0) return false;
  errno = 0;
  const long word = Ptrace(PTRACE_PEEKDATA, pid_, handler.rdx + kUcErrorCode, nullptr);
  if (errno != 0) return false;
  error_code = static_cast<uint64_t>(word);
  return SetFpu(fpu);
}

}  // namespace runsc::ptrace_platform
