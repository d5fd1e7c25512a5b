#include "sentry/kernel/task_exit.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>

#include "platform/abi/time.h"
#include "sentry/kernel/futex_exit.h"
#include "sentry/kernel/job_control.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/signal_delivery.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/timers.h"

namespace runsc {
namespace {

constexpr int64_t kNanosPerTick = 1000000000 / abi::kClockTicksPerSecond;

// siginfo of SIGCHLD as `parent` sees it.
SignalInfo ChildInfo(ThreadGroup& g, ThreadGroup& parent, int32_t code, int32_t status,
                     const ResourceUse& use) {
  Task& leader = *g.state().leader;
  Task& to = *parent.state().leader;
  Ref<const Credentials> viewer = to.SharedCreds();
  return FromAbi(abi::ChildInfo(code, leader.TidIn(to.pid_ns()),
                                viewer->user_ns->MungedUid(leader.SharedCreds()->ruid), status,
                                static_cast<int64_t>(use.user_ns) / kNanosPerTick,
                                static_cast<int64_t>(use.system_ns) / kNanosPerTick));
}

void WakeParent(ThreadGroup& parent) { parent.child_events().Notify(POLLIN); }

}  // namespace

ResourceUse TaskExit::UseOf(Task& t) {
  TaskState& ts = t.state();
  return {.user_ns = ts.cpu.UserNanos(),
          .system_ns = ts.cpu.SystemNanos(),
          .minor_faults = ts.minor_faults.load(std::memory_order_relaxed),
          .voluntary_switches = ts.voluntary_switches.load(std::memory_order_relaxed),
          .io = ts.io.Use()};
}

ResourceUse TaskExit::UseOf(TaskTree& tree, ThreadGroup& g) {
  GroupState& s = g.state();
  ResourceUse use = s.dead_threads;
  MutexLock l(s.mu);
  for (const Ref<Task>& t : s.tasks) use.Add(UseOf(*t));
  return use;
}

void TaskExit::ReleaseVforkParent(Task& t) {
  Ref<RefCounted> held = std::move(t.state().vfork_parent);
  if (!held) return;
  Task& parent = static_cast<Task&>(*held);
  parent.state().vfork_waiting.store(false, std::memory_order_release);
  parent.blocker().Wake();
}

void TaskExit::ReleaseIds(TaskTree& tree, Task& t) {
  for (PidNamespace* ns = &t.pid_ns(); ns != nullptr; ns = ns->parent().get()) {
    Tid id = t.state().ids[ns->depth()].load(std::memory_order_relaxed);
    ns->At(id).task = nullptr;
    ns->ReleaseIfFree(id);
    --ns->tasks;
    if (ns->closer != nullptr) ns->closer->blocker().Wake();
  }
}

// Counts this thread out; the one that comes last cleans up for the process.
bool TaskExit::IsLastThread(Task& t) {
  GroupState& s = t.group().state();
  MutexLock l(s.mu);
  return --s.live_threads == 0;
}

void TaskExit::HangUpTerminal(ThreadGroup& g) {
  Ref<Session> session = g.session();
  if (!session || session->id() != g.pid()) return;
  Ref<ProcessGroup> foreground = session->foreground();
  Ref<ControllingTty> tty = session->tty();
  if (!tty) return;
  tty->OnDisassociate();
  if (foreground) {
    foreground->SendSignal(KernelSignalInfo(Signal(SIGHUP)));
    foreground->SendSignal(KernelSignalInfo(Signal(SIGCONT)));
  }
  session->SetForeground(nullptr);
  session->SetTty(nullptr);
}

// Init of a pid namespace leaves: so do all others in it, before it (zap_pid_ns_processes).
void TaskExit::CloseNamespace(Task& t) {
  TaskTree& tree = t.kernel().tree();
  ThreadGroup& g = t.group();
  PidNamespace& ns = t.pid_ns();
  std::vector<Ref<ThreadGroup>> others;
  {
    MutexLock l(tree.mu);
    if (ns.init != &g) return;
    ns.closed = true;
    ns.closer = &t;
    for (const auto& [id, entry] : ns.ids()) {
      if (entry.task != nullptr && &entry.task->group() != &g)
        others.emplace_back(&entry.task->group());
    }
  }
  for (const Ref<ThreadGroup>& other : others) other->Exit(ExitStatus{.signal = SIGKILL});
  g.handlers().Set(Signal(SIGCHLD), SignalAction{.handler = abi::kSigIgn});
  for (;;) {
    t.blocker().ClearWake();
    t.blocker().ClearInterrupt();
    Garbage garbage;
    size_t left;
    {
      MutexLock l(tree.mu);
      std::vector<ThreadGroup*> zombies;
      for (const auto& [pid, child] : g.state().children) {
        if (child->state().zombie) zombies.push_back(child.get());
      }
      for (ThreadGroup* z : zombies) Reap(tree, *z, garbage);
      left = ns.tasks;
      // Other threads of ours may still be on their way out.
      if (g.state().leader.get() != &t) --left;
    }
    if (left <= 1) break;
    t.blocker().Wait(Blocker::kForever);
  }
  MutexLock l(tree.mu);
  ns.closer = nullptr;
}

void TaskExit::NotePeak(Task& t, MemoryManager& mm) {
  uint64_t peak = mm.PeakResidentAtEnd();
  MutexLock l(t.kernel().tree().mu);
  GroupState& s = t.group().state();
  s.dead_threads.max_resident = std::max(s.dead_threads.max_resident, peak);
}

// Everything the task holds, on its own thread, without locks.
void TaskExit::LetGo(Task& t) {
  FutexExit(t);
  Ref<MemoryManager> mm;
  Ref<FdTable> fds;
  Ref<FsContext> fs;
  {
    MutexLock l(t.mu_);
    mm = std::move(t.mm_);
    fds = std::move(t.fds_);
    fs = std::move(t.fs_);
  }
  if (mm) NotePeak(t, *mm);
  fds.reset();
  fs.reset();
  t.context_->Release();
  mm.reset();
  ReleaseVforkParent(t);
}

// A thread that exits alone while the process stops no longer holds that up.
void TaskExit::LeaveStop(Task& t) {
  GroupState& s = t.group().state();
  int32_t stopped = 0;
  {
    MutexLock l(s.mu);
    if (SignalDelivery::LeaveStopLocked(s, t.state())) stopped = s.unreported_stop;
  }
  if (stopped != 0) SignalDelivery::TellParent(t.group(), abi::kCldStopped, stopped);
}

void TaskExit::Run(Task& t) {
  TaskState& ts = t.state();
  GroupState& s = t.group().state();
  LeaveStop(t);
  bool last = IsLastThread(t);
  if (last) {
    s.timers->Close();
    HangUpTerminal(t.group());
  }
  LetGo(t);
  if (last) CloseNamespace(t);
  ts.cpu.Stop();
  std::unique_ptr<platform::Context> context = std::move(ts.context);
  t.context_ = nullptr;
  Unlink(t);
  t.kernel().tree().threads.RecycleContext(std::move(context));
}

void TaskExit::Abandon(Task& t) {
  t.Exit(ExitStatus{.signal = SIGKILL});
  LeaveStop(t);
  if (IsLastThread(t)) {
    t.group().state().timers->Close();
    Disown(t.group());
  }
  Ref<MemoryManager> mm;
  Ref<FdTable> fds;
  Ref<FsContext> fs;
  {
    MutexLock l(t.mu_);
    mm = std::move(t.mm_);
    fds = std::move(t.fds_);
    fs = std::move(t.fs_);
  }
  Unlink(t);
}

// A process that never ran leaves no zombie, and nobody is told of its end.
void TaskExit::Disown(ThreadGroup& g) {
  HangUpTerminal(g);
  Ref<ThreadGroup> parent;
  Ref<ThreadGroup> entry;  // the parent's reference dies unlocked
  {
    MutexLock l(g.kernel().tree().mu);
    GroupState& s = g.state();
    s.listener = nullptr;
    if (s.parent == nullptr) return;
    parent = Ref<ThreadGroup>(s.parent);
    auto it = parent->state().children.find(g.pid());
    if (it != parent->state().children.end()) {
      entry = std::move(it->second);
      parent->state().children.erase(it);
    }
    s.parent = nullptr;
    s.parent_task = nullptr;
  }
  WakeParent(*parent);  // it may wait for this child, which it no longer has
}

void TaskExit::Unlink(Task& t) {
  TaskTree& tree = t.kernel().tree();
  Garbage garbage;
  Ref<ThreadGroup> group(&t.group());
  {
    MutexLock l(tree.mu);
    LeaveGroup(tree, t, garbage);
  }
  t.group().exit_events().Notify(POLLIN);
  for (auto& [g, status] : garbage.ended) g->state().listener->OnExit(*g, status);
  MutexLock l(tree.mu);
  if (--tree.live_tasks == 0) tree.all_gone.NotifyAll();
}

void TaskExit::LeaveGroup(TaskTree& tree, Task& t, Garbage& garbage) {
  ThreadGroup& g = t.group();
  GroupState& s = g.state();
  s.dead_threads.Add(UseOf(t));
  t.state().account->tasks.fetch_sub(1, std::memory_order_relaxed);
  t.state().run_state.store('Z', std::memory_order_relaxed);
  HandOverChildren(tree, t);
  bool gone;
  {
    MutexLock l(s.mu);
    t.state().dead = true;
    t.state().pending.Discard(SignalSet{~uint64_t{0}});
    auto it = std::find_if(s.tasks.begin(), s.tasks.end(),
                           [&t](const Ref<Task>& x) { return x.get() == &t; });
    garbage.objects.push_back(std::move(*it));
    s.tasks.erase(it);
    gone = s.tasks.empty();
    if (gone) s.pending.Discard(SignalSet{~uint64_t{0}});
    if (s.leader.get() == &t && !s.exiting.load(std::memory_order_relaxed)) {
      s.final_status = t.state().exit_status;
    }
    if (s.exec_task != nullptr && s.tasks.size() == 1) s.exec_task->blocker().Wake();
    // Signals that only this thread would have taken.
    for (const Ref<Task>& other : s.tasks) {
      uint64_t open = ~other->state().mask.load(std::memory_order_relaxed);
      if ((s.pending.set().bits & open) != 0) other->Interrupt();
    }
    if (s.exiting.load(std::memory_order_relaxed)) s.final_status = s.exit_status;
  }
  if (s.leader.get() != &t) ReleaseIds(tree, t);
  if (gone) GroupGone(tree, g, garbage);
}

// Children of a thread that leaves stay with the process; those that asked learn of it.
void TaskExit::HandOverChildren(TaskTree& tree, Task& from) {
  for (const auto& [pid, child] : from.group().state().children) {
    GroupState& c = child->state();
    if (c.parent_task != &from) continue;
    c.parent_task = nullptr;
    MutexLock l(c.mu);
    for (const Ref<Task>& t : c.tasks) {
      Signal death = t->state().parent_death_signal;
      if (!death.IsValid()) continue;
      SendOptions options{.target = t.get()};
      (void)SignalDelivery::SendLocked(*child, c, from.SenderInfo(*t, death, abi::kSiUser),
                                       options);
    }
  }
}

ThreadGroup* TaskExit::FindReaper(TaskTree& tree, ThreadGroup& g) {
  PidNamespace& ns = g.state().leader->pid_ns();
  for (ThreadGroup* p = g.state().parent; p != nullptr; p = p->state().parent) {
    if (&p->state().leader->pid_ns() != &ns) break;
    if (p->state().subreaper && !p->state().zombie && !p->exiting()) return p;
  }
  ThreadGroup* init = ns.init;
  return init == &g || init == nullptr || init->state().zombie ? nullptr : init;
}

void TaskExit::GiveAwayChildren(TaskTree& tree, ThreadGroup& g, Garbage& garbage) {
  GroupState& s = g.state();
  if (s.children.empty()) return;
  ThreadGroup* reaper = FindReaper(tree, g);
  std::map<Tid, Ref<ThreadGroup>> children = std::move(s.children);
  s.children.clear();
  for (auto& [pid, child] : children) {
    GroupState& c = child->state();
    c.parent = reaper;
    c.parent_task = nullptr;
    c.exit_signal = SIGCHLD;
    if (reaper != nullptr) reaper->state().children.emplace(pid, child);
    JobControl::HangUpOrphans(tree, g, child.get());
    bool unwanted = c.zombie && (reaper == nullptr || TellParent(tree, *child));
    if (unwanted) Reap(tree, *child, garbage);
    garbage.objects.push_back(std::move(child));
  }
}

bool TaskExit::TellParent(TaskTree& tree, ThreadGroup& g) {
  GroupState& s = g.state();
  ThreadGroup* parent = s.parent;
  if (parent == nullptr) return true;
  GroupState& p = parent->state();
  const ExitStatus& st = s.final_status;
  int32_t code = st.signal == 0 ? abi::kCldExited : st.core ? abi::kCldDumped : abi::kCldKilled;
  SignalInfo info =
      ChildInfo(g, *parent, code, st.signal == 0 ? st.code : st.signal, UseOf(tree, g));
  info.signo = s.exit_signal;
  bool unwanted = false;
  bool send = Signal(s.exit_signal).IsValid();  // clone(2) takes any number
  {
    MutexLock l(p.mu);
    if (s.exit_signal == SIGCHLD) {
      SignalAction action = parent->handlers().Get(Signal(SIGCHLD));
      bool ignored = action.handler == abi::kSigIgn;
      unwanted = ignored || (action.flags & SA_NOCLDWAIT) != 0;
      if (ignored) send = false;
    }
    if (send) {
      (void)SignalDelivery::SendLocked(*parent, p, info, SendOptions{.forced = true});
    }
  }
  if (send) parent->signal_events().Notify(POLLIN);
  WakeParent(*parent);
  return unwanted;
}

void TaskExit::GroupGone(TaskTree& tree, ThreadGroup& g, Garbage& garbage) {
  GroupState& s = g.state();
  JobControl::HangUpOrphans(tree, g, nullptr);
  s.zombie = true;
  PidNamespace& ns = s.leader->pid_ns();
  GiveAwayChildren(tree, g, garbage);
  if (ns.init == &g) ns.init = nullptr;
  if (s.listener != nullptr) garbage.ended.emplace_back(Ref<ThreadGroup>(&g), s.final_status);
  if (TellParent(tree, g)) Reap(tree, g, garbage);
}

void TaskExit::Reap(TaskTree& tree, ThreadGroup& g, Garbage& garbage) {
  GroupState& s = g.state();
  if (std::exchange(s.reaped, true)) return;
  garbage.objects.push_back(s.process_group);
  JobControl::Join(tree, g, nullptr);
  s.leader->state().run_state.store('X', std::memory_order_relaxed);
  ReleaseIds(tree, *s.leader);
  garbage.objects.push_back(std::move(s.leader));
  if (s.parent == nullptr) return;
  GroupState& p = s.parent->state();
  auto it = p.children.find(g.pid());
  if (it != p.children.end()) {
    garbage.objects.push_back(std::move(it->second));
    p.children.erase(it);
  }
  s.parent = nullptr;
}

void SignalDelivery::TellParent(ThreadGroup& g, int32_t why, int32_t status) {
  TaskTree& tree = g.kernel().tree();
  Ref<ThreadGroup> parent;
  {
    MutexLock l(tree.mu);
    parent = Ref<ThreadGroup>(g.state().parent);
    if (!parent) return;
    SignalInfo info = ChildInfo(g, *parent, why, status, TaskExit::UseOf(tree, g));
    GroupState& p = parent->state();
    MutexLock pl(p.mu);
    SignalAction action = parent->handlers().Get(Signal(SIGCHLD));
    if (action.handler != abi::kSigIgn && (action.flags & SA_NOCLDSTOP) == 0) {
      (void)SendLocked(*parent, p, info, SendOptions{.forced = true});
    }
  }
  parent->signal_events().Notify(POLLIN);
  WakeParent(*parent);
}

}  // namespace runsc
