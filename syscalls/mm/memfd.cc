#include <linux/memfd.h>
#include <sys/resource.h>

#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/kernel.h"
#include "syscalls/mm/mm.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace runsc {

ErrnoOr<FdNum> MemfdCreate(Task& t, UserAddr name, uint32_t flags) {
  constexpr uint32_t kKnown = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC;
  constexpr size_t kMaxName = 249;  // NAME_MAX less "memfd:"
  if ((flags & MFD_HUGETLB) != 0) {
    return t.Unimplemented("memfd_create MFD_HUGETLB", Errno::kNosys);
  }
  if ((flags & ~kKnown) != 0) return Errno::kInval;
  if ((flags & MFD_NOEXEC_SEAL) != 0 && (flags & MFD_EXEC) != 0) return Errno::kInval;
  ErrnoOr<std::string> text = t.mem().GetString(name, kMaxName);
  if (!text.ok()) return text.error() == Errno::kNametoolong ? Errno::kInval : text.error();
  const bool no_exec = (flags & MFD_NOEXEC_SEAL) != 0;
  const bool sealable = (flags & MFD_ALLOW_SEALING) != 0 || no_exec;
  Ref<File> file =
      TRY(NewMemfd(t.kernel().memory(), *text, sealable, !no_exec, t.creds_ref()));
  return t.fds().Install(std::move(file), (flags & MFD_CLOEXEC) != 0, t.Limit(RLIMIT_NOFILE));
}

}  // namespace runsc
