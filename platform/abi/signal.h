#ifndef PLATFORM_ABI_SIGNAL_H_
#define PLATFORM_ABI_SIGNAL_H_

#include <cstdint>
#include "platform/base/types.h"

// Kernel layouts of signals on x86-64 (include/uapi/asm-generic/siginfo.h, asm/signal.h).

namespace runsc::abi {

// rt_sigaction(2)
struct SigAction {
  uint64_t handler;  // or kSigDfl, kSigIgn
  uint64_t flags;    // SA_*
  uint64_t restorer;
  uint64_t mask;
};
inline constexpr uint64_t kSigDfl = 0;
inline constexpr uint64_t kSigIgn = 1;
inline constexpr uint64_t kSaRestorer = 0x04000000;
inline constexpr uint64_t kSaUnsupported = 0x00000400;
inline constexpr uint64_t kSaExposeTagbits = 0x00000800;

// sigaltstack(2), stack_t
struct SigStack {
  uint64_t sp;
  uint32_t flags;
  uint32_t pad;
  uint64_t size;
};

// timer_create(2), mq_notify(2)
struct SigEvent {
  uint64_t value;
  int32_t signo;
  int32_t notify;  // SIGEV_*
  int32_t tid;     // SIGEV_THREAD_ID
  int32_t pad[11];
};

// si_code values. Below 0 and up to 0x7f: sent by processes or timers; kSiKernel: by the kernel.
inline constexpr int32_t kSiUser = 0, kSiKernel = 0x80, kSiQueue = -1, kSiTimer = -2;
inline constexpr int32_t kSiMesgq = -3, kSiAsyncio = -4, kSiSigio = -5, kSiTkill = -6;
inline constexpr int32_t kIllIllopn = 2;
inline constexpr int32_t kFpeIntdiv = 1, kFpeIntovf = 2;
inline constexpr int32_t kSegvMaperr = 1, kSegvAccerr = 2, kSegvBnderr = 3, kSegvPkuerr = 4;
inline constexpr int32_t kBusAdraln = 1, kBusAdrerr = 2, kBusObjerr = 3;
inline constexpr int32_t kTrapBrkpt = 1, kTrapTrace = 2;
inline constexpr int32_t kCldExited = 1, kCldKilled = 2, kCldDumped = 3, kCldTrapped = 4;
inline constexpr int32_t kCldStopped = 5, kCldContinued = 6;
inline constexpr int32_t kPollIn = 1, kPollOut = 2, kPollMsg = 3, kPollErr = 4, kPollPri = 5;
inline constexpr int32_t kPollHup = 6;
inline constexpr int32_t kSysSeccomp = 1, kSysUserDispatch = 2;

// siginfo_t: 16 bytes that all have, then by kind. Made by the builders below, so that bytes that
// a kind does not use are zero and nothing of ours leaks to a guest.
struct SigInfo {
  int32_t signo;
  int32_t err;
  int32_t code;
  int32_t pad;
  union {
    uint8_t bytes[112];
    struct {
      int32_t pid;
      uint32_t uid;
      uint64_t value;  // sigqueue(3) and message queues
    } rt;
    struct {
      int32_t tid;
      int32_t overrun;
      uint64_t value;
    } timer;
    struct {
      int32_t pid;
      uint32_t uid;
      int32_t status;
      int32_t pad;
      int64_t utime;  // clock ticks
      int64_t stime;
    } child;
    struct {
      uint64_t addr;
      int16_t addr_lsb;
      int16_t pad[3];
      uint64_t lower;  // kSegvBnderr; for kSegvPkuerr the key
      uint64_t upper;
    } fault;
    struct {
      int64_t band;
      int32_t fd;
    } poll;
    struct {
      uint64_t call_addr;
      int32_t number;
      uint32_t arch;
    } sys;
  };
};

static_assert(sizeof(SigInfo) == 128 && sizeof(SigEvent) == 64 && sizeof(SigStack) == 24);
static_assert(sizeof(SigAction) == 32);

// kill(2), tkill(2), tgkill(2): `code` is kSiUser or kSiTkill.
SigInfo KillInfo(Signal signal, int32_t code, int32_t pid, uint32_t uid);
// rt_sigqueueinfo(2) and mq_notify(2): `code` is kSiQueue, kSiMesgq, or another negative one.
SigInfo QueueInfo(Signal signal, int32_t code, int32_t pid, uint32_t uid, uint64_t value);
// Sent by the kernel with nothing to say, such as SIGHUP by a closed terminal.
SigInfo KernelInfo(Signal signal);
SigInfo TimerInfo(Signal signal, int32_t timer_id, int32_t overrun, uint64_t value);
// SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP.
SigInfo FaultInfo(Signal signal, int32_t code, uint64_t address);
// SIGCHLD and waitid(2): `status` is an exit code or a signal number, times in clock ticks.
SigInfo ChildInfo(int32_t code, int32_t pid, uint32_t uid, int32_t status, int64_t utime,
                  int64_t stime);
SigInfo PollInfo(Signal signal, int32_t code, int64_t band, int32_t fd);
// SIGSYS by seccomp; `errno_value` is the filter's data. `arch` is AUDIT_ARCH_*.
SigInfo SysInfo(uint64_t call_addr, int32_t number, uint32_t arch, int32_t errno_value);

}  // namespace runsc::abi

#endif  // PLATFORM_ABI_SIGNAL_H_
