#include "runsc/boot/special_mounts.h"

#include <sys/stat.h>

#include <charconv>
#include <string_view>

#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/fs/tty/devpts.h"

namespace runsc::boot {
namespace {

struct Node {
  const char* name;
  uint32_t mode;
  DeviceId dev;
};
// The devices every container has (OCI config-linux, "Default Devices").
constexpr Node kNodes[] = {
    {"null", S_IFCHR | 0666, {1, 3}},   {"zero", S_IFCHR | 0666, {1, 5}},
    {"full", S_IFCHR | 0666, {1, 7}},   {"random", S_IFCHR | 0666, {1, 8}},
    {"urandom", S_IFCHR | 0666, {1, 9}}, {"tty", S_IFCHR | 0666, {5, 0}},
};

struct Link {
  const char* name;
  const char* target;
};
constexpr Link kLinks[] = {
    {"ptmx", "pts/ptmx"},          {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"},
};

HostOr<Ref<Filesystem>> NewDev(Kernel& kernel, const Ref<Credentials>& root) {
  Ref<Tmpfs> fs = Tmpfs::New(kernel.memory(), {.mode = 0755}, "tmpfs");
  Ref<Inode> dir = fs->root();
  OpContext op{*root, nullptr};
  for (const Node& node : kNodes) {
    ErrnoOr<Ref<Inode>> made = TmpfsAddDevice(*dir, node.name, node.mode, node.dev);
    if (!made.ok()) return TextError("cannot make /dev/%s: %s", node.name, ErrnoName(made.error()));
  }
  for (const Link& link : kLinks) {
    ErrnoOr<Ref<Inode>> made = dir->Symlink(op, link.name, link.target);
    if (!made.ok()) return TextError("cannot make /dev/%s: %s", link.name, ErrnoName(made.error()));
  }
  for (const char* name : {"pts", "shm", "mqueue"}) {
    ErrnoOr<Ref<Inode>> made = dir->Mkdir(op, name, 0755);
    if (!made.ok()) return TextError("cannot make /dev/%s: %s", name, ErrnoName(made.error()));
  }
  return Ref<Filesystem>(std::move(fs));
}

// devpts(5): "mode=0620,gid=5,ptmxmode=0666,newinstance".
HostOr<Ref<Filesystem>> NewDevpts(const MountConfig& m) {
  DevptsOptions options;
  for (std::string_view option : m.data) {
    size_t equals = option.find('=');
    std::string_view name = option.substr(0, equals);
    std::string_view value = equals == std::string_view::npos ? "" : option.substr(equals + 1);
    auto number = [&](uint32_t* out, int base) {
      auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), *out, base);
      return error == std::errc() && end == value.data() + value.size();
    };
    bool known = name == "newinstance" || (name == "mode" && number(&options.mode, 8)) ||
                 (name == "gid" && number(&options.gid, 10)) ||
                 (name == "ptmxmode" && number(&options.ptmx_mode, 8)) ||
                 (name == "max" && number(&options.max, 10));
    if (!known) {
      return TextError("mount %s: bad option \"%s\"", m.destination.c_str(),
                       std::string(option).c_str());
    }
  }
  return Ref<Filesystem>(Devpts::New(options));
}

}  // namespace

HostOr<Ref<Filesystem>> NewSpecialFilesystem(const MountConfig& mount, Kernel& kernel,
                                             const Ref<Credentials>& root) {
  switch (mount.kind) {
    case MountKind::kDev: return NewDev(kernel, root);
    case MountKind::kDevpts: return NewDevpts(mount);
    default: return Ref<Filesystem>();
  }
}

void RegisterDevices() { RegisterTerminals(); }

}  // namespace runsc::boot
