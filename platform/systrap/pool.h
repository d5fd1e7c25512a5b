#ifndef PLATFORM_SYSTRAP_POOL_H_
#define PLATFORM_SYSTRAP_POOL_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/systrap/arena.h"
#include "platform/systrap/stub.h"
#include "platform/systrap/template.h"

namespace runsc::platform::systrap {

// Stub processes made in advance. Thread-safe.
class StubPool {
 public:
  static std::unique_ptr<StubPool> Create(Arena& arena, std::string* why);
  // Kills every stub that is left, and the template.
  ~StubPool();

  // A stub that is alive, from the pool or new. EAGAIN: the host refused.
  ErrnoOr<Ref<Stub>> Take();

 private:
  explicit StubPool(Arena& arena) : arena_(arena) {}
  // Asks for stubs until `want` are ready or under way.
  Status RefillLocked(size_t want) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes in what the template has answered.
  void CollectLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnDeath(int pid);
  void OnReaped(int pid);

  Arena& arena_;
  std::unique_ptr<StubTemplate> template_;

  Mutex<LockRank::kStubPool> mu_;
  std::deque<Ref<Stub>> requested_ ABSL_GUARDED_BY(mu_);  // in order of request
  uint32_t collected_ ABSL_GUARDED_BY(mu_) = 0;           // answers taken in so far
  std::deque<Ref<Stub>> ready_ ABSL_GUARDED_BY(mu_);
  // Every process that is not reaped; keeps the stub's memory until then.
  std::unordered_map<int, Ref<Stub>> by_pid_ ABSL_GUARDED_BY(mu_);
  // Died before its pid was collected.
  std::unordered_set<int> unknown_dead_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc::platform::systrap

#endif  // PLATFORM_SYSTRAP_POOL_H_
