#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "platform/base/strings.h"
#include "platform/host/file.h"
#include "runsc/sandbox/spawn.h"

namespace runsc::sandbox {
namespace {

// Descriptors shared by the two sides of a spawn.
struct Pipes {
  Fd go_read, go_write;          // parent to child: the id maps are written
  Fd status_read, status_write;  // child to parent: error text; end of file is success
};

// --- In the child, until exec. One thread, so it may allocate. ---

class Child {
 public:
  Child(const SpawnOptions& options, IsolationSet have, Pipes& pipes, int exe)
      : options_(options), have_(have), pipes_(pipes), exe_(exe) {}

  int Run() {
    HostStatus done = Prepare();
    if (done.ok()) done = Exec();
    (void)host::WriteAll(pipes_.status_write.get(), done.error().text);
    return 1;
  }

 private:
  HostStatus Prepare() {
    pipes_.go_write.Reset();
    pipes_.status_read.Reset();
    char go;
    if (read(pipes_.go_read.get(), &go, 1) != 1) return TextError("runsc went away");
    TRY(Session());
    if (Wants(Isolation::kChroot)) TRY(EmptyRoot());
    TRY(Limits());
    TRY(BecomeUser());
    if (options_.die_with_parent) TRY(DieWithParent());
    return HostOk();
  }

  bool Wants(Isolation i) const { return have_.Has(i); }

  // Signals of a terminal reach runsc, never the sentry or its stubs, unless the terminal is the
  // container's own. The session stays runsc's where it can: with autogroups the host's scheduler
  // weighs sessions against each other, and some kernels (6.18 was seen to) let two busy hand-offs
  // in one starve all others, the gofer that they wait for too.
  HostStatus Session() {
    if (options_.controlling_tty < 0) {
      if (!LeaveTerminal()) setsid();
      return HostOk();
    }
    setsid();
    int tty = options_.fds[static_cast<size_t>(options_.controlling_tty)];
    if (ioctl(tty, TIOCSCTTY, 0) < 0) return SysError("cannot take the container's terminal");
    return HostOk();
  }

  // A process group of its own, and no controlling terminal: then job control does not ask whether
  // we are in the foreground, and reads and writes of runsc's terminal go through. Only this
  // process gives it up; false if it cannot, and nothing has changed that setsid(2) minds.
  static bool LeaveTerminal() {
    Fd tty(open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    bool left = tty.ok() ? ioctl(tty.get(), TIOCNOTTY) == 0 : errno == ENXIO;
    return left && setpgid(0, 0) == 0;
  }

  // An empty, read-only root. /proc is only a place that exists everywhere; nobody else sees it
  // covered, as the mount namespace is ours.
  HostStatus EmptyRoot() {
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
      return SysError("cannot make the mounts private");
    }
    unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (mount("runsc-root", "/proc", "tmpfs", flags, "size=4k,nr_inodes=2,mode=555") < 0) {
      return SysError("cannot mount an empty root");
    }
    if (chdir("/proc") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0) {
      return SysError("cannot change to the empty root");
    }
    if (mount(nullptr, "/", nullptr, MS_REMOUNT | MS_RDONLY | flags, nullptr) < 0) {
      return SysError("cannot make the empty root read-only");
    }
    return HostOk();
  }

  HostStatus Limits() {
    rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    // The size of our own stacks does not depend on the shell that called.
    rlimit stack{};
    getrlimit(RLIMIT_STACK, &stack);
    stack.rlim_cur = std::min<rlim_t>(8u << 20, stack.rlim_max);
    setrlimit(RLIMIT_STACK, &stack);
    return HostOk();
  }

  HostStatus BecomeUser() {
    // Without the right to (rootless), there are no foreign groups to lose either.
    if (setgroups(0, nullptr) < 0 && errno != EPERM) return SysError("cannot drop groups");
    if (options_.drop_capabilities) {
      for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM) {
          return SysError("cannot drop capability %d", cap);
        }
      }
    }
    if (setresgid(options_.gid, options_.gid, options_.gid) < 0 ||
        setresuid(options_.uid, options_.uid, options_.uid) < 0) {
      return SysError("cannot become user %u", options_.uid);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return SysError("cannot set no_new_privs");
    if (!options_.drop_capabilities) return HostOk();
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    if (syscall(SYS_capset, &header, data) < 0) return SysError("cannot drop capabilities");
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return HostOk();
  }

  // After the last change of ids, which would clear it. If runsc died before the prctl, the read
  // end of the status pipe is already closed.
  HostStatus DieWithParent() {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return SysError("cannot set pdeathsig");
    pollfd reader{pipes_.status_write.get(), 0, 0};
    if (poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR) != 0) _exit(1);
    return HostOk();
  }

