// process_vm_readv(2) and process_vm_writev(2).
#include <sys/uio.h>

#include <algorithm>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process_access.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

constexpr size_t kMaxChunk = 64 << 10;

struct Transfer {
  UserAddr local;
  uint64_t local_count;
  UserAddr remote;
  uint64_t remote_count;
};

// The other process's ranges: their addresses are its own matter, so only lengths are checked.
ErrnoOr<std::vector<UserRange>> RemoteRanges(Task& t, UserAddr iov, uint64_t count) {
  if (count > UIO_MAXIOV) return Errno::kInval;
  std::vector<UserRange> ranges;
  for (const iovec& v : TRY(t.mem().GetArray<iovec>(iov, count))) {
    if (static_cast<int64_t>(v.iov_len) < 0) return Errno::kInval;
    if (v.iov_len == 0) continue;
    ranges.push_back({UserAddr(reinterpret_cast<uint64_t>(v.iov_base)), v.iov_len});
  }
  return ranges;
}

// One chunk through a buffer of ours: no two address spaces are ever held at once.
ErrnoOr<size_t> ReadChunk(MemoryManager& mm, UserAddr from, UserOut& to, char* buffer, size_t n) {
  size_t got = TRY(mm.CopyInPartial(buffer, from, n));
  return to.Write(buffer, got);
}

ErrnoOr<size_t> WriteChunk(MemoryManager& mm, UserAddr to, UserIn& from, char* buffer, size_t n) {
  size_t got = TRY(from.Read(buffer, n));
  return mm.CopyOutPartial(to, buffer, got);
}

// Moves as much as both sides hold; an error counts only if nothing was moved before it.
template <typename Local, typename Move>
ErrnoOr<size_t> MoveRanges(Local& local, const std::vector<UserRange>& ranges, Move move) {
  std::vector<char> buffer(std::min(local.remaining(), kMaxChunk));
  size_t total = 0;
  for (const UserRange& range : ranges) {
    for (size_t done = 0; done < range.size && local.remaining() > 0;) {
      size_t want = std::min({range.size - done, local.remaining(), buffer.size()});
      ErrnoOr<size_t> n = move(range.addr + done, local, buffer.data(), want);
      if (!n.ok()) return total > 0 ? ErrnoOr<size_t>(total) : n;
      total += *n;
      done += *n;
      if (*n < want) return total;
    }
  }
  return total;
}

ErrnoOr<Ref<MemoryManager>> OpenMemory(Task& t, Tid pid) {
  Ref<Task> target = t.kernel().FindTask(t.pid_ns(), pid);
  if (!target) return Errno::kSrch;
  Ref<MemoryManager> mm = target->SharedMm();
  if (!mm) return Errno::kSrch;
  TRY(CheckProcessAccess(t.creds(), &t, *target, AccessIds::kReal));
  return mm;
}

template <typename Local, typename Move>
ErrnoOr<size_t> ProcessVm(Task& t, Tid pid, const Transfer& what, uint64_t flags, Move move) {
  if (flags != 0) return Errno::kInval;
  Local local(t.mem(), TRY(ImportIovec(t.mem(), what.local, what.local_count)));
  if (local.remaining() == 0) return size_t{0};
  std::vector<UserRange> ranges = TRY(RemoteRanges(t, what.remote, what.remote_count));
  if (ranges.empty()) return size_t{0};
  Ref<MemoryManager> mm = TRY(OpenMemory(t, pid));
  return MoveRanges(local, ranges, [&](UserAddr addr, Local& side, char* buffer, size_t n) {
    return move(*mm, addr, side, buffer, n);
  });
}

}  // namespace

ErrnoOr<size_t> ProcessVmReadv(Task& t, Tid pid, UserAddr local, uint64_t local_count,
                               UserAddr remote, uint64_t remote_count, uint64_t flags) {
  return ProcessVm<UserOut>(t, pid, {local, local_count, remote, remote_count}, flags, ReadChunk);
}

ErrnoOr<size_t> ProcessVmWritev(Task& t, Tid pid, UserAddr local, uint64_t local_count,
                                UserAddr remote, uint64_t remote_count, uint64_t flags) {
  return ProcessVm<UserIn>(t, pid, {local, local_count, remote, remote_count}, flags, WriteChunk);
}

}  // namespace runsc
