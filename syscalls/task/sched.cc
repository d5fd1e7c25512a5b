#include <linux/capability.h>
#include <linux/sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>

#include "platform/abi/task.h"
#include "platform/abi/time.h"
#include "sentry/kernel/cpu.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_state.h"
#include "syscalls/task/sched_target.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

constexpr int kMinNice = -20, kMaxNice = 19;
constexpr int kMaxRtPriority = 99;

bool IsRealtime(int32_t policy) { return policy == SCHED_FIFO || policy == SCHED_RR; }
bool IsFair(int32_t policy) {
  return policy == SCHED_NORMAL || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

Status CheckPolicy(int32_t policy, int32_t priority) {
  if (!IsRealtime(policy) && !IsFair(policy)) return Errno::kInval;
  if (IsRealtime(policy)) {
    return priority >= 1 && priority <= kMaxRtPriority ? Ok() : Status(Errno::kInval);
  }
  return priority == 0 ? Ok() : Status(Errno::kInval);
}

// Attributes are kept and answered; the host's scheduler serves all guests alike, and realtime
// priority over the host's other work is not a guest's to have.
Status SetPolicy(Task& t, Task& target, int32_t policy, int32_t priority, bool reset_on_fork) {
  TRY(CheckPolicy(policy, priority));
  TRY(CheckMaySchedule(t, target));
  SchedState& s = target.state().sched;
  bool cap = t.creds().HasCap(CAP_SYS_NICE);
  if (!cap && IsRealtime(policy)) {
    uint64_t limit = target.Limit(RLIMIT_RTPRIO);
    int32_t now = s.priority.load(std::memory_order_relaxed);
    if (limit == 0 || (priority > now && static_cast<uint64_t>(priority) > limit)) {
      return Errno::kPerm;
    }
  }
  if (!cap && s.reset_on_fork.load(std::memory_order_relaxed) && !reset_on_fork) {
    return Errno::kPerm;
  }
  s.policy.store(policy, std::memory_order_relaxed);
  s.priority.store(priority, std::memory_order_relaxed);
  s.reset_on_fork.store(reset_on_fork, std::memory_order_relaxed);
  return Ok();
}

// struct sched_attr of any version. A size that cannot be served is answered by the one that can.
ErrnoOr<abi::SchedAttr> ReadAttr(Task& t, UserAddr addr) {
  constexpr uint32_t kFirstSize = 48;
  abi::SchedAttr a{};
  uint32_t size = TRY(t.mem().Get<uint32_t>(addr));
  if (size == 0) size = kFirstSize;
  bool fits = size >= kFirstSize && size <= kPageSize;
  if (fits) {
    std::vector<uint8_t> raw = TRY(t.mem().GetArray<uint8_t>(addr, size));
    for (size_t i = sizeof(a); i < raw.size(); ++i) fits = fits && raw[i] == 0;
    std::memcpy(&a, raw.data(), std::min(sizeof(a), raw.size()));
  }
  if (fits) return a;
  TRY(t.mem().Put<uint32_t>(addr, sizeof(a)));
  return Errno::k2big;
}

size_t CpuCount(Task& t) {
  return static_cast<size_t>(std::min(t.kernel().options().cpus, platform::kMaxCpus));
}

}  // namespace

ErrnoOr<Ref<Task>> FindSchedTarget(Task& t, Tid pid) {
  if (pid == 0) return Ref<Task>(&t);
  Ref<Task> target = t.kernel().FindTask(t.pid_ns(), pid);
  if (!target) return Errno::kSrch;
  return target;
}

Status CheckMaySchedule(Task& t, Task& target) {
  if (&target == &t) return Ok();
  Ref<const Credentials> theirs = target.SharedCreds();
  const Credentials& mine = t.creds();
  if (mine.euid == theirs->euid || mine.euid == theirs->ruid) return Ok();
  return mine.HasCapIn(CAP_SYS_NICE, theirs->user_ns.get()) ? Ok() : Status(Errno::kPerm);
}

ErrnoOr<void> SchedYield(Task& t) {
  YieldCpu();
  return Ok();
}

ErrnoOr<void> SchedSetaffinity(Task& t, Tid pid, uint32_t length, UserAddr mask) {
  uint8_t bytes[platform::kMaxCpus / 8] = {};
  // No more than the machine's CPUs need, which is all that Linux reads.
  const size_t most = (CpuCount(t) + 63) / 64 * 8;
  TRY(t.mem().CopyIn(bytes, mask, std::min<size_t>(length, most)));
  Ref<Task> target = TRY(FindSchedTarget(t, pid));
  TRY(CheckMaySchedule(t, *target));
  platform::CpuSet wanted;
  for (size_t i = 0; i < CpuCount(t); ++i) {
    wanted[i] = (bytes[i / 8] >> (i % 8) & 1) != 0;
  }
  if (wanted.none()) return Errno::kInval;
  target->state().cpu.SetAffinity(wanted);
  return Ok();
}

ErrnoOr<int32_t> SchedGetaffinity(Task& t, Tid pid, uint32_t length, UserAddr mask) {
  int cpus = t.kernel().options().cpus;
  if (uint64_t{length} * 8 < static_cast<uint64_t>(cpus) || length % sizeof(uint64_t) != 0) {
    return Errno::kInval;
  }
  Ref<Task> target = TRY(FindSchedTarget(t, pid));
  uint8_t bytes[platform::kMaxCpus / 8] = {};
  const platform::CpuSet affinity = target->state().cpu.affinity();
  for (size_t i = 0; i < affinity.size(); ++i) {
    if (affinity[i]) bytes[i / 8] |= static_cast<uint8_t>(1 << (i % 8));
  }
  // As much as a kernel built for that many CPUs would write.
  size_t n = std::min<size_t>(length, (static_cast<size_t>(cpus) + 63) / 64 * 8);
  TRY(t.mem().CopyOut(mask, bytes, n));
  return static_cast<int32_t>(n);
}

