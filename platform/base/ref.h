#ifndef PLATFORM_BASE_REF_H_
#define PLATFORM_BASE_REF_H_

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace runsc {

// Base of objects with intrusive reference counts. A new object starts with one reference, which
// MakeRef adopts. The destructor runs on the thread that drops the last reference; it must not be
// entered with a lock held that it takes.
class RefCounted {
 public:
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void IncRef() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  void DecRef() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) OnLastRef();
  }
  // Takes a reference unless the count already is zero (for weak tables whose entries the
  // destructor removes). Returns whether it was taken.
  bool TryIncRef() const {
    uint32_t n = refs_.load(std::memory_order_relaxed);
    while (n != 0) {
      if (refs_.compare_exchange_weak(n, n + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  // How many references there are at this moment: for "is it busy" questions whose caller keeps
  // others from taking new ones.
  uint32_t RefCount() const { return refs_.load(std::memory_order_acquire); }
  // A moment's value: for tests, and for choices that are right either way.
  uint32_t RefCountForTest() const { return refs_.load(std::memory_order_relaxed); }

 protected:
  RefCounted() = default;
  virtual ~RefCounted() = default;
  // What to do when the last reference is gone: by default the object is deleted.
  virtual void OnLastRef() const { delete this; }

 private:
  mutable std::atomic<uint32_t> refs_{1};
};

// Owning pointer to a RefCounted.
template <typename T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}  // NOLINT
  // Adds a reference.
  explicit Ref(T* p) : p_(p) {
    if (p_ != nullptr) p_->IncRef();
  }
  Ref(const Ref& o) : Ref(o.p_) {}
  Ref(Ref&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  template <typename U>
    requires std::is_convertible_v<U*, T*>
  Ref(const Ref<U>& o) : Ref(o.get()) {}  // NOLINT
  template <typename U>
    requires std::is_convertible_v<U*, T*>
  Ref(Ref<U>&& o) noexcept : p_(o.release()) {}  // NOLINT
  Ref& operator=(Ref o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Ref() {
    if (p_ != nullptr) p_->DecRef();
  }

  // Takes over a reference that the caller holds.
  static Ref Adopt(T* p) {
    Ref r;
    r.p_ = p;
    return r;
  }
  T* get() const { return p_; }
  T* operator->() const { return assert(p_ != nullptr), p_; }
  T& operator*() const { return assert(p_ != nullptr), *p_; }
  explicit operator bool() const { return p_ != nullptr; }
  bool operator==(const Ref& o) const { return p_ == o.p_; }
  bool operator==(const T* o) const { return p_ == o; }
  // Gives the reference to the caller.
  T* release() { return std::exchange(p_, nullptr); }
  void reset() { *this = Ref(); }

 private:
  T* p_ = nullptr;
};

template <typename T, typename... Args>
Ref<T> MakeRef(Args&&... args) {
  return Ref<T>::Adopt(new T(std::forward<Args>(args)...));
}

}  // namespace runsc

#endif  // PLATFORM_BASE_REF_H_
