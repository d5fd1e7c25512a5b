#ifndef RUNSC_SANDBOX_SPAWN_H_
#define RUNSC_SANDBOX_SPAWN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "platform/host/error.h"
#include "platform/host/process.h"
#include "runsc/sandbox/isolation.h"
#include "runsc/spec/container_config.h"

namespace runsc::sandbox {

// The user that sentries run as, inside and outside their user namespace.
inline constexpr uint32_t kNobody = 65534;

// A process of this binary, started in its own namespaces.
struct SpawnOptions {
  std::vector<std::string> argv;
  std::vector<int> fds;               // become 0, 1, 2, … there; nothing else is inherited
  std::vector<Isolation> isolations;  // what it must have
  IsolationSet may_miss;              // what the user accepts to go without
  // Of the user namespace; empty: the identity of the id below.
  std::vector<IdMapping> uid_map, gid_map;
  uint32_t uid = 0, gid = 0;  // becomes these inside it
  // Its ids stand for our own outside, the only ones that may be mapped without root's rights.
  bool own_ids = false;
  bool drop_capabilities = false;
  bool die_with_parent = false;
  int controlling_tty = -1;  // index into fds
};

// Whether we have what root has on a host: its capabilities, and nobody's id.
bool HasRootsRights();

// Starts it and returns when the new image runs. Errors name what the host forbids and what to do.
HostOr<host::Process> Spawn(const SpawnOptions& options);

}  // namespace runsc::sandbox

#endif  // RUNSC_SANDBOX_SPAWN_H_
