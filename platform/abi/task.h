#ifndef PLATFORM_ABI_TASK_H_
#define PLATFORM_ABI_TASK_H_

#include <cstdint>
#include "platform/abi/time.h"

// Kernel layouts of process, scheduling, limit and system-wide calls on x86-64.

namespace runsc::abi {

// clone3(2); callers may pass the first 64, 80 or 88 bytes, or more if the rest is zero.
struct CloneArgs {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  uint64_t set_tid, set_tid_size;
  uint64_t cgroup;
};
inline constexpr uint64_t kCloneArgsSizeV0 = 64;
inline constexpr uint64_t kCloneArgsSizeV1 = 80;
inline constexpr uint64_t kCloneArgsSizeV2 = 88;

struct Rusage {
  Timeval utime, stime;
  int64_t maxrss;  // KiB
  int64_t ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock;
  int64_t msgsnd, msgrcv, nsignals, nvcsw, nivcsw;
};

struct Rlimit64 {
  uint64_t cur;
  uint64_t max;
};
inline constexpr uint64_t kRlimInfinity = ~uint64_t{0};

struct Utsname {
  char sysname[65], nodename[65], release[65], version[65], machine[65], domainname[65];
};

struct Sysinfo {
  int64_t uptime;
  uint64_t loads[3];  // times 65536
  uint64_t totalram, freeram, sharedram, bufferram, totalswap, freeswap;
  uint16_t procs, pad0;
  uint32_t pad1;
  uint64_t totalhigh, freehigh;
  uint32_t mem_unit;
  uint32_t pad2;
};

// set_robust_list(2); all are guest addresses.
struct RobustListHead {
  uint64_t next;
  int64_t futex_offset;
  uint64_t list_op_pending;
};

// futex_waitv(2)
struct FutexWaitv {
  uint64_t val, uaddr;
  uint32_t flags, reserved;
};

// rseq(2), the first 32 bytes that every version has
struct Rseq {
  uint32_t cpu_id_start, cpu_id;
  uint64_t rseq_cs;
  uint32_t flags, node_id, mm_cid, pad;
};

// What Rseq::rseq_cs points to
struct RseqCs {
  uint32_t version, flags;
  uint64_t start_ip, post_commit_offset, abort_ip;
};

struct SchedParam {
  int32_t priority;
};

// sched_setattr(2)
struct SchedAttr {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t util_min, util_max;
};

// capget(2), capset(2), version 3: two CapData
struct CapHeader {
  uint32_t version;
  int32_t pid;
};
struct CapData {
  uint32_t effective, permitted, inheritable;
};

// prctl(PR_SET_MM_MAP)
struct PrctlMmMap {
  uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
  uint64_t arg_start, arg_end, env_start, env_end, auxv;
  uint32_t auxv_size, exe_fd;
};

static_assert(sizeof(CloneArgs) == kCloneArgsSizeV2 && sizeof(Rusage) == 144);
static_assert(sizeof(Utsname) == 390 && sizeof(Sysinfo) == 112 && sizeof(Rseq) == 32);
static_assert(sizeof(SchedAttr) == 56 && sizeof(PrctlMmMap) == 104);

}  // namespace runsc::abi

#endif  // PLATFORM_ABI_TASK_H_
