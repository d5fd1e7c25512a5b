#include "runsc/control/messages.h"

#include <cstring>
#include <type_traits>

namespace runsc::control {
namespace {

// Bounds that no honest message reaches; they keep a broken one from taking memory.
constexpr uint32_t kMaxElements = 1u << 21;

class Writer {
 public:
  template <typename T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  void operator()(T& v) {
    out_.append(reinterpret_cast<const char*>(&v), sizeof(v));
  }
  void operator()(std::string& s) {
    Size(s.size());
    out_ += s;
  }
  template <typename T>
  void operator()(std::vector<T>& list) {
    Size(list.size());
    for (T& v : list) Item(v);
  }
  template <typename T>
    requires std::is_class_v<T>
  void operator()(T& v) {
    Visit(*this, v);
  }
  std::string Take() { return std::move(out_); }

 private:
  template <typename T>
  void Item(T& v) {
    (*this)(v);
  }
  void Item(std::pair<std::string, std::string>& v) {
    (*this)(v.first);
    (*this)(v.second);
  }
  void Size(size_t n) {
    uint32_t size = static_cast<uint32_t>(n);
    (*this)(size);
  }
  std::string out_;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}

  template <typename T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  void operator()(T& v) {
    if (in_.size() < sizeof(v)) return Fail();
    if constexpr (std::is_same_v<T, bool>) {
      v = in_[0] != 0;
    } else {
      std::memcpy(&v, in_.data(), sizeof(v));
    }
    in_.remove_prefix(sizeof(v));
  }
  void operator()(std::string& s) {
    uint32_t size = 0;
    (*this)(size);
    if (size > in_.size()) return Fail();
    s.assign(in_.substr(0, size));
    in_.remove_prefix(size);
  }
  template <typename T>
  void operator()(std::vector<T>& list) {
    uint32_t size = 0;
    (*this)(size);
    // Every element takes a byte or more.
    if (size > kMaxElements || size > in_.size()) return Fail();
    list.clear();
    for (uint32_t i = 0; i < size && ok_; ++i) Item(list.emplace_back());
  }
  template <typename T>
    requires std::is_class_v<T>
  void operator()(T& v) {
    Visit(*this, v);
  }
  bool Done() const { return ok_ && in_.empty(); }

 private:
  template <typename T>
  void Item(T& v) {
    (*this)(v);
  }
  void Item(std::pair<std::string, std::string>& v) {
    (*this)(v.first);
    (*this)(v.second);
  }
  void Fail() {
    ok_ = false;
    in_ = {};
  }
  std::string_view in_;
  bool ok_ = true;
};

template <typename A, typename... F>
void All(A& a, F&... fields) {
  (a(fields), ...);
}

template <typename A>
void Visit(A& a, CapabilitySets& m) {
  All(a, m.bounding, m.effective, m.inheritable, m.permitted, m.ambient);
}
template <typename A>
void Visit(A& a, RlimitConfig& m) {
  All(a, m.resource, m.soft, m.hard);
}
template <typename A>
void Visit(A& a, ProcessConfig& m) {
  All(a, m.argv, m.env, m.cwd, m.uid, m.gid, m.umask, m.additional_gids, m.capabilities, m.rlimits,
      m.no_new_privs, m.oom_score_adj, m.terminal, m.rows, m.columns);
}
template <typename A>
void Visit(A& a, MountConfig& m) {
  All(a, m.kind, m.destination, m.source, m.attach_point, m.flags, m.data);
}
template <typename A>
void Visit(A& a, ContainerConfig& m) {
  All(a, m.id, m.hostname, m.domainname, m.process, m.killable_init,
      m.root_read_only, m.root_overlay,
      m.mounts_overlay, m.overlay_bytes, m.root_shared, m.mounts_shared, m.mounts, m.masked_paths,
      m.read_only_paths, m.sysctls);
}
template <typename A>
void Visit(A& a, BootRequest& m) {
  All(a, m.platform, m.fast_path, m.patch_syscalls, m.seccomp, m.trap_violations, m.strace,
      m.strace_syscalls, m.strace_log_size, m.allow_suid, m.cpus, m.total_memory);
}
template <typename A>
void Visit(A& a, BootReply& m) {
  All(a, m.platform, m.reason);
}
template <typename A>
void Visit(A& a, ContainerRef& m) {
  All(a, m.id);
}
template <typename A>
void Visit(A& a, WaitRequest& m) {
  All(a, m.id, m.pid);
}
template <typename A>
void Visit(A& a, WaitReply& m) {
  All(a, m.status);
}
template <typename A>
void Visit(A& a, SignalRequest& m) {
  All(a, m.id, m.target, m.pid, m.signal);
}
template <typename A>
void Visit(A& a, ExecRequest& m) {
  All(a, m.id, m.process, m.inherit, m.inherit_user, m.user_name, m.attached);
}
template <typename A>
void Visit(A& a, ExecReply& m) {
  All(a, m.pid);
}
template <typename A>
void Visit(A& a, ProcessRow& m) {
  All(a, m.uid, m.pid, m.ppid, m.threads, m.start_seconds, m.cpu_nanos, m.command);
}
template <typename A>
void Visit(A& a, ProcessesReply& m) {
  All(a, m.rows);
}
template <typename A>
void Visit(A& a, ContainerState& m) {
  All(a, m.id, m.started, m.pid);
}
template <typename A>
void Visit(A& a, StateReply& m) {
  All(a, m.platform, m.containers);
}

}  // namespace

template <typename T>
std::string Encode(const T& message) {
  Writer w;
  w(const_cast<T&>(message));
  return w.Take();
}

template <typename T>
bool Decode(std::string_view bytes, T* message) {
  Reader r(bytes);
  r(*message);
  return r.Done();
}

#define MESSAGE(T)                          \
  template std::string Encode(const T&);    \
  template bool Decode(std::string_view, T*);
MESSAGE(ContainerConfig)
MESSAGE(BootRequest)
MESSAGE(BootReply)
MESSAGE(ContainerRef)
MESSAGE(WaitRequest)
MESSAGE(WaitReply)
MESSAGE(SignalRequest)
MESSAGE(ExecRequest)
MESSAGE(ExecReply)
MESSAGE(ProcessesReply)
MESSAGE(StateReply)
#undef MESSAGE

std::string EncodeReply(const HostError& error) {
  std::string out(1, '\0');
  int32_t code = error.code;
  out.append(reinterpret_cast<const char*>(&code), sizeof(code));
  return out + error.text;
}

std::string EncodeReply(std::string_view answer) {
  std::string out(1, '\1');
  out += answer;
  return out;
}

HostOr<std::string_view> DecodeReply(std::string_view payload) {
  if (payload.empty()) return TextError("the sandbox sent an empty reply");
  if (payload[0] == '\1') return payload.substr(1);
  int32_t code = 0;
  if (payload.size() < 1 + sizeof(code)) return TextError("the sandbox sent a truncated reply");
  std::memcpy(&code, payload.data() + 1, sizeof(code));
  return HostError{std::string(payload.substr(1 + sizeof(code))), code};
}

}  // namespace runsc::control
