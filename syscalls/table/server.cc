#include "syscalls/table/server.h"

#include "platform/base/strings.h"
#include "syscalls/table/table.h"
#include "syscalls/trace/trace.h"

namespace runsc {
namespace {

int64_t ServeMissing(Task& t, uint64_t number, const SyscallRow* row) {
  if (row == nullptr) {
    // Beyond the table all count as one: a guest may try every number there is.
    std::string name = number < kSyscallLimit
                           ? StrPrintf("call %llu", static_cast<unsigned long long>(number))
                           : "a call beyond the table";
    return -static_cast<int64_t>(t.Unimplemented(name.c_str(), Errno::kNosys));
  }
  return -static_cast<int64_t>(t.Unimplemented(row->name, row->missing_errno));
}

int64_t Invoke(Task& t, uint64_t number, const SyscallRow* row) {
  if (row == nullptr || row->entry == nullptr) [[unlikely]]
    return ServeMissing(t, number, row);
  return row->entry(t);
}

}  // namespace

int64_t TableServer::Serve(Task& t, uint64_t number) {
  const SyscallRow* row = FindSyscall(number);
  if (!TraceEnabled(number)) [[likely]]
    return Invoke(t, number, row);
  const char* name = row != nullptr ? row->name : "unknown";
  const char* arguments = row != nullptr ? row->arguments : "a:x b:x c:x d:x e:x f:x";
  std::string entry = TraceEnter(t, name, arguments);
  int64_t result = Invoke(t, number, row);
  TraceExit(t, entry, arguments, result);
  return result;
}

}  // namespace runsc
