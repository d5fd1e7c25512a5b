#ifndef SYSCALLS_TABLE_ADAPTER_H_
#define SYSCALLS_TABLE_ADAPTER_H_

#include <cstdint>
#include <type_traits>
#include <utility>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/kernel/task.h"

namespace runsc {

// Turns typed handlers, `ErrnoOr<R> Name(Task&, args…)`, into entries that take raw registers.

// A register as a handler's parameter type. Narrow integers take the low bits, as the kernel does.
template <typename T>
T FromRegister(uint64_t v) {
  if constexpr (std::is_same_v<T, UserAddr>) {
    return UserAddr(v);
  } else if constexpr (std::is_same_v<T, FdNum> || std::is_same_v<T, Signal>) {
    return T(static_cast<int32_t>(v));
  } else {
    static_assert(std::is_integral_v<T>, "handler parameters are integers or guest-value types");
    return static_cast<T>(v);
  }
}

template <typename T>
int64_t ToResult(const ErrnoOr<T>& r) {
  if (!r.ok()) return -static_cast<int64_t>(r.error());
  if constexpr (std::is_same_v<T, void>) {
    return 0;
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<int64_t>(*r);
  } else {
    return static_cast<int64_t>(r->value);  // UserAddr, FdNum
  }
}

template <auto kHandler>
struct Adapter;

template <typename R, typename... Args, ErrnoOr<R> (*kHandler)(Task&, Args...)>
struct Adapter<kHandler> {
  static int64_t Entry(Task& t) { return Call(t, std::index_sequence_for<Args...>()); }

 private:
  template <size_t... kIndex>
  static int64_t Call(Task& t, std::index_sequence<kIndex...>) {
    [[maybe_unused]] const arch::Registers& r = t.regs();
    return ToResult(kHandler(t, FromRegister<Args>(r.syscall_arg(kIndex))...));
  }
};

}  // namespace runsc

#endif  // SYSCALLS_TABLE_ADAPTER_H_
