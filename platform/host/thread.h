#ifndef PLATFORM_HOST_THREAD_H_
#define PLATFORM_HOST_THREAD_H_

#include <pthread.h>

#include <functional>

#include "platform/base/errno.h"

namespace runsc::host {

// A host thread. std::thread ends the whole process when the host refuses a thread (pids cgroup,
// RLIMIT_NPROC, memory), which a guest can bring about; this answers an error.
class Thread {
 public:
  Thread() = default;
  // Not running, joined or detached by then.
  ~Thread();
  Thread(const Thread&) = delete;

  // Runs `body` on a new thread with a small stack (256 KiB) and the caller's signal mask. EAGAIN if
  // the host refuses; may be tried again.
  Status Start(std::function<void()> body);
  bool joinable() const { return running_; }
  void Join();
  void Detach();

 private:
  static void* Main(void* body);

  pthread_t id_{};
  bool running_ = false;
};

}  // namespace runsc::host

#endif  // PLATFORM_HOST_THREAD_H_
