#include "sentry/kernel/task_exec.h"

#include <signal.h>
#include <sys/personality.h>
#include <sys/resource.h>

#include "sentry/kernel/futex_exit.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/signal_delivery.h"
#include "sentry/kernel/task_exit.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/timers.h"

namespace runsc {
namespace {

constexpr uint32_t kKeepCaps = 1 << 4;  // SECBIT_KEEP_CAPS

}  // namespace

// A thread that is not the leader takes over the leader's id, which the dead leader still held.
void TaskExec::TakeLeaderId(TaskTree& tree, Task& t, std::vector<Ref<RefCounted>>& garbage) {
  GroupState& s = t.group().state();
  if (s.leader.get() == &t) return;
  Ref<Task> old = std::move(s.leader);
  TaskExit::ReleaseIds(tree, t);
  for (PidNamespace* ns = &t.pid_ns(); ns != nullptr; ns = ns->parent().get()) {
    Tid id = old->state().ids[ns->depth()].load(std::memory_order_relaxed);
    t.state().ids[ns->depth()].store(id, std::memory_order_relaxed);
    ns->At(id).task = &t;
  }
  t.tid_.store(t.group().pid(), std::memory_order_relaxed);
  s.leader = Ref<Task>(&t);
  old->state().run_state.store('X', std::memory_order_relaxed);
  garbage.push_back(std::move(old));
}

Status TaskExec::BecomeOnlyThread(Task& t) {
  ThreadGroup& g = t.group();
  GroupState& s = g.state();
  {
    MutexLock l(s.mu);
    if (t.exiting() || s.exec_task != nullptr) return Errno::kAgain;
    s.exec_task = &t;
    for (const Ref<Task>& other : s.tasks) {
      if (other.get() == &t) continue;
      other->state().exit_requested.store(true, std::memory_order_release);
      other->Interrupt();
    }
  }
  Status result;
  for (;;) {
    t.blocker().ClearWake();
    {
      MutexLock l(s.mu);
      if (s.tasks.size() == 1) break;
    }
    if (t.BlockKillable(Blocker::kForever) != Blocker::Result::kInterrupted) continue;
    result = Errno::kAgain;
    break;
  }
  std::vector<Ref<RefCounted>> garbage;
  TaskTree& tree = t.kernel().tree();
  MutexLock tl(tree.mu);
  if (result.ok()) TakeLeaderId(tree, t, garbage);
  MutexLock l(s.mu);
  s.exec_task = nullptr;
  return result;
}

// What the old program registered goes with it.
void TaskExec::DropOldProgram(Task& t) {
  FutexExit(t);
  t.robust_list = UserAddr();
  t.robust_list_len = 0;
  t.clear_child_tid = UserAddr();
  t.rseq = UserAddr();
  t.rseq_len = t.rseq_sig = 0;
  t.alt_stack_ = AltStack{};
  t.restart_block_.reset();
  t.group().state().timers->DeleteAll();
}

void TaskExec::Install(Task& t, LoadedProgram program) {
  ThreadGroup& g = t.group();
  TaskState& ts = t.state();
  bool changed = program.creds->euid != t.creds().euid || program.creds->egid != t.creds().egid;
  if (program.secure || changed) ts.parent_death_signal = Signal();
  // KEEP_CAPS does not survive execve(2).
  Ref<const Credentials> creds = program.creds;
  if ((creds->securebits & kKeepCaps) != 0) {
    Ref<Credentials> fresh = creds->Fork();
    fresh->securebits &= ~kKeepCaps;
    creds = std::move(fresh);
  }
  program.mm->SetDumpable(program.dumpable && !program.secure ? 1 : 0);
  Ref<FdTable> fds = t.fds_->Fork();  // a table shared by CLONE_FILES is left behind
  Ref<SignalHandlers> handlers = g.handlers().Fork();
  handlers->ResetForExec();
  t.context_->Release();
  {
    MutexLock l(t.mu_);
    std::swap(t.mm_, program.mm);
    std::swap(t.creds_, creds);
    std::swap(t.fds_, fds);
    t.name_ = program.comm;
  }
  TaskExit::NotePeak(t, *program.mm);
  {
    MutexLock l(g.state().mu);
    std::swap(g.handlers_, handlers);
  }
  for (const Ref<File>& file : t.fds_->RemoveRange(0, UINT32_MAX, true)) {
    (void)t.fds_->Closed(t.op(), *file);
  }
  {
    MutexLock l(t.kernel().tree().mu);
    g.state().exec_happened = true;
    g.state().exit_signal = SIGCHLD;
  }
  t.regs_ = program.regs;
  t.context_->LoadFpu(arch::InitialFpuState());
  t.KeepRegisters();
}

Status TaskExec::Run(Task& t, LoadRequest request) {
  Kernel& kernel = t.kernel();
  request.fs = t.fs_;
  request.stack_limit = t.Limit(RLIMIT_STACK);
  request.randomize = (t.state().personality & ADDR_NO_RANDOMIZE) == 0;
  request.allow_suid = kernel.options().allow_suid && !t.creds().no_new_privs;
  LoadedProgram program = TRY(kernel.options().loader->Load(request));
  TRY(BecomeOnlyThread(t));
  DropOldProgram(t);
  Install(t, std::move(program));
  TaskExit::ReleaseVforkParent(t);
  return Ok();
}

}  // namespace runsc
