#include "sentry/vfs/async.h"

#include <fcntl.h>

#include <algorithm>
#include <vector>

#include "platform/base/mutex.h"
#include "sentry/vfs/file.h"

namespace runsc {

struct AsyncList::State {
  Mutex<LockRank::kAsyncList> mu;
  std::vector<Ref<IoOwner>> owners ABSL_GUARDED_BY(mu);
};

AsyncList::~AsyncList() { delete state_.load(std::memory_order_relaxed); }

AsyncList::State& AsyncList::Ensure() {
  State* s = state_.load(std::memory_order_acquire);
  if (s != nullptr) return *s;
  State* fresh = new State;
  if (state_.compare_exchange_strong(s, fresh, std::memory_order_acq_rel)) return *fresh;
  delete fresh;
  return *s;
}

void AsyncList::Add(Ref<IoOwner> owner) {
  State& s = Ensure();
  MutexLock l(s.mu);
  s.owners.push_back(std::move(owner));
}

bool AsyncList::Remove(const IoOwner* owner) {
  State* s = state_.load(std::memory_order_acquire);
  if (s == nullptr) return false;
  Ref<IoOwner> gone;  // let go after the lock
  MutexLock l(s->mu);
  auto it = std::find_if(s->owners.begin(), s->owners.end(),
                         [owner](const Ref<IoOwner>& o) { return o.get() == owner; });
  if (it == s->owners.end()) return false;
  gone = std::move(*it);
  s->owners.erase(it);
  return true;
}

void AsyncList::Clear() {
  State* s = state_.load(std::memory_order_acquire);
  if (s == nullptr) return;
  std::vector<Ref<IoOwner>> gone;  // let go after the lock
  MutexLock l(s->mu);
  gone.swap(s->owners);
}

bool AsyncList::IsEmpty() {
  State* s = state_.load(std::memory_order_acquire);
  if (s == nullptr) return true;
  MutexLock l(s->mu);
  return s->owners.empty();
}

void AsyncList::Tell(IoEvent event) {
  std::vector<Ref<IoOwner>> owners;
  {
    State& s = *state_.load(std::memory_order_acquire);
    MutexLock l(s.mu);
    owners = s.owners;
  }
  for (const Ref<IoOwner>& owner : owners) owner->Signal(event);
}

Ref<IoOwner> File::io_owner() {
  MutexLock l(owner_mu_);
  return io_owner_;
}

Ref<IoOwner> File::KeepIoOwner(Ref<IoOwner> owner) {
  MutexLock l(owner_mu_);
  if (!io_owner_) io_owner_ = std::move(owner);
  return io_owner_;
}

ErrnoOr<bool> File::SetAsync(bool on) {
  AsyncLists lists = TRY(async_lists());
  if (lists.in == nullptr && lists.out == nullptr) return false;
  {
    MutexLock l(owner_mu_);
    if (((flags() & O_ASYNC) != 0) == on) return true;
    bool changed = on;
    for (AsyncList* list : {lists.in, lists.out}) {
      if (list == nullptr) continue;
      if (on) {
        list->Add(io_owner_);
      } else {
        changed |= list->Remove(io_owner_.get());
      }
    }
    // As in Linux the flag of open(2) stands for nothing and cannot be taken back.
    if (changed) SetFlags(O_ASYNC, on ? O_ASYNC : 0);
  }
  if (on) OnAsync();
  return true;
}

}  // namespace runsc
