#include "runsc/cli/command.h"

#include <cerrno>

namespace runsc::cli {

const std::vector<CommandRow>& Commands() {
  using C = Category;
  static const std::vector<CommandRow> rows = {
      {"create", C::kOci, "create a secure container", NewCreate},
      {"delete", C::kOci, "delete resources held by a container", NewDelete},
      {"events", C::kOci, "display container events and statistics", nullptr},
      {"exec", C::kOci, "execute a new process inside a container", NewExec},
      {"kill", C::kOci, "send a signal to a container", NewKill},
      {"list", C::kOci, "list the containers under --root", NewList},
      {"pause", C::kOci, "suspend all processes in a container", nullptr},
      {"ps", C::kOci, "display the processes inside a container", NewPs},
      {"restore", C::kOci, "restore a saved state of a container", nullptr},
      {"resume", C::kOci, "resume a paused container", nullptr},
      {"run", C::kOci, "create and run a secure container", NewRun},
      {"spec", C::kOci, "create a new OCI bundle specification file", NewSpec},
      {"start", C::kOci, "start a created container", NewStart},
      {"state", C::kOci, "get the state of a container", NewState},
      {"update", C::kOci, "update the limits of a container", nullptr},
      {"wait", C::kOci, "wait for a process inside a container", NewWait},
      {"checkpoint", C::kOci, "save the state of a container", nullptr},
      {"do", C::kOther, "run a command in a sandbox over the host's files, read-only", NewDo},
      {"bwrap", C::kOther, "bubblewrap-compatible command line", nullptr},
      {"fscheckpoint", C::kOther, "save a container's written files", nullptr},
      {"port-forward", C::kOther, "forward a port into a container", nullptr},
      {"read", C::kOther, "read a file out of a running sandbox", nullptr},
      {"sandboxexec", C::kOther, "run a command by a SandboxOptions message", nullptr},
      {"tar", C::kOther, "stream the root's overlay as a tar file", nullptr},
      {"debug", C::kDebug, "show debug information", nullptr},
      {"read-control", C::kDebug, "read a cgroup control value", nullptr},
      {"usage", C::kDebug, "show memory usage by category", nullptr},
      {"write-control", C::kDebug, "write a cgroup control value", nullptr},
      {"cpu-features", C::kHelper, "list the host's CPU features", nullptr},
      {"export-metrics", C::kHelper, "export metrics once", nullptr},
      {"features", C::kHelper, "show the runtime's OCI features", nullptr},
      {"install", C::kHelper, "add the runtime to Docker's configuration", nullptr},
      {"metric-metadata", C::kHelper, "describe metrics", nullptr},
      {"metric-server", C::kHelper, "serve metrics by HTTP", nullptr},
      {"mitigate", C::kHelper, "switch side-channel mitigations", nullptr},
      {"trace", C::kHelper, "manage trace sessions", nullptr},
      {"uninstall", C::kHelper, "remove the runtime from Docker's configuration", nullptr},
      {"boot", C::kInternal, "the sandbox process", NewBoot},
      {"gofer", C::kInternal, "the process that opens the container's files", NewGofer},
      {"flags", C::kTopic, "describe all global flags", NewFlags},
      {"help", C::kTopic, "print help for a command, platforms or syscalls", NewHelp},
  };
  return rows;
}

const CommandRow* FindCommand(std::string_view name) {
  for (const CommandRow& row : Commands()) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

HostStatus WantArguments(const std::vector<std::string>& args, size_t least, size_t most,
                         const char* usage) {
  if (args.size() >= least && args.size() <= most) return HostOk();
  return TextError("usage: runsc %s", usage);
}

int ExitStatusFor(const HostError& error) {
  switch (error.code) {
    case ENOENT: return kExitNotFound;
    case EACCES: case ENOEXEC: case EISDIR: case ENOTDIR: case ELOOP: case EPERM: case ELIBBAD:
    case E2BIG:
      return kExitNotExecutable;
    default: return kExitInternal;
  }
}

}  // namespace runsc::cli
