#ifndef RUNSC_CONTROL_MESSAGES_H_
#define RUNSC_CONTROL_MESSAGES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/host/error.h"
#include "runsc/spec/container_config.h"

namespace runsc::control {

// The protocol between runsc and the sandbox process. A frame is a header and a payload; every
// request is answered by one kReply with the request's sequence number. Both ends are the same
// binary in practice, but an older sandbox may meet a newer runsc: the version is checked.
inline constexpr uint32_t kMagic = 0x31435352;  // "RSC1"
inline constexpr uint16_t kVersion = 1;
inline constexpr uint32_t kMaxPayload = 8u << 20;

enum class Type : uint16_t {
  kReply,
  kBoot,       // BootRequest -> BootReply. First message, on the boot channel only.
  kCreate,     // ContainerConfig; descriptors: kCreateFds and on -> nothing
  kAdopt,      // descriptors: listening socket, exit file. The sandbox outlives the boot channel.
  kStart,      // ContainerRef -> nothing
  kWait,       // WaitRequest -> WaitReply, when the process has ended
  kSignal,     // SignalRequest -> nothing
  kExec,       // ExecRequest; descriptors: stdin, stdout, stderr -> ExecReply
  kProcesses,  // ContainerRef -> ProcessesReply
  kState,      // nothing -> StateReply
  kStop,       // nothing -> nothing; every container is killed and the sandbox exits
  kCount,
};

// Descriptors that come with kCreate: stdin, stdout, stderr, the gofer's connection.
inline constexpr size_t kCreateFds = 4;

struct Header {
  uint32_t magic;
  uint16_t version;
  Type type;
  uint32_t length;
  uint32_t sequence;
};
static_assert(sizeof(Header) == 16);

// What the sandbox is told before anything else.
struct BootRequest {
  std::string platform;  // "auto", "systrap", "ptrace"
  bool fast_path = true;
  bool patch_syscalls = true;
  bool seccomp = true;         // install the sentry's filter (off only by --unsafe-allow-…)
  bool trap_violations = false;  // --debug-filters: report what the filter refuses
  bool strace = false;
  std::vector<std::string> strace_syscalls;
  uint32_t strace_log_size = 1024;
  bool allow_suid = false;
  int32_t cpus = 1;
  uint64_t total_memory = 0;
};
struct BootReply {
  std::string platform;  // the one in use
  std::string reason;    // why, as text
};

struct ContainerRef {
  std::string id;
};
struct WaitRequest {
  std::string id;
  int32_t pid = 0;  // 0: the container's init
};
struct WaitReply {
  int32_t status = 0;  // exit code, or 128 + signal
};
enum class SignalTarget : uint8_t { kInit, kAll, kPid, kGroup, kForeground };
struct SignalRequest {
  std::string id;
  SignalTarget target = SignalTarget::kInit;
  int32_t pid = 0;     // kPid, kGroup; kForeground: of the terminal of this process (0: init)
  int32_t signal = 0;
};
struct ExecRequest {
  std::string id;
  ProcessConfig process;
  // Capabilities and limits are the container's init's; so are the environment, to which
  // process.env is added, and the working directory if process.cwd is empty.
  bool inherit = true;
  bool inherit_user = true;  // user and groups are the init's
  std::string user_name;     // if not empty: looked up in the container's /etc/passwd
  // The process is killed when the connection that asked for it goes away.
  bool attached = true;
};
struct ExecReply {
  int32_t pid = 0;
};
struct ProcessRow {
  int32_t uid = 0, pid = 0, ppid = 0, threads = 0;
  uint64_t start_seconds = 0;  // since the epoch
  uint64_t cpu_nanos = 0;
  std::string command;
};
struct ProcessesReply {
  std::vector<ProcessRow> rows;
};
struct ContainerState {
  std::string id;
  bool started = false;
  int32_t pid = 0;  // init, in the sandbox
};
struct StateReply {
  std::string platform;
  std::vector<ContainerState> containers;
};

// Binary form of a message; every message above and ContainerConfig can be encoded.
template <typename T>
std::string Encode(const T& message);
// False: truncated, too long or out of range; `message` is then unspecified. Extra bytes at the
// end are refused too.
template <typename T>
bool Decode(std::string_view bytes, T* message);

// Payload of a kReply: an error, or an encoded answer.
std::string EncodeReply(const HostError& error);
std::string EncodeReply(std::string_view answer);
// The answer's bytes inside `payload`.
HostOr<std::string_view> DecodeReply(std::string_view payload);

}  // namespace runsc::control

#endif  // RUNSC_CONTROL_MESSAGES_H_
