#include <nlohmann/json.hpp>

#include "runsc/spec/spec.h"

namespace runsc::spec {

std::string TemplateSpec(const std::string& cwd, const std::string& netns,
                         const std::vector<std::string>& args) {
  using Json = nlohmann::ordered_json;
  Json caps = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
  Json spec;
  spec["ociVersion"] = "1.0.2";
  spec["process"] = {
      {"terminal", true},
      {"user", {{"uid", 0}, {"gid", 0}}},
      {"args", args},
      {"env", {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"}},
      {"cwd", cwd},
      {"capabilities",
       {{"bounding", caps}, {"effective", caps}, {"inheritable", caps}, {"permitted", caps}}},
      {"rlimits", {{{"type", "RLIMIT_NOFILE"}, {"hard", 1024}, {"soft", 1024}}}},
  };
  spec["root"] = {{"path", "rootfs"}, {"readonly", true}};
  spec["hostname"] = "runsc";
  spec["mounts"] = {
      {{"destination", "/proc"}, {"type", "proc"}, {"source", "proc"}},
      {{"destination", "/dev"}, {"type", "tmpfs"}, {"source", "tmpfs"}},
      {{"destination", "/sys"},
       {"type", "sysfs"},
       {"source", "sysfs"},
       {"options", {"nosuid", "noexec", "nodev", "ro"}}},
  };
  Json network = {{"type", "network"}};
  if (!netns.empty()) network["path"] = netns;
  spec["linux"] = {{"namespaces",
                    Json::array({{{"type", "pid"}},
                                 network,
                                 {{"type", "ipc"}},
                                 {{"type", "uts"}},
                                 {{"type", "mount"}}})}};
  // Bytes that are not UTF-8 (in a path, say) are replaced, not fatal.
  return spec.dump(4, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace runsc::spec
