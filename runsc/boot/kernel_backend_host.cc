#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "platform/base/log.h"
#include "platform/base/strings.h"
#include "runsc/boot/kernel_backend.h"
#include "runsc/boot/mounts.h"
#include "runsc/boot/platforms.h"
#include "runsc/boot/process_setup.h"
#include "runsc/boot/special_mounts.h"
#include "runsc/filters/filters.h"
#include "sentry/loader/loader.h"
#include "sentry/time/timer.h"
#include "sentry/usermem/usermem.h"
#include "syscalls/table/table.h"
#include "syscalls/trace/trace.h"

namespace runsc::boot {
namespace {

using control::SignalTarget;

// Offset space of the memory file: sparse, so only address space is used up.
constexpr uint64_t kMemoryFileBytes = uint64_t{1} << 40;

HostError Gone() { return {"no such process", ESRCH}; }

HostStatus SetUpTrace(const control::BootRequest& request) {
  if (!request.strace) return HostOk();
  std::vector<uint64_t> numbers;
  int count = 0;
  const SyscallRow* rows = SyscallRows(&count);
  for (const std::string& name : request.strace_syscalls) {
    const SyscallRow* found =
        std::find_if(rows, rows + count, [&](const SyscallRow& r) { return name == r.name; });
    if (found == rows + count) {
      return TextError("--strace-syscalls: unknown system call \"%s\"", name.c_str());
    }
    numbers.push_back(found->number);
  }
  SetTrace(true, numbers, request.strace_log_size);
  return HostOk();
}

// The environment of an exec: the init's, with what was added in front.
void Inherit(const ProcessConfig& init, const control::ExecRequest& request,
             ProcessConfig* process) {
  uint64_t extra = request.process.capabilities.effective;
  process->capabilities = init.capabilities;
  process->capabilities.effective |= extra;
  process->capabilities.permitted |= extra;
  process->capabilities.bounding |= extra;
  process->rlimits = init.rlimits;
  process->no_new_privs |= init.no_new_privs;
  process->umask = init.umask;
  process->oom_score_adj = init.oom_score_adj;
  if (process->cwd.empty()) process->cwd = init.cwd;
  for (const std::string& variable : init.env) {
    std::string name = variable.substr(0, variable.find('=') + 1);
    bool given = std::any_of(process->env.begin(), process->env.end(),
                             [&](const std::string& e) { return e.rfind(name, 0) == 0; });
    if (!given) process->env.push_back(variable);
  }
}

}  // namespace

KernelBackend::~KernelBackend() = default;

HostOr<control::BootReply> KernelBackend::Boot(const control::BootRequest& request) {
  // The platform forks its first processes here, while there is one thread.
  PlatformChoice choice = TRY(ChoosePlatform(request.platform));
  memory_ = MemoryFile::Create(kMemoryFileBytes);
  if (memory_ == nullptr) return TextError("cannot create the guest's memory file");
  platform::PlatformOptions options;
  options.memory_fd = memory_->fd();
  options.fast_path = request.fast_path;
  options.patch_syscalls = request.patch_syscalls;
  options.cpus = request.cpus;
  ErrnoOr<std::unique_ptr<platform::Platform>> platform = choice.factory->create(options);
  if (!platform.ok()) {
    return TextError("cannot start platform %s: %s", choice.factory->name,
                     ErrnoName(platform.error()));
  }
  platform_ = std::move(*platform);
  InstallFaultHandler();
  ErrnoOr<std::unique_ptr<Loader>> loader =
      Loader::Create(*platform_, *memory_, static_cast<uint32_t>(request.cpus));
  if (!loader.ok()) return TextError("cannot create the loader: %s", ErrnoName(loader.error()));
  loader_ = std::move(*loader);
  KernelOptions kernel;
  kernel.platform = platform_.get();
  kernel.memory = memory_.get();
  kernel.syscalls = &syscalls_;
  kernel.loader = loader_.get();
  kernel.allow_suid = request.allow_suid;
  kernel.cpus = request.cpus;
  kernel.total_memory = request.total_memory;
  kernel_ = Kernel::Create(kernel);
  if (kernel_ == nullptr) return TextError("cannot create the kernel");
  if (!TimerQueue::Get().Start().ok()) return TextError("the host refuses a thread");
  RegisterDevices(*kernel_);
  TRY(SetUpTrace(request));
  if (request.seccomp) {
    TRY(filters::Install(filters::SentryRules(choice.factory->name, getpid()),
                         {request.trap_violations}));
  }
  return control::BootReply{choice.factory->name, choice.reason};
}

HostStatus KernelBackend::Create(ContainerConfig config, ContainerFiles files) {
  Container c;
  std::string error;
  gofer::ClientOptions options;
  options.listener = this;
  c.gofer = gofer::Client::Connect(std::move(files.gofer), options, &error);
  if (c.gofer == nullptr) return TextError("cannot reach the gofer: %s", error.c_str());
  Ref<Credentials> root = Credentials::NewRoot(kernel_->root_user_namespace());
  c.fs = TRY(BuildTree(config, *c.gofer, *kernel_, root));
  c.stdio = std::move(files.stdio);
  c.uts = MakeRef<UtsNamespace>(config.hostname.empty() ? "runsc" : config.hostname,
                                config.domainname.empty() ? "(none)" : config.domainname,
                                kernel_->root_user_namespace());
  c.config = std::move(config);
  std::string id = c.config.id;
  containers_.emplace(id, std::move(c));
  return HostOk();
}

HostOr<KernelBackend::Container*> KernelBackend::Find(const std::string& id) {
  auto it = containers_.find(id);
  if (it == containers_.end()) return TextError("container %s does not exist", id.c_str());
  return &it->second;
}

HostOr<Ref<ThreadGroup>> KernelBackend::Launch(Container& c, const ProcessConfig& process,
                                               std::array<Fd, 3> stdio) {
  ProcessArgs args;
  args.filename = process.argv[0];
  args.argv = process.argv;
  args.mortal_init = c.config.killable_init;
  args.envv = process.env;
  args.creds = MakeCredentials(process, *kernel_);
  args.fs = TRY(MakeFsContext(process, *c.fs, args.creds));
  args.fds =
      TRY(MakeFdTable(process, std::move(stdio), args.creds, *args.fs, &args.controlling_tty));
  args.limits = MakeLimits(process);
  args.container_id = c.config.id;
  args.oom_score_adj = process.oom_score_adj;
  args.uts = c.uts;
  args.listener = this;
  ErrnoOr<Ref<ThreadGroup>> group = kernel_->CreateProcess(std::move(args));
  if (!group.ok()) return StartError(process.argv[0], group.error());
  return std::move(*group);
}

HostOr<int32_t> KernelBackend::Start(const std::string& container) {
  Container* c = TRY(Find(container));
  c->init = TRY(Launch(*c, c->config.process, std::move(c->stdio)));
  int32_t pid = c->init->pid();
  Status started = kernel_->StartProcess(*c->init);
  if (!started.ok()) return StartError(c->config.process.argv[0], started.error());
  return pid;
}

HostOr<int32_t> KernelBackend::Exec(const control::ExecRequest& request, std::array<Fd, 3> stdio) {
  Container* c = TRY(Find(request.id));
  if (!c->init || c->init->HasExited()) return TextError("container not running");
  ProcessConfig process = request.process;
  if (process.argv.empty()) return TextError("no program to run");
  const ProcessConfig& init = c->config.process;
  if (request.inherit) Inherit(init, request, &process);
  if (request.inherit_user) {
    process.uid = init.uid;
    process.gid = init.gid;
    process.additional_gids.insert(process.additional_gids.end(), init.additional_gids.begin(),
                                   init.additional_gids.end());
  }
  if (!request.user_name.empty()) {
    Ref<Credentials> root = Credentials::NewRoot(kernel_->root_user_namespace());
    TRY(ResolveUser(request.user_name, *c->fs, root, &process));
  }
  Ref<ThreadGroup> group = TRY(Launch(*c, process, std::move(stdio)));
  int32_t pid = group->pid();
  Status started = kernel_->StartProcess(*group);
  if (!started.ok()) return StartError(process.argv[0], started.error());
  return pid;
}

HostOr<Ref<ThreadGroup>> KernelBackend::Target(const control::SignalRequest& request) {
  Container* c = TRY(Find(request.id));
  Ref<ThreadGroup> group = c->init;
  if (request.pid != 0) {
    group = kernel_->FindProcess(*kernel_->root_pid_namespace(), request.pid);
    if (group && group->container_id() != request.id) return Gone();
  }
  if (!group || group->HasExited()) return Gone();
  return group;
}

HostStatus KernelBackend::Signal(const control::SignalRequest& request) {
  ::runsc::Signal signal(request.signal);
  SignalInfo info = UserSignalInfo(signal, 0, 0, SI_USER);
  if (request.target == SignalTarget::kGroup) {
    Ref<ProcessGroup> group =
        kernel_->FindProcessGroup(*kernel_->root_pid_namespace(), request.pid);
    if (!group) return Gone();
    if (signal.IsValid()) group->SendSignal(info);
    return HostOk();
  }
  if (request.target == SignalTarget::kAll) {
    for (const Ref<ThreadGroup>& g : kernel_->Processes(*kernel_->root_pid_namespace())) {
      if (g->container_id() == request.id && signal.IsValid()) g->SendSignal(info);
    }
    return HostOk();
  }
  Ref<ThreadGroup> target = TRY(Target(request));
  if (!signal.IsValid()) return HostOk();  // signal 0: only whether it is there
  if (request.target == SignalTarget::kForeground) {
    Ref<Session> session = target->session();
    Ref<ProcessGroup> foreground = session ? session->foreground() : nullptr;
    // Without a terminal inside, all of the job is in the foreground of the one outside.
    if (!foreground) foreground = target->process_group();
    if (foreground) {
      foreground->SendSignal(KernelSignalInfo(signal));
      return HostOk();
    }
  }
  target->SendSignal(info);
  return HostOk();
}

HostOr<control::ProcessesReply> KernelBackend::Processes(const std::string& container) {
  TRY(Find(container));
  timespec now{}, up{};
  clock_gettime(CLOCK_REALTIME, &now);
  clock_gettime(CLOCK_BOOTTIME, &up);
  control::ProcessesReply reply;
  for (const Ref<ThreadGroup>& g : kernel_->Processes(*kernel_->root_pid_namespace())) {
    if (g->container_id() != container) continue;
    Ref<Task> leader = g->leader();
    if (!leader || g->HasExited()) continue;
    control::ProcessRow row;
    row.pid = g->pid();
    Ref<ThreadGroup> parent = g->parent();
    row.ppid = parent ? parent->pid() : 0;
    if (Ref<const Credentials> creds = leader->SharedCreds()) {
      row.uid = static_cast<int32_t>(creds->euid);
    }
    int64_t started = now.tv_sec - up.tv_sec + leader->StartNanos() / 1000000000;
    row.start_seconds = static_cast<uint64_t>(started);
    row.threads = static_cast<int32_t>(g->tasks().size());
    row.cpu_nanos = g->UserNanos() + g->SystemNanos();
    row.command = leader->name();
    reply.rows.push_back(std::move(row));
  }
  return reply;
}

void KernelBackend::OnExit(ThreadGroup& group, ExitStatus status) {
  process_ended_.store(true);
  sink_->OnProcessExit(group.container_id(), group.pid(),
                       status.signal != 0 ? 128 + status.signal : status.code);
}

// The container cannot go on without its files, and there is only one in a sandbox.
void KernelBackend::OnGoferDeath(std::string_view reason) {
  // Its last process has gone: runsc takes both down, and the exit status is on its way.
  if (process_ended_.load() && kernel_->task_count() == 0) return;
  std::string line = StrPrintf("runsc: the container ends because its gofer is gone: %.*s\n",
                               static_cast<int>(reason.size()), reason.data());
  LOG_WARNING("%.*s", static_cast<int>(line.size() - 1), line.c_str());
  ssize_t ignored = write(STDERR_FILENO, line.data(), line.size());
  (void)ignored;
  _exit(128 + SIGKILL);
}

}  // namespace runsc::boot
