#ifndef SENTRY_KERNEL_FUTEX_H_
#define SENTRY_KERNEL_FUTEX_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/mm/memory_manager.h"
#include "sentry/wait/wait.h"

namespace runsc {

class FutexTable;

// One thread's wait on one futex word. Lives on the waiter's stack; FutexTable::Dequeue must be
// called before it goes.
class FutexWaiter {
 public:
  // `owner` keeps `blocker` alive: whoever wakes takes a reference until it is done.
  FutexWaiter(Blocker* blocker, RefCounted* owner) : blocker_(blocker), owner_(owner) {}
  FutexWaiter(const FutexWaiter&) = delete;
  // Somebody woke it; it is not queued any more.
  bool woken() const { return woken_.load(std::memory_order_acquire); }

 private:
  friend class FutexTable;
  Blocker* const blocker_;
  RefCounted* const owner_;
  MemoryManager::FutexKey key_;
  uint32_t bitset_ = 0;
  std::atomic<int> bucket_{-1};  // where it is queued; -1: nowhere
  std::atomic<bool> woken_{false};
  FutexWaiter* next_ = nullptr;
  FutexWaiter* prev_ = nullptr;
};

// A futex word as a system call names it.
struct FutexWord {
  MemoryManager& mm;
  UserAddr addr;
  bool process_private;
};

// Everybody who waits on a futex in this sandbox (futex(2)). Thread-safe. Bucket locks are held
// while the words are read, so that no wake can fall between the check and the sleep.
class FutexTable {
 public:
  static FutexTable& Get();

  // Queues `w` if the word holds `value`: EAGAIN otherwise, EFAULT, EINVAL.
  Status Enqueue(const FutexWord& word, uint32_t value, uint32_t bitset, FutexWaiter* w);
  // Takes it out if it is still in. Answers whether it was woken before.
  bool Dequeue(FutexWaiter* w);

  // Wakes up to `n` waiters (at least one, as Linux) whose bitset meets `bitset`; how many.
  ErrnoOr<int32_t> Wake(const FutexWord& word, int32_t n, uint32_t bitset);
  // Wakes up to `wake` and moves up to `requeue` others to `to`; if `expected` is given the word
  // must hold it (EAGAIN). Answers both counts together.
  ErrnoOr<int32_t> Requeue(const FutexWord& from, const FutexWord& to, int32_t wake,
                           int32_t requeue, const uint32_t* expected)
      ABSL_NO_THREAD_SAFETY_ANALYSIS;
  // FUTEX_WAKE_OP: changes the word `second` as `op` says, wakes `n` on `first`, and up to
  // `n_second` on `second` if the old value meets the comparison in `op`. ENOSYS for a bad op.
  ErrnoOr<int32_t> WakeOp(const FutexWord& first, const FutexWord& second, int32_t n,
                          int32_t n_second, uint32_t op) ABSL_NO_THREAD_SAFETY_ANALYSIS;

 private:
  static constexpr int kBuckets = 256;
  struct alignas(64) Bucket {
    Mutex<LockRank::kFutexOp> mu;  // two at once: by address
    FutexWaiter* head ABSL_GUARDED_BY(mu) = nullptr;
    FutexWaiter* tail ABSL_GUARDED_BY(mu) = nullptr;
  };
  class PairLock;
  class Wakes;

  static int IndexOf(const MemoryManager::FutexKey& key);
  static void Push(Bucket& b, int index, FutexWaiter* w) ABSL_EXCLUSIVE_LOCKS_REQUIRED(b.mu);
  static void Unlink(Bucket& b, FutexWaiter* w) ABSL_EXCLUSIVE_LOCKS_REQUIRED(b.mu);
  static int32_t WakeLocked(Bucket& b, const MemoryManager::FutexKey& key, int32_t n,
                            uint32_t bitset, Wakes& wakes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(b.mu);

  std::array<Bucket, kBuckets> buckets_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_FUTEX_H_