ErrnoOr<void> SchedSetparam(Task& t, Tid pid, UserAddr param) {
  if (param.IsNull() || pid < 0) return Errno::kInval;
  auto p = TRY(t.mem().Get<abi::SchedParam>(param));
  Ref<Task> target = TRY(FindSchedTarget(t, pid));
  SchedState& s = target->state().sched;
  return SetPolicy(t, *target, s.policy, p.priority, s.reset_on_fork);
}

ErrnoOr<void> SchedGetparam(Task& t, Tid pid, UserAddr param) {
  if (param.IsNull() || pid < 0) return Errno::kInval;
  Ref<Task> target = TRY(FindSchedTarget(t, pid));
  return t.mem().Put(param, abi::SchedParam{target->state().sched.priority});
}

ErrnoOr<void> SchedSetscheduler(Task& t, Tid pid, int32_t policy, UserAddr param) {
  if (param.IsNull() || policy < 0 || pid < 0) return Errno::kInval;
  auto p = TRY(t.mem().Get<abi::SchedParam>(param));
  Ref<Task> target = TRY(FindSchedTarget(t, pid));
  bool reset = (policy & SCHED_RESET_ON_FORK) != 0;
  return SetPolicy(t, *target, policy & ~SCHED_RESET_ON_FORK, p.priority, reset);
}

ErrnoOr<int32_t> SchedGetscheduler(Task& t, Tid pid) {
  if (pid < 0) return Errno::kInval;
  Ref<Task> target = TRY(FindSchedTarget(t, pid));
  SchedState& s = target->state().sched;
  return s.policy | (s.reset_on_fork ? SCHED_RESET_ON_FORK : 0);
}

ErrnoOr<int32_t> SchedGetPriorityMax(Task& t, int32_t policy) {
  if (IsRealtime(policy)) return kMaxRtPriority;
  return IsFair(policy) || policy == SCHED_DEADLINE ? ErrnoOr<int32_t>(0) : Errno::kInval;
}

ErrnoOr<int32_t> SchedGetPriorityMin(Task& t, int32_t policy) {
  if (IsRealtime(policy)) return 1;
  return IsFair(policy) || policy == SCHED_DEADLINE ? ErrnoOr<int32_t>(0) : Errno::kInval;
}

ErrnoOr<void> SchedRrGetInterval(Task& t, Tid pid, UserAddr interval) {
  if (pid < 0) return Errno::kInval;
  Ref<Task> target = TRY(FindSchedTarget(t, pid));
  int32_t policy = target->state().sched.policy;
  int64_t nanos = policy == SCHED_RR ? 100000000 : policy == SCHED_FIFO ? 0 : 3000000;
  return t.mem().Put(interval, abi::Timespec{0, nanos});
}

ErrnoOr<void> SchedSetattr(Task& t, Tid pid, UserAddr addr, uint32_t flags) {
  if (addr.IsNull() || pid < 0 || flags != 0) return Errno::kInval;
  abi::SchedAttr a = TRY(ReadAttr(t, addr));
  constexpr uint64_t kServed = SCHED_FLAG_RESET_ON_FORK | SCHED_FLAG_KEEP_POLICY |
                               SCHED_FLAG_KEEP_PARAMS;
  if ((a.flags & ~kServed) != 0) return t.Unimplemented("sched_setattr flag", Errno::kInval);
  if (a.policy == SCHED_DEADLINE) return t.Unimplemented("SCHED_DEADLINE", Errno::kPerm);
  Ref<Task> target = TRY(FindSchedTarget(t, pid));
  SchedState& s = target->state().sched;
  int32_t policy =
      (a.flags & SCHED_FLAG_KEEP_POLICY) != 0 ? s.policy.load() : static_cast<int32_t>(a.policy);
  int32_t priority = (a.flags & SCHED_FLAG_KEEP_PARAMS) != 0 ? s.priority.load()
                                                             : static_cast<int32_t>(a.priority);
  if (IsFair(policy) && (a.flags & SCHED_FLAG_KEEP_PARAMS) == 0) {
    TRY(CheckMaySchedule(t, *target));
    TRY(SetNice(t, *target, std::clamp(a.nice, kMinNice, kMaxNice)));
  }
  return SetPolicy(t, *target, policy, priority, (a.flags & SCHED_FLAG_RESET_ON_FORK) != 0);
}

ErrnoOr<void> SchedGetattr(Task& t, Tid pid, UserAddr addr, uint32_t size, uint32_t flags) {
  if (addr.IsNull() || pid < 0 || size < 48 || size > kPageSize || flags != 0) return Errno::kInval;
  Ref<Task> target = TRY(FindSchedTarget(t, pid));
  SchedState& s = target->state().sched;
  abi::SchedAttr a{};
  a.size = std::min<uint32_t>(size, sizeof(a));
  a.policy = static_cast<uint32_t>(s.policy.load());
  if (s.reset_on_fork) a.flags |= SCHED_FLAG_RESET_ON_FORK;
  if (IsRealtime(s.policy)) {
    a.priority = static_cast<uint32_t>(s.priority.load());
  } else {
    a.nice = s.nice;
  }
  a.util_max = 1024;
  return t.mem().CopyOut(addr, &a, a.size);
}

}  // namespace runsc
