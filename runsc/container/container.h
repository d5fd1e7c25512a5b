#ifndef RUNSC_CONTAINER_CONTAINER_H_
#define RUNSC_CONTAINER_CONTAINER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "platform/host/error.h"
#include "runsc/cli/flags.h"
#include "runsc/container/attach.h"
#include "runsc/container/launch.h"
#include "runsc/container/store.h"
#include "runsc/control/client.h"
#include "runsc/spec/spec.h"

namespace runsc::container {

// What create and run take.
struct CreateOptions {
  cli::Flags flags;  // with the spec's annotations applied
  LogOpener open_log;
  std::string id;
  std::string bundle;  // absolute
  spec::Spec spec;
  std::string console_socket;
  std::string pid_file;
  // The container lives no longer than this runsc (run without --detach).
  bool attached = false;
};

// A container while a command works on it.
class Container {
 public:
  // Everything up to the start of its program. On error nothing is left behind.
  static HostOr<Container> Create(const CreateOptions& options);
  // An existing one, locked if the command changes it.
  static HostOr<Container> Open(const std::string& root, const std::string& id, bool lock);

  const State& state() const { return state_; }
  Entry& entry() { return entry_; }

  HostStatus Start();
  // Removes one whose state cannot be read (code EBADMSG of Open), and ends its sandbox if that
  // still listens.
  static HostStatus Discard(const std::string& root, const std::string& id);

  // Connects to the sandbox; error "container not running" if it is gone.
  HostOr<control::Client> Connect() const;
  HostStatus Signal(const control::SignalRequest& request) const;
  // Releases everything; `force`: kills it first. Without it, a running container is an error.
  HostStatus Delete(bool force);
  // The init's exit status: waits for it if need be.
  HostOr<int> WaitExit() const;

  // Of one that Create made in this process: the boot channel and the processes.
  Launched& launched() { return *launched_; }

 private:
  Container(Store store, Entry entry, State state)
      : store_(std::move(store)), entry_(std::move(entry)), state_(std::move(state)) {}
  HostStatus Build(const CreateOptions& options);
  HostStatus StartProcesses(const CreateOptions& options);
  HostStatus KillProcesses();

  Store store_;
  Entry entry_;
  State state_;
  std::optional<Launched> launched_;
};

// Waits until `sandbox` is gone and kills its gofer if that did not follow.
HostStatus WaitSandboxGone(const State& state, int timeout_ms);
// Text as engines read it from a pid file.
HostStatus WritePidFile(const std::string& path, int pid);
// A new terminal whose master is sent to the engine over its socket; answers the slave.
HostOr<Fd> NewConsole(const std::string& socket_path, const ProcessConfig& process);

}  // namespace runsc::container

#endif  // RUNSC_CONTAINER_CONTAINER_H_
