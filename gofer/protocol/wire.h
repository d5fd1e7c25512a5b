#ifndef GOFER_PROTOCOL_WIRE_H_
#define GOFER_PROTOCOL_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace runsc::gofer {

// Takes messages apart. After one failure every later Get fails; nothing is read out of bounds.
class Reader {
 public:
  Reader(const char* data, size_t size) : at_(data), left_(size) {}

  // Copies the next bytes into `*out`.
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  bool Get(T* out) {
    if (!Need(sizeof(T))) return false;
    std::memcpy(out, at_, sizeof(T));
    Skip(sizeof(T));
    return true;
  }
  // A u16 length and that many bytes, at most `max`. Points into the message.
  bool GetString(std::string_view* out, size_t max);
  // A path component: not empty, not "." or "..", without '/' and NUL.
  bool GetName(std::string_view* out);
  bool GetBytes(size_t size, std::string_view* out);
  // All that is left.
  std::string_view Rest();
  size_t left() const { return left_; }
  bool ok() const { return ok_; }
  // Everything was read, nothing failed.
  bool Done() const { return ok_ && left_ == 0; }

 private:
  bool Need(size_t n) { return ok_ = ok_ && n <= left_; }
  void Skip(size_t n) {
    at_ += n;
    left_ -= n;
  }

  const char* at_;
  size_t left_;
  bool ok_ = true;
};

// Puts messages together in a buffer of fixed size. What does not fit is not written and noted.
class Writer {
 public:
  Writer(char* data, size_t capacity) : data_(data), capacity_(capacity) {}

  template <typename T>
    requires std::is_trivially_copyable_v<T>
  void Put(const T& v) {
    PutBytes({reinterpret_cast<const char*>(&v), sizeof(T)});
  }
  void PutBytes(std::string_view bytes);
  // A u16 length and the bytes.
  void PutString(std::string_view s);
  // Overwrites what was put at `at`.
  template <typename T>
  void PutAt(size_t at, const T& v) {
    if (at + sizeof(T) <= size_) std::memcpy(data_ + at, &v, sizeof(T));
  }
  // Room for up to the remaining bytes, to be filled in place; Advance says how many were.
  char* Room() { return data_ + size_; }
  void Advance(size_t n) { n <= left() ? void(size_ += n) : void(overflow_ = true); }

  size_t size() const { return size_; }
  size_t left() const { return capacity_ - size_; }
  bool overflow() const { return overflow_; }
  // Back to `size` bytes.
  void Truncate(size_t size) { size_ = size < size_ ? size : size_; }

 private:
  char* data_;
  size_t capacity_;
  size_t size_ = 0;
  bool overflow_ = false;
};

// Whether `name` can be one path component sent to a gofer.
bool IsComponent(std::string_view name);

}  // namespace runsc::gofer

#endif  // GOFER_PROTOCOL_WIRE_H_