  // Moves the descriptors to their places; returns the lowest number free for close-on-exec.
  HostStatus PlaceFds() {
    int count = static_cast<int>(options_.fds.size());
    std::vector<int> high;
    for (int fd : options_.fds) {
      high.push_back(fcntl(fd, F_DUPFD_CLOEXEC, count + 8));
      if (high.back() < 0) return SysError("cannot duplicate a descriptor");
    }
    exe_ = fcntl(exe_, F_DUPFD_CLOEXEC, count + 8);
    pipes_.status_write.Reset(fcntl(pipes_.status_write.Release(), F_DUPFD_CLOEXEC, count + 8));
    if (exe_ < 0 || !pipes_.status_write.ok()) return SysError("cannot duplicate a descriptor");
    for (int i = 0; i < count; ++i) {
      if (dup2(high[static_cast<size_t>(i)], i) < 0) return SysError("cannot place a descriptor");
    }
    if (syscall(SYS_close_range, count, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */) < 0) {
      return SysError("close_range(2) failed; Linux 5.11 or newer is needed");
    }
    return HostOk();
  }

  HostStatus Exec() {
    TRY(PlaceFds());
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    std::vector<char*> argv = host::PointerArray(options_.argv);
    char* env[] = {nullptr};
    syscall(SYS_execveat, exe_, "", argv.data(), env, AT_EMPTY_PATH);
    return SysError("cannot execute runsc again%s",
                    errno == EACCES ? " (the file must be executable by everyone)" : "");
  }

  const SpawnOptions& options_;
  const IsolationSet have_;
  Pipes& pipes_;
  int exe_;
};

// --- In the parent ---

uint64_t Flags(const SpawnOptions& options, IsolationSet have) {
  uint64_t flags = 0;
  for (Isolation i : options.isolations) {
    if (have.Has(i)) flags |= CloneFlag(i);
  }
  return flags;
}

HostStatus WriteIdFile(int pid, const char* name, const std::string& text) {
  HostOr<Fd> fd = host::OpenAt(AT_FDCWD, StrPrintf("/proc/%d/%s", pid, name), O_WRONLY);
  if (!fd.ok()) return fd.error();
  HostStatus written = host::WriteAll(fd->get(), text);
  if (!written.ok()) {
    return HostError{
        StrPrintf("cannot set %s of the new user namespace to \"%s\": %s", name,
                  text.substr(0, text.find('\n')).c_str(), written.error().text.c_str()),
        written.error().code};
  }
  return HostOk();
}

std::string MapText(const std::vector<IdMapping>& map, uint32_t inside, uint32_t outside) {
  if (map.empty()) return StrPrintf("%u %u 1\n", inside, outside);
  std::string text;
  for (const IdMapping& m : map) text += StrPrintf("%u %u %u\n", m.inside, m.outside, m.count);
  return text;
}

// With root's rights any id may be mapped; without them only our own, and setgroups(2) must be
// given up first (user_namespaces(7)).
HostStatus WriteIdMaps(const SpawnOptions& options, int pid) {
  uint32_t outside_uid = options.own_ids ? geteuid() : options.uid;
  uint32_t outside_gid = options.own_ids ? getegid() : options.gid;
  HostStatus done = WriteIdFile(pid, "uid_map", MapText(options.uid_map, options.uid, outside_uid));
  if (done.ok() && options.own_ids) done = WriteIdFile(pid, "setgroups", "deny");
  if (done.ok()) {
    done = WriteIdFile(pid, "gid_map", MapText(options.gid_map, options.gid, outside_gid));
  }
  if (done.ok() || done.error().code != EPERM || options.own_ids) return done;
  return HostError{done.error().text + "; root's rights are missing here, try --rootless", EPERM};
}

