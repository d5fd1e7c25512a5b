#include <fcntl.h>

#include <algorithm>

#include "sentry/vfs/file.h"

namespace runsc {

Mutex<LockRank::kEpollTopology>& FileReleaseLock() {
  static auto* const mu = new Mutex<LockRank::kEpollTopology>;
  return *mu;
}

void File::AddReleaseHook(FileReleaseHook* hook) {
  MutexLock l(owner_mu_);
  hooks_.push_back(hook);
}

void File::RemoveReleaseHook(FileReleaseHook* hook) {
  MutexLock l(owner_mu_);
  auto it = std::find(hooks_.begin(), hooks_.end(), hook);
  if (it != hooks_.end()) hooks_.erase(it);
}

void File::OnLastRef() const {
  if ((flags() & O_ASYNC) != 0) (void)const_cast<File*>(this)->SetAsync(false);
  bool watched;
  {
    MutexLock l(owner_mu_);
    watched = !hooks_.empty();
  }
  if (watched) {
    MutexLock release(FileReleaseLock());
    std::vector<FileReleaseHook*> hooks;
    {
      MutexLock l(owner_mu_);
      hooks.swap(hooks_);
    }
    for (FileReleaseHook* hook : hooks) hook->OnFileRelease(const_cast<File&>(*this));
  }
  delete this;
}

}  // namespace runsc
