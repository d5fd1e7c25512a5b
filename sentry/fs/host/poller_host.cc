#include "sentry/fs/host/poller.h"

#include <sys/epoll.h>

#include <cerrno>

#include "platform/host/thread.h"

namespace runsc::host_fs {
namespace {

constexpr uint32_t kAll = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;

}  // namespace

Poller* Poller::Get() {
  static auto* poller = new Poller;  // its thread outlives every static
  return poller->Start().ok() ? poller : nullptr;
}

Status Poller::Start() {
  if (started_.load(std::memory_order_acquire)) return Ok();
  MutexLock l(mu_);
  if (started_.load(std::memory_order_relaxed)) return Ok();
  if (!epoll_.ok()) epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.ok()) return Errno::kMfile;
  host::Thread thread;
  TRY(thread.Start([this] { Loop(); }));
  thread.Detach();
  started_.store(true, std::memory_order_release);
  return Ok();
}

uint64_t Poller::Add(Descriptor* d) {
  MutexLock l(mu_);
  uint64_t id = next_id_++;
  epoll_event event{};
  event.data.u64 = id;
  // Not armed: no events but errors and hang-ups, which EPOLLET reports once.
  event.events = EPOLLET;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, d->fd(), &event) < 0) return 0;
  watched_[id] = d;
  return id;
}

void Poller::Remove(Descriptor* d) {
  MutexLock l(mu_);
  watched_.erase(d->watch_id_);
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, d->fd(), nullptr);
}

void Poller::Arm(Descriptor* d, bool on) {
  epoll_event event{};
  event.data.u64 = d->watch_id_;
  event.events = on ? kAll : EPOLLET;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, d->fd(), &event);
}

void Poller::Deliver(uint64_t id, EventMask events) {
  Ref<Descriptor> d;
  {
    MutexLock l(mu_);
    auto it = watched_.find(id);
    if (it == watched_.end() || !it->second->TryIncRef()) return;
    d = Ref<Descriptor>::Adopt(it->second);
  }
  d->Tell(events);
  if (d->IsAwaited()) return;
  // Not armed: an error or hang-up, which every change of the watch reports anew.
  if (!d->armed_.exchange(false)) return;
  Arm(d.get(), false);
  // Somebody may have come meanwhile and found it armed, or armed it before our change.
  if (d->IsAwaited()) {
    d->armed_.store(true);
    Arm(d.get(), true);
  }
}

void Poller::Loop() {
  epoll_event events[16];
  while (true) {
    int n = epoll_wait(epoll_.get(), events, 16, -1);
    for (int i = 0; i < n; ++i) Deliver(events[i].data.u64, events[i].events);
  }
}

}  // namespace runsc::host_fs
