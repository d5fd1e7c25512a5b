#include "runsc/boot/platforms.h"

#include "platform/ptrace/ptrace.h"
#include "platform/systrap/systrap.h"

namespace runsc::boot {
namespace {

using platform::PlatformFactory;

struct Row {
  const PlatformFactory& (*factory)();
};
// In order of preference for "auto". The only place that names concrete platforms.
constexpr Row kPlatforms[] = {
    {platform::SystrapFactory},
    {platform::PtraceFactory},
};

}  // namespace

std::vector<PlatformInfo> ListPlatforms() {
  std::vector<PlatformInfo> out;
  for (const Row& row : kPlatforms) {
    const PlatformFactory& factory = row.factory();
    std::optional<std::string> why_not = factory.self_test();
    out.push_back({factory.name, why_not ? "does not work here: " + *why_not : "works here"});
  }
  out.push_back({"kvm", "not in this release"});
  return out;
}

HostOr<PlatformChoice> ChoosePlatform(const std::string& name) {
  std::string reasons;
  for (const Row& row : kPlatforms) {
    const PlatformFactory& factory = row.factory();
    if (name != "auto" && name != factory.name) continue;
    std::optional<std::string> why_not = factory.self_test();
    if (!why_not) {
      return PlatformChoice{&factory, name == "auto" ? "self-test passed" + reasons
                                                     : "asked for by name"};
    }
    reasons += std::string("; ") + factory.name + ": " + *why_not;
  }
  if (reasons.empty()) return TextError("unknown platform \"%s\"", name.c_str());
  return TextError("no platform works on this host%s", reasons.c_str());
}

}  // namespace runsc::boot
