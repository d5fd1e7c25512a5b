#ifndef SENTRY_LOADER_LOADER_H_
#define SENTRY_LOADER_LOADER_H_

#include <cstdint>
#include <memory>

#include "platform/api/platform.h"
#include "platform/memory/memory_file.h"
#include "sentry/kernel/program_loader.h"

namespace runsc {

// Loads ELF programs and #! scripts as Linux does (fs/exec.c, binfmt_elf, binfmt_script). What
// fails before Linux's point of no return is an error; what fails after it kills the program with
// SIGSEGV there, so here it becomes a program without memory, whose first instruction faults.
class Loader final : public ProgramLoader {
 public:
  // Both outlive the loader, as do all programs that it loads (they map its vDSO pages). `cpus`:
  // how many CPUs guests are told they have. ENOMEM.
  static ErrnoOr<std::unique_ptr<Loader>> Create(platform::Platform& platform, MemoryFile& memory,
                                                 uint32_t cpus);
  ~Loader() override;

  ErrnoOr<LoadedProgram> Load(const LoadRequest& request) override;

 private:
  Loader(platform::Platform& platform, MemoryFile& memory, Ref<Mappable> vdso)
      : platform_(platform), memory_(memory), vdso_(std::move(vdso)) {}

  platform::Platform& platform_;
  MemoryFile& memory_;
  const Ref<Mappable> vdso_;
};

}  // namespace runsc

#endif  // SENTRY_LOADER_LOADER_H_
