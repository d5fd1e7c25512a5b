#include "sentry/kernel/job_control.h"

#include <signal.h>

#include <algorithm>

#include "sentry/kernel/group_state.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/task_state.h"

namespace runsc {

NamespacedId::NamespacedId(const Task& leader) : ns_(&leader.pid_ns()) {
  for (int d = 0; d <= ns_->depth(); ++d) {
    ids_.push_back(leader.state().ids[d].load(std::memory_order_relaxed));
  }
}

Tid NamespacedId::In(const PidNamespace& ns) const {
  return ns.IsAncestorOfOrSame(*ns_) ? ids_[ns.depth()] : 0;
}

Session::Session(const Task& leader) : id_(leader) {
  for (PidNamespace* ns = id_.ns().get(); ns != nullptr; ns = ns->parent().get()) {
    ns->At(id_.at(ns->depth())).session = this;
  }
}

void Session::EndId() {
  for (PidNamespace* ns = id_.ns().get(); ns != nullptr; ns = ns->parent().get()) {
    ns->At(id_.at(ns->depth())).session = nullptr;
    ns->ReleaseIfFree(id_.at(ns->depth()));
  }
}

Ref<ControllingTty> Session::tty() {
  MutexLock l(mu_);
  return tty_;
}

void Session::SetTty(Ref<ControllingTty> tty) {
  MutexLock l(mu_);
  std::swap(tty_, tty);
}

Ref<ProcessGroup> Session::foreground() {
  MutexLock l(mu_);
  return foreground_;
}

void Session::SetForeground(Ref<ProcessGroup> group) {
  MutexLock l(mu_);
  std::swap(foreground_, group);
}

ProcessGroup::ProcessGroup(Kernel& kernel, const Task& leader, Ref<Session> session)
    : kernel_(kernel), id_(leader), session_(std::move(session)) {
  ++session_->groups_;
  for (PidNamespace* ns = id_.ns().get(); ns != nullptr; ns = ns->parent().get()) {
    ns->At(id_.at(ns->depth())).group = this;
  }
}

void ProcessGroup::EndId() {
  for (PidNamespace* ns = id_.ns().get(); ns != nullptr; ns = ns->parent().get()) {
    ns->At(id_.at(ns->depth())).group = nullptr;
    ns->ReleaseIfFree(id_.at(ns->depth()));
  }
  if (--session_->groups_ == 0) session_->EndId();
}

std::vector<Ref<ThreadGroup>> ProcessGroup::Members() {
  std::vector<Ref<ThreadGroup>> out;
  MutexLock l(kernel_.tree().mu);
  for (ThreadGroup* g : members_) out.emplace_back(g);
  return out;
}

void ProcessGroup::SendSignal(const SignalInfo& info) {
  for (const Ref<ThreadGroup>& g : Members()) g->SendSignal(info);
}

bool ProcessGroup::IsOrphaned() {
  TaskTree& tree = kernel_.tree();
  MutexLock l(tree.mu);
  return JobControl::IsOrphaned(tree, *this, nullptr);
}

bool JobControl::IsOrphaned(TaskTree& tree, const ProcessGroup& group, const ThreadGroup* without) {
  for (ThreadGroup* g : group.members_) {
    const GroupState& s = g->state();
    if (g == without || s.zombie || s.parent == nullptr) continue;
    const GroupState& p = s.parent->state();
    if (p.process_group && p.process_group.get() != &group &&
        p.process_group->session() == group.session() && !p.zombie) {
      return false;
    }
  }
  return true;
}

namespace {

bool HasStopped(const std::vector<ThreadGroup*>& members) {
  for (ThreadGroup* g : members) {
    GroupState& s = g->state();
    MutexLock l(s.mu);
    if (s.stop_signal != 0 && s.stop_left == 0) return true;
  }
  return false;
}

}  // namespace

void JobControl::HangUpOrphans(TaskTree& tree, ThreadGroup& g, ThreadGroup* child) {
  // Either g leaves its own group, or child's group loses the parent that kept it.
  ThreadGroup& subject = child != nullptr ? *child : g;
  ThreadGroup* parent = child != nullptr ? &g : g.state().parent;
  const Ref<ProcessGroup>& group = subject.state().process_group;
  if (!group || parent == nullptr || !parent->state().process_group) return;
  const ProcessGroup& parents = *parent->state().process_group;
  if (&parents == group.get() || parents.session() != group->session()) return;
  if (!IsOrphaned(tree, *group, child != nullptr ? nullptr : &g)) return;
  if (!HasStopped(group->members_)) return;
  for (ThreadGroup* m : group->members_) {
    m->SendSignal(KernelSignalInfo(Signal(SIGHUP)));
    m->SendSignal(KernelSignalInfo(Signal(SIGCONT)));
  }
}

void JobControl::Join(TaskTree& tree, ThreadGroup& g, Ref<ProcessGroup> to) {
  Ref<ProcessGroup> from = std::move(g.state().process_group);
  if (to) to->members_.push_back(&g);
  g.state().process_group = std::move(to);
  if (!from) return;
  auto& members = from->members_;
  members.erase(std::find(members.begin(), members.end(), &g));
  if (members.empty()) from->EndId();
}

void JobControl::NewSession(TaskTree& tree, ThreadGroup& g, Task& leader) {
  auto session = MakeRef<Session>(leader);
  Join(tree, g, MakeRef<ProcessGroup>(g.kernel(), leader, session));
}

ErrnoOr<Tid> JobControl::SetSid(Task& t) {
  TaskTree& tree = t.kernel().tree();
  Ref<ProcessGroup> keep = t.group().process_group();  // dies unlocked
  MutexLock l(tree.mu);
  Task& leader = *t.group().state().leader;
  const PidNamespace::Entry* entry = t.kernel().tree().root_pid->Find(leader.tid());
  if (entry != nullptr && entry->group != nullptr) return Errno::kPerm;
  NewSession(tree, t.group(), leader);
  return leader.TidIn(t.pid_ns());
}

Status JobControl::SetPgid(Task& t, Tid pid, Tid pgid) {
  if (pgid < 0) return Errno::kInval;
  TaskTree& tree = t.kernel().tree();
  std::vector<Ref<ProcessGroup>> keep;
  MutexLock l(tree.mu);
  PidNamespace& ns = t.pid_ns();
  const PidNamespace::Entry* entry = pid == 0 ? nullptr : ns.Find(pid);
  Task* task = pid == 0 ? t.group().state().leader.get() : entry != nullptr ? entry->task : nullptr;
  if (task == nullptr) return Errno::kSrch;
  ThreadGroup& g = task->group();
  GroupState& s = g.state();
  if (s.leader.get() != task) return Errno::kInval;
  const Ref<Session>& session = t.group().state().process_group->session();
  if (s.parent == &t.group()) {
    if (s.process_group->session() != session) return Errno::kPerm;
    if (s.exec_happened) return Errno::kAcces;
  } else if (&g != &t.group()) {
    return Errno::kSrch;
  }
  if (s.process_group->session()->id() == task->tid()) return Errno::kPerm;  // session leader
  Tid own = task->TidIn(ns);
  if (pgid == 0) pgid = own;
  keep.push_back(s.process_group);
  if (s.process_group->IdIn(ns) == pgid) return Ok();
  const PidNamespace::Entry* target = ns.Find(pgid);
  if (target != nullptr && target->group != nullptr) {
    if (target->group->session() != session) return Errno::kPerm;
    Join(tree, g, Ref<ProcessGroup>(target->group));
    return Ok();
  }
  if (pgid != own) return Errno::kPerm;
  Join(tree, g, MakeRef<ProcessGroup>(t.kernel(), *task, session));
  return Ok();
}

}  // namespace runsc
