#include "sentry/kernel/futex.h"

#include <linux/futex.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace runsc {
namespace {

using FutexKey = MemoryManager::FutexKey;

ErrnoOr<FutexKey> KeyOf(const FutexWord& w) {
  return w.mm.GetFutexKey(w.addr, w.process_private);
}

// FUTEX_OP() of futex(2).
struct WakeOperation {
  int op;
  int compare;
  uint32_t operand;
  int32_t compare_operand;
};

int32_t SignExtend12(uint32_t v) { return static_cast<int32_t>(v << 20) >> 20; }

ErrnoOr<WakeOperation> DecodeOp(uint32_t encoded) {
  WakeOperation o;
  o.op = encoded >> 28 & 7;
  o.compare = encoded >> 24 & 15;
  int32_t operand = SignExtend12(encoded >> 12 & 0xfff);
  if ((encoded >> 28 & FUTEX_OP_OPARG_SHIFT) != 0) operand = 1 << (operand & 31);
  o.operand = static_cast<uint32_t>(operand);
  o.compare_operand = SignExtend12(encoded & 0xfff);
  if (o.op > FUTEX_OP_XOR || o.compare > FUTEX_OP_CMP_GE) return Errno::kNosys;
  return o;
}

uint32_t Apply(const WakeOperation& o, uint32_t old) {
  switch (o.op) {
    case FUTEX_OP_SET:
      return o.operand;
    case FUTEX_OP_ADD:
      return old + o.operand;
    case FUTEX_OP_OR:
      return old | o.operand;
    case FUTEX_OP_ANDN:
      return old & ~o.operand;
    default:
      return old ^ o.operand;
  }
}

bool Compares(const WakeOperation& o, uint32_t old) {
  int32_t value = static_cast<int32_t>(old);
  switch (o.compare) {
    case FUTEX_OP_CMP_EQ:
      return value == o.compare_operand;
    case FUTEX_OP_CMP_NE:
      return value != o.compare_operand;
    case FUTEX_OP_CMP_LT:
      return value < o.compare_operand;
    case FUTEX_OP_CMP_LE:
      return value <= o.compare_operand;
    case FUTEX_OP_CMP_GT:
      return value > o.compare_operand;
    default:
      return value >= o.compare_operand;
  }
}

ErrnoOr<uint32_t> Modify(const FutexWord& w, const WakeOperation& o) {
  uint32_t old = TRY(w.mm.Load32(w.addr));
  for (;;) {
    uint32_t found = TRY(w.mm.CompareExchange32(w.addr, old, Apply(o, old)));
    if (found == old) return old;
    old = found;
  }
}

}  // namespace

FutexTable& FutexTable::Get() {
  static FutexTable* table = new FutexTable;
  return *table;
}

int FutexTable::IndexOf(const FutexKey& key) {
  uint64_t h = reinterpret_cast<uint64_t>(key.object) ^ (key.offset >> 2);
  h *= 0x9e3779b97f4a7c15;
  return static_cast<int>(h >> 56);
}

// Threads to wake once no lock is held: a thread that runs at once must not find the bucket
// locked. Declared before the lock.
class FutexTable::Wakes {
 public:
  Wakes() = default;
  Wakes(const Wakes&) = delete;
  ~Wakes() {
    if (first_.blocker != nullptr) first_.blocker->Wake();
    for (Sleeper& s : more_) s.blocker->Wake();
  }
  void Add(Blocker* blocker, RefCounted* owner) {
    Sleeper s{blocker, Ref<RefCounted>(owner)};
    if (first_.blocker == nullptr) {
      first_ = std::move(s);
    } else {
      more_.push_back(std::move(s));
    }
  }

 private:
  struct Sleeper {
    Blocker* blocker = nullptr;
    Ref<RefCounted> owner;
  };
  Sleeper first_;
  std::vector<Sleeper> more_;
};

// Locks one or two buckets in address order.
class FutexTable::PairLock {
 public:
  PairLock(Bucket& a, Bucket& b) ABSL_NO_THREAD_SAFETY_ANALYSIS : low_(std::min(&a, &b)),
                                                                  high_(std::max(&a, &b)) {
    low_->mu.Lock();
    if (high_ != low_) high_->mu.LockNested();
  }
  ~PairLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (high_ != low_) high_->mu.Unlock();
    low_->mu.Unlock();
  }

 private:
  Bucket* const low_;
  Bucket* const high_;
};

void FutexTable::Push(Bucket& b, int index, FutexWaiter* w) {
  w->next_ = nullptr;
  w->prev_ = b.tail;
  (b.tail != nullptr ? b.tail->next_ : b.head) = w;
  b.tail = w;
  w->bucket_.store(index, std::memory_order_release);
}

