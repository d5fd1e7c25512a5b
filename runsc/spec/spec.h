#ifndef RUNSC_SPEC_SPEC_H_
#define RUNSC_SPEC_SPEC_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "platform/host/error.h"
#include "runsc/spec/container_config.h"

namespace runsc::spec {

// The OCI runtime specification's config.json as far as we act on it; other fields are ignored,
// as the specification says. Names are its own.

struct MountSpec {
  std::string destination, type, source;
  std::vector<std::string> options;
};

struct Hook {
  std::string path;
  std::vector<std::string> args, env;
  int64_t timeout_seconds = 0;  // 0: none
};

struct Hooks {
  std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart,
      poststop;
};

struct NamespaceSpec {
  std::string type, path;
};

struct Spec {
  std::string oci_version;
  ProcessConfig process;
  std::string root_path;
  bool root_read_only = false;
  std::string hostname, domainname;
  std::vector<MountSpec> mounts;
  Hooks hooks;
  std::vector<NamespaceSpec> namespaces;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::vector<std::string> masked_paths, read_only_paths;
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::string cgroups_path;
  std::map<std::string, std::string> annotations;
};

// Parses and checks a config.json. Errors name the place: "config.json: process.cwd: …".
HostOr<Spec> ParseSpec(std::string_view json);
// Parses the "process" object alone (runsc exec --process).
HostOr<ProcessConfig> ParseProcess(std::string_view json);
// What `runsc spec` writes.
std::string TemplateSpec(const std::string& cwd, const std::string& netns,
                         const std::vector<std::string>& args);

// Mask of CAP_* bits for a name such as "CAP_CHOWN" or "chown"; error if unknown.
HostOr<uint64_t> CapabilityBit(std::string_view name);
// "uid[:gid]" in numbers; false if it is not.
bool ParseUser(std::string_view text, uint32_t* uid, uint32_t* gid);

// A host tree that the container's gofer must serve.
struct GoferTree {
  std::string source;
  bool read_only = false;
};

// Everything needed to start the container a spec describes.
struct Plan {
  ContainerConfig config;
  std::vector<GoferTree> trees;  // by attach point; the root is the first
};

// Makes the choices: paths against `bundle`, mounts by kind, the mounts every Linux container
// has. Overlay fields of the config are the caller's.
HostOr<Plan> MakePlan(const Spec& spec, const std::string& id, const std::string& bundle);

}  // namespace runsc::spec

#endif  // RUNSC_SPEC_SPEC_H_
