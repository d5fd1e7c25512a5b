#include "sentry/kernel/task_builder.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include "sentry/kernel/job_control.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/signal_delivery.h"
#include "sentry/kernel/task_exit.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/timers.h"
#include "sentry/time/clock.h"

namespace runsc {
namespace {

constexpr int kCapSysAdmin = 21, kCapSysResource = 24, kCapCheckpointRestore = 40;

constexpr uint64_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                     CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP;

}  // namespace

Status TaskBuilder::CheckFlags(const CloneRequest& r) {
  uint64_t f = r.flags;
  auto has = [f](uint64_t flag) { return (f & flag) != 0; };
  if (has(CLONE_NEWNS) && has(CLONE_FS)) return Errno::kInval;
  if (has(CLONE_NEWUSER) && has(CLONE_FS)) return Errno::kInval;
  if (has(CLONE_THREAD) && !has(CLONE_SIGHAND)) return Errno::kInval;
  if (has(CLONE_SIGHAND) && !has(CLONE_VM)) return Errno::kInval;
  if (has(CLONE_THREAD) && has(CLONE_NEWUSER | CLONE_NEWPID)) return Errno::kInval;
  if (has(CLONE_CLEAR_SIGHAND) && has(CLONE_SIGHAND)) return Errno::kInval;
  if (has(CLONE_PIDFD) && has(CLONE_DETACHED | CLONE_THREAD)) return Errno::kInval;
  if (has(CLONE_NEWIPC) && has(CLONE_SYSVSEM)) return Errno::kInval;
  return Ok();
}

Status TaskBuilder::CheckLimits(Task& parent, const Credentials& creds) {
  uint64_t limit = parent.Limit(RLIMIT_NPROC);
  uint64_t tasks = parent.state().account->tasks.load(std::memory_order_relaxed);
  if (tasks < limit || creds.ruid == 0) return Ok();
  if (creds.HasCap(kCapSysResource) || creds.HasCap(kCapSysAdmin)) return Ok();
  return Errno::kAgain;
}

Status TaskBuilder::MakeNamespaces(Task& parent, uint64_t flags, Parts& p) {
  if ((flags & CLONE_NEWUSER) != 0) {
    // Its owner's capabilities would lead out of a chroot(2), and into ids that nobody could name.
    if (p.fs->root() != p.fs->mount_namespace()->Root()) return Errno::kPerm;
    if (p.creds->user_ns->UidFromKernel(p.creds->euid) == kNoId ||
        p.creds->user_ns->GidFromKernel(p.creds->egid) == kNoId) {
      return Errno::kPerm;
    }
    Ref<Credentials> creds = p.creds->Fork();
    Ref<UserNamespace> ns = TRY(UserNamespace::NewChild(creds->user_ns, creds->euid, creds->egid));
    creds->user_ns = std::move(ns);
    creds->permitted = creds->effective = creds->bounding = kAllCaps;
    creds->inheritable = creds->ambient = CapSet{};
    creds->securebits = 0;
    p.creds = std::move(creds);
  }
  if ((flags & (kNamespaceFlags & ~uint64_t{CLONE_NEWUSER})) == 0) return Ok();
  if (!p.creds->HasCap(kCapSysAdmin)) return Errno::kPerm;
  const Ref<UserNamespace>& user = p.creds->user_ns;
  if ((flags & CLONE_NEWNET) != 0) return parent.Unimplemented("CLONE_NEWNET", Errno::kInval);
  if ((flags & CLONE_NEWCGROUP) != 0) {
    return parent.Unimplemented("CLONE_NEWCGROUP", Errno::kInval);
  }
  if ((flags & CLONE_NEWUTS) != 0) p.uts = p.uts->Clone(user);
  if ((flags & CLONE_NEWIPC) != 0) p.ipc = MakeRef<IpcNamespace>(user);
  if ((flags & CLONE_NEWPID) != 0) {
    if (p.pid_ns->depth() >= kMaxPidDepth) return Errno::kUsers;
    p.pid_ns = MakeRef<PidNamespace>(p.pid_ns, user);
  }
  if ((flags & CLONE_NEWNS) != 0) {
    Path root = p.fs->root(), cwd = p.fs->cwd();
    Ref<MountNamespace> ns = p.fs->mount_namespace()->Clone({&root, &cwd});
    p.fs->SetMountNamespace(std::move(ns), std::move(root), std::move(cwd));
  }
  return Ok();
}

ErrnoOr<TaskBuilder::Parts> TaskBuilder::MakeParts(Task& parent, const CloneRequest& r) {
  uint64_t f = r.flags;
  Parts p;
  p.creds = parent.creds_;
  p.uts = parent.uts_;
  p.ipc = parent.ipc_;
  const Ref<PidNamespace>& other = parent.state().child_pid_ns;
  p.pid_ns = (f & CLONE_THREAD) == 0 && other ? other : parent.pid_ns_;
  if ((f & CLONE_THREAD) != 0 && other && other != parent.pid_ns_) return Errno::kInval;
  p.fs = (f & CLONE_FS) != 0 ? parent.fs_ : parent.fs_->Fork();
  TRY(MakeNamespaces(parent, f, p));
  p.fds = (f & CLONE_FILES) != 0 ? parent.fds_ : parent.fds_->Fork();
  p.mm = (f & CLONE_VM) != 0 ? parent.mm_ : TRY(parent.mm_->Fork(UserAddr(parent.regs_.sp())));
  SignalHandlers& handlers = parent.group().handlers();
  if ((f & CLONE_SIGHAND) != 0) {
    p.handlers = Ref<SignalHandlers>(&handlers);
  } else {
    p.handlers = handlers.Fork();
    if ((f & CLONE_CLEAR_SIGHAND) != 0) p.handlers->ClearHandlers();
  }
  return p;
}

Ref<ThreadGroup> TaskBuilder::MakeGroup(Task& parent, Parts& parts) {
  ThreadGroup& from = parent.group();
  auto group = Ref<ThreadGroup>::Adopt(
      new ThreadGroup(from.kernel(), std::move(parts.handlers), from.container_id()));
  for (int i = 0; i < kLimitCount; ++i) group->SetLimit(i, from.GetLimit(i));
  group->state().oom_score_adj = from.state().oom_score_adj.load();  // proc(5): fork inherits it
  group->state().thp_disabled = from.state().thp_disabled.load();
  group->state().coredump_filter = from.state().coredump_filter.load();
  return group;
}

void TaskBuilder::CopyThreadState(Task& parent, Task& child, const CloneRequest& r) {
  TaskState& from = parent.state();
  TaskState& to = child.state();
  child.regs_ = parent.regs_;
  child.regs_.set_syscall_return(0);
  if (r.stack != 0) child.regs_.set_sp(r.stack);
  if ((r.flags & CLONE_SETTLS) != 0) child.regs_.set_tls(r.tls);
  bool shares_memory = (r.flags & (CLONE_VM | CLONE_VFORK)) == CLONE_VM;
  if (!shares_memory) child.alt_stack_ = parent.alt_stack_;
  if ((r.flags & CLONE_VM) == 0) {
    child.rseq = parent.rseq;
    child.rseq_len = parent.rseq_len;
    child.rseq_sig = parent.rseq_sig;
  }
  if ((r.flags & CLONE_CHILD_CLEARTID) != 0) child.clear_child_tid = r.child_tid;
  uint64_t mask = parent.has_saved_mask_ ? from.saved_mask.bits
                                         : from.mask.load(std::memory_order_relaxed);
  to.mask.store(mask, std::memory_order_relaxed);
  to.personality = from.personality.load(std::memory_order_relaxed);
  to.default_timer_slack = from.timer_slack.load(std::memory_order_relaxed);
  to.timer_slack.store(to.default_timer_slack, std::memory_order_relaxed);
  to.io_flusher = from.io_flusher;
  to.child_pid_ns = from.child_pid_ns;
  to.account = from.account;
  bool reset = from.sched.reset_on_fork.load(std::memory_order_relaxed);
  if (!reset) {
    to.sched.policy.store(from.sched.policy.load(std::memory_order_relaxed));
    to.sched.priority.store(from.sched.priority.load(std::memory_order_relaxed));
  }
  int32_t nice = from.sched.nice.load(std::memory_order_relaxed);
  to.sched.nice.store(reset && nice < 0 ? 0 : nice);
  to.sched.ioprio.store(from.sched.ioprio.load(std::memory_order_relaxed));
  to.cpu.InheritAffinity(from.cpu);
}

ErrnoOr<Ref<Task>> TaskBuilder::MakeTask(Task& parent, const CloneRequest& r, Parts parts) {
  Kernel& kernel = parent.kernel();
  Ref<ThreadGroup> group = (r.flags & CLONE_THREAD) != 0 ? Ref<ThreadGroup>(&parent.group())
                                                         : MakeGroup(parent, parts);
  auto child = Ref<Task>::Adopt(new Task(kernel, std::move(group)));
  child->state().context = TRY(kernel.tree().threads.NewContext(kernel.platform()));
  child->state().context->LoadFpu(parent.context().SaveFpu());
  TRY(child->state().context->Prepare(parts.mm->address_space()));
  child->state().start_time.store(static_cast<uint64_t>(BoottimeNanos()),
                                  std::memory_order_relaxed);
  child->mm_ = std::move(parts.mm);
  child->fds_ = std::move(parts.fds);
  child->fs_ = std::move(parts.fs);
  child->creds_ = std::move(parts.creds);
  child->uts_ = std::move(parts.uts);
  child->ipc_ = std::move(parts.ipc);
  child->pid_ns_ = std::move(parts.pid_ns);
  child->SetName(parent.name());
  CopyThreadState(parent, *child, r);
  return child;
}

Status TaskBuilder::TakeIds(TaskTree& tree, Task& t, const std::vector<Tid>& wanted) {
  PidNamespace* innermost = &t.pid_ns();
  if (wanted.size() > static_cast<size_t>(innermost->depth()) + 1) return Errno::kInval;
  size_t i = 0;
  for (PidNamespace* ns = innermost; ns != nullptr; ns = ns->parent().get(), ++i) {
    Tid id;
    if (i < wanted.size()) {
      const Credentials& creds = t.creds();
      if (!creds.HasCapIn(kCapCheckpointRestore, ns->user_ns().get()) &&
          !creds.HasCapIn(kCapSysAdmin, ns->user_ns().get())) {
        return Errno::kPerm;
      }
      id = TRY(ns->AllocateAt(wanted[i]));
    } else {
      id = TRY(ns->Allocate());
    }
    t.state().ids[ns->depth()].store(id, std::memory_order_relaxed);
  }
  // Nothing can fail from here on.
  for (PidNamespace* ns = innermost; ns != nullptr; ns = ns->parent().get()) {
    ns->At(t.state().ids[ns->depth()].load(std::memory_order_relaxed)).task = &t;
    ++ns->tasks;
  }
  return Ok();
}

void TaskBuilder::SetLeader(ThreadGroup& g, Task& leader) {
  GroupState& s = g.state();
  s.leader = Ref<Task>(&leader);
  s.pid_ns = Ref<PidNamespace>(&leader.pid_ns());
  for (int d = 0; d <= s.pid_ns->depth(); ++d) {
    s.pids[d] = leader.state().ids[d].load(std::memory_order_relaxed);
  }
  g.pid_ = s.pids[0];
}

void TaskBuilder::Enlist(TaskTree& tree, Task& t) {
  t.tid_.store(t.state().ids[0].load(std::memory_order_relaxed), std::memory_order_relaxed);
  t.state().account->tasks.fetch_add(1, std::memory_order_relaxed);
  ++tree.live_tasks;
  tree.processes_created.fetch_add(1, std::memory_order_relaxed);
  GroupState& s = t.group().state();
  MutexLock l(s.mu);
  if (s.stop_signal != 0 && !s.tasks.empty()) {
    t.state().stopping = true;
    ++s.stop_left;
    t.blocker_.Interrupt();
  }
  // The process may have been killed, or one of its threads have called execve(2), since LinkLocked
  // looked: then this thread missed that all were told to leave.
  if (s.exec_task != nullptr) t.state().exit_requested.store(true, std::memory_order_release);
  if (t.exiting()) t.blocker_.Interrupt();
  s.tasks.emplace_back(&t);
  ++s.live_threads;
}

Status TaskBuilder::LinkLocked(TaskTree& tree, Task& parent, Task& child, const CloneRequest& r) {
  if (tree.shutting_down) return Errno::kAgain;
  ThreadGroup& pg = parent.group();
  {
    // A signal that came before the child existed must reach it too: the caller takes it first.
    GroupState& s = pg.state();
    MutexLock l(s.mu);
    if (parent.exiting() || s.exec_task != nullptr) return Errno::kRestartNoIntr;
  }
  if ((r.flags & CLONE_PARENT) != 0 && pg.state().unkillable) return Errno::kInval;
  TRY(TakeIds(tree, child, r.set_tid));
  if ((r.flags & CLONE_THREAD) == 0) {
    ThreadGroup& g = child.group();
    GroupState& s = g.state();
    SetLeader(g, child);
    s.exit_signal = r.exit_signal;
    ThreadGroup* real_parent = &pg;
    if ((r.flags & CLONE_PARENT) != 0) {
      real_parent = pg.state().parent;
      s.exit_signal = pg.state().exit_signal;
    }
    s.parent = real_parent;
    if (real_parent == &pg) s.parent_task = &parent;
    if (real_parent != nullptr) real_parent->state().children.emplace(g.pid_, Ref<ThreadGroup>(&g));
    PidNamespace& ns = child.pid_ns();
    if (ns.init == nullptr) {
      ns.init = &g;
      s.unkillable = true;
    }
    JobControl::Join(tree, g, pg.state().process_group);
  }
  Enlist(tree, child);
  return Ok();
}

Status TaskBuilder::Link(Task& parent, Task& child, const CloneRequest& r) {
  TaskTree& tree = parent.kernel().tree();
  MutexLock l(tree.mu);
  return LinkLocked(tree, parent, child, r);
}

// Stores the ids where the flags ask for it. Errors are ignored as Linux does.
Status TaskBuilder::PublishTids(Task& parent, Task& child, const CloneRequest& r) {
  Tid seen = child.TidIn(parent.pid_ns());
  if ((r.flags & CLONE_PARENT_SETTID) != 0) (void)parent.mem().Put(r.parent_tid, seen);
  if ((r.flags & CLONE_CHILD_SETTID) != 0) (void)child.mm_->Put(r.child_tid, child.own_tid());
  return Ok();
}

void TaskBuilder::WaitForVfork(Task& parent, Task& child) {
  TaskState& ts = parent.state();
  while (ts.vfork_waiting.load(std::memory_order_acquire)) {
    if (parent.BlockKillable(Blocker::kForever) == Blocker::Result::kInterrupted) return;
  }
}

ErrnoOr<Tid> TaskBuilder::Clone(Task& parent, const CloneRequest& r) {
  TRY(CheckFlags(r));
  TRY(CheckLimits(parent, parent.creds()));
  Ref<Task> child = TRY(MakeTask(parent, r, TRY(MakeParts(parent, r))));
  FdNum pidfd;
  if ((r.flags & CLONE_PIDFD) != 0) {
    Ref<File> file = NewPidFd(child->group(), 0, parent.creds_ref());
    pidfd = TRY(parent.fds().Install(std::move(file), true, parent.Limit(RLIMIT_NOFILE)));
  }
  auto undo = [&] {
    if (pidfd.value >= 0) (void)parent.fds().Remove(pidfd);
  };
  if (pidfd.value >= 0 && !parent.mem().Put(r.pidfd, pidfd.value).ok()) {
    undo();
    return Errno::kFault;
  }
  bool vfork = (r.flags & CLONE_VFORK) != 0;
  if (vfork) {
    parent.state().vfork_waiting.store(true, std::memory_order_release);
    child->state().vfork_parent = Ref<Task>(&parent);
  }
  Status linked = Link(parent, *child, r);
  if (!linked.ok()) {
    undo();
    return linked.error();
  }
  (void)PublishTids(parent, *child, r);
  Tid tid = child->TidIn(parent.pid_ns());
  Status started = parent.kernel().tree().threads.Start(child);
  if (!started.ok()) {
    undo();
    TaskExit::Abandon(*child);
    return started.error();
  }
  if (vfork) WaitForVfork(parent, *child);
  return tid;
}

Status TaskBuilder::Unshare(Task& t, uint64_t flags) {
  constexpr uint64_t kKnown = kNamespaceFlags | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_VM |
                              CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWTIME;
  if ((flags & ~kKnown) != 0) return Errno::kInval;
  if ((flags & CLONE_NEWTIME) != 0) return t.Unimplemented("CLONE_NEWTIME", Errno::kInval);
  if ((flags & CLONE_NEWUSER) != 0) flags |= CLONE_THREAD | CLONE_FS;
  if ((flags & CLONE_VM) != 0) flags |= CLONE_SIGHAND;
  if ((flags & CLONE_SIGHAND) != 0) flags |= CLONE_THREAD;
  if ((flags & CLONE_NEWNS) != 0) flags |= CLONE_FS;
  if ((flags & CLONE_THREAD) != 0) {
    GroupState& s = t.group().state();
    MutexLock l(s.mu);
    if (s.tasks.size() > 1) return Errno::kInval;
  }
  Parts p;
  p.creds = t.creds_;
  p.uts = t.uts_;
  p.ipc = t.ipc_;
  p.pid_ns = t.pid_ns_;
  p.fs = (flags & CLONE_FS) != 0 ? t.fs_->Fork() : t.fs_;
  TRY(MakeNamespaces(t, flags, p));
  p.fds = (flags & CLONE_FILES) != 0 ? t.fds_->Fork() : t.fds_;
  if (p.pid_ns != t.pid_ns_) t.state().child_pid_ns = p.pid_ns;
  MutexLock l(t.mu_);
  std::swap(t.creds_, p.creds);
  std::swap(t.uts_, p.uts);
  std::swap(t.ipc_, p.ipc);
  std::swap(t.fs_, p.fs);
  std::swap(t.fds_, p.fds);
  return Ok();
}

}  // namespace runsc
