#ifndef SYSCALLS_TABLE_TABLE_H_
#define SYSCALLS_TABLE_TABLE_H_

#include <cstdint>

#include "sentry/kernel/task.h"

namespace runsc {

enum class Support { kFull, kPartial, kMissing };

// One system call: a row of syscalls.def.
struct SyscallRow {
  uint64_t number;
  const char* name;
  Support support;
  const char* arguments;  // "name:kind name:kind …"
  const char* note;
  Errno missing_errno;    // kMissing: what it answers
  // Decodes the registers, runs the handler and encodes its answer; null if missing.
  int64_t (*entry)(Task& t);
};

inline constexpr uint64_t kSyscallLimit = 512;

// The row of `number`, or null if Linux has no such call.
const SyscallRow* FindSyscall(uint64_t number);
// All rows in order of number; `*count` gets how many.
const SyscallRow* SyscallRows(int* count);

}  // namespace runsc

#endif  // SYSCALLS_TABLE_TABLE_H_
