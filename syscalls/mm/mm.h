#ifndef SYSCALLS_MM_MM_H_
#define SYSCALLS_MM_MM_H_

#include <cstdint>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/kernel/task.h"

namespace runsc {

// mmap.cc
ErrnoOr<UserAddr> Mmap(Task& t, UserAddr addr, uint64_t length, uint64_t prot, uint64_t flags,
                       FdNum fd, uint64_t offset);
ErrnoOr<void> Munmap(Task& t, UserAddr addr, uint64_t length);
ErrnoOr<void> Mprotect(Task& t, UserAddr addr, uint64_t length, uint64_t prot);
ErrnoOr<UserAddr> Mremap(Task& t, UserAddr old_addr, uint64_t old_size, uint64_t new_size,
                         uint64_t flags, UserAddr new_addr);
ErrnoOr<UserAddr> BrkCall(Task& t, UserAddr addr);
ErrnoOr<void> RemapFilePages(Task& t, UserAddr addr, uint64_t size, uint64_t prot, uint64_t pgoff,
                             uint64_t flags);
ErrnoOr<void> Mseal(Task& t, UserAddr addr, uint64_t length, uint64_t flags);

// advice.cc
ErrnoOr<void> Madvise(Task& t, UserAddr addr, uint64_t length, int32_t advice);
ErrnoOr<uint64_t> ProcessMadvise(Task& t, FdNum pidfd, UserAddr iov, uint64_t count,
                                 int32_t advice, uint32_t flags);
ErrnoOr<void> Msync(Task& t, UserAddr addr, uint64_t length, int32_t flags);

// lock.cc
ErrnoOr<void> Mincore(Task& t, UserAddr addr, uint64_t length, UserAddr vec);
ErrnoOr<void> Mlock(Task& t, UserAddr addr, uint64_t length);
ErrnoOr<void> Mlock2(Task& t, UserAddr addr, uint64_t length, int32_t flags);
ErrnoOr<void> Munlock(Task& t, UserAddr addr, uint64_t length);
ErrnoOr<void> Mlockall(Task& t, int32_t flags);
ErrnoOr<void> Munlockall(Task& t);

// policy.cc
ErrnoOr<void> GetMempolicy(Task& t, UserAddr mode, UserAddr mask, uint64_t max_node,
                           UserAddr addr, uint64_t flags);
ErrnoOr<void> SetMempolicy(Task& t, int32_t mode, UserAddr mask, uint64_t max_node);
ErrnoOr<void> Mbind(Task& t, UserAddr addr, uint64_t length, int32_t mode, UserAddr mask,
                    uint64_t max_node, uint32_t flags);
ErrnoOr<int32_t> PkeyAlloc(Task& t, uint64_t flags, uint64_t rights);
ErrnoOr<void> PkeyFree(Task& t, int32_t pkey);
ErrnoOr<void> PkeyMprotect(Task& t, UserAddr addr, uint64_t length, uint64_t prot, int32_t pkey);

}  // namespace runsc

#endif  // SYSCALLS_MM_MM_H_
