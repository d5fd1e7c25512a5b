#ifndef RUNSC_CONTAINER_STATE_H_
#define RUNSC_CONTAINER_STATE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "platform/host/error.h"
#include "runsc/spec/spec.h"

namespace runsc::container {

// A process of the host that must not be confused with a later one of the same pid.
struct ProcessName {
  int32_t pid = 0;
  uint64_t start_time = 0;
};

enum class Status { kCreating, kCreated, kRunning, kStopped };
const char* StatusName(Status status);

// What is kept about a container between commands (state.json in its state directory).
struct State {
  std::string id;
  std::string oci_version;
  Status status = Status::kCreating;  // kStopped is never stored: the sandbox's death says it
  ProcessName sandbox;
  ProcessName gofer;
  std::string bundle;
  std::string rootfs;
  std::string created;  // RFC 3339
  std::string owner;
  std::map<std::string, std::string> annotations;
  std::vector<spec::Hook> poststart, poststop;
};

std::string ToJson(const State& state);
// code EBADMSG: damaged, or of another version.
HostOr<State> FromJson(std::string_view json);

// The OCI state document: "runsc state", list, and the stdin of hooks. `pretty`: indented.
std::string OciState(const State& state, bool pretty);
// A JSON array of such documents.
std::string OciStates(const std::vector<State>& states);

// Runs hooks one after the other with the state on their stdin; the first failure ends it.
HostStatus RunHooks(const char* kind, const std::vector<spec::Hook>& hooks, const State& state);

}  // namespace runsc::container

#endif  // RUNSC_CONTAINER_STATE_H_
