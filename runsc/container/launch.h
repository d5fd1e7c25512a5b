#ifndef RUNSC_CONTAINER_LAUNCH_H_
#define RUNSC_CONTAINER_LAUNCH_H_

#include <array>
#include <functional>
#include <string>

#include "platform/base/fd.h"
#include "platform/host/error.h"
#include "runsc/cli/flags.h"
#include "runsc/sandbox/sandbox.h"
#include "runsc/spec/spec.h"

namespace runsc::container {

// Opens the debug log of an internal command ("boot", "gofer"); -1 fd: no log wanted.
using LogOpener = std::function<Fd(const char* command, const std::string& id)>;

struct LaunchOptions {
  const cli::Flags* flags = nullptr;
  LogOpener open_log;
  bool attached = false;
  bool killable_init = false;  // see ContainerConfig
  std::array<int, 3> stdio = {0, 1, 2};
  // The container's new terminal, which becomes the sentry's controlling one; -1: none.
  int tty = -1;
  const spec::Spec* spec = nullptr;
  std::string id, bundle;
};

struct Launched {
  sandbox::Sandbox sandbox;
  sandbox::Gofer gofer;
  // Kills and reaps both; for error paths and the end of an attached run. Answers the sandbox's
  // exit status.
  int Kill();
};

// Starts sentry and gofer, boots the kernel and creates the container in it; all that is left is
// kStart. On error nothing is left behind.
HostOr<Launched> Launch(const LaunchOptions& options);

// What to say of a sandbox that ended with `status` and should not have.
HostError DeathText(int status);

// "boot in 3.1 ms": debug-log lines for the phases of a start, from process start on.
void LogPhase(const char* what);

}  // namespace runsc::container

#endif  // RUNSC_CONTAINER_LAUNCH_H_
