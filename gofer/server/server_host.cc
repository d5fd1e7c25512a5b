#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <memory>

#include "gofer/server/server.h"
#include "gofer/server/session.h"
#include "gofer/server/setup.h"
#include "platform/base/log.h"

namespace runsc::gofer {
namespace {

// Descriptors that are not nodes: standard ones, log, sockets, streams in use, donations under way.
constexpr uint64_t kReserved = 256;

// Waits for hellos and hang-ups until every client is gone.
void ServeUntilAllGone(std::vector<std::unique_ptr<Session>> sessions) {
  while (!sessions.empty()) {
    std::vector<pollfd> polls;
    for (const auto& s : sessions) polls.push_back({s->socket(), POLLIN, 0});
    if (poll(polls.data(), polls.size(), -1) < 0) continue;
    for (size_t i = polls.size(); i-- > 0;) {
      if (polls[i].revents == 0 || sessions[i]->OnReadable()) continue;
      sessions.erase(sessions.begin() + static_cast<long>(i));
    }
  }
}

std::string SetUp(ServerOptions& options, const std::vector<int>& keep_fds, Served* served,
                  std::vector<std::unique_ptr<Session>>* sessions) {
  std::vector<int> keep = keep_fds;
  keep.insert(keep.end(), options.connections.begin(), options.connections.end());
  for (const AttachPoint& a : options.attach_points) keep.push_back(a.source_fd);
  CloseOthers(keep);
  std::string error = Isolate(options, served);
  if (!error.empty()) return error;
  for (const AttachPoint& a : options.attach_points) Fd(a.source_fd).Reset();
  uint64_t files = RaiseFileLimit();
  uint64_t fixed = kReserved + served->trees.size();
  if (files < fixed + 64) return "gofer: limit of open files too low; raise RLIMIT_NOFILE";
  // A directory being listed takes a second descriptor.
  uint64_t share = (files - fixed) / 2 / std::max<size_t>(1, options.connections.size());
  uint32_t max_nodes = static_cast<uint32_t>(std::min<uint64_t>(share, 1 << 20));
  for (int fd : options.connections) {
    auto s = Session::Create(Fd(fd), *served, max_nodes, options.channels_per_cpu);
    if (s == nullptr) return "gofer: cannot set up a connection (memory, threads or files)";
    sessions->push_back(std::move(s));
  }
  return options.seccomp ? InstallFilter() : "";
}

}  // namespace

int ServerMain(ServerOptions options, const std::vector<int>& keep_fds, std::string* error) {
  // Few arenas: small, and glibc counts the CPUs through /sys before it makes a ninth.
  mallopt(M_ARENA_MAX, 2);
  // Terminal signals are for the container's programs; the gofer ends by hang-up only.
  signal(SIGINT, SIG_IGN);
  signal(SIGQUIT, SIG_IGN);
  signal(SIGTSTP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  Served served;
  std::vector<std::unique_ptr<Session>> sessions;
  *error = SetUp(options, keep_fds, &served, &sessions);
  if (!error->empty()) return 1;
  LOG_INFO("gofer: serving %zu trees to %zu clients", served.trees.size(), sessions.size());
  ServeUntilAllGone(std::move(sessions));
  LOG_INFO("gofer: all clients are gone");
  return 0;
}

}  // namespace runsc::gofer
