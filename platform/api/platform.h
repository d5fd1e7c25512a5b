#ifndef PLATFORM_API_PLATFORM_H_
#define PLATFORM_API_PLATFORM_H_

#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platform/arch/registers.h"
#include "platform/base/errno.h"
#include "platform/base/types.h"

namespace runsc::platform {

// CPUs as guests number them: 0 up to PlatformOptions::cpus. As many as glibc's cpu_set_t holds.
inline constexpr int kMaxCpus = 1024;
using CpuSet = std::bitset<kMaxCpus>;

// Why Context::Switch returned.
enum class Event {
  kSyscall,      // stopped at a system-call instruction; regs.orig_rax is the number, pc is after it
  kFault,        // a memory access failed: Stop::address, Stop::access
  kSignal,       // the CPU raised another exception: Stop::signal, Stop::code, Stop::address
  kInterrupted,  // Interrupt() was called; registers are the guest's, at some instruction
  kGone,         // the place where guest code ran has died (killed from outside); the task must exit
};

// What Switch reports besides the registers.
struct Stop {
  Event event = Event::kInterrupted;
  Signal signal;         // kSignal: SIGILL, SIGFPE, SIGTRAP, SIGBUS (alignment), SIGSEGV (non-canonical…)
  int32_t code = 0;      // kSignal: si_code as the CPU exception gives it on Linux
  uint64_t address = 0;  // kFault, kSignal: faulting address
  Access access;         // kFault: what was tried. `read` only if neither write nor exec.
};

// A host file (by descriptor) or guest RAM to map. The descriptor must stay open until MapFile
// returns; between BeginBatch and EndBatch until EndBatch returns. Platforms may be told of a descriptor many times; they need not cache.
struct MapSource {
  int fd = -1;
  uint64_t offset = 0;  // page aligned
};

// What must live as long as guest code can reach it through mappings.
class Baggage {
 public:
  virtual ~Baggage() = default;
};

// One guest address space. Thread-safe; callers hold their mm's lock, so calls that overlap in
// range are never concurrent. All ranges are page aligned and inside Platform::user_range().
class AddressSpace {
 public:
  virtual ~AddressSpace() = default;

  // Maps `range` to `source`, replacing what was there. Shared mapping: stores go to the source.
  // `populate`: enter present pages' translations at once (the source's pages exist already).
  // ENOMEM: the host refused; the range is then unmapped.
  virtual Status MapFile(AddrRange range, MapSource source, Access access, bool populate) = 0;
  // Removes all mappings in `range`. Never fails on valid input; a stub that is gone is not an error.
  virtual void Unmap(AddrRange range) = 0;
  // Changes the access of what is mapped in `range`; holes inside are skipped.
  virtual Status Protect(AddrRange range, Access access) = 0;

  // Ends it: only the destructor may follow. `kept` (may be null) is destroyed when nothing is mapped
  // here any more: before this returns, or soon after by another thread, which holds no locks.
  virtual void Close(std::unique_ptr<Baggage> kept) = 0;

  // Between Begin and End, map calls may be delayed and sent together; End returns the first error.
  // Calls nest no deeper than one, and the address space must not be switched into meanwhile by
  // the caller. Other threads may be running in it.
  virtual void BeginBatch() {}
  virtual Status EndBatch() { return Ok(); }
};

// The place where one guest thread's code runs; used by one sentry thread (its task's) except
// Interrupt(). Bound to one address space at a time.
class Context {
 public:
  virtual ~Context() = default;

  // Takes what running in `as` needs of the host, so that the first Switch into it cannot fail for
  // want of it. From the thread that makes the context, before the one that will use it. EAGAIN or
  // ENOMEM if the host refuses.
  virtual Status Prepare(AddressSpace&) { return Ok(); }
  // Runs guest code in `as` from `regs` until an event. On return `regs` is the guest's state.
  // A system call's result is set in regs before the next Switch. Interrupts that arrived since
  // the last return of kInterrupted make it return at once.
  virtual Stop Switch(AddressSpace& as, arch::Registers& regs) = 0;
  // Makes a running or the next Switch return kInterrupted soon. From any thread; coalesces.
  virtual void Interrupt() = 0;

  // FPU state of the guest thread as of the last return of Switch.
  virtual arch::FpuState SaveFpu() = 0;
  // Replaces it before the next Switch. The state is sanitized by the platform.
  virtual void LoadFpu(const arch::FpuState& state) = 0;

  // Where the guest's code may run from its next Switch on; one that runs returns kInterrupted. From
  // any thread. Sets of which the sandbox has no CPU leave all.
  virtual void SetAffinity(const CpuSet& cpus) = 0;

  // Tells that the sentry thread is about to block for long (a wait, not a lock): the platform
  // stops spinning and may give up its CPU reservation. Cheap.
  virtual void BeforeBlock() {}
  virtual void AfterBlock() {}

  // CPU time in nanoseconds that the guest's code itself has used in this context so far,
  // not counting the sentry thread.
  virtual uint64_t GuestCpuNanos() = 0;
  // Lets go of the guest execution place bound to the current address space (at exec or exit).
  virtual void Release() = 0;
};

// One instance per sandbox. Created before the sentry enters its own seccomp filter and chroot.
class Platform {
 public:
  virtual ~Platform() = default;
  virtual const char* name() const = 0;
  // Guest addresses that may be mapped: [start, end), page aligned. The platform's own pages in
  // a stub lie outside.
  virtual AddrRange user_range() const = 0;
  // EAGAIN or ENOMEM if the host refuses a process.
  virtual ErrnoOr<std::unique_ptr<AddressSpace>> NewAddressSpace() = 0;
  virtual ErrnoOr<std::unique_ptr<Context>> NewContext() = 0;
};

// What a platform must be given at start. Descriptors are owned by the caller and outlive it.
struct PlatformOptions {
  int memory_fd = -1;        // the memory file (platform/memory)
  bool fast_path = true;     // may spin (--systrap-disable-fast-path turns it off)
  bool patch_syscalls = true;  // --systrap-disable-syscall-patching turns it off
  int cpus = 1;              // CPUs the sandbox may use
};

// How one platform is built: a row in runsc/boot's table.
struct PlatformFactory {
  const char* name;
  // Why the platform cannot be used here; nullopt if a real guest system call and a real page
  // fault worked. Takes at most 50 ms. Forks and reaps what it needs.
  std::optional<std::string> (*self_test)();
  // Error text says what the host forbids.
  ErrnoOr<std::unique_ptr<Platform>> (*create)(const PlatformOptions& options);
};

}  // namespace runsc::platform

#endif  // PLATFORM_API_PLATFORM_H_
