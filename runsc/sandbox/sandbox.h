#ifndef RUNSC_SANDBOX_SANDBOX_H_
#define RUNSC_SANDBOX_SANDBOX_H_

#include <string>
#include <vector>

#include "platform/base/fd.h"
#include "platform/host/error.h"
#include "platform/host/process.h"
#include "runsc/control/client.h"
#include "runsc/sandbox/isolation.h"
#include "runsc/spec/container_config.h"

namespace runsc::sandbox {

// Descriptor numbers in a process that runsc starts of itself.
inline constexpr int kChannelFd = 3;   // sentry: boot channel; gofer: connection to the sentry
inline constexpr int kLogFd = 4;       // debug log, or /dev/null
inline constexpr int kTerminalFd = 5;  // sentry: its controlling terminal, if it has one
inline constexpr int kReportFd = 5;    // gofer: takes its words if it cannot start

struct SandboxOptions {
  std::string id;
  bool attached = false;  // it dies with this runsc
  int stderr_fd = -1;     // where the sentry's own last words go; -1: nowhere
  int log_fd = -1;        // debug log; -1: none
  int tty = -1;           // terminal that becomes the sentry's controlling one; -1: none
  std::vector<std::string> log_args;  // flags for its log: --debug, --debug-log-format=…
  bool rootless = false;              // without root's rights, do with our own ids
  IsolationSet may_miss;
};

struct Sandbox {
  host::Process process;
  control::Client client;
};

// Starts a sentry, confined as DESIGN section 7 says, with an unbooted control channel.
HostOr<Sandbox> StartSandbox(const SandboxOptions& options);

// One host tree that a gofer serves.
struct AttachPoint {
  std::string source;  // absolute host path
  bool read_only = false;
};

struct GoferOptions {
  std::vector<AttachPoint> attach_points;   // the container's root is the first
  std::vector<IdMapping> uid_map, gid_map;  // of a user namespace; empty: none, unless rootless
  bool attached = false;
  int stderr_fd = -1;
  int log_fd = -1;
  std::vector<std::string> log_args;
  bool rootless = false;
  IsolationSet may_miss;
};

struct Gofer {
  host::Process process;
  Fd connection;  // the sentry's end
  Fd report;      // why it could not start; empty if it could
};

// Starts a container's gofer; it serves until the connection's other end is closed.
HostOr<Gofer> StartGofer(const GoferOptions& options);

}  // namespace runsc::sandbox

#endif  // RUNSC_SANDBOX_SANDBOX_H_
