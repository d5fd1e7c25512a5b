#include "runsc/boot/boot.h"

#include "runsc/boot/kernel_backend.h"
#include "runsc/boot/sandbox_server.h"

namespace runsc::boot {
int RunSandbox(Fd channel, bool has_terminal) {
  SandboxServer server(has_terminal);
  KernelBackend backend(&server);
  return server.Run(&backend, std::move(channel));
}

}  // namespace runsc::boot
