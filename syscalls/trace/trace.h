#ifndef SYSCALLS_TRACE_TRACE_H_
#define SYSCALLS_TRACE_TRACE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "sentry/kernel/task.h"

namespace runsc {

namespace internal {
extern std::atomic<bool> g_trace_any;
bool TraceEnabledSlow(uint64_t number);
}  // namespace internal

// --strace. Turns tracing of all calls (or of `numbers`, if not empty) on or off; `log_size` is
// the most bytes of a buffer that are shown. May be called while tasks run.
void SetTrace(bool on, const std::vector<uint64_t>& numbers, size_t log_size);

inline bool TraceEnabled(uint64_t number) {
  return internal::g_trace_any.load(std::memory_order_relaxed) && internal::TraceEnabledSlow(number);
}

// Logs the start of a call and answers its text, which TraceExit shows again with the result.
// `arguments` is the row's "name:kind …". Kinds: fd, path, str, in (buffer, size in the next
// argument), out (buffer filled by the call), u, i, x, p, oflags, mode, mflags, prot, sig, sigset,
// ts, argv, futex.
std::string TraceEnter(Task& t, const char* name, const char* arguments);
void TraceExit(Task& t, const std::string& entry, const char* arguments, int64_t result);

}  // namespace runsc

#endif  // SYSCALLS_TRACE_TRACE_H_
