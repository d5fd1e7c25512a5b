#ifndef SENTRY_KERNEL_PROGRAM_LOADER_H_
#define SENTRY_KERNEL_PROGRAM_LOADER_H_

#include <string>
#include <vector>

#include "platform/arch/registers.h"
#include "platform/base/errno.h"
#include "platform/base/ref.h"
#include "sentry/auth/credentials.h"
#include "sentry/mm/memory_manager.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/vfs.h"

namespace runsc {

// What execve(2) asks for.
struct LoadRequest {
  OpContext op;                // who executes; op.task is null at boot
  Ref<FsContext> fs;           // for path lookups
  Path start;                  // directory for a relative `filename`
  std::string filename;        // as given; used when `file` is null
  std::string told;            // the name in AT_EXECFN and for scripts; empty: `filename`
  Ref<File> file;              // already open (execveat(2) with AT_EMPTY_PATH); may be null
  bool no_follow = false;      // AT_SYMLINK_NOFOLLOW: a final symlink is ELOOP
  bool fd_is_cloexec = false;  // the descriptor in `told` vanishes: a #! script is ENOENT
  std::vector<std::string> argv, envv;
  uint64_t stack_limit = 8 << 20;  // RLIMIT_STACK, soft
  bool randomize = true;           // false: ADDR_NO_RANDOMIZE of personality(2)
  bool allow_suid = false;         // --allow-suid, and not traced, and no no_new_privs
};

// A program ready to run: nothing of the old one was touched.
struct LoadedProgram {
  Ref<MemoryManager> mm;
  arch::Registers regs{};
  std::string comm;              // file name part, at most 15 bytes
  Ref<const Credentials> creds;  // after set-id bits and capability rules (ExecCredentials)
  bool secure = false;           // AT_SECURE was set
  bool dumpable = true;          // false: the file is not readable by the caller, or secure
};

// Builds programs; implemented by sentry/loader, handed to the kernel at boot.
class ProgramLoader {
 public:
  virtual ~ProgramLoader() = default;
  // execve(2)'s errors: ENOENT, EACCES, ENOEXEC, ELIBBAD, E2BIG, ENOMEM, ETXTBSY, ELOOP, EINVAL…
  virtual ErrnoOr<LoadedProgram> Load(const LoadRequest& request) = 0;
};

// Credentials after execve(2) of a file with `attr` (capabilities(7), "Transformation of
// capabilities during execve"); file capabilities are not read yet. Set-id bits count only if
// `honour_suid`. `*secure`: the program must not trust its environment (AT_SECURE).
Ref<const Credentials> ExecCredentials(const Credentials& old, const Attr& attr, bool honour_suid,
                                       bool* secure);

}  // namespace runsc

#endif  // SENTRY_KERNEL_PROGRAM_LOADER_H_
