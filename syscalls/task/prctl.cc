#include <asm/prctl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>

#include "sentry/kernel/group_state.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/task_tree.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

using Answer = ErrnoOr<int64_t>;
Answer Done() { return int64_t{0}; }

Answer Put32(Task& t, uint64_t addr, int32_t value) {
  TRY(t.mem().Put(UserAddr(addr), value));
  return int64_t{0};
}

Answer SetName(Task& t, uint64_t addr) {
  char name[16] = {};
  // Up to 15 bytes; the string may end at the last byte of a page.
  for (int i = 0; i < 15; ++i) {
    TRY(t.mem().CopyIn(&name[i], UserAddr(addr + i), 1));
    if (name[i] == '\0') break;
  }
  t.SetName(name);
  return Done();
}

Answer GetName(Task& t, uint64_t addr) {
  char name[16] = {};
  t.name().copy(name, 15);
  TRY(t.mem().CopyOut(UserAddr(addr), name, sizeof(name)));
  return Done();
}

Answer SetDeathSignal(Task& t, uint64_t signal) {
  if (signal > 64) return Errno::kInval;
  MutexLock l(t.kernel().tree().mu);
  t.state().parent_death_signal = Signal(static_cast<int32_t>(signal));
  return Done();
}

Answer SetSubreaper(Task& t, bool on) {
  MutexLock l(t.kernel().tree().mu);
  t.group().state().subreaper = on;
  return Done();
}

bool IsSubreaper(Task& t) {
  MutexLock l(t.kernel().tree().mu);
  return t.group().state().subreaper;
}

// Edits a copy of the task's credentials.
template <typename Edit>
Answer EditCreds(Task& t, Edit edit) {
  Ref<Credentials> creds = t.creds().Fork();
  edit(*creds);
  t.SetCreds(std::move(creds));
  return Done();
}

Answer DropBounding(Task& t, uint64_t cap) {
  if (!t.creds().HasCap(CAP_SETPCAP)) return Errno::kPerm;
  if (cap > static_cast<uint64_t>(kLastCap)) return Errno::kInval;
  return EditCreds(t, [cap](Credentials& c) { c.bounding.Remove(static_cast<int>(cap)); });
}

Answer SetSecurebits(Task& t, uint64_t bits) {
  uint32_t old = t.creds().securebits;
  uint32_t locked = (old & SECURE_ALL_LOCKS) >> 1;
  bool changes_locked = (locked & (old ^ bits)) != 0;
  bool unlocks = (old & SECURE_ALL_LOCKS & ~bits) != 0;
  bool unknown = (bits & ~uint64_t{SECURE_ALL_LOCKS | SECURE_ALL_BITS}) != 0;
  if (changes_locked || unlocks || unknown || !t.creds().HasCap(CAP_SETPCAP)) return Errno::kPerm;
  return EditCreds(t, [bits](Credentials& c) { c.securebits = static_cast<uint32_t>(bits); });
}

Answer SetKeepCaps(Task& t, uint64_t on) {
  if (on > 1) return Errno::kInval;
  constexpr uint32_t kKeep = issecure_mask(SECURE_KEEP_CAPS);
  if ((t.creds().securebits & issecure_mask(SECURE_KEEP_CAPS_LOCKED)) != 0) return Errno::kPerm;
  return EditCreds(t, [on](Credentials& c) {
    c.securebits = on != 0 ? c.securebits | kKeep : c.securebits & ~kKeep;
  });
}

Answer Ambient(Task& t, uint64_t what, uint64_t cap, uint64_t a4, uint64_t a5) {
  if (a4 != 0 || a5 != 0) return Errno::kInval;
  if (what == PR_CAP_AMBIENT_CLEAR_ALL) {
    if (cap != 0) return Errno::kInval;
    return EditCreds(t, [](Credentials& c) { c.ambient = CapSet{}; });
  }
  if (cap > static_cast<uint64_t>(kLastCap)) return Errno::kInval;
  int bit = static_cast<int>(cap);
  const Credentials& c = t.creds();
  switch (what) {
    case PR_CAP_AMBIENT_IS_SET:
      return int64_t{c.ambient.Has(bit)};
    case PR_CAP_AMBIENT_RAISE:
      if (!c.permitted.Has(bit) || !c.inheritable.Has(bit) ||
          (c.securebits & issecure_mask(SECURE_NO_CAP_AMBIENT_RAISE)) != 0) {
        return Errno::kPerm;
      }
      return EditCreds(t, [bit](Credentials& e) { e.ambient.Add(bit); });
    case PR_CAP_AMBIENT_LOWER:
      return EditCreds(t, [bit](Credentials& e) { e.ambient.Remove(bit); });
    default:
      return Errno::kInval;
  }
}

Answer SetNoNewPrivs(Task& t, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5) {
  if (a2 != 1 || a3 != 0 || a4 != 0 || a5 != 0) return Errno::kInval;
  return EditCreds(t, [](Credentials& c) { c.no_new_privs = true; });
}

