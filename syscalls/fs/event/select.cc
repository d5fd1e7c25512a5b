#include <poll.h>
#include <sys/resource.h>

#include <algorithm>

#include "syscalls/fs/event/event.h"
#include "syscalls/fs/event/poll_set.h"
#include "syscalls/fs/event/timeout.h"

namespace runsc {
namespace {

// What makes each set's bit true (Linux POLLIN_SET and so on).
constexpr EventMask kReadMask = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR;
constexpr EventMask kWriteMask = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR;
constexpr EventMask kErrorMask = POLLPRI;

struct FdBits {
  UserAddr addr;
  std::vector<uint64_t> words;

  bool Has(int32_t fd) const {
    return !words.empty() && (words[static_cast<size_t>(fd) / 64] >> (fd % 64) & 1) != 0;
  }
  void Set(int32_t fd) { words[static_cast<size_t>(fd) / 64] |= uint64_t{1} << (fd % 64); }
};

ErrnoOr<FdBits> Load(Task& t, UserAddr addr, int32_t n) {
  FdBits bits{addr, {}};
  if (addr.IsNull()) return bits;
  bits.words = TRY(t.mem().GetArray<uint64_t>(addr, (static_cast<size_t>(n) + 63) / 64));
  return bits;
}

Status Store(Task& t, const FdBits& bits) {
  if (bits.addr.IsNull()) return Ok();
  return t.mem().CopyOut(bits.addr, bits.words.data(), bits.words.size() * 8);
}

struct Watched {
  int32_t fd;
  bool read, write, error;
};

ErrnoOr<int32_t> Report(Task& t, FdBits sets[3], const std::vector<Watched>& watched,
                        const std::vector<PollItem>& items) {
  for (int s = 0; s < 3; ++s) std::fill(sets[s].words.begin(), sets[s].words.end(), 0);
  int32_t count = 0;
  for (size_t i = 0; i < watched.size(); ++i) {
    const Watched& w = watched[i];
    EventMask ready = items[i].ready;
    if (w.read && (ready & kReadMask) != 0) sets[0].Set(w.fd), ++count;
    if (w.write && (ready & kWriteMask) != 0) sets[1].Set(w.fd), ++count;
    if (w.error && (ready & kErrorMask) != 0) sets[2].Set(w.fd), ++count;
  }
  for (int s = 0; s < 3; ++s) TRY(Store(t, sets[s]));
  return count;
}

ErrnoOr<int32_t> SelectUntil(Task& t, int32_t n, UserAddr readers, UserAddr writers,
                             UserAddr errors, int64_t deadline) {
  if (n < 0) return Errno::kInval;
  // Linux looks no further than the descriptor table reaches, which is 64 at least: programs pass
  // getdtablesize() with a small fd_set.
  n = static_cast<int32_t>(
      std::min<uint64_t>(static_cast<uint64_t>(n), std::max<size_t>(64, t.fds().Reach())));
  FdBits sets[3] = {TRY(Load(t, readers, n)), TRY(Load(t, writers, n)), TRY(Load(t, errors, n))};
  std::vector<Watched> watched;
  std::vector<PollItem> items;
  for (int32_t fd = 0; fd < n; ++fd) {
    Watched w{fd, sets[0].Has(fd), sets[1].Has(fd), sets[2].Has(fd)};
    if (!w.read && !w.write && !w.error) continue;
    Ref<File> file = TRY(t.fds().GetIo(FdNum(fd)));
    EventMask mask = (w.read ? kReadMask : 0) | (w.write ? kWriteMask : 0) |
                     (w.error ? kErrorMask : 0);
    watched.push_back(w);
    items.push_back({std::move(file), mask, 0});
  }
  // An item may be "ready" only by POLLHUP or POLLERR that none of its sets asked for; it then
  // would not count, but select(2) would not sleep on it either way on Linux.
  TRY(WaitForItems(t, items, deadline));
  return Report(t, sets, watched, items);
}

}  // namespace

ErrnoOr<int32_t> Select(Task& t, int32_t n, UserAddr readers, UserAddr writers, UserAddr errors,
                        UserAddr timeout) {
  int64_t deadline = TRY(DeadlineFromTimeval(t, timeout));
  ErrnoOr<int32_t> ready = SelectUntil(t, n, readers, writers, errors, deadline);
  PutRemainingTimeval(t, timeout, deadline);
  return ready;
}

ErrnoOr<int32_t> Pselect6(Task& t, int32_t n, UserAddr readers, UserAddr writers, UserAddr errors,
                          UserAddr timeout, UserAddr mask_and_size) {
  struct MaskArgument {
    uint64_t mask;
    uint64_t size;
  };
  MaskArgument argument{};
  if (!mask_and_size.IsNull()) argument = TRY(t.mem().Get<MaskArgument>(mask_and_size));
  int64_t deadline = TRY(DeadlineFromTimespec(t, timeout));
  TRY(ApplyTemporaryMask(t, UserAddr(argument.mask), argument.size));
  ErrnoOr<int32_t> ready = SelectUntil(t, n, readers, writers, errors, deadline);
  PutRemainingTimespec(t, timeout, deadline);
  return ready;
}

}  // namespace runsc
