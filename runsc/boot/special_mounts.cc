#include "runsc/boot/special_mounts.h"

#include <charconv>
#include <string_view>

#include "sentry/fs/dev/dev.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/fs/proc/proc_fs.h"
#include "sentry/fs/sys/sys_fs.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/fs/tty/devpts.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/filesystem_types.h"

namespace runsc::boot {
namespace {

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

// mount(2) by the guest.
ErrnoOr<Ref<Filesystem>> MountProc(const OpContext& op, std::string_view, std::string_view options) {
  if (!options.empty()) return Errno::kInval;
  return Ref<Filesystem>(ProcFs::New(op.task->kernel(), Ref<PidNamespace>(&op.task->pid_ns())));
}

ErrnoOr<Ref<Filesystem>> MountSysfs(const OpContext& op, std::string_view, std::string_view options) {
  if (!options.empty()) return Errno::kInval;
  return NewSysfs(op.task->kernel().options().cpus);
}

}  // namespace

HostOr<Ref<Filesystem>> NewSpecialFilesystem(const MountConfig& mount, Kernel& kernel,
                                             const Ref<Credentials>& root) {
  switch (mount.kind) {
    case MountKind::kDev: {
      ErrnoOr<Ref<Filesystem>> fs = NewDevFilesystem(kernel.memory());
      if (!fs.ok()) return TextError("cannot make /dev: %s", ErrnoName(fs.error()));
      return std::move(*fs);
    }
    case MountKind::kDevpts: return NewDevpts(mount);
    case MountKind::kProc: {
      return Ref<Filesystem>(ProcFs::New(kernel, kernel.root_pid_namespace()));
    }
    case MountKind::kSysfs: return NewSysfs(kernel.options().cpus);
    default: return Ref<Filesystem>();
  }
}

void RegisterDevices(Kernel& kernel) {
  RegisterMemoryDevices(kernel.memory());
  RegisterTmpfs(kernel.memory(), kernel.options().total_memory);
  RegisterFilesystemType("proc", MountProc);
  RegisterFilesystemType("sysfs", MountSysfs);
  RegisterFifos();
  RegisterTerminals();
}

}  // namespace runsc::boot