Answer SetDumpable(Task& t, uint64_t value) {
  if (value > 1) return Errno::kInval;
  t.mem().SetDumpable(static_cast<int>(value));
  return Done();
}

Answer SetMm(Task& t, uint64_t what, uint64_t addr) {
  if (!t.creds().HasCap(CAP_SYS_RESOURCE)) return Errno::kPerm;
  ImageLayout layout = t.mem().layout();
  switch (what) {
    case PR_SET_MM_ARG_START:
      layout.arg_start = addr;
      break;
    case PR_SET_MM_ARG_END:
      layout.arg_end = addr;
      break;
    case PR_SET_MM_ENV_START:
      layout.env_start = addr;
      break;
    case PR_SET_MM_ENV_END:
      layout.env_end = addr;
      break;
    default:
      return t.Unimplemented("prctl PR_SET_MM of this field", Errno::kInval);
  }
  t.mem().SetImageLayout(layout);
  return Done();
}

// Options about the process and its memory; nullopt-like kNosys: not one of these.
Answer ProcessOption(Task& t, int32_t option, uint64_t a2, uint64_t a3) {
  TaskState& ts = t.state();
  switch (option) {
    case PR_SET_PDEATHSIG:
      return SetDeathSignal(t, a2);
    case PR_GET_PDEATHSIG:
      return Put32(t, a2, ts.parent_death_signal.value);
    case PR_SET_DUMPABLE:
      return SetDumpable(t, a2);
    case PR_GET_DUMPABLE:
      return int64_t{t.mem().dumpable()};
    case PR_SET_NAME:
      return SetName(t, a2);
    case PR_GET_NAME:
      return GetName(t, a2);
    case PR_SET_CHILD_SUBREAPER:
      return SetSubreaper(t, a2 != 0);
    case PR_GET_CHILD_SUBREAPER:
      return Put32(t, a2, IsSubreaper(t) ? 1 : 0);
    case PR_SET_TIMERSLACK:
      ts.timer_slack = a2 == 0 ? ts.default_timer_slack : a2;
      return Done();
    case PR_GET_TIMERSLACK:
      return static_cast<int64_t>(ts.timer_slack.load());
    case PR_SET_MM:
      return SetMm(t, a2, a3);
    case PR_GET_TID_ADDRESS:
      TRY(t.mem().Put(UserAddr(a2), t.clear_child_tid.value));
      return Done();
    default:
      return Errno::kNosys;
  }
}

Answer CredentialOption(Task& t, int32_t option, uint64_t a2, uint64_t a3, uint64_t a4,
                        uint64_t a5) {
  const Credentials& c = t.creds();
  switch (option) {
    case PR_GET_KEEPCAPS:
      return int64_t{(c.securebits & issecure_mask(SECURE_KEEP_CAPS)) != 0};
    case PR_SET_KEEPCAPS:
      return SetKeepCaps(t, a2);
    case PR_GET_SECUREBITS:
      return int64_t{c.securebits};
    case PR_SET_SECUREBITS:
      return SetSecurebits(t, a2);
    case PR_CAPBSET_READ:
      if (a2 > static_cast<uint64_t>(kLastCap)) return Errno::kInval;
      return int64_t{c.bounding.Has(static_cast<int>(a2))};
    case PR_CAPBSET_DROP:
      return DropBounding(t, a2);
    case PR_CAP_AMBIENT:
      return Ambient(t, a2, a3, a4, a5);
    case PR_SET_NO_NEW_PRIVS:
      return SetNoNewPrivs(t, a2, a3, a4, a5);
    case PR_GET_NO_NEW_PRIVS:
      if (a2 != 0 || a3 != 0 || a4 != 0 || a5 != 0) return Errno::kInval;
      return int64_t{c.no_new_privs};
    default:
      return Errno::kNosys;
  }
}

bool AnySet(uint64_t a, uint64_t b, uint64_t c, uint64_t d) { return (a | b | c | d) != 0; }

