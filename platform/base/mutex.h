#ifndef PLATFORM_BASE_MUTEX_H_
#define PLATFORM_BASE_MUTEX_H_

#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#include "platform/base/lock_rank.h"
#include "platform/base/thread_annotations.h"

namespace runsc {

namespace internal {
// In builds with RUNSC_CHECK_RANKS, a thread that takes a lock whose rank is not above every rank
// it holds dies with both names. Otherwise these do nothing.
#ifdef RUNSC_CHECK_RANKS
void RankAcquire(LockRank rank, bool nested);
void RankRelease(LockRank rank);
#else
inline void RankAcquire(LockRank, bool) {}
inline void RankRelease(LockRank) {}
#endif
}  // namespace internal

// A mutex with its place in the lock order (lock_rank.h). Not recursive.
template <LockRank kRank>
class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    internal::RankAcquire(kRank, false);
    mu_.lock();
  }
  // Takes a second lock of the rank already held. The caller states the order between the two,
  // such as by address or parent before child.
  void LockNested() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    internal::RankAcquire(kRank, true);
    mu_.lock();
  }
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    if (!mu_.try_lock()) return false;
    internal::RankAcquire(kRank, true);
    return true;
  }
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    mu_.unlock();
    internal::RankRelease(kRank);
  }
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}
  // For std::condition_variable_any.
  void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { Lock(); }
  void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { Unlock(); }

 private:
  std::mutex mu_;
};

// A reader-writer mutex with a rank.
template <LockRank kRank>
class ABSL_LOCKABLE RwMutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    internal::RankAcquire(kRank, false);
    mu_.lock();
  }
  void LockNested() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    internal::RankAcquire(kRank, true);
    mu_.lock();
  }
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    mu_.unlock();
    internal::RankRelease(kRank);
  }
  void ReaderLock() ABSL_SHARED_LOCK_FUNCTION() {
    internal::RankAcquire(kRank, false);
    mu_.lock_shared();
  }
  // As LockNested, shared.
  void ReaderLockNested() ABSL_SHARED_LOCK_FUNCTION() {
    internal::RankAcquire(kRank, true);
    mu_.lock_shared();
  }
  void ReaderUnlock() ABSL_UNLOCK_FUNCTION() {
    mu_.unlock_shared();
    internal::RankRelease(kRank);
  }
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}
  void AssertReaderHeld() const ABSL_ASSERT_SHARED_LOCK() {}

 private:
  std::shared_mutex mu_;
};

// Scoped locks: MutexLock l(mu_); ReaderLock l(rw_); WriterLock l(rw_).
template <typename M>
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(M& mu) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu) : mu_(mu) { mu_.Lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mu_.Unlock(); }
  MutexLock(const MutexLock&) = delete;

 private:
  M& mu_;
};

template <typename M>
class ABSL_SCOPED_LOCKABLE NestedMutexLock {
 public:
  explicit NestedMutexLock(M& mu) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu) : mu_(mu) { mu_.LockNested(); }
  ~NestedMutexLock() ABSL_UNLOCK_FUNCTION() { mu_.Unlock(); }
  NestedMutexLock(const NestedMutexLock&) = delete;

 private:
  M& mu_;
};

template <typename M>
using WriterLock = MutexLock<M>;

template <typename M>
class ABSL_SCOPED_LOCKABLE ReaderLock {
 public:
  explicit ReaderLock(M& mu) ABSL_SHARED_LOCK_FUNCTION(mu) : mu_(mu) { mu_.ReaderLock(); }
  ~ReaderLock() ABSL_UNLOCK_FUNCTION() { mu_.ReaderUnlock(); }
  ReaderLock(const ReaderLock&) = delete;

 private:
  M& mu_;
};

template <typename M>
class ABSL_SCOPED_LOCKABLE NestedReaderLock {
 public:
  explicit NestedReaderLock(M& mu) ABSL_SHARED_LOCK_FUNCTION(mu) : mu_(mu) {
    mu_.ReaderLockNested();
  }
  ~NestedReaderLock() ABSL_UNLOCK_FUNCTION() { mu_.ReaderUnlock(); }
  NestedReaderLock(const NestedReaderLock&) = delete;

 private:
  M& mu_;
};

// Condition variable over a Mutex.
class CondVar {
 public:
  template <LockRank kRank>
  void Wait(Mutex<kRank>& mu) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    cv_.wait(mu);
  }
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

 private:
  std::condition_variable_any cv_;
};

}  // namespace runsc

#endif  // PLATFORM_BASE_MUTEX_H_
