#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include "runsc/boot/boot.h"
#include "runsc/boot/kernel_backend.h"
#include "runsc/boot/sandbox_server.h"

namespace runsc::boot {
namespace {

// Without a limit, malloc counts the CPUs by opening a file of /sys when threads contend, which the
// sentry's filter forbids. More arenas would only cost memory.
constexpr int kMallocArenas = 4;

}  // namespace

void RunSandbox(Fd channel, bool has_terminal) {
  mallopt(M_ARENA_MAX, kMallocArenas);
  // Past a host's RLIMIT_FSIZE a guest's write fails; it is not our end.
  signal(SIGXFSZ, SIG_IGN);
  SandboxServer server(has_terminal);
  KernelBackend backend(&server);
  int status = server.Run(&backend, std::move(channel));
  // Guest tasks may be at work on all that the backend and the program's statics own: nothing is
  // taken down under them.
  _exit(status);
}

}  // namespace runsc::boot
