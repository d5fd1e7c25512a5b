#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "gofer/server/setup.h"
#include "platform/base/strings.h"

namespace runsc::gofer {
namespace {

// What acting on files for arbitrary owners needs, and nothing else. CAP_MKNOD is absent: no
// device node is made on the host. CAP_SETFCAP: file capabilities, as runc grants.
constexpr uint64_t kCapabilities = (1ull << CAP_CHOWN) | (1ull << CAP_DAC_OVERRIDE) |
                                   (1ull << CAP_DAC_READ_SEARCH) | (1ull << CAP_FOWNER) |
                                   (1ull << CAP_FSETID) | (1ull << CAP_SETFCAP);

std::string Failed(const char* what, const std::string& name = "") {
  return StrPrintf("gofer: %s%s%s: %s", what, name.empty() ? "" : " ", name.c_str(),
                   std::strerror(errno));
}

// A private copy of the mounts below `a`'s source, as a descriptor that no path leads to. No
// device node in it can be opened, and nothing in it written if it is read-only.
std::string CloneTree(const AttachPoint& a, Fd* out) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;
  int fd = a.source_fd >= 0 ? open_tree(a.source_fd, "", flags | AT_EMPTY_PATH)
                            : open_tree(AT_FDCWD, a.source.c_str(), flags);
  if (fd < 0) return Failed("cannot take", a.source);
  out->Reset(fd);
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | (a.read_only ? MOUNT_ATTR_RDONLY : 0);
  attr.propagation = MS_PRIVATE;
  if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) != 0) {
    return Failed("cannot restrict the mounts of", a.source);
  }
  return "";
}

std::string OpenTree(const ServerOptions& options, const AttachPoint& a, Tree* tree) {
  tree->read_only = a.read_only;
  if (options.isolate) return CloneTree(a, &tree->root);
  int fd = a.source_fd >= 0 ? fcntl(a.source_fd, F_DUPFD_CLOEXEC, 0)
                            : open(a.source.c_str(), O_PATH | O_CLOEXEC);
  if (fd < 0) return Failed("cannot open", a.source);
  tree->root.Reset(fd);
  return "";
}

// Its own /proc/self/fd, cut out of /proc so that ".." leads nowhere.
std::string EnterFdDirectory(bool isolate, Fd* out) {
  int fd = isolate ? open_tree(AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
                   : open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed("cannot open /proc/self/fd (is /proc mounted?)");
  out->Reset(fd);
  return "";
}

// Swaps the root for an empty read-only one. /proc is only where the new root stands meanwhile.
std::string EmptyRoot() {
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return Failed("cannot make mounts private");
  }
  if (mount("gofer", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0,nr_inodes=1") !=
      0) {
    return Failed("cannot mount an empty root");
  }
  if (chdir("/proc") != 0 || syscall(SYS_pivot_root, ".", ".") != 0) {
    return Failed("cannot enter the empty root");
  }
  if (umount2(".", MNT_DETACH) != 0 || chroot(".") != 0) return Failed("cannot drop the old root");
  if (mount("gofer", "/", nullptr,
            MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return Failed("cannot make the empty root read-only");
  }
  return "";
}

std::string DropCapabilities() {
  for (int c = 0; c <= CAP_LAST_CAP; ++c) {
    if ((kCapabilities >> c & 1) == 0 && prctl(PR_CAPBSET_DROP, c) != 0 && errno != EINVAL) {
      return Failed("cannot drop capabilities");
    }
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct have[2] = {};
  if (syscall(SYS_capget, &header, have) != 0) return Failed("cannot read capabilities");
  __user_cap_data_struct data[2] = {};
  for (int i = 0; i < 2; ++i) {
    uint32_t keep = static_cast<uint32_t>(kCapabilities >> (32 * i)) & have[i].permitted;
    data[i].effective = data[i].permitted = keep;
  }
  if (syscall(SYS_capset, &header, data) != 0) return Failed("cannot set capabilities");
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return "";
}

}  // namespace

std::string Isolate(const ServerOptions& options, Served* served) {
  // The copies are taken first: they must come from the mount namespace that we leave.
  for (const AttachPoint& a : options.attach_points) {
    Tree tree;
    std::string error = OpenTree(options, a, &tree);
    if (!error.empty()) return error;
    served->trees.push_back(std::move(tree));
  }
  Fd fd_directory;
  std::string error = EnterFdDirectory(options.isolate, &fd_directory);
  if (!error.empty()) return error;
  umask(0);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Failed("cannot set no_new_privs");
  if (options.isolate) {
    if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) != 0) {
      return Failed("cannot make own namespaces (CAP_SYS_ADMIN missing?)");
    }
    error = EmptyRoot();
    if (error.empty()) error = DropCapabilities();
    if (!error.empty()) return error;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Failed("cannot forbid being traced");
  }
  if (options.isolate) served->empty.Reset(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fchdir(fd_directory.get()) != 0) return Failed("cannot enter the descriptor directory");
  return "";
}

void CloseOthers(std::vector<int> keep) {
  std::sort(keep.begin(), keep.end());
  unsigned next = 3;
  for (int fd : keep) {
    if (fd < static_cast<int>(next)) continue;
    if (static_cast<unsigned>(fd) > next) close_range(next, static_cast<unsigned>(fd) - 1, 0);
    next = static_cast<unsigned>(fd) + 1;
  }
  close_range(next, ~0u, 0);
}

uint64_t RaiseFileLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace runsc::gofer
