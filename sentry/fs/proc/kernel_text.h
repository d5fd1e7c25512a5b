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

}  // namespace runsc

#endif  // SENTRY_FS_PROC_KERNEL_TEXT_H_
