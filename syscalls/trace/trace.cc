#include "syscalls/trace/trace.h"


#include <string_view>

#include "platform/base/log.h"
#include "platform/base/strings.h"
#include "sentry/kernel/thread_group.h"
#include "syscalls/trace/format.h"

namespace runsc {
namespace internal {

std::atomic<bool> g_trace_any{false};

namespace {
std::atomic<bool> g_trace_all{false};
std::atomic<uint64_t> g_trace_bits[8];
std::atomic<size_t> g_trace_size{1024};
}  // namespace

bool TraceEnabledSlow(uint64_t number) {
  if (g_trace_all.load(std::memory_order_relaxed)) return true;
  if (number >= 512) return false;
  return (g_trace_bits[number / 64].load(std::memory_order_relaxed) >> (number % 64) & 1) != 0;
}

}  // namespace internal

void SetTrace(bool on, const std::vector<uint64_t>& numbers, size_t log_size) {
  internal::g_trace_any = false;
  internal::g_trace_size = log_size;
  internal::g_trace_all = on && numbers.empty();
  for (auto& word : internal::g_trace_bits) word = 0;
  for (uint64_t n : numbers) {
    if (n < 512) internal::g_trace_bits[n / 64].fetch_or(uint64_t{1} << (n % 64));
  }
  internal::g_trace_any = on;
}

std::string TraceEnter(Task& t, const char* name, const char* arguments) {
  size_t limit = internal::g_trace_size.load(std::memory_order_relaxed);
  std::string text = std::string(name) + "(";
  std::string_view rest(arguments);
  for (int i = 0; i < 6 && !rest.empty(); ++i) {
    TraceArgument arg = NextTraceArgument(rest);
    if (i != 0) text += ", ";
    uint64_t next = i < 5 ? t.regs().syscall_arg(i + 1) : 0;
    text += FormatTraceArgument(t.mem(), arg, t.regs().syscall_arg(i), next, limit);
  }
  text += ")";
  LOG_INFO("[% 4d:% 4d] %s E %s", t.group().pid(), t.tid(), t.name().c_str(), text.c_str());
  return text;
}

void TraceExit(Task& t, const std::string& entry, const char* arguments, int64_t result) {
  std::string value;
  if (result < 0 && result > -4096) {
    value = StrPrintf("%lld %s", static_cast<long long>(result > -512 ? result : -1),
                      ErrnoName(static_cast<Errno>(-result)));
  } else {
    value = StrPrintf("%lld (%#llx)", static_cast<long long>(result),
                      static_cast<unsigned long long>(result));
  }
  std::string filled;
  std::string_view rest(arguments);
  for (int i = 0; i < 6 && !rest.empty() && result > 0; ++i) {
    TraceArgument arg = NextTraceArgument(rest);
    if (arg.kind != "out") continue;
    size_t limit = internal::g_trace_size.load(std::memory_order_relaxed);
    filled = " " + FormatBuffer(t.mem(), UserAddr(t.regs().syscall_arg(i)),
                                static_cast<uint64_t>(result), limit);
  }
  LOG_INFO("[% 4d:% 4d] %s X %s = %s%s", t.group().pid(), t.tid(), t.name().c_str(), entry.c_str(),
           value.c_str(), filled.c_str());
}

}  // namespace runsc
