#include "sentry/fs/epoll/epoll.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>

#include "platform/base/strings.h"
#include "sentry/vfs/anon.h"

namespace runsc {
namespace {

constexpr int kMaxNesting = 4;
// What one event may wake through watchers of watchers, as Linux bounds it: layers of instances
// that all watch the next layer would multiply.
constexpr size_t kMaxWakes = 500;
constexpr uint32_t kPrivateBits = EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE;

}  // namespace

// One interest.
class Epoll::Entry final : public Waiter {
 public:
  Entry(Epoll* owner, File* file, int32_t fd) : owner_(owner), file_(file), fd_(fd) {}

  bool OnEvent(EventMask, uint64_t) override {
    owner_->Enqueue(this);
    return true;
  }

  Epoll* const owner_;
  File* const file_;  // not owned: OnFileRelease removes the entry first
  const int32_t fd_;
  // Guarded by owner_->mu_.
  uint32_t events_ = 0;
  uint64_t data_ = 0;
  bool armed_ = false;  // false after EPOLLONESHOT fired
  // Guarded by owner_->ready_mu_.
  bool queued_ = false;
  Entry* next_ = nullptr;
  Entry* prev_ = nullptr;
};

Epoll::Epoll(const Ref<const Credentials>& creds)
    : File(AnonFilePath("eventpoll"), O_RDWR, creds) {}

Epoll::~Epoll() {
  MutexLock topology(FileReleaseLock());
  for (auto& [inner, count] : inner_) inner->outer_.erase(this);
  MutexLock l(mu_);
  for (auto& [key, entry] : entries_) {
    Disarm(*entry);
    entry->file_->RemoveReleaseHook(this);  // last: without a hook its end does not wait for us
  }
}

void Epoll::Enqueue(Entry* entry) {
  {
    MutexLock l(ready_mu_);
    if (!entry->queued_) {
      entry->queued_ = true;
      entry->next_ = nullptr;
      entry->prev_ = ready_tail_;
      (ready_tail_ != nullptr ? ready_tail_->next_ : ready_head_) = entry;
      ready_tail_ = entry;
    }
  }
  queue_.NotifyNested(EPOLLIN | EPOLLRDNORM);
}

void Epoll::Unready(Entry& entry) {
  MutexLock l(ready_mu_);
  if (!entry.queued_) return;
  entry.queued_ = false;
  (entry.prev_ != nullptr ? entry.prev_->next_ : ready_head_) = entry.next_;
  (entry.next_ != nullptr ? entry.next_->prev_ : ready_tail_) = entry.prev_;
}

void Epoll::Arm(Entry& entry) {
  entry.armed_ = true;
  entry.file_->AddWaiter(&entry, entry.events_ & ~kPrivateBits,
                         (entry.events_ & EPOLLEXCLUSIVE) != 0);
  if (entry.file_->Poll(entry.events_ & ~kPrivateBits) != 0) Enqueue(&entry);
}

void Epoll::Disarm(Entry& entry) {
  entry.file_->RemoveWaiter(&entry);
  Unready(entry);
  entry.armed_ = false;
}

// The instances below one, each once with the longest way down to it.
struct Epoll::Below {
  std::map<Epoll*, int> depth;
};

void Epoll::LookBelow(int depth, Below* out) {
  auto [it, fresh] = out->depth.try_emplace(this, depth);
  if (!fresh && it->second >= depth) return;
  it->second = depth;
  if (depth > kMaxNesting) return;
  for (auto& [inner, count] : inner_) inner->LookBelow(depth + 1, out);
}

// How many watchers an event here wakes, each as often as there are ways up to it.
size_t Epoll::WakesAbove(std::map<const Epoll*, size_t>* known) const {
  if (auto it = known->find(this); it != known->end()) return it->second;
  size_t wakes = 0;
  for (const auto& [outer, count] : outer_) {
    wakes += static_cast<size_t>(count) * (1 + outer->WakesAbove(known));
    if (wakes > kMaxWakes) break;
  }
  known->emplace(this, wakes);
  return wakes;
}

// No more ways up than kMaxWakes, so this is short.
int Epoll::LevelsAbove() const {
  int levels = 0;
  for (const auto& [outer, count] : outer_) levels = std::max(levels, 1 + outer->LevelsAbove());
  return levels;
}

// Chains are bounded whichever end they grow at: an event goes up them on one stack.
Status Epoll::Link(Epoll& inner) {
  Below below;
  inner.LookBelow(1, &below);
  const int above = LevelsAbove();
  for (const auto& [epoll, depth] : below.depth) {
    if (epoll == this || depth + above > kMaxNesting) return Errno::kLoop;
  }
  ++inner_[&inner];
  ++inner.outer_[this];
  std::map<const Epoll*, size_t> known;
  for (const auto& [epoll, depth] : below.depth) {
    if (epoll->WakesAbove(&known) <= kMaxWakes) continue;
    Unlink(inner);
    return Errno::kInval;
  }
  return Ok();
}

void Epoll::Unlink(Epoll& inner) {
  if (--inner_[&inner] == 0) inner_.erase(&inner);
  if (--inner.outer_[this] == 0) inner.outer_.erase(this);
}

Status Epoll::Add(FdNum fd, File& file, uint32_t events, uint64_t data) {
  if (&file == this) return Errno::kInval;
  auto* inner = dynamic_cast<Epoll*>(&file);
  constexpr uint32_t kWithExclusive =
      EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
  if ((events & EPOLLEXCLUSIVE) != 0 && (inner != nullptr || (events & ~kWithExclusive) != 0)) {
    return Errno::kInval;
  }
  MutexLock topology(FileReleaseLock());
  MutexLock l(mu_);
  auto [it, fresh] = entries_.try_emplace(Key{&file, fd.value});
  if (!fresh) return Errno::kExist;
  if (Status linked = inner != nullptr ? Link(*inner) : Ok(); !linked.ok()) {
    entries_.erase(it);
    return linked;
  }
  it->second = std::make_unique<Entry>(this, &file, fd.value);
  it->second->events_ = events | EPOLLERR | EPOLLHUP;
  it->second->data_ = data;
  file.AddReleaseHook(this);
  Arm(*it->second);
  return Ok();
}

Status Epoll::Modify(FdNum fd, File& file, uint32_t events, uint64_t data) {
  MutexLock l(mu_);
  auto it = entries_.find(Key{&file, fd.value});
  if (it == entries_.end()) return Errno::kNoent;
  Entry& entry = *it->second;
  if (((events | entry.events_) & EPOLLEXCLUSIVE) != 0) return Errno::kInval;
  Disarm(entry);
  entry.events_ = events | EPOLLERR | EPOLLHUP;
  entry.data_ = data;
  Arm(entry);
  return Ok();
}

Status Epoll::Remove(FdNum fd, File& file) {
  auto* inner = dynamic_cast<Epoll*>(&file);
  MutexLock topology(FileReleaseLock());
  MutexLock l(mu_);
  auto it = entries_.find(Key{&file, fd.value});
  if (it == entries_.end()) return Errno::kNoent;
  Disarm(*it->second);
  file.RemoveReleaseHook(this);
  entries_.erase(it);
  if (inner != nullptr) Unlink(*inner);
  return Ok();
}

void Epoll::OnFileRelease(File& file) {
  MutexLock l(mu_);
  if (auto* inner = dynamic_cast<Epoll*>(&file); inner != nullptr) {
    inner_.erase(inner);
    // What it watches still leads to it until its destructor has the topology, and it must not lead
    // on to us, who may be gone by then.
    inner->outer_.erase(this);
  }
  auto it = entries_.lower_bound(Key{&file, INT32_MIN});
  while (it != entries_.end() && it->first.first == &file) {
    Disarm(*it->second);
    it = entries_.erase(it);
  }
}

// The file may have lost its last reference, but is whole: OnFileRelease waits for mu_.
uint32_t Epoll::PollEntry(Entry& entry) {
  if (!entry.armed_) return 0;
  return entry.file_->Poll(entry.events_ & ~kPrivateBits) & (entry.events_ & ~kPrivateBits);
}

Epoll::Entry* Epoll::FirstReady() {
  MutexLock l(ready_mu_);
  return ready_head_;
}

Epoll::Entry* Epoll::LastReady() {
  MutexLock l(ready_mu_);
  return ready_tail_;
}

void Epoll::HarvestLocked(size_t max, std::vector<EpollReport>* out) {
  std::vector<Entry*> level;
  // What becomes ready meanwhile is the next call's: an entry is reported once a call.
  Entry* const last = LastReady();
  bool more = last != nullptr;
  while (more && out->size() < max) {
    Entry* entry = FirstReady();
    more = entry != last;
    Unready(*entry);
    uint32_t events = PollEntry(*entry);
    if (events == 0) continue;
    out->push_back({events, entry->data_});
    if ((entry->events_ & EPOLLONESHOT) != 0) {
      Disarm(*entry);
    } else if ((entry->events_ & EPOLLET) == 0) {
      level.push_back(entry);
    }
  }
  for (Entry* entry : level) Enqueue(entry);
}

ErrnoOr<std::vector<EpollReport>> Epoll::Harvest(size_t max) {
  std::vector<EpollReport> out;
  MutexLock l(mu_);
  HarvestLocked(max, &out);
  if (out.empty()) return Errno::kWouldBlock;
  return out;
}

EventMask Epoll::Poll(EventMask mask) {
  NestedMutexLock l(mu_);
  while (Entry* entry = FirstReady()) {
    if (PollEntry(*entry) != 0) return (EPOLLIN | EPOLLRDNORM) & mask;
    Unready(*entry);
  }
  return 0;
}

std::string Epoll::FdInfo() {
  MutexLock l(mu_);
  std::string out;
  for (const auto& [key, entry] : entries_) {
    out += StrPrintf("tfd: %8d events: %8x data: %16llx\n", key.second, entry->events_,
                     static_cast<unsigned long long>(entry->data_));
  }
  return out;
}

}  // namespace runsc
