#include <linux/capability.h>
#include <sys/mman.h>

#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/process_access.h"
#include "syscalls/mm/mm.h"

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace runsc {

ErrnoOr<void> Madvise(Task& t, UserAddr addr, uint64_t length, int32_t advice) {
  if (advice == MADV_COLLAPSE) return t.Unimplemented("madvise MADV_COLLAPSE", Errno::kInval);
  if (advice == MADV_HWPOISON || advice == MADV_SOFT_OFFLINE) {
    if (!t.creds().HasCap(CAP_SYS_ADMIN)) return Errno::kPerm;
    return t.Unimplemented("madvise MADV_HWPOISON", Errno::kInval);
  }
  return t.mem().MAdvise(addr, length, advice);
}

ErrnoOr<uint64_t> ProcessMadvise(Task& t, FdNum pidfd, UserAddr iov, uint64_t count,
                                 int32_t advice, uint32_t flags) {
  if (flags != 0) return Errno::kInval;
  std::vector<UserRange> ranges = TRY(ImportIovec(t.mem(), iov, count));
  Ref<File> file = TRY(t.fds().GetIo(pidfd));
  Ref<ThreadGroup> process = ProcessOfPidFd(*file);
  if (!process) return Errno::kBadf;
  const bool self = process.get() == &t.group();
  const bool harmless = advice == MADV_COLD || advice == MADV_PAGEOUT ||
                        advice == MADV_WILLNEED || advice == MADV_COLLAPSE;
  if (!self && !harmless) return Errno::kInval;
  Ref<Task> leader = process->leader();
  Ref<MemoryManager> mm = leader ? leader->SharedMm() : nullptr;
  if (!mm) return Errno::kSrch;
  if (!CheckProcessAccess(t.creds(), &t, *leader, AccessIds::kFs).ok()) return Errno::kAcces;
  if (!self && !t.creds().HasCap(CAP_SYS_NICE)) return Errno::kPerm;
  uint64_t done = 0;
  for (const UserRange& r : ranges) {
    Status s = mm->MAdvise(r.addr, r.size, advice);
    if (!s.ok()) return done != 0 ? ErrnoOr<uint64_t>(done) : s.error();
    done += r.size;
  }
  return done;
}

ErrnoOr<void> Msync(Task& t, UserAddr addr, uint64_t length, int32_t flags) {
  return t.mem().MSync(addr, length, flags);
}

}  // namespace runsc
