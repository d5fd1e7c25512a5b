#include "syscalls/table/table.h"

#include <array>

#include "syscalls/table/adapter.h"
// Each family's header, in the order of the folders.
#include "syscalls/fs/event/event.h"
#include "syscalls/fs/file/file_calls.h"
#include "syscalls/mm/mm.h"
#include "syscalls/net/net.h"
#include "syscalls/signal/signal.h"
#include "syscalls/sync/sync.h"
#include "syscalls/system/system.h"
#include "syscalls/task/task.h"
#include "syscalls/time/time.h"

namespace runsc {
namespace {

constexpr SyscallRow kRows[] = {
#define SYSCALL(number, name, handler, level, arguments, note) \
  {number, #name, Support::level, arguments, note, Errno::kOk, &Adapter<&handler>::Entry},
#define MISSING(number, name, errno, arguments, note) \
  {number, #name, Support::kMissing, arguments, note, Errno::errno, nullptr},
#include "syscalls/table/syscalls.def"
#undef SYSCALL
#undef MISSING
};

constexpr std::array<int16_t, kSyscallLimit> MakeIndex() {
  std::array<int16_t, kSyscallLimit> index{};
  for (int16_t& i : index) i = -1;
  for (size_t i = 0; i < std::size(kRows); ++i) {
    index[kRows[i].number] = static_cast<int16_t>(i);
  }
  return index;
}
constexpr std::array<int16_t, kSyscallLimit> kIndex = MakeIndex();

}  // namespace

const SyscallRow* FindSyscall(uint64_t number) {
  if (number >= kSyscallLimit || kIndex[number] < 0) return nullptr;
  return &kRows[kIndex[number]];
}

const SyscallRow* SyscallRows(int* count) {
  *count = static_cast<int>(std::size(kRows));
  return kRows;
}

}  // namespace runsc
