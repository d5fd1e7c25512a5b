#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "platform/base/log.h"
#include "platform/base/strings.h"
#include "runsc/container/launch.h"

namespace runsc::container {
namespace {

using control::BootRequest;

std::vector<std::string> SplitWords(const std::string& text) {
  std::vector<std::string> out;
  size_t at = 0;
  while (at < text.size()) {
    size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) out.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return out;
}

int CpuCount() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) < 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

std::string HostName() {
  char name[65] = {};
  return gethostname(name, 64) == 0 ? name : "runsc";
}

BootRequest MakeBootRequest(const cli::Flags& flags, sandbox::IsolationSet may_miss) {
  BootRequest r;
  r.platform = flags.platform;
  r.fast_path = !flags.systrap_disable_fast_path;
  r.patch_syscalls = !flags.systrap_disable_syscall_patching;
  r.seccomp = !may_miss.Has(sandbox::Isolation::kSeccomp);
  r.trap_violations = flags.debug_filters;
  r.strace = flags.strace;
  r.strace_syscalls = SplitWords(flags.strace_syscalls);
  r.strace_log_size = static_cast<uint32_t>(std::max<int64_t>(flags.strace_log_size, 0));
  r.allow_suid = flags.allow_suid;
  r.cpus = CpuCount();
  struct sysinfo info{};
  if (sysinfo(&info) == 0) r.total_memory = uint64_t{info.totalram} * info.mem_unit;
  return r;
}

HostStatus ApplyFileFlags(const cli::Flags& flags, spec::Plan* plan) {
  cli::OverlayChoice overlay = TRY(cli::ParseOverlay(flags.overlay2));
  OverlayKind kind = overlay.medium.empty()       ? OverlayKind::kNone
                     : overlay.medium == "memory" ? OverlayKind::kMemory
                     : overlay.medium == "self"   ? OverlayKind::kSelf
                                                  : OverlayKind::kDir;
  if (kind == OverlayKind::kDir) {
    return TextError("--overlay2: dir= is not supported by this release; use memory or self");
  }
  ContainerConfig& c = plan->config;
  c.root_overlay = overlay.root && !c.root_read_only ? kind : OverlayKind::kNone;
  c.mounts_overlay = overlay.mounts ? kind : OverlayKind::kNone;
  c.overlay_bytes = overlay.bytes;
  c.root_shared = flags.file_access == "shared";
  c.mounts_shared = flags.file_access_mounts == "shared";
  // Below an overlay nothing is ever written.
  if (c.root_overlay != OverlayKind::kNone) plan->trees[0].read_only = true;
  if (c.mounts_overlay == OverlayKind::kNone) return HostOk();
  for (size_t i = 1; i < plan->trees.size(); ++i) plan->trees[i].read_only = true;
  return HostOk();
}

// Makes the common mistakes readable before any process is started.
HostStatus CheckTrees(const spec::Plan& plan) {
  for (const spec::GoferTree& tree : plan.trees) {
    struct stat st{};
    if (stat(tree.source.c_str(), &st) < 0) {
      return SysError(
          &tree == &plan.trees[0] ? "cannot use root file system %s" : "cannot use mount source %s",
          tree.source.c_str());
    }
    if (&tree == &plan.trees[0] && !S_ISDIR(st.st_mode)) {
      return TextError("root file system %s is not a directory", tree.source.c_str());
    }
  }
  return HostOk();
}

std::vector<std::string> LogArgs(const cli::Flags& flags, const Fd& log) {
  std::vector<std::string> args;
  if (!log.ok()) return args;
  args.push_back("--debug-log=" + std::to_string(sandbox::kLogFd));
  if (flags.debug) args.push_back("--debug");
  if (flags.debug_log_format != "text") {
    args.push_back("--debug-log-format=" + flags.debug_log_format);
  }
  return args;
}

HostOr<sandbox::Sandbox> StartSentry(const LaunchOptions& options, sandbox::IsolationSet may_miss) {
  Fd log = options.open_log("boot", options.id);
  sandbox::SandboxOptions s;
  s.id = options.id;
  s.attached = options.attached;
  s.stderr_fd = options.tty >= 0 ? -1 : options.stdio[2];
  s.log_fd = log.get();
  s.tty = options.tty;
  s.log_args = LogArgs(*options.flags, log);
  s.rootless = options.flags->rootless;
  s.may_miss = may_miss;
  return sandbox::StartSandbox(s);
}

HostOr<sandbox::Gofer> StartGofer(const LaunchOptions& options, const spec::Plan& plan,
                                  sandbox::IsolationSet may_miss) {
  Fd log = options.open_log("gofer", options.id);
  sandbox::GoferOptions g;
  for (const spec::GoferTree& tree : plan.trees) {
    g.attach_points.push_back({tree.source, tree.read_only});
  }
  g.uid_map = options.spec->uid_mappings;
  g.gid_map = options.spec->gid_mappings;
  g.attached = options.attached;
  g.stderr_fd = options.tty >= 0 ? -1 : options.stdio[2];
  g.log_fd = log.get();
  g.log_args = LogArgs(*options.flags, log);
  g.rootless = options.flags->rootless;
  g.may_miss = may_miss;
  return sandbox::StartGofer(g);
}

// A description of our own of a pipe or device, which may be non-blocking without changing the one
// that other processes share. What cannot be opened again goes as it is.
Fd OwnDescription(int fd) {
  struct stat st{};
  int flags = fcntl(fd, F_GETFL);
  bool possible =
      flags >= 0 && fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode));
  Fd own;
  if (possible) {
    std::string path = StrPrintf("/proc/self/fd/%d", fd);
    own.Reset(open(path.c_str(), (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  }
  if (!own.ok()) own.Reset(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  return own;
}

HostStatus CreateInSentry(const LaunchOptions& options, const spec::Plan& plan, Launched& l) {
  Fd stdio[3] = {OwnDescription(options.stdio[0]), OwnDescription(options.stdio[1]),
                 OwnDescription(options.stdio[2])};
  const int fds[] = {stdio[0].get(), stdio[1].get(), stdio[2].get(), l.gofer.connection.get()};
  return l.sandbox.client.Create(plan.config, fds);
}

HostStatus FinishBoot(control::Client& client, uint32_t sequence) {
  while (true) {
    std::optional<std::string> bytes = TRY(client.TryFinish(sequence));
    if (!bytes) continue;
    control::BootReply reply;
    if (!control::Decode(*bytes, &reply)) return TextError("the sandbox sent a malformed reply");
    LOG_DEBUG("platform %s: %s", reply.platform.c_str(), reply.reason.c_str());
    return HostOk();
  }
}

// What is behind an error of the start: a gofer that said why it ended, or a connection that breaks
// while booting, which means that the sentry died.
HostError Explain(Launched& l, const HostError& error) {
  char report[1024];
  ssize_t n = l.gofer.report.ok() ? read(l.gofer.report.get(), report, sizeof(report)) : 0;
  if (n > 0) return TextError("%.*s", static_cast<int>(n), report);
  if (error.code != ECONNRESET && error.code != EPIPE) return error;
  if (!host::WaitGone(l.sandbox.process.pidfd, 1000)) return error;
  HostOr<int> status = host::WaitChild(l.sandbox.process.pid);
  l.sandbox.process.pid = -1;
  return DeathText(status.ok() ? *status : -1);
}

// What a start that failed may have died of, if the caller's limits cannot be lifted.
const char* LimitHint() {
  struct Need {
    decltype(RLIMIT_AS) resource;
    rlim_t least;
    const char* hint;
  };
  constexpr Need kNeeds[] = {
      {RLIMIT_AS, rlim_t{16} << 30, "; raise ulimit -v, which is low here"},
      {RLIMIT_DATA, rlim_t{256} << 20, "; raise ulimit -d, which is low here"},
      {RLIMIT_NPROC, 64, "; raise ulimit -u, which is low here"},
      {RLIMIT_FSIZE, rlim_t{1} << 40, "; raise ulimit -f, which is low here"},
  };
  for (const Need& need : kNeeds) {
    rlimit limit{};
    if (getrlimit(need.resource, &limit) == 0 && limit.rlim_max < need.least) return need.hint;
  }
  return "";
}

int Reap(host::Process& process) {
  if (process.pid <= 0) return -1;
  (void)host::SendSignal(process.pidfd, SIGKILL);
  HostOr<int> status = host::WaitChild(process.pid);
  process.pid = -1;
  return status.ok() ? *status : -1;
}

}  // namespace

void LogPhase(const char* what) {
  if (!LogEnabled(LogLevel::kDebug)) return;
  timespec cpu{};
  clock_gettime(CLOCK_MONOTONIC, &cpu);
  static const timespec first = cpu;
  double ms = static_cast<double>(cpu.tv_sec - first.tv_sec) * 1e3 +
              static_cast<double>(cpu.tv_nsec - first.tv_nsec) / 1e6;
  LOG_DEBUG("phase %s at %.2f ms", what, ms);
}

int Launched::Kill() {
  // Both at once: each takes milliseconds to take its namespaces down. The sandbox first, so that
  // it cannot see its gofer go and complain of it.
  if (sandbox.process.pid > 0) (void)host::SendSignal(sandbox.process.pidfd, SIGKILL);
  if (gofer.process.pid > 0) (void)host::SendSignal(gofer.process.pidfd, SIGKILL);
  int status = Reap(sandbox.process);
  Reap(gofer.process);
  return status;
}

HostError DeathText(int status) {
  const char* hint = status == 128 + SIGSYS ? "its seccomp filter refused a system call, see dmesg"
                     : status == 128 + SIGKILL ? "killed from outside"
                                               : "an error of runsc, see --debug-log";
  return TextError("the sandbox died with status %d: %s", status, hint);
}

HostOr<Launched> Launch(const LaunchOptions& options) {
  const cli::Flags& flags = *options.flags;
  sandbox::IsolationSet may_miss =
      TRY(sandbox::ParseIsolations(flags.unsafe_allow_missing_isolation));
  spec::Plan plan = TRY(spec::MakePlan(*options.spec, options.id, options.bundle));
  plan.config.killable_init = options.killable_init;
  // A new UTS namespace begins with the name of the one it was made in.
  if (plan.config.hostname.empty()) plan.config.hostname = HostName();
  TRY(ApplyFileFlags(flags, &plan));
  TRY(CheckTrees(plan));
  LogPhase("plan");
  Launched l;
  l.sandbox = TRY(StartSentry(options, may_miss));
  LogPhase("sentry");
  // The kernel boots while the gofer starts.
  HostOr<uint32_t> boot = l.sandbox.client.Send(control::Type::kBoot,
                                                control::Encode(MakeBootRequest(flags, may_miss)));
  HostStatus done = boot.ok() ? HostOk() : HostStatus(boot.error());
  if (done.ok()) {
    HostOr<sandbox::Gofer> gofer = StartGofer(options, plan, may_miss);
    if (gofer.ok()) l.gofer = std::move(*gofer);
    if (!gofer.ok()) done = gofer.error();
  }
  LogPhase("gofer");
  if (done.ok()) done = FinishBoot(l.sandbox.client, *boot);
  LogPhase("boot");
  if (done.ok()) done = CreateInSentry(options, plan, l);
  l.gofer.connection.Reset();
  LogPhase("create");
  if (done.ok()) {
    l.gofer.report.Reset();
    return l;
  }
  HostError error = Explain(l, done.error());
  error.text += LimitHint();
  l.Kill();
  return error;
}

}  // namespace runsc::container
