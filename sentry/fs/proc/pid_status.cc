#include <sys/resource.h>

#include <algorithm>

#include "platform/base/strings.h"
#include "sentry/fs/proc/proc_fs.h"
#include "sentry/kernel/group_state.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/task_tree.h"
#include "sentry/time/clock.h"
#include "sentry/vfs/fd_table.h"

namespace runsc {
namespace {

using ull = unsigned long long;

constexpr uint64_t kTick = 10000000;  // ns a clock tick: USER_HZ is 100

// What both stat and status show of a process.
struct Facts {
  char state = 'R';
  Tid ppid = 0, pgid = 0, sid = 0, foreground = -1;
  uint32_t tty = 0;
  size_t threads = 0;
  SignalSet shared_pending;
  ExitStatus exit;
  ResourceUse children;  // those waited for
};

char StateOf(Task& task) {
  char state = task.state().run_state.load(std::memory_order_relaxed);
  return task.group().HasExited() ? 'Z' : state;
}

Facts Gather(ProcFs& fs, Task& task) {
  Facts f;
  ThreadGroup& group = task.group();
  f.state = StateOf(task);
  if (Ref<ThreadGroup> parent = group.parent()) f.ppid = parent->PidIn(fs.ns());
  if (Ref<ProcessGroup> pg = group.process_group()) f.pgid = pg->IdIn(fs.ns());
  if (Ref<Session> session = group.session()) {
    f.sid = session->IdIn(fs.ns());
    if (Ref<ControllingTty> tty = session->tty()) {
      DeviceId dev = tty->device();
      f.tty = (dev.minor & 0xff) | dev.major << 8 | (dev.minor & ~0xffu) << 12;
      Ref<ProcessGroup> foreground = session->foreground();
      f.foreground = foreground ? foreground->IdIn(fs.ns()) : -1;
    }
  }
  f.threads = group.tasks().size();
  f.shared_pending = group.PendingSet();
  f.children = group.ChildrenUse();
  return f;
}

const char* StateName(char state) {
  switch (state) {
    case 'R': return "R (running)";
    case 'S': return "S (sleeping)";
    case 'D': return "D (disk sleep)";
    case 'T': return "T (stopped)";
    case 't': return "t (tracing stop)";
    case 'Z': return "Z (zombie)";
    default: return "X (dead)";
  }
}

// Ignored and caught sets of a process.
void ActionSets(ThreadGroup& group, SignalSet* ignored, SignalSet* caught) {
  for (int s = 1; s <= 64; ++s) {
    uint64_t handler = group.handlers().Get(Signal(s)).handler;
    if (handler == 1) ignored->Add(Signal(s));
    if (handler > 1) caught->Add(Signal(s));
  }
}

std::string IdLines(ProcFs& fs, Task& task, const OpContext& ctx) {
  Ref<const Credentials> c = task.SharedCreds();
  if (!c) return "";
  const UserNamespace& ns = *ctx.creds.user_ns;
  std::string out = StrPrintf(
      "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", ns.MungedUid(c->ruid), ns.MungedUid(c->euid),
      ns.MungedUid(c->suid), ns.MungedUid(c->fsuid), ns.MungedGid(c->rgid), ns.MungedGid(c->egid),
      ns.MungedGid(c->sgid), ns.MungedGid(c->fsgid));
  Ref<FdTable> fds = task.SharedFds();
  size_t size = 64;
  while (fds && size < fds->Count()) size *= 2;
  out += StrPrintf("FDSize:\t%zu\nGroups:\t", fds ? size : 0);
  for (Gid g : c->groups) out += std::to_string(ns.MungedGid(g)) + " ";
  return out + "\n";
}

std::string MemoryLines(Task& task) {
  Ref<MemoryManager> mm = task.SharedMm();
  if (!mm) return "";
  MemoryUsage u = mm->Usage();
  auto kb = [](uint64_t bytes) { return static_cast<ull>(bytes / 1024); };
  uint64_t anon = u.resident > u.shared ? u.resident - u.shared : 0;
  return StrPrintf(
      "VmPeak:\t%8llu kB\nVmSize:\t%8llu kB\nVmLck:\t%8llu kB\nVmPin:\t%8u kB\nVmHWM:\t%8llu kB\n"
      "VmRSS:\t%8llu kB\nRssAnon:\t%8llu kB\nRssFile:\t%8llu kB\nRssShmem:\t%8u kB\n"
      "VmData:\t%8llu kB\nVmStk:\t%8llu kB\nVmExe:\t%8llu kB\nVmLib:\t%8u kB\nVmPTE:\t%8llu kB\n"
      "VmSwap:\t%8u kB\n",
      kb(u.peak_vm), kb(u.total_vm), kb(u.locked), 0u, kb(u.peak_resident), kb(u.resident),
      kb(anon), kb(u.shared), 0u, kb(u.data), kb(u.stack), kb(u.exec), 0u,
      kb(u.resident / 512 + 4096), 0u);
}

std::string SignalLines(Task& task, const Facts& f) {
  SignalSet ignored, caught, own;
  ActionSets(task.group(), &ignored, &caught);
  {
    GroupState& state = task.group().state();
    MutexLock l(state.mu);
    own = task.state().pending.set();
  }
  return StrPrintf(
      "Threads:\t%zu\nSigQ:\t0/%llu\nSigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\n"
      "SigIgn:\t%016llx\nSigCgt:\t%016llx\n",
      f.threads, static_cast<ull>(task.group().SoftLimit(RLIMIT_SIGPENDING)),
      static_cast<ull>(own.bits), static_cast<ull>(f.shared_pending.bits),
      static_cast<ull>(task.signal_mask().bits), static_cast<ull>(ignored.bits),
      static_cast<ull>(caught.bits));
}

std::string CapLines(Task& task) {
  Ref<const Credentials> c = task.SharedCreds();
  if (!c) return "";
  return StrPrintf(
      "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:\t%016llx\n"
      "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\n",
      static_cast<ull>(c->inheritable.bits), static_cast<ull>(c->permitted.bits),
      static_cast<ull>(c->effective.bits), static_cast<ull>(c->bounding.bits),
      static_cast<ull>(c->ambient.bits), c->no_new_privs ? 1 : 0);
}

std::string CpuLines(ProcFs& fs, Task& task) {
  int cpus = fs.kernel().options().cpus;
  ull mask = cpus >= 64 ? ~0ull : (1ull << cpus) - 1;
  std::string list = cpus > 1 ? StrPrintf("0-%d", cpus - 1) : "0";
  return StrPrintf(
      "Cpus_allowed:\t%llx\nCpus_allowed_list:\t%s\nMems_allowed:\t1\nMems_allowed_list:\t0\n"
      "voluntary_ctxt_switches:\t%llu\nnonvoluntary_ctxt_switches:\t0\n",
      mask, list.c_str(), static_cast<ull>(task.state().voluntary_switches.load()));
}

std::string EscapedName(Task& task) {
  std::string out;
  for (char c : task.name()) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\') {
      out += "\\\\";
    } else {
      out += c;
    }
  }
  return out;
}

