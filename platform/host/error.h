#ifndef PLATFORM_HOST_ERROR_H_
#define PLATFORM_HOST_ERROR_H_

#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "platform/base/errno.h"

namespace runsc {

// An error of the host's side: text for a person, saying what to do where we know, and the errno
// behind it (0 if there is none). Never shown to a guest, which gets Errno.
struct HostError {
  std::string text;
  int code = 0;
};

// "<formatted text>: <strerror(errno)>", with errno as the code.
HostError SysError(const char* format, ...) __attribute__((format(printf, 1, 2)));
// The formatted text, code 0.
HostError TextError(const char* format, ...) __attribute__((format(printf, 1, 2)));

// A value or a HostError; works with TRY of platform/base/errno.h.
template <typename T>
class [[nodiscard]] HostOr {
 public:
  HostOr(HostError e) : error_(std::move(e)) {}  // NOLINT: implicit by design
  template <typename U = T>
    requires(std::is_constructible_v<T, U&&> && !std::is_same_v<std::decay_t<U>, HostOr<T>> &&
             !std::is_same_v<std::decay_t<U>, HostError>)
  HostOr(U&& v) : value_(std::forward<U>(v)) {}  // NOLINT: implicit by design

  bool ok() const { return value_.has_value(); }
  const HostError& error() const { return error_; }
  HostOr<void> status() const;
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return std::move(*value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T* operator->() { return &*value_; }

 private:
  HostError error_;
  std::optional<T> value_;
};

template <>
class [[nodiscard]] HostOr<void> {
 public:
  HostOr() : ok_(true) {}
  HostOr(HostError e) : error_(std::move(e)), ok_(false) {}  // NOLINT: implicit by design
  bool ok() const { return ok_; }
  const HostError& error() const { return error_; }
  void value() const {}

 private:
  HostError error_;
  bool ok_;
};

template <typename T>
HostOr<void> HostOr<T>::status() const {
  return ok() ? HostOr<void>() : HostOr<void>(error_);
}

using HostStatus = HostOr<void>;
inline HostStatus HostOk() { return {}; }

}  // namespace runsc

#endif  // PLATFORM_HOST_ERROR_H_
