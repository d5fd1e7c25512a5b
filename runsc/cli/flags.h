#ifndef RUNSC_CLI_FLAGS_H_
#define RUNSC_CLI_FLAGS_H_

#include <cstdint>
#include <map>
#include <string>

#include "platform/host/error.h"
#include "runsc/cli/flag_set.h"

namespace runsc::cli {

// Values of the global flags; one field a row of flags.def.
struct Flags {
  using Bool = bool;
  using Int = int64_t;
  using String = std::string;
#define FLAG(kind, field, name, def, choices, override, support, help) kind field = def;
#include "runsc/cli/flags.def"
#undef FLAG
};

// Makes `set` parse the global flags into `flags`, which must outlive it. Values that this release
// does not serve are refused with a text that says so.
void AddGlobalFlags(FlagSet& set, Flags* flags);
// Fills what depends on the environment (--root).
void FinishGlobalFlags(Flags* flags);
// Applies annotations dev.gvisor.flag.NAME=VALUE of a spec, as far as each flag's row and
// --allow-flag-override let them.
HostStatus ApplyAnnotations(const std::map<std::string, std::string>& annotations, Flags* flags);
// Global flags that differ from their defaults, as arguments ("--debug=true").
std::vector<std::string> ToArguments(const Flags& flags);

// --overlay2 taken apart.
struct OverlayChoice {
  bool root = false, mounts = false;
  std::string medium;  // "memory", "self" or a directory
  uint64_t bytes = 0;  // 0: no limit
};
HostOr<OverlayChoice> ParseOverlay(const std::string& text);

}  // namespace runsc::cli

#endif  // RUNSC_CLI_FLAGS_H_