ErrnoOr<std::string> StatLine(ProcFs& fs, Task& task, bool whole) {
  Facts f = Gather(fs, task);
  ThreadGroup& group = task.group();
  Ref<MemoryManager> mm = task.SharedMm();
  MemoryUsage u = mm ? mm->Usage() : MemoryUsage();
  ImageLayout l = mm ? mm->layout() : ImageLayout();
  uint64_t user = whole ? group.UserNanos() : task.UserNanos();
  uint64_t system = whole ? group.SystemNanos() : task.SystemNanos();
  int nice = task.state().sched.nice;
  SignalSet ignored, caught;
  ActionSets(group, &ignored, &caught);
  std::string out = StrPrintf("%d (%s) %c %d %d %d %u %d 4194304 ", task.TidIn(fs.ns()),
                              task.name().c_str(), f.state, f.ppid, f.pgid, f.sid, f.tty,
                              f.foreground);
  out += StrPrintf("%llu %llu 0 0 %llu %llu %llu %llu %d ",
                   static_cast<ull>(task.state().minor_faults.load()),
                   static_cast<ull>(f.children.minor_faults), static_cast<ull>(user / kTick),
                   static_cast<ull>(system / kTick), static_cast<ull>(f.children.user_ns / kTick),
                   static_cast<ull>(f.children.system_ns / kTick), 20 + nice);
  out += StrPrintf("%d %zu 0 %llu %llu %llu %llu ",
                   nice, f.threads, static_cast<ull>(task.state().start_time.load()) / kTick,
                   static_cast<ull>(u.total_vm), static_cast<ull>(u.resident / kPageSize),
                   static_cast<ull>(group.SoftLimit(RLIMIT_RSS)));
  out += StrPrintf("%llu %llu %llu 0 0 %llu %llu %llu %llu 0 0 0 17 0 %d %d 0 0 0 ",
                   static_cast<ull>(l.start_code), static_cast<ull>(l.end_code),
                   static_cast<ull>(l.start_stack), static_cast<ull>(f.shared_pending.bits & 0x7fffffff),
                   static_cast<ull>(task.signal_mask().bits & 0x7fffffff),
                   static_cast<ull>(ignored.bits & 0x7fffffff),
                   static_cast<ull>(caught.bits & 0x7fffffff), task.state().sched.priority.load(),
                   task.state().sched.policy.load());
  out += StrPrintf("%llu %llu %llu %llu %llu %llu %llu %d\n", static_cast<ull>(l.start_data),
                   static_cast<ull>(l.end_data), static_cast<ull>(l.start_brk),
                   static_cast<ull>(l.arg_start), static_cast<ull>(l.arg_end),
                   static_cast<ull>(l.env_start), static_cast<ull>(l.env_end),
                   f.exit.WaitStatus());
  return out;
}

}  // namespace

