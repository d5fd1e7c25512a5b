#ifndef RUNSC_BOOT_BACKEND_H_
#define RUNSC_BOOT_BACKEND_H_

#include <array>
#include <string>

#include "platform/base/fd.h"
#include "platform/host/error.h"
#include "runsc/control/messages.h"

namespace runsc::boot {

// Told of the ends of processes that Start and Exec began. Called from any thread.
class ExitSink {
 public:
  virtual ~ExitSink() = default;
  // `status` is an exit code or 128 + signal.
  virtual void OnProcessExit(const std::string& container, int32_t pid, int32_t status) = 0;
};

// Host files that a container is given.
struct ContainerFiles {
  std::array<Fd, 3> stdio;  // one terminal three times if ProcessConfig::terminal
  Fd gofer;
};

// What the sandbox does behind the control protocol: the kernel, or a fake in tests. Calls come
// from the control thread, one at a time.
class SandboxBackend {
 public:
  virtual ~SandboxBackend() = default;
  // Before anything else, once: picks the platform, makes the kernel, and confines this process
  // for good.
  virtual HostOr<control::BootReply> Boot(const control::BootRequest& request) = 0;
  // Sets up file systems and everything else up to the program's start.
  virtual HostStatus Create(ContainerConfig config, ContainerFiles files) = 0;
  // Runs the container's program; answers its pid in the sandbox.
  virtual HostOr<int32_t> Start(const std::string& container) = 0;
  virtual HostOr<int32_t> Exec(const control::ExecRequest& request, std::array<Fd, 3> stdio) = 0;
  // code ESRCH: no such process, or it has ended.
  virtual HostStatus Signal(const control::SignalRequest& request) = 0;
  virtual HostOr<control::ProcessesReply> Processes(const std::string& container) = 0;
};

}  // namespace runsc::boot

#endif  // RUNSC_BOOT_BACKEND_H_
