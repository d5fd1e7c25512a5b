#ifndef SENTRY_FS_PROC_KERNEL_TEXT_H_
#define SENTRY_FS_PROC_KERNEL_TEXT_H_

#include <string>

#include "sentry/fs/proc/proc_fs.h"
#include "sentry/kernel/version.h"

namespace runsc {

using KernelTextFunction = std::string (*)(Kernel& kernel, PidNamespace& ns);

struct KernelTextRow {
  const char* name;
  KernelTextFunction function;
};

// A text about the kernel as a whole.
class KernelText final : public TextInode {
 public:
  KernelText(Ref<ProcFs> fs, KernelTextFunction function)
      : TextInode(fs, 0444), proc_(*fs), function_(function) {}
  ErrnoOr<std::string> Text(const OpContext&) override {
    return function_(proc_.kernel(), proc_.ns());
  }

 private:
  ProcFs& proc_;
  const KernelTextFunction function_;
};

// /proc/locks, and its lines for a descriptor of the table `table_id` in fdinfo (locks.cc).
std::string LocksText(Kernel& kernel, PidNamespace& ns);
std::string FdLocksText(Kernel& kernel, PidNamespace& ns, File& file, uint64_t table_id);

}  // namespace runsc

#endif  // SENTRY_FS_PROC_KERNEL_TEXT_H_
