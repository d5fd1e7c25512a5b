#ifndef SENTRY_VFS_ASYNC_H_
#define SENTRY_VFS_ASYNC_H_

#include <atomic>
#include <cstdint>

#include "platform/base/ref.h"

namespace runsc {

// Signal-driven I/O (O_ASYNC of fcntl(2)). An object that can do it owns an AsyncList and says on
// it what happened; files in that mode stand on the list, each by its owner, who gets the signal.

// What happened, as si_code says it (sigaction(2), POLL_IN and so on).
enum class IoEvent : int32_t {
  kIn = 1,
  kOut = 2,
  kMessage = 3,
  kError = 4,
  kUrgent = 5,
  kHangup = 6
};

// Whom an open file tells. Implemented by the kernel, which knows processes.
class IoOwner : public RefCounted {
 public:
  // The caller holds no lock ranked at or above kTaskTree.
  virtual void Signal(IoEvent event) = 0;
  // SIGURG, whatever signal was chosen and whether or not the file is in O_ASYNC mode.
  virtual void SignalUrgent() = 0;
};

// The open files in O_ASYNC mode of one object. Thread-safe; one word while nobody ever was.
class AsyncList {
 public:
  AsyncList() = default;
  ~AsyncList();
  AsyncList(const AsyncList&) = delete;

  void Add(Ref<IoOwner> owner);
  // Whether it was there. An event that is being told at this moment may still arrive after it.
  bool Remove(const IoOwner* owner);
  // A hang-up: none of them is told any more.
  void Clear();
  // Once for each event, not for as long as it lasts. Signals are sent here and now: the caller
  // holds no lock ranked at or above kTaskTree.
  void Notify(IoEvent event) {
    if (state_.load(std::memory_order_acquire) != nullptr) Tell(event);
  }
  // For objects that have to arrange for events first.
  bool IsEmpty();

 private:
  struct State;
  State& Ensure();
  void Tell(IoEvent event);

  std::atomic<State*> state_{nullptr};
};

// Where an open file has to be put for O_ASYNC; null where Linux has no fasync either.
struct AsyncLists {
  AsyncList* in = nullptr;
  AsyncList* out = nullptr;    // the other direction of a pipe
  bool default_owner = false;  // terminals: setting the flag makes an owner if there is none
};

}  // namespace runsc

#endif  // SENTRY_VFS_ASYNC_H_
