#include "platform/systrap/pool.h"

#include <vector>

#include "platform/base/log.h"

namespace runsc::platform::systrap {
namespace {

// Ready stubs kept; a stub costs the host some 100 KiB. Asked for in bulk when half are used, so
// that the template is woken seldom.
constexpr size_t kPoolSize = 4;
constexpr size_t kPoolLow = 2;

}  // namespace

std::unique_ptr<StubPool> StubPool::Create(Arena& arena, std::string* why) {
  std::unique_ptr<StubPool> pool(new StubPool(arena));
  StubPool* raw = pool.get();
  auto process = StubTemplate::Start(
      arena, [raw](int pid) { raw->OnDeath(pid); }, [raw](int pid) { raw->OnReaped(pid); }, why);
  if (process == nullptr) return nullptr;
  MutexLock lock(pool->mu_);
  pool->template_ = std::move(process);
  if (!pool->RefillLocked(kPoolSize).ok()) {
    *why = "no stub process could be started";
    return nullptr;
  }
  return pool;
}

StubPool::~StubPool() {
  if (template_ == nullptr) return;
  {
    MutexLock lock(mu_);
    // Nothing may be under way when the template is killed, or its child would be missed.
    while (!requested_.empty() && template_->AwaitAnswer(collected_)) CollectLocked();
    for (auto& [pid, stub] : by_pid_) stub->Kill();
  }
  template_->Shutdown();
}

Status StubPool::RefillLocked(size_t want) {
  while (ready_.size() + requested_.size() < want) {
    const uint32_t index = arena_.AllocateStub();
    if (index == Arena::kNone) return Errno::kAgain;
    Ref<Stub> stub = MakeRef<Stub>(arena_, index);
    TRY(stub->Prepare());
    if (!template_->Request(index)) return Errno::kAgain;
    requested_.push_back(std::move(stub));
  }
  return Ok();
}

void StubPool::CollectLocked() {
  for (const uint32_t answered = template_->Answered();
       collected_ != answered && !requested_.empty(); ++collected_) {
    const int pid = template_->PidOf(collected_);
    Ref<Stub> stub = std::move(requested_.front());
    requested_.pop_front();
    if (pid <= 0) {
      LOG_WARNING("systrap: no stub process: %s", ErrnoName(static_cast<Errno>(-pid)));
      continue;
    }
    stub->SetPid(pid);
    if (unknown_dead_.erase(pid) != 0) continue;
    by_pid_.emplace(pid, stub);
    ready_.push_back(std::move(stub));
  }
}

ErrnoOr<Ref<Stub>> StubPool::Take() {
  MutexLock lock(mu_);
  for (int attempt = 0; attempt < 8; ++attempt) {
    CollectLocked();
    while (!ready_.empty()) {
      Ref<Stub> stub = std::move(ready_.front());
      ready_.pop_front();
      if (stub->gone()) continue;
      if (ready_.size() + requested_.size() < kPoolLow) {
        Status refilled = RefillLocked(kPoolSize);
        if (!refilled.ok()) LOG_DEBUG("systrap: pool not refilled");
      }
      return stub;
    }
    Status refilled = RefillLocked(kPoolSize);
    if (requested_.empty()) return refilled.ok() ? Errno::kAgain : refilled.error();
    if (!template_->AwaitAnswer(collected_)) return Errno::kAgain;
  }
  return Errno::kAgain;
}

void StubPool::OnDeath(int pid) {
  Ref<Stub> stub;
  {
    MutexLock lock(mu_);
    CollectLocked();
    auto it = by_pid_.find(pid);
    if (it == by_pid_.end()) {
      unknown_dead_.insert(pid);
      return;
    }
    stub = it->second;
  }
  stub->MarkGone();
}

void StubPool::OnReaped(int pid) {
  Ref<Stub> stub;  // before the lock: the last reference is dropped after it
  MutexLock lock(mu_);
  auto it = by_pid_.find(pid);
  if (it == by_pid_.end()) return;
  stub = std::move(it->second);
  by_pid_.erase(it);
}

}  // namespace runsc::platform::systrap
