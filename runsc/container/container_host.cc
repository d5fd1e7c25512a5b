#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "platform/base/log.h"
#include "platform/base/strings.h"
#include "platform/host/file.h"
#include "platform/host/process.h"
#include "platform/host/pty.h"
#include "platform/host/socket.h"
#include "runsc/container/container.h"

namespace runsc::container {
namespace {

constexpr int kKillTimeoutMs = 10000;

std::string Now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  return StrPrintf("%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ", parts.tm_year + 1900, parts.tm_mon + 1,
                   parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec);
}

ProcessName Name(const host::Process& process) {
  return {process.pid, host::StartTime(process.pid)};
}

// The process that the state means. One without a start time could be anybody.
HostOr<Fd> OpenNamed(const ProcessName& name) {
  if (name.pid <= 0 || name.start_time == 0) return HostError{"no such process", ESRCH};
  return host::OpenProcess(name.pid, name.start_time);
}

// Whether `client`'s sandbox hung up within the time.
bool WaitHangup(const control::Client& client, int timeout_ms) {
  char buffer[4096];
  while (true) {
    pollfd wait{client.fd(), POLLIN, 0};
    if (poll(&wait, 1, timeout_ms) <= 0) return false;
    if (recv(client.fd(), buffer, sizeof(buffer), 0) <= 0) return true;
  }
}

// Whether nobody listens on `dir`'s control socket within the time: one that ends closes its files
// one by one, and one of another version hangs up at once and goes on listening.
bool WaitDeaf(int dir, int timeout_ms) {
  constexpr int kStepMs = 10;
  for (int waited = 0; host::ConnectAt(dir, "control.sock").ok(); waited += kStepMs) {
    if (waited >= timeout_ms) return false;
    (void)poll(nullptr, 0, kStepMs);
  }
  return true;
}

HostError NotRunning() { return {"container not running", ESRCH}; }

}  // namespace

HostStatus WritePidFile(const std::string& path, int pid) {
  std::string temporary = path + ".tmp";
  HostStatus written = HostOk();
  {
    // Never through a link that somebody has put there, nor into somebody's file.
    unlink(temporary.c_str());
    Fd fd = TRY(host::OpenAt(AT_FDCWD, temporary, O_WRONLY | O_CREAT | O_EXCL, 0644));
    written = host::WriteAll(fd.get(), std::to_string(pid));
  }
  if (written.ok() && rename(temporary.c_str(), path.c_str()) < 0) {
    written = SysError("cannot write pid file %s", path.c_str());
  }
  if (!written.ok()) unlink(temporary.c_str());
  return written;
}

HostOr<Fd> NewConsole(const std::string& socket_path, const ProcessConfig& process) {
  Fd socket = TRY(host::ConnectPath(socket_path));
  host::Pty pty = TRY(host::OpenPty());
  TRY(host::SetWindowSize(pty.slave.get(), process.rows, process.columns));
  TRY(host::SendConsole(socket.get(), pty.master.get(), pty.name));
  return std::move(pty.slave);
}

HostOr<Container> Container::Create(const CreateOptions& options) {
  if (!options.spec.hooks.create_container.empty() || !options.spec.hooks.start_container.empty()) {
    return TextError(
        "config.json: hooks: createContainer and startContainer hooks are not "
        "supported by this release; use createRuntime and poststart");
  }
  if (!options.console_socket.empty() && !options.spec.process.terminal) {
    return TextError("--console-socket is given but process.terminal is not set");
  }
  if (options.console_socket.empty() && options.spec.process.terminal && !options.attached) {
    return TextError("process.terminal is set: a detached container needs --console-socket");
  }
  Store store(options.flags.root);
  Entry entry = TRY(store.Create(options.id));
  State state;
  state.id = options.id;
  state.oci_version = options.spec.oci_version;
  state.bundle = options.bundle;
  state.rootfs = options.spec.root_path[0] == '/' ? options.spec.root_path
                                                  : options.bundle + "/" + options.spec.root_path;
  state.created = Now();
  state.annotations = options.spec.annotations;
  state.poststart = options.spec.hooks.poststart;
  state.poststop = options.spec.hooks.poststop;
  if (geteuid() == 0) state.owner = "root";
  Container container(std::move(store), std::move(entry), std::move(state));
  HostStatus built = container.Build(options);
  if (built.ok()) return container;
  if (container.launched_) container.launched_->Kill();
  (void)RunHooks("poststop", container.state_.poststop, container.state_);
  (void)container.store_.Remove(options.id);
  return built.error();
}

HostStatus Container::Build(const CreateOptions& options) {
  TRY(StartProcesses(options));
  state_.sandbox = Name(launched_->sandbox.process);
  state_.gofer = Name(launched_->gofer.process);
  // From here on "delete --force" can clean up after us, whatever happens.
  TRY(entry_.Save(state_));
  TRY(RunHooks("prestart", options.spec.hooks.prestart, state_));
  TRY(RunHooks("createRuntime", options.spec.hooks.create_runtime, state_));
  Fd listener = TRY(host::ListenAt(entry_.dir(), "control.sock"));
  Fd exit_file = TRY(entry_.OpenExitFile());
  TRY(launched_->sandbox.client.Adopt(listener.get(), exit_file.get()));
  state_.status = Status::kCreated;
  TRY(entry_.Save(state_));
  // The engine takes the pid file for the end of create, so it comes last.
  if (options.pid_file.empty()) return HostOk();
  return WritePidFile(options.pid_file, state_.sandbox.pid);
}

