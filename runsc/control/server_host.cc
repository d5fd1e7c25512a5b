#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "platform/base/log.h"
#include "platform/host/socket.h"
#include "runsc/control/server.h"

namespace runsc::control {
namespace {

constexpr size_t kMaxPeers = 256;

// Signals that a terminal or a person may send to the sandbox process.
constexpr int kSignals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
                            SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGCONT, SIGALRM};

}  // namespace

HostOr<std::unique_ptr<Server>> Server::Create(Handler* handler) {
  std::unique_ptr<Server> server(new Server(handler));
  sigset_t set;
  sigemptyset(&set);
  for (int s : kSignals) sigaddset(&set, s);
  sigaddset(&set, SIGPIPE);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  sigdelset(&set, SIGPIPE);
  server->signals_.Reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  server->wake_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!server->signals_.ok() || !server->wake_.ok()) return SysError("cannot create event files");
  return server;
}

PeerId Server::AddConnection(Fd socket) {
  host::SetNonBlocking(socket.get(), true);
  PeerId id = next_peer_++;
  peers_.emplace(id, Connection(std::move(socket)));
  return id;
}

void Server::Reply(PeerId peer, uint32_t sequence, std::string_view payload) {
  auto it = peers_.find(peer);
  if (it == peers_.end()) return;
  HostStatus sent = it->second.Send(Type::kReply, sequence, payload);
  if (sent.ok()) return;
  LOG_INFO("control: dropping a connection: %s", sent.error().text.c_str());
  it->second.Close();  // Drop() follows when poll sees it
}

void Server::Wake() {
  uint64_t one = 1;
  ssize_t ignored = write(wake_.get(), &one, sizeof(one));
  (void)ignored;
}

void Server::Run() {
  while (!stopping_) PollOnce();
}

void Server::PollOnce() {
  std::vector<PeerId> ids;
  std::vector<pollfd> fds = {{wake_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
  fds.push_back({peers_.size() < kMaxPeers ? listener_.get() : -1, POLLIN, 0});
  std::vector<PeerId> closed;
  for (auto& [id, connection] : peers_) {
    if (!connection.ok()) closed.push_back(id);
    ids.push_back(id);
    fds.push_back({connection.fd(), POLLIN, 0});
  }
  for (PeerId id : closed) Drop(id);
  if (!closed.empty()) return;
  if (poll(fds.data(), fds.size(), -1) < 0) return;  // EINTR
  if (fds[0].revents != 0) {
    uint64_t count;
    ssize_t ignored = read(wake_.get(), &count, sizeof(count));
    (void)ignored;
    handler_->OnWake();
  }
  if (fds[1].revents != 0) ReadSignals();
  if (fds[2].revents != 0) AcceptAll();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (fds[i + 3].revents != 0) Serve(ids[i]);
  }
}

void Server::ReadSignals() {
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    handler_->OnHostSignal(static_cast<int>(info.ssi_signo));
  }
}

void Server::AcceptAll() {
  while (peers_.size() < kMaxPeers) {
    HostOr<Fd> socket = host::Accept(listener_.get());
    if (!socket.ok()) return;
    AddConnection(std::move(*socket));
  }
}

void Server::Serve(PeerId peer) {
  auto it = peers_.find(peer);
  if (it == peers_.end()) return;
  HostOr<std::optional<Frame>> frame = it->second.Receive();
  while (frame.ok() && frame->has_value()) {
    handler_->OnRequest(peer, std::move(**frame));
    it = peers_.find(peer);
    if (it == peers_.end() || !it->second.ok() || stopping_) return;
    frame = it->second.Next();
  }
  if (frame.ok()) return;
  LOG_DEBUG("control: connection ends: %s", frame.error().text.c_str());
  Drop(peer);
}

void Server::Drop(PeerId peer) {
  peers_.erase(peer);
  handler_->OnHangup(peer);
}

}  // namespace runsc::control
