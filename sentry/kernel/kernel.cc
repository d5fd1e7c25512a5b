#include "sentry/kernel/kernel.h"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>

#include "platform/base/log.h"
#include "platform/base/strings.h"
#include "sentry/kernel/group_state.h"
#include "sentry/kernel/job_control.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/signal_delivery.h"
#include "sentry/kernel/task_builder.h"
#include "sentry/kernel/task_exit.h"
#include "sentry/kernel/task_runner.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/task_tree.h"
#include "sentry/kernel/version.h"
#include "sentry/time/clock.h"

namespace runsc {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Process state of one that was created but not started, as /proc/pid/stat shows it.
constexpr char kParked = 'P';

std::string_view PathVariable(const std::vector<std::string>& envv) {
  for (const std::string& e : envv) {
    if (e.rfind("PATH=", 0) == 0) return std::string_view(e).substr(5);
  }
  return kDefaultPath;
}

// Tries the directories of PATH as execvp(3) does.
ErrnoOr<LoadedProgram> LoadFromPath(ProgramLoader& loader, LoadRequest& request) {
  if (request.filename.find('/') != std::string::npos || request.filename.empty()) {
    return loader.Load(request);
  }
  std::string name = request.filename;
  std::string_view path = PathVariable(request.envv);
  Errno worst = Errno::kNoent;
  while (true) {
    size_t colon = path.find(':');
    std::string dir(path.substr(0, colon));
    request.filename = dir.empty() ? "./" + name : dir + "/" + name;
    ErrnoOr<LoadedProgram> program = loader.Load(request);
    if (program.ok()) return program;
    if (program.error() == Errno::kAcces) {
      worst = Errno::kAcces;
    } else if (program.error() != Errno::kNoent && program.error() != Errno::kNotdir) {
      return program;
    }
    if (colon == std::string_view::npos) return worst;
    path.remove_prefix(colon + 1);
  }
}

}  // namespace

TaskTree::TaskTree() : threads(&TaskRunner::Run) {}

Kernel::Kernel(const KernelOptions& options)
    : options_(options), tree_(std::make_unique<TaskTree>()) {
  TaskTree& tree = *tree_;
  tree.root_user = UserNamespace::NewRoot();
  tree.root_pid = MakeRef<PidNamespace>(nullptr, tree.root_user);
  tree.root_uts = MakeRef<UtsNamespace>(options.hostname, "(none)", tree.root_user);
  tree.root_ipc = MakeRef<IpcNamespace>(tree.root_user);
  // The machine's boot, not ours: what /proc counts from it (uptime, starttime) is compared with
  // CLOCK_BOOTTIME by ps(1) and others, and that clock is the host's.
  int64_t up = BoottimeNanos();
  tree.boot_time = RealtimeNanos() - up;
  tree.boot_monotonic = MonotonicNanos() - up;
}

Kernel::~Kernel() { KillAll(); }

std::unique_ptr<Kernel> Kernel::Create(const KernelOptions& options) {
  MemoryManager::SetTotalMemory(options.total_memory);
  return std::unique_ptr<Kernel>(new Kernel(options));
}

Tid Kernel::PidAsSeen(const PidNamespace& ns, Tid pid) {
  if (&ns == tree_->root_pid.get()) return pid;
  Ref<ThreadGroup> process = FindProcess(*tree_->root_pid, pid);
  return process ? process->PidIn(ns) : 0;
}

