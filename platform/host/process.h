#ifndef PLATFORM_HOST_PROCESS_H_
#define PLATFORM_HOST_PROCESS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "platform/base/fd.h"
#include "platform/host/error.h"

namespace runsc::host {

// A process and the descriptor that names it for good.
struct Process {
  int pid = -1;
  Fd pidfd;
};

// fork(2) with clone3(2) namespace flags. `child` runs in the new process, which exits with what
// it returns. The caller must have one thread only.
HostOr<Process> CloneProcess(uint64_t flags, const std::function<int()>& child);
// Opens a running process; `start_time` (from StartTime; 0: any) guards against a reused pid.
HostOr<Fd> OpenProcess(int pid, uint64_t start_time);
// Field 22 of /proc/PID/stat; 0 if there is no such process or it is a zombie.
uint64_t StartTime(int pid);
HostStatus SendSignal(const Fd& pidfd, int signal);
// Waits for a child and answers its exit status as a shell would: code, or 128 + signal.
HostOr<int> WaitChild(int pid);
// Waits until the process (any, not only a child) has exited. false: not within the time.
bool WaitGone(const Fd& pidfd, int timeout_ms);

// What RunProgram runs: a helper program such as an OCI hook.
struct ProgramOptions {
  std::string path;
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::string input;         // on its stdin
  int timeout_ms = -1;       // killed after that
};
// Runs a program to its end; an error if it cannot start, fails or takes too long.
HostStatus RunProgram(const ProgramOptions& options);

// argv or envp as execve(2) wants it; points into `strings`.
std::vector<char*> PointerArray(const std::vector<std::string>& strings);

}  // namespace runsc::host

#endif  // PLATFORM_HOST_PROCESS_H_
