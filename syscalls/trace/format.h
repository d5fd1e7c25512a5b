#ifndef SYSCALLS_TRACE_FORMAT_H_
#define SYSCALLS_TRACE_FORMAT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "platform/base/types.h"
#include "sentry/usermem/usermem.h"

namespace runsc {

// One "name:kind" of a table row.
struct TraceArgument {
  std::string_view name;
  std::string_view kind;
};

// Takes the first argument off `rest`.
TraceArgument NextTraceArgument(std::string_view& rest);

// Text of one argument. `next` is the following argument's value (a buffer's size).
std::string FormatTraceArgument(UserMemory& mem, const TraceArgument& arg, uint64_t value,
                                uint64_t next, size_t limit);

// Guest bytes as a quoted, escaped string of at most `limit` bytes.
std::string FormatBuffer(UserMemory& mem, UserAddr addr, uint64_t size, size_t limit);

}  // namespace runsc

#endif  // SYSCALLS_TRACE_FORMAT_H_
