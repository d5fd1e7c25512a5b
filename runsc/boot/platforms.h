#ifndef RUNSC_BOOT_PLATFORMS_H_
#define RUNSC_BOOT_PLATFORMS_H_

#include <string>
#include <vector>

#include "platform/api/platform.h"
#include "platform/host/error.h"

namespace runsc::boot {

struct PlatformInfo {
  std::string name;
  std::string state;  // "works here", or why not
};

// Every platform in this binary with the result of its self-test (`runsc help platforms`).
std::vector<PlatformInfo> ListPlatforms();

struct PlatformChoice {
  const platform::PlatformFactory* factory = nullptr;
  std::string reason;
};
// The platform `name`, or for "auto" the first in order of preference whose self-test passes. A
// platform asked for by name is tested too. Forks; needs no threads to exist yet.
HostOr<PlatformChoice> ChoosePlatform(const std::string& name);

}  // namespace runsc::boot

#endif  // RUNSC_BOOT_PLATFORMS_H_
