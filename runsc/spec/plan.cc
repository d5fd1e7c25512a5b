#include <sys/mount.h>

#include <algorithm>
#include <charconv>

#include "runsc/spec/spec.h"

namespace runsc::spec {
namespace {

struct OptionRow {
  const char* name;
  uint32_t set, clear;
};
// Options that are flags of mount(8); bind and propagation words are handled or have no meaning
// inside a sandbox. Others go to the file system.
constexpr OptionRow kOptions[] = {
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"nosuid", MS_NOSUID, 0},
    {"suid", 0, MS_NOSUID},
    {"nodev", MS_NODEV, 0},
    {"dev", 0, MS_NODEV},
    {"noexec", MS_NOEXEC, 0},
    {"exec", 0, MS_NOEXEC},
    {"sync", MS_SYNCHRONOUS, 0},
    {"async", 0, MS_SYNCHRONOUS},
    {"noatime", MS_NOATIME, 0},
    {"atime", 0, MS_NOATIME},
    {"nodiratime", MS_NODIRATIME, 0},
    {"diratime", 0, MS_NODIRATIME},
    {"relatime", MS_RELATIME, 0},
    {"norelatime", 0, MS_RELATIME},
    {"strictatime", MS_STRICTATIME, 0},
    {"nostrictatime", 0, MS_STRICTATIME},
    {"defaults", 0, 0},
    {"remount", 0, 0},
    {"bind", MS_BIND, 0},
    {"rbind", MS_BIND, 0},
    {"private", 0, 0},
    {"rprivate", 0, 0},
    {"slave", 0, 0},
    {"rslave", 0, 0},
    {"shared", 0, 0},
    {"rshared", 0, 0},
    {"unbindable", 0, 0},
    {"runbindable", 0, 0},
};

struct KindRow {
  const char* type;
  MountKind kind;
};
constexpr KindRow kKinds[] = {
    {"tmpfs", MountKind::kTmpfs},   {"proc", MountKind::kProc},      {"sysfs", MountKind::kSysfs},
    {"devpts", MountKind::kDevpts}, {"devtmpfs", MountKind::kDev},   {"mqueue", MountKind::kMqueue},
    {"cgroup", MountKind::kCgroup}, {"cgroup2", MountKind::kCgroup},
};

void ApplyOption(const std::string& option, MountConfig* out) {
  for (const OptionRow& row : kOptions) {
    if (option != row.name) continue;
    out->flags = (out->flags & ~row.clear) | row.set;
    return;
  }
  out->data.push_back(option);
}

// Removes "//", "/./" and trailing slashes; ".." is left for the guest's own lookup.
std::string Clean(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    size_t slash = path.find('/');
    std::string_view part = path.substr(0, slash);
    if (!part.empty() && part != ".") out += "/" + std::string(part);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return out.empty() ? "/" : out;
}

std::string Absolute(const std::string& path, const std::string& bundle) {
  return !path.empty() && path[0] == '/' ? path : bundle + "/" + path;
}

HostOr<MountConfig> PlanMount(const MountSpec& m, const std::string& bundle,
                              std::vector<GoferTree>* trees) {
  MountConfig out;
  out.destination = Clean(m.destination);
  if (out.destination == "/") {
    return TextError("config.json: mounts: %s is the root itself; set root.path instead",
                     m.destination.c_str());
  }
  out.source = m.source;
  for (const std::string& option : m.options) ApplyOption(option, &out);
  if (m.type == "bind" || (out.flags & MS_BIND) != 0) {
    if (m.source.empty()) {
      return TextError("config.json: mounts: %s: source must be given", m.destination.c_str());
    }
    out.kind = MountKind::kGofer;
    out.flags &= ~static_cast<uint32_t>(MS_BIND);
    out.attach_point = static_cast<uint32_t>(trees->size());
    trees->push_back({Absolute(m.source, bundle), (out.flags & MS_RDONLY) != 0});
    return out;
  }
  for (const KindRow& row : kKinds) {
    if (m.type != row.type) continue;
    out.kind = row.kind;
    // Engines ask for a plain tmpfs on /dev and leave the device files to the runtime.
    if (out.destination == "/dev") out.kind = MountKind::kDev;
    return out;
  }
  return TextError("config.json: mounts: %s: unknown type \"%s\"", m.destination.c_str(),
                   m.type.c_str());
}

struct Mandatory {
  MountKind kind;
  const char* destination;
  const char* source;
  uint32_t flags;
  const char* data;
};
// What every Linux container has, if the spec does not say otherwise (OCI config-linux, "Default
// Filesystems"); in the order in which they must be mounted.
constexpr Mandatory kMandatory[] = {
    {MountKind::kProc, "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""},
    {MountKind::kSysfs, "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, ""},
    {MountKind::kDev, "/dev", "dev", MS_NOSUID | MS_NOEXEC, ""},
    {MountKind::kDevpts, "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, ""},
    {MountKind::kTmpfs, "/dev/shm", "shm", MS_NOSUID | MS_NODEV, "mode=1777"},
};

bool HasMount(const std::vector<MountConfig>& mounts, std::string_view destination) {
  return std::any_of(mounts.begin(), mounts.end(),
                     [&](const MountConfig& m) { return m.destination == destination; });
}

size_t Depth(const MountConfig& m) {
  return static_cast<size_t>(std::count(m.destination.begin(), m.destination.end(), '/'));
}

void AddMandatory(std::vector<MountConfig>* mounts) {
  std::vector<MountConfig> all;
  for (const Mandatory& row : kMandatory) {
    if (HasMount(*mounts, row.destination)) continue;
    MountConfig m;
    m.kind = row.kind;
    m.destination = row.destination;
    m.source = row.source;
    m.flags = row.flags;
    if (*row.data != '\0') m.data.push_back(row.data);
    all.push_back(std::move(m));
  }
  all.insert(all.end(), mounts->begin(), mounts->end());
  // A parent is mounted before what lies below it; else the spec's order stays.
  std::stable_sort(all.begin(), all.end(),
                   [](const MountConfig& a, const MountConfig& b) { return Depth(a) < Depth(b); });
  mounts->swap(all);
}

}  // namespace

bool ParseUser(std::string_view text, uint32_t* uid, uint32_t* gid) {
  size_t colon = text.find(':');
  auto number = [](std::string_view part, uint32_t* out) {
    auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), *out);
    return error == std::errc() && end == part.data() + part.size() && *out != UINT32_MAX;
  };
  if (!number(text.substr(0, colon), uid)) return false;
  return colon == std::string_view::npos || number(text.substr(colon + 1), gid);
}

HostOr<Plan> MakePlan(const Spec& spec, const std::string& id, const std::string& bundle) {
  Plan plan;
  ContainerConfig& c = plan.config;
  c.id = id;
  c.hostname = spec.hostname;
  c.domainname = spec.domainname;
  // As Docker sends --domainname: the specification had no field for it at first.
  for (const auto& [name, value] : spec.sysctls) {
    if (name == "kernel.domainname" && c.domainname.empty()) c.domainname = value;
  }
  if (c.domainname.size() > 64) return TextError("config.json: domainname is longer than 64 bytes");
  c.process = spec.process;
  c.root_read_only = spec.root_read_only;
  c.masked_paths = spec.masked_paths;
  c.read_only_paths = spec.read_only_paths;
  c.sysctls = spec.sysctls;
  plan.trees.push_back({Absolute(spec.root_path, bundle), spec.root_read_only});
  for (const MountSpec& m : spec.mounts) {
    c.mounts.push_back(TRY(PlanMount(m, bundle, &plan.trees)));
  }
  AddMandatory(&c.mounts);
  return plan;
}

}  // namespace runsc::spec
