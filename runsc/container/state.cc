#include "runsc/container/state.h"

#include <cerrno>
#include <nlohmann/json.hpp>

#include "platform/base/log.h"
#include "platform/host/process.h"
#include "runsc/spec/json_reader.h"

namespace runsc::container {
namespace {

using Json = nlohmann::ordered_json;

// Of state.json. Another number: the file is another release's, and nothing in it is believed.
constexpr int64_t kStateVersion = 1;

constexpr const char* kStatusNames[] = {"creating", "created", "running", "stopped"};

Json HooksToJson(const std::vector<spec::Hook>& hooks) {
  Json out = Json::array();
  for (const spec::Hook& h : hooks) {
    out.push_back(
        {{"path", h.path}, {"args", h.args}, {"env", h.env}, {"timeout", h.timeout_seconds}});
  }
  return out;
}

void HooksFromJson(const spec::JsonReader& top, const char* name, std::vector<spec::Hook>* out) {
  top.Each(name, [&](const spec::JsonReader& row) {
    spec::Hook& h = out->emplace_back();
    row.Get("path", &h.path);
    row.Get("args", &h.args);
    row.Get("env", &h.env);
    row.Get("timeout", &h.timeout_seconds);
  });
}

Json OciJson(const State& s) {
  Json out = {{"ociVersion", s.oci_version},
              {"id", s.id},
              {"status", StatusName(s.status)},
              {"pid", s.status == Status::kStopped ? 0 : s.sandbox.pid},
              {"bundle", s.bundle},
              {"rootfs", s.rootfs},
              {"created", s.created},
              {"owner", s.owner}};
  if (!s.annotations.empty()) out["annotations"] = s.annotations;
  return out;
}

HostError Unusable(const std::string& why) {
  return {"state.json " + why + "; only \"delete --force\" works on this container", EBADMSG};
}

// Bytes that are not UTF-8 (in a path, say) are replaced, not fatal.
std::string Dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

const char* StatusName(Status status) { return kStatusNames[static_cast<int>(status)]; }

std::string ToJson(const State& s) {
  Json out = OciJson(s);
  out["stateVersion"] = kStateVersion;
  out["pid"] = s.sandbox.pid;
  out["sandboxStart"] = s.sandbox.start_time;
  out["goferPid"] = s.gofer.pid;
  out["goferStart"] = s.gofer.start_time;
  out["poststart"] = HooksToJson(s.poststart);
  out["poststop"] = HooksToJson(s.poststop);
  return Dump(out, -1);
}

HostOr<State> FromJson(std::string_view text) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return Unusable("is damaged");
  State s;
  std::string error, status;
  spec::JsonReader top(&json, "", &error);
  int64_t version = 0;
  top.Get("stateVersion", &version);
  if (version != kStateVersion) return Unusable("is of another version of runsc");
  top.Get("id", &s.id);
  top.Get("ociVersion", &s.oci_version);
  top.Get("status", &status);
  top.Get("pid", &s.sandbox.pid);
  top.Get("sandboxStart", &s.sandbox.start_time);
  top.Get("goferPid", &s.gofer.pid);
  top.Get("goferStart", &s.gofer.start_time);
  top.Get("bundle", &s.bundle);
  top.Get("rootfs", &s.rootfs);
  top.Get("created", &s.created);
  top.Get("owner", &s.owner);
  top.EachString("annotations", [&](const std::string& name, const std::string& value) {
    s.annotations[name] = value;
  });
  HooksFromJson(top, "poststart", &s.poststart);
  HooksFromJson(top, "poststop", &s.poststop);
  for (int i = 0; i < 3; ++i) {
    if (status == kStatusNames[i]) s.status = static_cast<Status>(i);
  }
  if (!error.empty()) return Unusable("is damaged: " + error);
  return s;
}

std::string OciState(const State& state, bool pretty) {
  return Dump(OciJson(state), pretty ? 2 : -1);
}

std::string OciStates(const std::vector<State>& states) {
  Json out = Json::array();
  for (const State& s : states) out.push_back(OciJson(s));
  return Dump(out, -1);
}

HostStatus RunHooks(const char* kind, const std::vector<spec::Hook>& hooks, const State& state) {
  for (const spec::Hook& hook : hooks) {
    LOG_DEBUG("running %s hook %s", kind, hook.path.c_str());
    host::ProgramOptions program;
    program.path = hook.path;
    program.argv = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
    program.env = hook.env;
    program.input = OciState(state, false);
    if (hook.timeout_seconds > 0) {
      program.timeout_ms =
          static_cast<int>(std::min<int64_t>(hook.timeout_seconds, 2000000) * 1000);
    }
    HostStatus ran = host::RunProgram(program);
    if (!ran.ok()) return TextError("%s hook: %s", kind, ran.error().text.c_str());
  }
  return HostOk();
}

}  // namespace runsc::container