void FutexTable::Unlink(Bucket& b, FutexWaiter* w) {
  (w->prev_ != nullptr ? w->prev_->next_ : b.head) = w->next_;
  (w->next_ != nullptr ? w->next_->prev_ : b.tail) = w->prev_;
  w->bucket_.store(-1, std::memory_order_release);
}

Status FutexTable::Enqueue(const FutexWord& word, uint32_t value, uint32_t bitset,
                           FutexWaiter* w) {
  w->key_ = TRY(KeyOf(word));
  w->bitset_ = bitset;
  int index = IndexOf(w->key_);
  Bucket& b = buckets_[static_cast<size_t>(index)];
  MutexLock lock(b.mu);
  if (TRY(word.mm.Load32(word.addr)) != value) return Errno::kAgain;
  Push(b, index, w);
  return Ok();
}

bool FutexTable::Dequeue(FutexWaiter* w) {
  // It may be requeued while we look for its bucket. Setting woken_ is the last thing that
  // whoever wakes it does to it.
  for (;;) {
    int index = w->bucket_.load(std::memory_order_acquire);
    if (index < 0 && w->woken()) return true;
    if (index < 0) continue;  // between two buckets
    Bucket& b = buckets_[static_cast<size_t>(index)];
    MutexLock lock(b.mu);
    if (w->bucket_.load(std::memory_order_relaxed) != index) continue;
    Unlink(b, w);
    return false;
  }
}

int32_t FutexTable::WakeLocked(Bucket& b, const FutexKey& key, int32_t n, uint32_t bitset,
                               Wakes& wakes) {
  int32_t woken = 0;
  for (FutexWaiter* w = b.head; w != nullptr;) {
    FutexWaiter* next = w->next_;
    if (w->key_ == key && (w->bitset_ & bitset) != 0) {
      Unlink(b, w);
      wakes.Add(w->blocker_, w->owner_);
      w->woken_.store(true, std::memory_order_release);
      if (++woken >= n) break;
    }
    w = next;
  }
  return woken;
}

ErrnoOr<int32_t> FutexTable::Wake(const FutexWord& word, int32_t n, uint32_t bitset) {
  FutexKey key = TRY(KeyOf(word));
  Bucket& b = buckets_[static_cast<size_t>(IndexOf(key))];
  Wakes wakes;
  MutexLock lock(b.mu);
  return WakeLocked(b, key, n, bitset, wakes);
}

ErrnoOr<int32_t> FutexTable::Requeue(const FutexWord& from, const FutexWord& to, int32_t wake,
                                     int32_t requeue, const uint32_t* expected) {
  FutexKey from_key = TRY(KeyOf(from));
  FutexKey to_key = TRY(KeyOf(to));
  Bucket& a = buckets_[static_cast<size_t>(IndexOf(from_key))];
  int to_index = IndexOf(to_key);
  Bucket& b = buckets_[static_cast<size_t>(to_index)];
  Wakes wakes;
  PairLock lock(a, b);
  if (expected != nullptr && TRY(from.mm.Load32(from.addr)) != *expected) return Errno::kAgain;
  int32_t count = 0;
  if (wake > 0) count = WakeLocked(a, from_key, wake, FUTEX_BITSET_MATCH_ANY, wakes);
  if (from_key == to_key) requeue = 0;
  FutexWaiter* next = nullptr;
  for (FutexWaiter* w = a.head; w != nullptr && requeue > 0; w = next) {
    next = w->next_;
    if (w->key_ != from_key) continue;
    Unlink(a, w);
    w->key_ = to_key;
    Push(b, to_index, w);
    ++count;
    --requeue;
  }
  return count;
}

ErrnoOr<int32_t> FutexTable::WakeOp(const FutexWord& first, const FutexWord& second, int32_t n,
                                    int32_t n_second, uint32_t op) {
  WakeOperation o = TRY(DecodeOp(op));
  FutexKey key1 = TRY(KeyOf(first));
  FutexKey key2 = TRY(KeyOf(second));
  Bucket& a = buckets_[static_cast<size_t>(IndexOf(key1))];
  Bucket& b = buckets_[static_cast<size_t>(IndexOf(key2))];
  Wakes wakes;
  PairLock lock(a, b);
  uint32_t old = TRY(Modify(second, o));
  int32_t woken = WakeLocked(a, key1, n, FUTEX_BITSET_MATCH_ANY, wakes);
  if (Compares(o, old)) woken += WakeLocked(b, key2, n_second, FUTEX_BITSET_MATCH_ANY, wakes);
  return woken;
}

}  // namespace runsc
