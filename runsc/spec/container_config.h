#ifndef RUNSC_SPEC_CONTAINER_CONFIG_H_
#define RUNSC_SPEC_CONTAINER_CONFIG_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace runsc {

// What the sentry is told about a container: the OCI spec with every choice made and every name
// turned into a number, so that the sentry never parses JSON. Sent by runsc/control.

// CAP_* bits per set (capabilities(7)).
struct CapabilitySets {
  uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
};

struct RlimitConfig {
  int32_t resource = 0;  // RLIMIT_*
  uint64_t soft = 0, hard = 0;
};

struct ProcessConfig {
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::string cwd = "/";
  uint32_t uid = 0, gid = 0;
  uint32_t umask = 022;
  std::vector<uint32_t> additional_gids;
  CapabilitySets capabilities;
  std::vector<RlimitConfig> rlimits;
  bool no_new_privs = false;
  int32_t oom_score_adj = 0;
  // stdin, stdout and stderr are one terminal, which becomes the controlling one.
  bool terminal = false;
  uint16_t rows = 0, columns = 0;  // 0: as the terminal has it
};

enum class MountKind : uint8_t { kGofer, kTmpfs, kProc, kSysfs, kDev, kDevpts, kMqueue, kCgroup };

struct MountConfig {
  MountKind kind = MountKind::kTmpfs;
  std::string destination;     // absolute, inside the container
  std::string source;          // what /proc/mounts shows
  uint32_t attach_point = 0;   // kGofer: index at the gofer; 0 is the root
  uint32_t flags = 0;          // MS_RDONLY, MS_NOSUID, …
  std::vector<std::string> data;  // other options: "size=64m", "mode=1777"
};

enum class OverlayKind : uint8_t { kNone, kMemory, kSelf, kDir };

struct IdMapping {
  uint32_t inside = 0, outside = 0, count = 0;
};

struct ContainerConfig {
  std::string id;
  std::string hostname;
  std::string domainname;
  ProcessConfig process;
  // Signals end the init as they would any process, though it is pid 1 (do).
  bool killable_init = false;
  bool root_read_only = false;
  OverlayKind root_overlay = OverlayKind::kMemory;
  OverlayKind mounts_overlay = OverlayKind::kNone;
  uint64_t overlay_bytes = 0;   // limit of the overlay's upper layer; 0: none
  bool root_shared = false;     // --file-access=shared: revalidate
  bool mounts_shared = true;    // --file-access-mounts=shared
  std::vector<MountConfig> mounts;
  std::vector<std::string> masked_paths;
  std::vector<std::string> read_only_paths;
  std::vector<std::pair<std::string, std::string>> sysctls;
};

}  // namespace runsc

#endif  // RUNSC_SPEC_CONTAINER_CONFIG_H_