HostStatus Container::StartProcesses(const CreateOptions& options) {
  Fd tty;
  LaunchOptions launch;
  if (!options.console_socket.empty()) {
    tty = TRY(NewConsole(options.console_socket, options.spec.process));
    launch.tty = tty.get();
    launch.stdio = {tty.get(), tty.get(), tty.get()};
  }
  launch.flags = &options.flags;
  launch.open_log = options.open_log;
  launch.attached = options.attached;
  launch.spec = &options.spec;
  launch.id = options.id;
  launch.bundle = options.bundle;
  launched_ = TRY(Launch(launch));
  return HostOk();
}

HostOr<Container> Container::Open(const std::string& root, const std::string& id, bool lock) {
  Store store(root);
  Entry entry = TRY(store.Open(id, lock));
  State state = TRY(entry.Load());
  return Container(std::move(store), std::move(entry), std::move(state));
}

HostOr<control::Client> Container::Connect() const {
  if (state_.status == Status::kStopped) return NotRunning();
  HostOr<Fd> socket = host::ConnectAt(entry_.dir(), "control.sock");
  if (socket.ok()) return control::Client(std::move(*socket));
  int code = socket.error().code;
  return code == ECONNREFUSED || code == ENOENT ? NotRunning() : socket.error();
}

// A shim that is told of the failed start before it has reaped the sandbox takes the container for
// running, and never deletes it. Not everybody reaps: a second at most.
static void AwaitReaped(const Fd& process) {
  for (int i = 0; i < 100 && host::SendSignal(process, 0).ok(); ++i) usleep(10'000);
}

HostStatus Container::Start() {
  if (state_.status != Status::kCreated) {
    return TextError("cannot start a container that is %s", state_.status == Status::kRunning
                                                                ? "already running"
                                                                : StatusName(state_.status));
  }
  control::Client client = TRY(Connect());
  // Before it can end: a dead process that nobody has reaped yet cannot be found by its name.
  HostOr<Fd> sandbox = OpenNamed(state_.sandbox);
  HostStatus started = client.Start({state_.id});
  if (!started.ok()) {
    // The sandbox ends by itself now. A shim that deletes the container at once must find it dead.
    if (sandbox.ok() && host::WaitGone(*sandbox, kKillTimeoutMs)) AwaitReaped(*sandbox);
    return started;
  }
  state_.status = Status::kRunning;
  TRY(entry_.Save(state_));
  HostStatus hooks = RunHooks("poststart", state_.poststart, state_);
  // The specification: a failing poststart hook is logged, the container goes on.
  if (!hooks.ok()) LOG_WARNING("%s", hooks.error().text.c_str());
  return HostOk();
}

HostStatus Container::Signal(const control::SignalRequest& request) const {
  control::Client client = TRY(Connect());
  HostStatus sent = client.Signal(request);
  // It may end while it is being told.
  if (!sent.ok() && (sent.error().code == ECONNRESET || sent.error().code == EPIPE)) {
    return request.signal == SIGKILL || request.signal == SIGTERM ? HostOk()
                                                                  : HostStatus(NotRunning());
  }
  if (!sent.ok() && sent.error().code == ESRCH) {
    return HostError{"os: process already finished", ESRCH};
  }
  return sent;
}

HostStatus WaitSandboxGone(const State& state, int timeout_ms) {
  for (const ProcessName& name : {state.sandbox, state.gofer}) {
    HostOr<Fd> process = OpenNamed(name);
    if (!process.ok()) continue;
    // A sandbox takes its gofer with it, but does not wait for it.
    if (name.pid == state.gofer.pid) (void)host::SendSignal(*process, SIGKILL);
    if (!host::WaitGone(*process, timeout_ms)) {
      return TextError("process %d of the sandbox does not end", name.pid);
    }
  }
  return HostOk();
}

HostStatus Container::KillProcesses() {
  HostOr<Fd> sandbox = OpenNamed(state_.sandbox);
  if (sandbox.ok()) (void)host::SendSignal(*sandbox, SIGKILL);
  return WaitSandboxGone(state_, kKillTimeoutMs);
}

HostStatus Container::Delete(bool force) {
  if (!force && state_.status == Status::kRunning) {
    return TextError("cannot delete container %s that is not stopped: %s", state_.id.c_str(),
                     StatusName(state_.status));
  }
  if (state_.sandbox.pid > 0) TRY(KillProcesses());
  state_.status = Status::kStopped;
  HostStatus hooks = RunHooks("poststop", state_.poststop, state_);
  if (!hooks.ok()) LOG_WARNING("%s", hooks.error().text.c_str());
  return store_.Remove(state_.id);
}

HostStatus Container::Discard(const std::string& root, const std::string& id) {
  Store store(root);
  Entry entry = TRY(store.Open(id, true));
  HostOr<Fd> socket = host::ConnectAt(entry.dir(), "control.sock");
  if (socket.ok()) {
    control::Client client(std::move(*socket));
    (void)client.Send(control::Type::kStop, "");
    if (!WaitHangup(client, kKillTimeoutMs) || !WaitDeaf(entry.dir(), kKillTimeoutMs)) {
      return TextError(
          "state.json of %s cannot be used and its sandbox (see ps ax) does not end; "
          "kill it first",
          id.c_str());
    }
  }
  return store.Remove(id);
}

HostOr<int> Container::WaitExit() const {
  if (state_.status != Status::kStopped) {
    HostOr<control::Client> client = Connect();
    if (client.ok()) {
      HostOr<control::WaitReply> reply = client->Wait({state_.id, 0});
      if (reply.ok()) return reply->status;
    }
    HostOr<Fd> process = OpenNamed(state_.sandbox);
    if (process.ok()) host::WaitGone(*process, -1);
  }
  return entry_.ExitStatus();
}

}  // namespace runsc::container