// The limits of the shell that called are for its programs: a sandbox is limited by its spec, and
// must not die of a limit that it did not see coming. Without root's rights, as far as it goes.
void LiftLimits(int pid) {
  for (auto resource : {RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NPROC}) {
    rlimit limit{}, none{RLIM_INFINITY, RLIM_INFINITY};
    if (getrlimit(resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) continue;
    if (prlimit(pid, resource, &none, nullptr) == 0) continue;
    limit.rlim_cur = limit.rlim_max;
    (void)prlimit(pid, resource, &limit, nullptr);
  }
}

HostError Forbidden(Isolation i, const HostError& why) {
  const char* hint = i != Isolation::kUser ? ""
                     : why.code == ENOSPC  ? " (see /proc/sys/user/max_user_namespaces)"
                     : why.code == EPERM   ? " (Linux always forbids it in a chroot)"
                                           : "";
  return {StrPrintf("this host forbids %s, which the sandbox needs: %s%s; allow it, or accept a "
                    "weaker sandbox with --unsafe-allow-missing-isolation=%s",
                    IsolationName(i), why.text.c_str(), hint, IsolationName(i)),
          why.code};
}

// The host has not enough of something: no wall is forbidden.
bool IsShortage(int code) {
  return code == EMFILE || code == ENFILE || code == EAGAIN || code == ENOMEM;
}

// Finds out which of the wanted namespaces cannot be had, by asking for them one by one.
HostOr<IsolationSet> Available(const SpawnOptions& options) {
  IsolationSet have;
  uint64_t with_user = 0;
  for (Isolation i : options.isolations) {
    bool possible = true;
    if (CloneFlag(i) != 0) {
      HostOr<host::Process> probe = host::CloneProcess(with_user | CloneFlag(i), [] { return 0; });
      if (probe.ok()) (void)host::WaitChild(probe->pid);
      possible = probe.ok();
      if (!possible && IsShortage(probe.error().code)) return probe.error();
      if (!possible && !options.may_miss.Has(i)) return Forbidden(i, probe.error());
    }
    if (!possible || (options.may_miss.Has(i) && CloneFlag(i) == 0)) continue;
    have.Add(i);
    if (i == Isolation::kUser) with_user = CloneFlag(i);
  }
  if (!have.Has(Isolation::kMount)) have.Remove(Isolation::kChroot);
  return have;
}

HostOr<Pipes> MakePipes() {
  int go[2], status[2];
  if (pipe2(go, O_CLOEXEC) < 0) return SysError("cannot create a pipe");
  Fd go_read(go[0]), go_write(go[1]);
  if (pipe2(status, O_CLOEXEC) < 0) return SysError("cannot create a pipe");
  return Pipes{std::move(go_read), std::move(go_write), Fd(status[0]), Fd(status[1])};
}

// Reads what the child has to say until exec closes its end.
HostStatus ChildStatus(Pipes& pipes) {
  char text[2048];
  ssize_t n;
  do {
    n = read(pipes.status_read.get(), text, sizeof(text));
  } while (n < 0 && errno == EINTR);
  if (n <= 0) return HostOk();
  return TextError("%.*s", static_cast<int>(n), text);
}

HostOr<host::Process> TrySpawn(const SpawnOptions& options, IsolationSet have, int exe) {
  Pipes pipes = TRY(MakePipes());
  host::Process process = TRY(host::CloneProcess(
      Flags(options, have), [&] { return Child(options, have, pipes, exe).Run(); }));
  pipes.go_read.Reset();
  pipes.status_write.Reset();
  LiftLimits(process.pid);
  HostStatus done = have.Has(Isolation::kUser) ? WriteIdMaps(options, process.pid) : HostOk();
  if (done.ok()) {
    done = host::WriteAll(pipes.go_write.get(), "g");
    if (done.ok()) done = ChildStatus(pipes);
  }
  if (done.ok()) return process;
  (void)host::SendSignal(process.pidfd, SIGKILL);
  (void)host::WaitChild(process.pid);
  return done.error();
}

// /proc must be there and show our own pid namespace: pids are looked up in it.
HostStatus CheckProc() {
  char text[32] = {};
  ssize_t n = readlink("/proc/self", text, sizeof(text) - 1);
  if (n < 0) return TextError("/proc is not mounted; runsc needs it");
  if (std::atoi(text) == getpid()) return HostOk();
  return TextError("/proc belongs to another pid namespace; mount it anew (unshare --mount-proc)");
}

}  // namespace

bool HasRootsRights() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct have[2] = {};
  if (geteuid() != 0 || syscall(SYS_capget, &header, have) < 0) return false;
  for (int cap : {CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID, CAP_SYS_CHROOT, CAP_SETPCAP}) {
    if ((have[0].effective >> cap & 1) == 0) return false;
  }
  HostOr<std::string> map = host::ReadFile(AT_FDCWD, "/proc/self/uid_map", 65536);
  unsigned inside = 0, outside = 0, count = 0;
  return map.ok() && std::sscanf(map->c_str(), "%u %u %u", &inside, &outside, &count) == 3 &&
         inside == 0 && count > kNobody;
}

HostOr<host::Process> Spawn(const SpawnOptions& options) {
  TRY(CheckProc());
  Fd exe = TRY(host::OpenAt(AT_FDCWD, "/proc/self/exe", O_PATH));
  IsolationSet all;
  for (Isolation i : options.isolations) {
    if (!options.may_miss.Has(i)) all.Add(i);
  }
  bool strict = options.may_miss.empty();
  if (strict) {
    HostOr<host::Process> process = TrySpawn(options, all, exe.get());
    if (process.ok()) return process;
    HostOr<IsolationSet> have = Available(options);
    return have.ok() ? process.error() : have.error();
  }
  return TrySpawn(options, TRY(Available(options)), exe.get());
}

}  // namespace runsc::sandbox
