#include "sentry/net/unix/in_flight.h"

#include <iterator>
#include <map>

#include "sentry/net/unix/unix_socket.h"

namespace runsc {
namespace {

// How many times each UNIX socket is in flight. Other files refer to no socket: no cycle goes
// through them.
using Counts = std::map<UnixSocket*, size_t>;

Counts& SocketsLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(InFlightLock()) {
  static auto* const counts = new Counts;
  return *counts;
}

std::atomic<size_t> g_sockets{0};  // entries of the map
std::atomic<size_t> g_gone{0};     // sockets that went since the collector last looked

// The sockets that wait in `socket`'s queues, once for each time.
std::vector<UnixSocket*> QueuedIn(UnixSocket& socket) {
  std::vector<UnixSocket*> out;
  socket.endpoint().ForEachQueued([&](const Ref<File>& file) {
    if (auto* inner = dynamic_cast<UnixSocket*>(file.get()); inner != nullptr) {
      out.push_back(inner);
    }
  });
  return out;
}

// Takes `socket`, which somebody can still get at, and all that waits in it out of `suspects`.
void Keep(UnixSocket* socket, Counts* suspects) {
  std::vector<UnixSocket*> todo = {socket};
  while (!todo.empty()) {
    UnixSocket* next = todo.back();
    todo.pop_back();
    if (suspects->erase(next) == 0) continue;
    for (UnixSocket* inner : QueuedIn(*next)) todo.push_back(inner);
  }
}

// A socket is garbage if all its references are in messages that wait in garbage. While the lock
// is held no message leaves a queue, so a suspect cannot gain a reference from elsewhere.
std::vector<UnixSocket*> FindGarbageLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(InFlightLock()) {
  Counts suspects;
  for (const auto& [socket, count] : SocketsLocked()) {
    if (socket->RefCount() == count) suspects.emplace(socket, count);
  }
  Counts unexplained = suspects;
  for (const auto& [socket, count] : suspects) {
    for (UnixSocket* inner : QueuedIn(*socket)) {
      if (auto it = unexplained.find(inner); it != unexplained.end()) --it->second;
    }
  }
  for (const auto& [socket, count] : unexplained) {
    if (count != 0) Keep(socket, &suspects);
  }
  std::vector<UnixSocket*> garbage;
  for (const auto& [socket, count] : suspects) garbage.push_back(socket);
  return garbage;
}

}  // namespace

void DropFiles(std::vector<Ref<File>> files) {
  thread_local std::vector<Ref<File>>* t_waiting = nullptr;
  if (files.empty()) return;
  if (t_waiting != nullptr) {
    std::move(files.begin(), files.end(), std::back_inserter(*t_waiting));
    return;
  }
  t_waiting = &files;
  while (!files.empty()) {
    Ref<File> file = std::move(files.back());
    files.pop_back();
    file.reset();
  }
  t_waiting = nullptr;
}

Mutex<LockRank::kInFlight>& InFlightLock() {
  static auto* const lock = new Mutex<LockRank::kInFlight>;
  return *lock;
}

InFlightFiles::InFlightFiles(const std::vector<Ref<File>>& files) : files_(files) {
  total_.fetch_add(files_.size(), std::memory_order_relaxed);
  Counts& sockets = SocketsLocked();
  for (const Ref<File>& file : files_) {
    if (auto* socket = dynamic_cast<UnixSocket*>(file.get()); socket != nullptr) ++sockets[socket];
  }
  g_sockets.store(sockets.size(), std::memory_order_relaxed);
}

void InFlightFiles::Forget() {
  total_.fetch_sub(files_.size(), std::memory_order_relaxed);
  Counts& sockets = SocketsLocked();
  for (const Ref<File>& file : files_) {
    auto it = sockets.find(dynamic_cast<UnixSocket*>(file.get()));
    if (it != sockets.end() && --it->second == 0) sockets.erase(it);
  }
  g_sockets.store(sockets.size(), std::memory_order_relaxed);
}

InFlightFiles::~InFlightFiles() {
  if (files_.empty()) return;
  {
    MutexLock l(InFlightLock());
    Forget();
  }
  DropFiles(std::move(files_));
}

std::vector<Ref<File>> InFlightFiles::Take() {
  Forget();
  return std::exchange(files_, {});
}

void CollectSocketsInFlight() {
  // A look costs as much as there are sockets in flight, so that many have to go for it.
  const size_t gone = g_gone.fetch_add(1, std::memory_order_relaxed) + 1;
  const size_t in_flight = g_sockets.load(std::memory_order_relaxed);
  if (in_flight == 0 || gone < in_flight) return;
  g_gone.store(0, std::memory_order_relaxed);
  std::vector<InFlightFiles> dropped;  // goes without the lock: its files close
  MutexLock l(InFlightLock());
  for (UnixSocket* socket : FindGarbageLocked()) socket->endpoint().TakeQueued(&dropped);
}

}  // namespace runsc