ErrnoOr<Ref<ThreadGroup>> Kernel::CreateProcess(ProcessArgs args) {
  Ref<FsContext> fs = args.fs;
  LoadRequest request{.op = OpContext{*args.creds, nullptr},
                      .fs = fs,
                      .start = fs->cwd(),
                      .filename = args.filename,
                      .argv = std::move(args.argv),
                      .envv = std::move(args.envv)};
  for (const auto& [resource, limit] : args.limits) {
    if (resource == RLIMIT_STACK) request.stack_limit = limit.soft;
  }
  LoadedProgram program = TRY(LoadFromPath(*options_.loader, request));
  auto context = TRY(tree_->threads.NewContext(*options_.platform));
  context->LoadFpu(arch::InitialFpuState());
  TRY(context->Prepare(program.mm->address_space()));
  auto group = Ref<ThreadGroup>::Adopt(
      new ThreadGroup(*this, MakeRef<SignalHandlers>(), std::move(args.container_id)));
  for (const auto& [resource, limit] : args.limits) {
    if (resource >= 0 && resource < kLimitCount) group->SetLimit(resource, limit);
  }
  auto task = Ref<Task>::Adopt(new Task(*this, group));
  TaskState& ts = task->state();
  ts.context = std::move(context);
  ts.run_state.store(kParked, std::memory_order_relaxed);
  ts.account = AccountOf(args.creds->ruid);
  ts.start_time.store(static_cast<uint64_t>(BoottimeNanos()), std::memory_order_relaxed);
  platform::CpuSet cpus;
  for (int i = 0; i < options_.cpus && i < platform::kMaxCpus; ++i)
    cpus.set(static_cast<size_t>(i));
  ts.cpu.InitAffinity(cpus);
  program.mm->SetDumpable(program.dumpable && !program.secure ? 1 : 0);
  task->regs_ = program.regs;
  task->mm_ = std::move(program.mm);
  task->creds_ = std::move(program.creds);
  task->fs_ = std::move(fs);
  task->fds_ = std::move(args.fds);
  task->uts_ = args.uts ? args.uts : tree_->root_uts;
  task->ipc_ = args.ipc ? args.ipc : tree_->root_ipc;
  task->SetName(program.comm);
  Ref<PidNamespace> ns = args.pid_ns ? args.pid_ns : tree_->root_pid;
  if (args.new_pid_namespace) ns = MakeRef<PidNamespace>(ns, task->creds_->user_ns);
  task->pid_ns_ = std::move(ns);
  group->state().listener = args.listener;
  group->state().oom_score_adj = args.oom_score_adj;
  TRY(TaskBuilder::LinkFirst(*task, args.mortal_init));
  if (auto* terminal = dynamic_cast<TerminalFile*>(args.controlling_tty.get())) {
    Ref<Session> session = group->session();
    session->SetTty(terminal->terminal());
    session->SetForeground(group->process_group());
    session->tty()->OnAssociate(*session);
  }
  return group;
}

Status TaskBuilder::LinkFirst(Task& t, bool mortal_init) {
  TaskTree& tree = t.kernel().tree();
  MutexLock l(tree.mu);
  if (tree.shutting_down) return Errno::kAgain;
  TRY(TakeIds(tree, t, {}));
  ThreadGroup& g = t.group();
  GroupState& s = g.state();
  SetLeader(g, t);
  s.exit_signal = SIGCHLD;
  PidNamespace& ns = t.pid_ns();
  if (ns.init == nullptr) {
    ns.init = &g;
    s.unkillable = !mortal_init;
  }
  Enlist(tree, t);
  JobControl::NewSession(tree, g, t);
  return Ok();
}

Status Kernel::StartProcess(ThreadGroup& group) {
  Ref<Task> leader = group.leader();
  leader->state().run_state.store('R', std::memory_order_relaxed);
  Status started = tree_->threads.Start(leader);
  if (!started.ok()) TaskExit::Abandon(*leader);
  return started;
}

void Kernel::KillAll() {
  std::vector<Ref<ThreadGroup>> groups;
  {
    MutexLock l(tree_->mu);
    tree_->shutting_down = true;
    for (const auto& [id, entry] : tree_->root_pid->ids()) {
      if (entry.task != nullptr) groups.emplace_back(&entry.task->group());
    }
  }
  for (const Ref<ThreadGroup>& g : groups) {
    g->Exit(ExitStatus{.signal = SIGKILL});
    // One that was created but not started leaves as the others do.
    Ref<Task> leader = g->leader();
    if (leader && leader->state().run_state.load(std::memory_order_relaxed) == kParked) {
      (void)StartProcess(*g);
    }
  }
  groups.clear();
  MutexLock l(tree_->mu);
  while (tree_->live_tasks != 0) tree_->all_gone.Wait(tree_->mu);
}

