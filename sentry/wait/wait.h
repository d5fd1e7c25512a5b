#ifndef SENTRY_WAIT_WAIT_H_
#define SENTRY_WAIT_WAIT_H_

#include <atomic>
#include <cstdint>

#include "platform/base/mutex.h"

namespace runsc {

// Readiness events: EPOLLIN, EPOLLOUT, … of epoll_ctl(2).
using EventMask = uint32_t;

class WaitQueue;

// One registration in one WaitQueue. Owned by whoever waits; must be removed before it dies.
class Waiter {
 public:
  virtual ~Waiter() = default;
  Waiter() = default;
  Waiter(const Waiter&) = delete;

  // Called with the queue's lock held when events of the mask happen: may only wake a task or put
  // itself on a ready list. `key` is what the notifier passed (0 if nothing). Answers whether it
  // consumed the wakeup: an exclusive waiter that did ends the walk over exclusive waiters.
  virtual bool OnEvent(EventMask events, uint64_t key) = 0;

 private:
  friend class WaitQueue;
  EventMask mask_ = 0;
  bool exclusive_ = false;
  bool queued_ = false;
  Waiter* next_ = nullptr;
  Waiter* prev_ = nullptr;
};

// Waiters for events of one object. Thread-safe; small when empty.
class WaitQueue {
 public:
  WaitQueue() = default;
  ~WaitQueue();
  WaitQueue(const WaitQueue&) = delete;

  // Adds `w` for `mask`; EPOLLERR and EPOLLHUP are always reported. Exclusive waiters are woken
  // one per Notify, in the order they came.
  void Add(Waiter* w, EventMask mask, bool exclusive = false);
  // After it returns OnEvent is not running and will not run. Harmless if not queued.
  void Remove(Waiter* w);
  // Wakes waiters whose mask meets `events`. The caller holds no lock ranked above kWaitQueue.
  void Notify(EventMask events, uint64_t key = 0);
  // The same from inside OnEvent of a waiter on another queue. Such queues form no cycle (epoll_ctl
  // refuses loops), and the order is from the watched object to the watcher.
  void NotifyNested(EventMask events);
  bool IsEmpty() const { return head_.load(std::memory_order_acquire) == nullptr; }

 private:
  void WakeLocked(EventMask events, uint64_t key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Mutex<LockRank::kWaitQueue> mu_;
  std::atomic<Waiter*> head_{nullptr};
  Waiter* tail_ ABSL_GUARDED_BY(mu_) = nullptr;
};

// Something whose readiness can be asked and waited for.
class Pollable {
 public:
  virtual ~Pollable() = default;
  // Events of `mask` (EPOLLERR and EPOLLHUP always included) that hold now.
  virtual EventMask Poll(EventMask mask) = 0;
  // Registers and removes a waiter for later events. The caller re-checks Poll after adding.
  virtual void AddWaiter(Waiter* w, EventMask mask, bool exclusive) = 0;
  virtual void RemoveWaiter(Waiter* w) = 0;
};

// Where one thread sleeps. Wakeups are counted as one bit: a Wake before Wait makes Wait return.
class Blocker {
 public:
  enum class Result { kWoken, kTimeout, kInterrupted };
  static constexpr int64_t kForever = INT64_MAX;

  // Sleeps until Wake (kWoken, and consumes it), Interrupt (kInterrupted, stays set until
  // ClearInterrupt) or the monotonic time `deadline` in nanoseconds. Only the owning thread.
  Result Wait(int64_t deadline);
  // From any thread.
  void Wake();
  void Interrupt();
  // Owning thread: forgets earlier wakes before registering with queues.
  void ClearWake();
  void ClearInterrupt();
  bool interrupted() const;

 private:
  std::atomic<uint32_t> state_{0};
};

// The waiter that wakes a thread.
class BlockerWaiter : public Waiter {
 public:
  explicit BlockerWaiter(Blocker* b) : blocker_(b) {}
  bool OnEvent(EventMask, uint64_t) override {
    blocker_->Wake();
    return true;
  }

 private:
  Blocker* blocker_;
};

}  // namespace runsc

#endif  // SENTRY_WAIT_WAIT_H_
