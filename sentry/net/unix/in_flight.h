#ifndef SENTRY_NET_UNIX_IN_FLIGHT_H_
#define SENTRY_NET_UNIX_IN_FLIGHT_H_

#include <atomic>
#include <cstddef>
#include <utility>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/vfs/file.h"

namespace runsc {

// Held while files that came by SCM_RIGHTS enter or leave a queue, and while the collector looks:
// whoever holds it sees each such file either wholly in flight or not.
Mutex<LockRank::kInFlight>& InFlightLock();

// Drops files that were on their way. What goes with them waits for its turn: a socket in a socket
// in a socket, and so on, must not be a recursion.
void DropFiles(std::vector<Ref<File>> files);

// Counts the files of one message as in flight while it exists. Linux bounds them a user
// (ETOOMANYREFS). Made with InFlightLock() held, destroyed without.
class InFlightFiles {
 public:
  InFlightFiles() = default;
  explicit InFlightFiles(const std::vector<Ref<File>>& files)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(InFlightLock());
  InFlightFiles(InFlightFiles&& o) noexcept : files_(std::move(o.files_)) { o.files_.clear(); }
  InFlightFiles& operator=(InFlightFiles&& o) noexcept {
    files_.swap(o.files_);
    return *this;
  }
  ~InFlightFiles();

  const std::vector<Ref<File>>& files() const { return files_; }
  // The message was received: its files, which are in flight no more.
  std::vector<Ref<File>> Take() ABSL_EXCLUSIVE_LOCKS_REQUIRED(InFlightLock());
  static size_t total() { return total_.load(std::memory_order_relaxed); }

 private:
  void Forget() ABSL_EXCLUSIVE_LOCKS_REQUIRED(InFlightLock());

  std::vector<Ref<File>> files_;
  static inline std::atomic<size_t> total_{0};
};

// Drops sockets that only messages refer to, which wait in such sockets themselves (unix(7): a
// socket sent over itself and closed). Called when a UNIX socket goes, as Linux does; looks when as
// many have gone as are in flight. The caller holds no locks.
void CollectSocketsInFlight();

}  // namespace runsc

#endif  // SENTRY_NET_UNIX_IN_FLIGHT_H_