ErrnoOr<std::string> StatusText(const OpContext& ctx, ProcFs& fs, Task& task) {
  Facts f = Gather(fs, task);
  Ref<FsContext> files = task.SharedFs();
  Tid tgid = task.group().PidIn(fs.ns());
  std::string out = "Name:\t" + EscapedName(task) + "\n";
  if (files) out += StrPrintf("Umask:\t%04o\n", files->umask());
  out += StrPrintf("State:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n",
                   StateName(f.state), tgid, task.TidIn(fs.ns()), f.ppid);
  out += IdLines(fs, task, ctx);
  out += StrPrintf("NStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", tgid,
                   task.TidIn(fs.ns()), f.pgid, f.sid);
  out += MemoryLines(task);
  out += SignalLines(task, f);
  out += CapLines(task);
  return out + CpuLines(fs, task);
}

ErrnoOr<std::string> StatText(const OpContext&, ProcFs& fs, Task& task) {
  return StatLine(fs, task, true);
}

ErrnoOr<std::string> ThreadStatText(const OpContext&, ProcFs& fs, Task& task) {
  return StatLine(fs, task, false);
}

ErrnoOr<std::string> StatmText(const OpContext&, ProcFs&, Task& task) {
  Ref<MemoryManager> mm = task.SharedMm();
  if (!mm) return std::string("0 0 0 0 0 0 0\n");
  MemoryUsage u = mm->Usage();
  auto pages = [](uint64_t bytes) { return static_cast<ull>(bytes / kPageSize); };
  return StrPrintf("%llu %llu %llu %llu 0 %llu 0\n", pages(u.total_vm), pages(u.resident),
                   pages(u.shared), pages(u.exec), pages(u.data + u.stack));
}

}  // namespace runsc
