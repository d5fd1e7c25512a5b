#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/host/file.h"
#include "platform/host/socket.h"
#include "runsc/sandbox/sandbox.h"
#include "runsc/sandbox/spawn.h"

namespace runsc::sandbox {
namespace {

HostOr<Fd> OpenNull() { return host::OpenAt(AT_FDCWD, "/dev/null", O_RDWR); }

// Who is not root has no other ids to give; who is root in name only may ask for that.
bool OnlyOwnIds(bool rootless) { return geteuid() != 0 || (rootless && !HasRootsRights()); }

int OrNull(int fd, const Fd& null) { return fd >= 0 ? fd : null.get(); }

}  // namespace

HostOr<Sandbox> StartSandbox(const SandboxOptions& options) {
  auto [ours, theirs] = TRY(host::StreamPair());
  Fd null = TRY(OpenNull());
  SpawnOptions spawn;
  spawn.argv = {"runsc-sandbox", "boot", "--id=" + options.id};
  spawn.argv.insert(spawn.argv.begin() + 1, options.log_args.begin(), options.log_args.end());
  spawn.fds = {null.get(), null.get(), OrNull(options.stderr_fd, null), theirs.get(),
               OrNull(options.log_fd, null)};
  if (options.tty >= 0) {
    // kTerminalFd only lets the child make it the controlling terminal; boot closes it.
    spawn.argv.push_back("--terminal");
    spawn.controlling_tty = static_cast<int>(spawn.fds.size());
    spawn.fds.push_back(options.tty);
  }
  spawn.isolations = {Isolation::kUser, Isolation::kPid, Isolation::kMount, Isolation::kNet,
                      Isolation::kIpc,  Isolation::kUts, Isolation::kChroot};
  spawn.may_miss = options.may_miss;
  spawn.uid = spawn.gid = kNobody;
  spawn.own_ids = OnlyOwnIds(options.rootless);
  spawn.drop_capabilities = true;
  spawn.die_with_parent = options.attached;
  HostOr<host::Process> process = Spawn(spawn);
  if (!process.ok()) {
    return HostError{"cannot start the sandbox: " + process.error().text, process.error().code};
  }
  return Sandbox{std::move(*process), control::Client(std::move(ours))};
}

HostOr<Gofer> StartGofer(const GoferOptions& options) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    return SysError("cannot create the gofer's connection");
  }
  Fd ours(pair[0]), theirs(pair[1]);
  int report[2];
  if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0) return SysError("cannot create a pipe");
  Fd report_read(report[0]), report_write(report[1]);
  Fd null = TRY(OpenNull());
  SpawnOptions spawn;
  spawn.argv = {"runsc-gofer", "gofer"};
  spawn.argv.insert(spawn.argv.begin() + 1, options.log_args.begin(), options.log_args.end());
  if (options.may_miss.Has(Isolation::kSeccomp)) spawn.argv.push_back("--no-seccomp");
  if (options.may_miss.Has(Isolation::kChroot)) spawn.argv.push_back("--no-isolation");
  for (const AttachPoint& point : options.attach_points) {
    spawn.argv.push_back((point.read_only ? "--ro=" : "--rw=") + point.source);
  }
  spawn.fds = {null.get(),
               null.get(),
               OrNull(options.stderr_fd, null),
               theirs.get(),
               OrNull(options.log_fd, null),
               report_write.get()};
  // The gofer enters its other namespaces itself, when it has opened what it serves.
  spawn.isolations = {Isolation::kPid};
  spawn.own_ids = OnlyOwnIds(options.rootless);
  if (!options.uid_map.empty() || spawn.own_ids) {
    // In a user namespace it may take copies of mounts only from a mount namespace of its own.
    spawn.isolations = {Isolation::kUser, Isolation::kPid, Isolation::kMount};
    spawn.uid_map = options.uid_map;
    spawn.gid_map = options.gid_map;
  }
  spawn.may_miss = options.may_miss;
  spawn.die_with_parent = options.attached;
  HostOr<host::Process> process = Spawn(spawn);
  if (!process.ok()) {
    return HostError{"cannot start the gofer: " + process.error().text, process.error().code};
  }
  return Gofer{std::move(*process), std::move(ours), std::move(report_read)};
}

}  // namespace runsc::sandbox