Ref<PidNamespace> Kernel::root_pid_namespace() { return tree_->root_pid; }
Ref<UserNamespace> Kernel::root_user_namespace() { return tree_->root_user; }
Ref<UtsNamespace> Kernel::root_uts_namespace() { return tree_->root_uts; }
Ref<IpcNamespace> Kernel::root_ipc_namespace() { return tree_->root_ipc; }

Ref<Task> Kernel::FindTask(const PidNamespace& ns, Tid tid) {
  MutexLock l(tree_->mu);
  const PidNamespace::Entry* e = ns.Find(tid);
  return e == nullptr ? Ref<Task>() : Ref<Task>(e->task);
}

Ref<ThreadGroup> Kernel::FindProcess(const PidNamespace& ns, Tid pid) {
  MutexLock l(tree_->mu);
  const PidNamespace::Entry* e = ns.Find(pid);
  if (e == nullptr || e->task == nullptr) return nullptr;
  ThreadGroup& g = e->task->group();
  return g.state().leader.get() == e->task ? Ref<ThreadGroup>(&g) : Ref<ThreadGroup>();
}

Ref<ProcessGroup> Kernel::FindProcessGroup(const PidNamespace& ns, Tid pgid) {
  MutexLock l(tree_->mu);
  const PidNamespace::Entry* e = ns.Find(pgid);
  return e == nullptr ? Ref<ProcessGroup>() : Ref<ProcessGroup>(e->group);
}

std::vector<Ref<ThreadGroup>> Kernel::Processes(const PidNamespace& ns) {
  std::vector<Ref<ThreadGroup>> out;
  MutexLock l(tree_->mu);
  for (const auto& [id, e] : ns.ids()) {
    if (e.task == nullptr) continue;
    ThreadGroup& g = e.task->group();
    if (g.state().leader.get() == e.task) out.emplace_back(&g);
  }
  return out;
}

size_t Kernel::task_count() {
  MutexLock l(tree_->mu);
  return tree_->live_tasks;
}

Ref<UserAccount> Kernel::AccountOf(Uid uid) {
  MutexLock l(tree_->accounts_mu);
  auto& accounts = tree_->accounts;
  // Users who hold nothing any more are forgotten: a guest may go through all ids there are. Only
  // this function hands out references that are not copies.
  if (accounts.size() >= tree_->sweep_accounts_at) {
    std::erase_if(accounts, [](const auto& entry) { return entry.second->RefCount() == 1; });
    tree_->sweep_accounts_at = std::max<size_t>(64, accounts.size() * 2);
  }
  Ref<UserAccount>& account = accounts[uid];
  if (!account) account = MakeRef<UserAccount>(uid);
  return account;
}

std::vector<std::pair<std::string, uint64_t>> Kernel::UnimplementedCounts() {
  MutexLock l(tree_->counts_mu);
  return {tree_->unimplemented.begin(), tree_->unimplemented.end()};
}

void Kernel::CountUnimplemented(Task& t, const char* what) {
  bool first;
  {
    MutexLock l(tree_->counts_mu);
    first = tree_->unimplemented[what]++ == 0;
  }
  if (first) LOG_WARNING("unimplemented: %s (task %d, %s)", what, t.tid(), t.name().c_str());
}

int64_t Kernel::boot_time() const { return tree_->boot_time; }
int64_t Kernel::UptimeNanos() const { return MonotonicNanos() - tree_->boot_monotonic; }

std::string Kernel::BootMessages() const {
  return StrPrintf(
      "<6>[    0.000000] Linux version %s (runsc) %s\n"
      "<6>[    0.000000] runsc: a kernel in user space, platform %s\n"
      "<6>[    0.000000] CPUs: %d, memory: %lu KiB\n",
      kKernelRelease, kKernelVersion, options_.platform->name(), options_.cpus,
      static_cast<unsigned long>(options_.total_memory >> 10));
}

void Kernel::LoadAverages(uint64_t out[3]) { tree_->load.Read(out); }

}  // namespace runsc