// Options that are remembered and answered, because there is nothing here that they could change
// (no huge pages of the guest's choosing, no disks to flush to), and those whose only other value
// is refused.
Answer KeptOption(Task& t, int32_t option, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5) {
  TaskState& ts = t.state();
  bool io_flusher = option == PR_SET_IO_FLUSHER || option == PR_GET_IO_FLUSHER;
  if (io_flusher && !t.creds().HasCap(CAP_SYS_RESOURCE)) return Errno::kPerm;
  switch (option) {
    case PR_SET_IO_FLUSHER:
      if (a2 > 1 || AnySet(a3, a4, a5, 0)) return Errno::kInval;
      ts.io_flusher = a2 != 0;
      return Done();
    case PR_GET_IO_FLUSHER:
      return AnySet(a2, a3, a4, a5) ? Answer(Errno::kInval) : Answer(int64_t{ts.io_flusher});
    case PR_SET_THP_DISABLE:
      if (AnySet(a3, a4, a5, 0)) return Errno::kInval;
      t.group().state().thp_disabled = a2 != 0;
      return Done();
    case PR_GET_THP_DISABLE:
      if (AnySet(a2, a3, a4, a5)) return Errno::kInval;
      return int64_t{t.group().state().thp_disabled.load()};
    case PR_MCE_KILL_GET:
      return AnySet(a2, a3, a4, a5) ? Answer(Errno::kInval) : Answer(int64_t{PR_MCE_KILL_DEFAULT});
    case PR_GET_SECCOMP:
      return int64_t{0};
    case PR_SET_TIMING:
      return a2 == PR_TIMING_STATISTICAL ? Done() : Answer(Errno::kInval);
    case PR_GET_TIMING:
      return int64_t{PR_TIMING_STATISTICAL};
    case PR_GET_TSC:
      return Put32(t, a2, PR_TSC_ENABLE);
    case PR_SET_TSC:
      if (a2 == PR_TSC_SIGSEGV) return t.Unimplemented("prctl PR_TSC_SIGSEGV", Errno::kInval);
      return a2 == PR_TSC_ENABLE ? Done() : Answer(Errno::kInval);
    default:
      return Errno::kNosys;
  }
}

// Options of Linux that are not served: loud, with the errno of a kernel built without them.
Answer UnservedOption(Task& t, int32_t option) {
  switch (option) {
    case PR_SET_SECCOMP:
      return t.Unimplemented("prctl PR_SET_SECCOMP", Errno::kInval);
    case PR_SET_VMA:
      return t.Unimplemented("prctl PR_SET_VMA", Errno::kInval);
    case PR_SET_PTRACER:
      return t.Unimplemented("prctl PR_SET_PTRACER", Errno::kInval);
    case PR_SET_SPECULATION_CTRL:
    case PR_GET_SPECULATION_CTRL:
      return t.Unimplemented("prctl PR_SPECULATION_CTRL", Errno::kNodev);
    case PR_SCHED_CORE:
      return t.Unimplemented("prctl PR_SCHED_CORE", Errno::kInval);
    case PR_SET_SYSCALL_USER_DISPATCH:
      return t.Unimplemented("prctl PR_SET_SYSCALL_USER_DISPATCH", Errno::kInval);
    default:
      return t.Unimplemented("prctl option", Errno::kInval);
  }
}

}  // namespace

ErrnoOr<int64_t> Prctl(Task& t, int32_t option, uint64_t a2, uint64_t a3, uint64_t a4,
                       uint64_t a5) {
  Answer answer = ProcessOption(t, option, a2, a3);
  if (answer.error() == Errno::kNosys) answer = CredentialOption(t, option, a2, a3, a4, a5);
  if (answer.error() == Errno::kNosys) answer = KeptOption(t, option, a2, a3, a4, a5);
  if (answer.error() == Errno::kNosys) answer = UnservedOption(t, option);
  return answer;
}

ErrnoOr<int64_t> ArchPrctl(Task& t, int32_t code, UserAddr addr) {
  constexpr uint64_t kTaskSize = 0x7ffffffff000;
  switch (code) {
    case ARCH_SET_FS:
      if (addr.value >= kTaskSize) return Errno::kPerm;
      t.regs().fs_base = addr.value;
      return Done();
    case ARCH_SET_GS:
      if (addr.value >= kTaskSize) return Errno::kPerm;
      t.regs().gs_base = addr.value;
      return Done();
    case ARCH_GET_FS:
      TRY(t.mem().Put(addr, t.regs().fs_base));
      return Done();
    case ARCH_GET_GS:
      TRY(t.mem().Put(addr, t.regs().gs_base));
      return Done();
    case ARCH_GET_CPUID:
      return int64_t{1};
    case ARCH_SET_CPUID:
      return addr.value != 0 ? Done() : Answer(Errno::kNodev);
    default:
      // CET and AMX requests of newer C libraries end here too, as on a CPU without them.
      return Errno::kInval;
  }
}

ErrnoOr<uint32_t> PersonalityCall(Task& t, uint32_t persona) {
  constexpr uint32_t kAsk = 0xffffffff;
  // What Linux gives a meaning on x86-64 and we do not would change nothing here: it is refused.
  // The last three have none for 64-bit programs.
  constexpr uint32_t kServed = ADDR_NO_RANDOMIZE | ADDR_LIMIT_3GB | SHORT_INODE | WHOLE_SECONDS;
  uint32_t old = t.state().personality;
  if (persona == kAsk) return old;
  if ((persona & PER_MASK) != PER_LINUX || (persona & ~(kServed | PER_MASK)) != 0) {
    return t.Unimplemented("personality", Errno::kInval);
  }
  t.state().personality = persona;
  return old;
}

}  // namespace runsc
