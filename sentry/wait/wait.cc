#include "sentry/wait/wait.h"

#include <sys/epoll.h>

#include "platform/base/log.h"

namespace runsc {

WaitQueue::~WaitQueue() { CHECK_OR_PANIC(IsEmpty()); }

void WaitQueue::Add(Waiter* w, EventMask mask, bool exclusive) {
  MutexLock l(mu_);
  CHECK_OR_PANIC(!w->queued_);
  w->mask_ = mask | EPOLLERR | EPOLLHUP;
  w->exclusive_ = exclusive;
  w->queued_ = true;
  w->next_ = nullptr;
  w->prev_ = tail_;
  if (tail_ != nullptr) {
    tail_->next_ = w;
  } else {
    head_.store(w, std::memory_order_seq_cst);
  }
  tail_ = w;
}

void WaitQueue::Remove(Waiter* w) {
  MutexLock l(mu_);
  if (!w->queued_) return;
  w->queued_ = false;
  if (w->prev_ != nullptr) {
    w->prev_->next_ = w->next_;
  } else {
    head_.store(w->next_, std::memory_order_seq_cst);
  }
  if (w->next_ != nullptr) {
    w->next_->prev_ = w->prev_;
  } else {
    tail_ = w->prev_;
  }
}

void WaitQueue::Notify(EventMask events, uint64_t key) {
  // Pairs with Add: whoever added before our state change was visible re-checks after adding.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (IsEmpty()) return;
  MutexLock l(mu_);
  WakeLocked(events, key);
}

void WaitQueue::NotifyNested(EventMask events) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (IsEmpty()) return;
  NestedMutexLock l(mu_);
  WakeLocked(events, 0);
}

void WaitQueue::WakeLocked(EventMask events, uint64_t key) {
  bool exclusive_done = false;
  for (Waiter* w = head_.load(std::memory_order_relaxed); w != nullptr; w = w->next_) {
    if ((w->mask_ & events) == 0) continue;
    if (w->exclusive_ && exclusive_done) continue;
    bool consumed = w->OnEvent(events, key);
    if (w->exclusive_ && consumed) exclusive_done = true;
  }
}

}  // namespace runsc
