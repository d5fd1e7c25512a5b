#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "platform/base/log.h"
#include "platform/base/strings.h"
#include "platform/host/file.h"
#include "runsc/boot/sandbox_server.h"

namespace runsc::boot {
namespace {

using control::Decode;
using control::Encode;
using control::EncodeReply;
using control::Frame;
using control::PeerId;
using control::SignalTarget;
using control::Type;

constexpr size_t kMaxFinished = 4096;

HostError Malformed() { return TextError("malformed control request"); }
HostError NoContainer(const std::string& id) {
  return {"container " + id + " does not exist in this sandbox", ENOENT};
}

}  // namespace

int SandboxServer::Run(SandboxBackend* backend, Fd channel) {
  backend_ = backend;
  HostOr<std::unique_ptr<control::Server>> server = control::Server::Create(this);
  if (!server.ok()) {
    LOG_WARNING("%s", server.error().text.c_str());
    return 128;
  }
  server_ = std::move(*server);
  boot_peer_ = server_->AddConnection(std::move(channel));
  server_->Run();
  return exit_status_;
}

void SandboxServer::OnRequest(PeerId peer, Frame frame) {
  Answer answer = Dispatch(peer, frame);
  if (!answer.ok()) {
    LOG_INFO("control: request %d fails: %s", static_cast<int>(frame.type),
             answer.error().text.c_str());
    server_->Reply(peer, frame.sequence, EncodeReply(answer.error()));
  } else if (answer->has_value()) {
    server_->Reply(peer, frame.sequence, EncodeReply(std::string_view(**answer)));
  }
}

SandboxServer::Answer SandboxServer::Dispatch(PeerId peer, Frame& frame) {
  bool from_boot = peer == boot_peer_;
  if (frame.type == Type::kBoot && from_boot && !booted_) return Boot(frame);
  if (!booted_) return TextError("the sandbox has not booted yet");
  switch (frame.type) {
    case Type::kCreate:
      return Create(frame);
    case Type::kAdopt:
      return from_boot ? Adopt(frame) : Answer(Malformed());
    case Type::kStart:
      return Start(frame);
    case Type::kWait:
      return Wait(peer, frame);
    case Type::kSignal:
      return Signal(frame);
    case Type::kExec:
      return Exec(peer, frame);
    case Type::kProcesses:
      return Processes(frame);
    case Type::kState:
      return State();
    case Type::kStop:
      return Stop();
    default:
      return TextError("unknown control request");
  }
}

SandboxServer::Answer SandboxServer::Boot(const Frame& frame) {
  control::BootRequest request;
  if (!Decode(frame.payload, &request)) return Malformed();
  control::BootReply reply = TRY(backend_->Boot(request));
  booted_ = true;
  platform_ = reply.platform;
  return std::optional(Encode(reply));
}

SandboxServer::Answer SandboxServer::Create(Frame& frame) {
  ContainerConfig config;
  if (!Decode(frame.payload, &config) || frame.fds.size() != control::kCreateFds) {
    return Malformed();
  }
  if (containers_.count(config.id) != 0) return TextError("container already exists");
  if (!root_.empty()) return TextError("this release runs one container in a sandbox");
  std::string id = config.id;
  ContainerFiles files;
  for (size_t i = 0; i < 3; ++i) files.stdio[i] = std::move(frame.fds[i]);
  files.gofer = std::move(frame.fds[3]);
  TRY(backend_->Create(std::move(config), std::move(files)));
  containers_[id] = {};
  if (root_.empty()) root_ = id;
  return std::optional<std::string>("");
}

SandboxServer::Answer SandboxServer::Adopt(Frame& frame) {
  if (frame.fds.size() != 2 || adopted_) return Malformed();
  server_->SetListener(std::move(frame.fds[0]));
  exit_file_ = std::move(frame.fds[1]);
  adopted_ = true;
  return std::optional<std::string>("");
}

HostOr<SandboxServer::Container*> SandboxServer::Find(const std::string& id) {
  auto it = containers_.find(id);
  if (it == containers_.end()) return NoContainer(id);
  return &it->second;
}

SandboxServer::Answer SandboxServer::Start(const Frame& frame) {
  control::ContainerRef ref;
  if (!Decode(frame.payload, &ref)) return Malformed();
  Container* container = TRY(Find(ref.id));
  if (container->started) return TextError("cannot start an already running container");
  container->started = true;
  HostOr<int32_t> pid = backend_->Start(ref.id);
  if (!pid.ok()) {
    // Nothing will ever run here: the sandbox ends when this error has been sent.
    exit_status_ = 128;
    server_->Wake();
    MutexLock l(mu_);
    exits_.push_back({{ref.id, 0}, exit_status_});
    return pid.error();
  }
  container->init = *pid;
  return std::optional<std::string>("");
}

SandboxServer::Answer SandboxServer::Wait(PeerId peer, const Frame& frame) {
  control::WaitRequest request;
  if (!Decode(frame.payload, &request)) return Malformed();
  TRY(Find(request.id));
  ProcessId process{request.id, request.pid};
  auto it = std::find_if(finished_.begin(), finished_.end(),
                         [&](const Exit& e) { return e.process == process; });
  if (it != finished_.end()) {
    control::WaitReply reply{it->status};
    if (request.pid != 0) finished_.erase(it);
    return std::optional(Encode(reply));
  }
  // Exec's and init's ends are always reported; any other process must be there to end.
  bool expected = request.pid == 0 || sessions_.count(process) != 0;
  if (!expected) {
    TRY(backend_->Signal({request.id, SignalTarget::kPid, request.pid, 0}));
  }
  waiters_.emplace(process, Waiter{peer, frame.sequence});
  return std::optional<std::string>();
}

SandboxServer::Answer SandboxServer::Signal(const Frame& frame) {
  control::SignalRequest request;
  if (!Decode(frame.payload, &request)) return Malformed();
  Container* container = TRY(Find(request.id));
  if (request.signal < 0 || request.signal > 64) {
    return TextError("invalid signal number %d", request.signal);
  }
  // An init that never ran has nobody to tell: SIGKILL and SIGTERM end the sandbox.
  if (!container->started) {
    if (request.signal != SIGKILL && request.signal != SIGTERM) {
      return TextError("container not running");
    }
    EndSandbox(128 + request.signal);
    return std::optional<std::string>("");
  }
  TRY(backend_->Signal(request));
  return std::optional<std::string>("");
}

SandboxServer::Answer SandboxServer::Exec(PeerId peer, Frame& frame) {
  control::ExecRequest request;
  if (!Decode(frame.payload, &request) || frame.fds.size() != 3) return Malformed();
  Container* container = TRY(Find(request.id));
  if (!container->started) return TextError("container not running");
  std::array<Fd, 3> stdio;
  for (size_t i = 0; i < 3; ++i) stdio[i] = std::move(frame.fds[i]);
  control::ExecReply reply{TRY(backend_->Exec(request, std::move(stdio)))};
  sessions_.insert({request.id, reply.pid});
  if (request.attached) attached_.emplace(peer, ProcessId{request.id, reply.pid});
  return std::optional(Encode(reply));
}

SandboxServer::Answer SandboxServer::Processes(const Frame& frame) {
  control::ContainerRef ref;
  if (!Decode(frame.payload, &ref)) return Malformed();
  TRY(Find(ref.id));
  return std::optional(Encode(TRY(backend_->Processes(ref.id))));
}

SandboxServer::Answer SandboxServer::State() {
  control::StateReply reply;
  reply.platform = platform_;
  for (const auto& [id, container] : containers_) {
    reply.containers.push_back({id, container.started, container.init});
  }
  return std::optional(Encode(reply));
}

SandboxServer::Answer SandboxServer::Stop() {
  EndSandbox(128 + SIGKILL);
  return std::optional<std::string>("");
}

void SandboxServer::OnHangup(PeerId peer) {
  if (peer == boot_peer_ && !adopted_) {
    LOG_INFO("runsc went away: the sandbox ends");
    EndSandbox(128 + SIGKILL);
  }
  std::erase_if(waiters_, [&](const auto& w) { return w.second.peer == peer; });
  auto [begin, end] = attached_.equal_range(peer);
  for (auto it = begin; it != end; ++it) {
    const auto& [id, pid] = it->second;
    (void)backend_->Signal({id, SignalTarget::kPid, pid, SIGKILL});
    std::erase_if(finished_, [&](const Exit& e) { return e.process == it->second; });
  }
  attached_.erase(begin, end);
}

// Signals sent to the sandbox process itself: by its terminal, or by a person who takes it for
// the container.
void SandboxServer::OnHostSignal(int signal) {
  if (root_.empty() || !containers_[root_].started) {
    if (signal == SIGTERM || signal == SIGHUP) EndSandbox(128 + signal);
    return;
  }
  bool of_terminal = has_terminal_ && signal != SIGTERM && signal != SIGUSR1 && signal != SIGUSR2;
  SignalTarget target = of_terminal ? SignalTarget::kForeground : SignalTarget::kInit;
  (void)backend_->Signal({root_, target, 0, signal});
}

void SandboxServer::OnProcessExit(const std::string& container, int32_t pid, int32_t status) {
  {
    MutexLock l(mu_);
    exits_.push_back({{container, pid}, status});
  }
  server_->Wake();
}

void SandboxServer::OnWake() {
  std::vector<Exit> exits;
  {
    MutexLock l(mu_);
    exits.swap(exits_);
  }
  for (Exit& exit : exits) {
    auto it = containers_.find(exit.process.first);
    bool init = it != containers_.end() &&
                (exit.process.second == it->second.init || exit.process.second == 0);
    Finish(exit);
    if (!init) continue;
    exit.process.second = 0;  // the name under which init is waited for
    Finish(exit);
    if (exit.process.first == root_) EndSandbox(exit.status);
  }
}

void SandboxServer::Finish(const Exit& exit) {
  LOG_DEBUG("container %s: process %d ends with status %d", exit.process.first.c_str(),
            exit.process.second, exit.status);
  sessions_.erase(exit.process);
  auto [begin, end] = waiters_.equal_range(exit.process);
  bool told = begin != end;
  for (auto it = begin; it != end; ++it) {
    control::WaitReply reply{exit.status};
    server_->Reply(it->second.peer, it->second.sequence, EncodeReply(Encode(reply)));
  }
  waiters_.erase(begin, end);
  if (told && exit.process.second != 0) return;
  finished_.push_back(exit);
  if (finished_.size() > kMaxFinished) finished_.erase(finished_.begin());
}

void SandboxServer::EndSandbox(int32_t status) {
  exit_status_ = status;
  if (exit_file_.ok()) (void)host::WriteAll(exit_file_.get(), StrPrintf("%d\n", status));
  exit_file_.Reset();
  server_->Stop();
}

}  // namespace runsc::boot
