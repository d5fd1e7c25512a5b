#include <sys/resource.h>

#include "runsc/spec/json_reader.h"
#include "runsc/spec/spec.h"

namespace runsc::spec {
namespace {

constexpr const char* kCapabilities[] = {
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
    "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
    "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
    "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
    "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};

struct LimitName {
  const char* name;
  int32_t resource;
};
constexpr LimitName kLimits[] = {
    {"RLIMIT_AS", RLIMIT_AS},           {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},         {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},     {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK}, {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},       {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},     {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},   {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING}, {"RLIMIT_STACK", RLIMIT_STACK},
};

void ReadCapabilities(const JsonReader& caps, const char* name, uint64_t* out) {
  std::vector<std::string> names;
  caps.Get(name, &names);
  for (const std::string& cap : names) {
    HostOr<uint64_t> bit = CapabilityBit(cap);
    if (!bit.ok()) return caps.Fail(name, bit.error().text);
    *out |= *bit;
  }
}

void ReadLimit(const JsonReader& row, ProcessConfig* process) {
  RlimitConfig limit;
  std::string type;
  row.Get("type", &type);
  row.Get("soft", &limit.soft);
  row.Get("hard", &limit.hard);
  limit.resource = -1;
  for (const LimitName& known : kLimits) {
    if (type == known.name) limit.resource = known.resource;
  }
  if (limit.resource < 0) return row.Fail("type", "unknown limit \"" + type + "\"");
  if (limit.soft > limit.hard) return row.Fail("soft", "is larger than hard");
  process->rlimits.push_back(limit);
}

// -1 means "none" to Linux and is nobody's id.
void CheckIds(const JsonReader& user, const ProcessConfig& process) {
  if (process.uid == UINT32_MAX) user.Fail("uid", "is no valid id");
  if (process.gid == UINT32_MAX) user.Fail("gid", "is no valid id");
  for (uint32_t gid : process.additional_gids) {
    if (gid == UINT32_MAX) user.Fail("additionalGids", "hold an id that is none");
  }
}

void ReadProcess(const JsonReader& p, ProcessConfig* out) {
  p.Get("args", &out->argv);
  p.Get("env", &out->env);
  p.Get("cwd", &out->cwd);
  p.Get("terminal", &out->terminal);
  p.Get("noNewPrivileges", &out->no_new_privs);
  p.Get("oomScoreAdj", &out->oom_score_adj);
  if (out->oom_score_adj < -1000 || out->oom_score_adj > 1000) {
    p.Fail("oomScoreAdj", "must be between -1000 and 1000");
  }
  JsonReader size = p.Object("consoleSize");
  size.Get("height", &out->rows);
  size.Get("width", &out->columns);
  JsonReader user = p.Object("user");
  user.Get("uid", &out->uid);
  user.Get("gid", &out->gid);
  user.Get("umask", &out->umask);
  user.Get("additionalGids", &out->additional_gids);
  CheckIds(user, *out);
  JsonReader caps = p.Object("capabilities");
  ReadCapabilities(caps, "bounding", &out->capabilities.bounding);
  ReadCapabilities(caps, "effective", &out->capabilities.effective);
  ReadCapabilities(caps, "inheritable", &out->capabilities.inheritable);
  ReadCapabilities(caps, "permitted", &out->capabilities.permitted);
  ReadCapabilities(caps, "ambient", &out->capabilities.ambient);
  p.Each("rlimits", [&](const JsonReader& row) { ReadLimit(row, out); });
  if (out->argv.empty()) p.Fail("args", "must name the program to run");
  if (out->cwd.empty() || out->cwd[0] != '/') p.Fail("cwd", "must be an absolute path");
  for (const std::string& variable : out->env) {
    if (variable.find('=') == std::string::npos) {
      p.Fail("env", "\"" + variable + "\" is not NAME=VALUE");
    }
  }
}

void ReadHooks(const JsonReader& hooks, const char* name, std::vector<Hook>* out) {
  hooks.Each(name, [&](const JsonReader& row) {
    Hook hook;
    row.Get("path", &hook.path);
    row.Get("args", &hook.args);
    row.Get("env", &hook.env);
    row.Get("timeout", &hook.timeout_seconds);
    if (hook.path.empty() || hook.path[0] != '/') row.Fail("path", "must be an absolute path");
    if (row.Has("timeout") && hook.timeout_seconds <= 0) row.Fail("timeout", "must be above zero");
    out->push_back(std::move(hook));
  });
}

void ReadMappings(const JsonReader& linux_part, const char* name, std::vector<IdMapping>* out) {
  linux_part.Each(name, [&](const JsonReader& row) {
    IdMapping m;
    row.Get("containerID", &m.inside);
    row.Get("hostID", &m.outside);
    row.Get("size", &m.count);
    if (m.count == 0) row.Fail("size", "must be above zero");
    out->push_back(m);
  });
}

void ReadMount(const JsonReader& row, Spec* out) {
  MountSpec m;
  row.Get("destination", &m.destination);
  row.Get("type", &m.type);
  row.Get("source", &m.source);
  row.Get("options", &m.options);
  if (m.destination.empty()) return row.Fail("destination", "must be given");
  // The specification once allowed relative ones; engines mean the root.
  if (m.destination[0] != '/') m.destination.insert(0, "/");
  out->mounts.push_back(std::move(m));
}

void ReadLinux(const JsonReader& l, Spec* out) {
  l.Each("namespaces", [&](const JsonReader& row) {
    NamespaceSpec ns;
    row.Get("type", &ns.type);
    row.Get("path", &ns.path);
    if (ns.type.empty()) row.Fail("type", "must be given");
    out->namespaces.push_back(std::move(ns));
  });
  ReadMappings(l, "uidMappings", &out->uid_mappings);
  ReadMappings(l, "gidMappings", &out->gid_mappings);
  l.Get("maskedPaths", &out->masked_paths);
  l.Get("readonlyPaths", &out->read_only_paths);
  l.Get("cgroupsPath", &out->cgroups_path);
  l.EachString("sysctl", [&](const std::string& name, const std::string& value) {
    out->sysctls.emplace_back(name, value);
  });
}

void ReadSpec(const JsonReader& top, Spec* out) {
  top.Get("ociVersion", &out->oci_version);
  if (out->oci_version.empty()) top.Fail("ociVersion", "must be given");
  if (out->oci_version != "1" && out->oci_version.rfind("1.", 0) != 0) {
    top.Fail("ociVersion", "only version 1 is supported");
  }
  if (!top.Has("process")) top.Fail("process", "must be given");
  ReadProcess(top.Object("process"), &out->process);
  JsonReader root = top.Object("root");
  root.Get("path", &out->root_path);
  root.Get("readonly", &out->root_read_only);
  if (out->root_path.empty()) top.Fail("root.path", "must be given");
  top.Get("hostname", &out->hostname);
  top.Get("domainname", &out->domainname);
  if (out->hostname.size() > 64) top.Fail("hostname", "is longer than 64 bytes");
  top.Each("mounts", [&](const JsonReader& row) { ReadMount(row, out); });
  JsonReader hooks = top.Object("hooks");
  ReadHooks(hooks, "prestart", &out->hooks.prestart);
  ReadHooks(hooks, "createRuntime", &out->hooks.create_runtime);
  ReadHooks(hooks, "createContainer", &out->hooks.create_container);
  ReadHooks(hooks, "startContainer", &out->hooks.start_container);
  ReadHooks(hooks, "poststart", &out->hooks.poststart);
  ReadHooks(hooks, "poststop", &out->hooks.poststop);
  ReadLinux(top.Object("linux"), out);
  top.EachString("annotations", [&](const std::string& name, const std::string& value) {
    out->annotations[name] = value;
  });
}

HostOr<JsonReader::Json> ParseJson(std::string_view text) {
  JsonReader::Json json = JsonReader::Json::parse(text, nullptr, false);
  if (json.is_discarded()) return TextError("not valid JSON");
  if (!json.is_object()) return TextError("must be a JSON object");
  return json;
}

}  // namespace

HostOr<uint64_t> CapabilityBit(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  if (upper.rfind("CAP_", 0) == 0) upper.erase(0, 4);
  for (size_t i = 0; i < std::size(kCapabilities); ++i) {
    if (upper == kCapabilities[i]) return uint64_t{1} << i;
  }
  return TextError("unknown capability \"%s\"", std::string(name).c_str());
}

HostOr<Spec> ParseSpec(std::string_view text) {
  HostOr<JsonReader::Json> json = ParseJson(text);
  if (!json.ok()) return HostError{"config.json: " + json.error().text, 0};
  Spec out;
  std::string error;
  ReadSpec(JsonReader(&*json, "", &error), &out);
  if (!error.empty()) return HostError{"config.json: " + error, 0};
  return out;
}

HostOr<ProcessConfig> ParseProcess(std::string_view text) {
  HostOr<JsonReader::Json> json = ParseJson(text);
  if (!json.ok()) return HostError{"process file: " + json.error().text, 0};
  ProcessConfig out;
  std::string error;
  ReadProcess(JsonReader(&*json, "", &error), &out);
  if (!error.empty()) return HostError{"process file: " + error, 0};
  return out;
}

}  // namespace runsc::spec
