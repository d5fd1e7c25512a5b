// Finding and opening files.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>

#include "gofer/server/ops.h"

namespace runsc::gofer {
namespace {

// File systems through which the host's kernel is looked into or steered. Those not in
// <linux/magic.h> by number: configfs, fusectl, binfmt_misc (in it as BINFMTFS_MAGIC), mqueue.
bool IsKernelFileSystem(int fd) {
  struct statfs fs{};
  if (fstatfs(fd, &fs) != 0) return true;
  switch (static_cast<uint32_t>(fs.f_type)) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case SELINUX_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case BPF_FS_MAGIC:
    case NSFS_MAGIC:
    case BINFMTFS_MAGIC:
    case EFIVARFS_MAGIC:
    case PSTOREFS_MAGIC:
    case 0x62656570:  // configfs
    case 0x65735543:  // fusectl
    case 0x19800202:  // mqueue
      return true;
    default:
      return false;
  }
}

Time ToTime(const statx_timestamp& t) { return {t.tv_sec, t.tv_nsec, 0}; }

int64_t OpenAt2(int dir, const char* name, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  return syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

// O_* of an open request.
ErrnoOr<int> HostFlags(uint32_t flags) {
  int host = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  switch (flags & (kOpenRead | kOpenWrite)) {
    case kOpenRead:
      host |= O_RDONLY;
      break;
    case kOpenWrite:
      host |= O_WRONLY;
      break;
    case kOpenRead | kOpenWrite:
      host |= O_RDWR;
      break;
    default:
      return Errno::kInval;
  }
  if ((flags & kOpenTruncate) != 0) host |= O_TRUNC;
  if ((flags & ~uint32_t{kOpenRead | kOpenWrite | kOpenTruncate}) != 0) return Errno::kInval;
  return host;
}

// Gives a new file its owner, and its mode again if the change of owner took bits away.
Status SetOwner(int fd, uint32_t uid, uint32_t gid, uint32_t mode) {
  if (fchown(fd, uid, gid) != 0) return LastError();
  if ((mode & (S_ISUID | S_ISGID)) != 0 && fchmod(fd, mode) != 0) return LastError();
  return Ok();
}

// Answers with the node and the descriptor of a new file.
Status ReplyCreated(Call& call, const Node& dir, Fd fd) {
  Attr attr = TRY(StatAt(fd.get(), ""));
  Fd path(openat(AT_FDCWD, FdPath(fd.get()).c_str(), O_PATH | O_CLOEXEC));
  if (!path.ok()) return LastError();
  TRY(ReplyNode(call, dir.read_only(), {std::move(path), attr}));
  call.donated = std::move(fd);
  return Ok();
}

}  // namespace

Errno LastError() { return errno == 0 ? Errno::kIo : static_cast<Errno>(errno); }

FdPath::FdPath(int fd) { std::snprintf(bytes_, sizeof(bytes_), "%d", fd); }

ErrnoOr<Attr> StatAt(int dir, const char* name) {
  struct statx st{};
  int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name[0] == '\0' ? AT_EMPTY_PATH : 0);
  if (statx(dir, name, flags, STATX_BASIC_STATS | STATX_BTIME, &st) != 0) return LastError();
  Attr a{};
  a.ino = st.stx_ino;
  a.dev = makedev(st.stx_dev_major, st.stx_dev_minor);
  a.rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
  a.size = st.stx_size;
  a.blocks = st.stx_blocks;
  a.mode = st.stx_mode;
  a.nlink = st.stx_nlink;
  a.uid = st.stx_uid;
  a.gid = st.stx_gid;
  a.block_size = st.stx_blksize;
  a.has_btime = (st.stx_mask & STATX_BTIME) != 0 ? 1 : 0;
  a.atime = ToTime(st.stx_atime);
  a.mtime = ToTime(st.stx_mtime);
  a.ctime = ToTime(st.stx_ctime);
  a.btime = ToTime(st.stx_btime);
  return a;
}

namespace {

// A mount point for a file system of the sandbox's own, and nothing to be seen below it.
ErrnoOr<Found> StandIn(const Call& call, const Attr& real) {
  if (!S_ISDIR(real.mode) || !call.served.empty.ok()) return Errno::kNoent;
  Found out{Fd(fcntl(call.served.empty.get(), F_DUPFD_CLOEXEC, 0)), real, true};
  if (!out.fd.ok()) return LastError();
  out.attr.mode = S_IFDIR | 0555;
  out.attr.nlink = 2;
  return out;
}

}  // namespace

ErrnoOr<Found> OpenChild(const Call& call, const Node& parent, const char* name) {
  Fd fd(static_cast<int>(OpenAt2(parent.fd(), name, O_PATH)));
  if (!fd.ok()) return LastError();
  Attr attr = TRY(StatAt(fd.get(), ""));
  if (attr.dev != parent.dev() && IsKernelFileSystem(fd.get())) return StandIn(call, attr);
  return Found{std::move(fd), attr};
}

ErrnoOr<Attr> AttrOf(const Node& node) {
  if (const Attr* fixed = node.fixed_attr()) return *fixed;
  return StatAt(node.fd(), "");
}

Status Attach(Call& call) {
  AttachRequest request{};
  if (!call.in.Get(&request) || !call.in.Done() || request.index >= call.served.trees.size()) {
    return Errno::kInval;
  }
  const Tree& tree = call.served.trees[request.index];
  Fd fd(fcntl(tree.root.get(), F_DUPFD_CLOEXEC, 0));
  if (!fd.ok()) return LastError();
  Attr attr = TRY(StatAt(fd.get(), ""));
  return ReplyNode(call, tree.read_only, {std::move(fd), attr});
}

namespace {

// Writes one step: the id if asked for, attributes, a symlink's target.
Status PutStep(Call& call, const WalkStep& step, int fd) {
  size_t at = call.out.size();
  call.out.Put(step);
  if (S_ISLNK(step.attr.mode) && call.out.left() > kMaxLink) {
    ssize_t n = readlinkat(fd, "", call.out.Room(), kMaxLink + 1);
    if (n < 0) return LastError();
    WalkStep with_link = step;
    with_link.link_size = static_cast<uint32_t>(n);
    call.out.PutAt(at, with_link);
    call.out.Advance(static_cast<size_t>(n));
  }
  return call.out.overflow() ? Status(Errno::kOverflow) : Ok();
}

// Ids made by a walk, taken back if it fails as a whole.
struct NewIds {
  NodeTable& nodes;
  std::vector<NodeId> ids;
  ~NewIds() {
    for (NodeId id : ids) nodes.Remove(id);
  }
};

// One step of a walk; the new node becomes `*at`.
Status Step(Call& call, const char* name, bool want_id, NewIds& made, Ref<Node>* at) {
  Found found = TRY(OpenChild(call, **at, name));
  WalkStep step{0, found.attr, 0, 0};
  Ref<Node> node = MakeRef<Node>(std::move(found), (*at)->read_only());
  if (want_id) {
    step.node = TRY(call.nodes.Add(node));
    made.ids.push_back(step.node);
  }
  *at = std::move(node);
  return PutStep(call, step, (*at)->fd());
}

}  // namespace

Status Walk(Call& call) {
  WalkRequest request{};
  if (!call.in.Get(&request) || request.count == 0 || request.count > kMaxWalk) {
    return Errno::kInval;
  }
  Ref<Node> at = TRY(GetDirectory(call, request.dir));
  NewIds made{call.nodes, {}};
  WalkReply reply{};
  call.out.Put(reply);
  for (uint32_t i = 0; i < request.count && S_ISDIR(at->mode()); ++i) {
    Name name;
    TRY(name.Read(call.in));
    bool want_id = (request.flags & kWalkNoIds) == 0 &&
                   (i + 1 == request.count || (request.flags & kWalkAllIds) != 0);
    size_t before = call.out.size();
    Status done = Step(call, name.c_str(), want_id, made, &at);
    if (!done.ok()) {
      call.out.Truncate(before);
      reply.error = static_cast<uint32_t>(done.error());
      break;
    }
    ++reply.steps;
  }
  call.out.PutAt(sizeof(ReplyHeader), reply);
  made.ids.clear();
  return Ok();
}

Status Open(Call& call) {
  OpenRequest request{};
  std::string_view text;
  if (!call.in.Get(&request) || !call.in.GetString(&text, kMaxName) || !call.in.Done() ||
      (!text.empty() && !IsComponent(text))) {
    return Errno::kInval;
  }
  int flags = TRY(HostFlags(request.flags));
  Ref<Node> node = TRY(call.nodes.Get(request.node));
  Found child;
  int path = node->fd();
  if (!text.empty()) {
    Name name;
    name.Set(text);
    child = TRY(OpenChild(call, *node, name.c_str()));
    path = child.fd.get();
  } else {
    child.attr.mode = node->mode();
  }
  if ((flags & (O_WRONLY | O_RDWR | O_TRUNC)) != 0) TRY(CheckWritable(*node));
  if (S_ISLNK(child.attr.mode)) return Errno::kLoop;
  if (S_ISDIR(child.attr.mode)) return Errno::kIsdir;
  if (!S_ISREG(child.attr.mode)) return Errno::kNxio;
  Fd fd(openat(AT_FDCWD, FdPath(path).c_str(), flags));
  if (!fd.ok()) return LastError();
  call.out.Put(TRY(StatAt(fd.get(), "")));
  call.donated = std::move(fd);
  return Ok();
}

Status Create(Call& call) {
  CreateRequest request{};
  Name name;
  if (!call.in.Get(&request)) return Errno::kInval;
  TRY(name.Read(call.in));
  int flags = TRY(HostFlags(request.flags));
  Ref<Node> dir = TRY(GetDirectory(call, request.dir));
  TRY(CheckWritable(*dir));
  uint32_t mode = request.mode & 07777;
  Fd fd(openat(dir->fd(), name.c_str(), (flags & ~O_TRUNC) | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  if (!fd.ok()) return LastError();
  Status done = SetOwner(fd.get(), request.uid, request.gid, mode);
  if (done.ok()) done = ReplyCreated(call, *dir, std::move(fd));
  if (!done.ok()) unlinkat(dir->fd(), name.c_str(), 0);
  return done;
}

Status Tmpfile(Call& call) {
  CreateRequest request{};
  if (!call.in.Get(&request) || !call.in.Done()) return Errno::kInval;
  int flags = TRY(HostFlags(request.flags));
  Ref<Node> dir = TRY(GetDirectory(call, request.dir));
  TRY(CheckWritable(*dir));
  uint32_t mode = request.mode & 07777;
  Fd fd(openat(AT_FDCWD, FdPath(dir->fd()).c_str(), (flags & ~O_TRUNC) | O_TMPFILE, mode));
  if (!fd.ok()) return LastError();
  TRY(SetOwner(fd.get(), request.uid, request.gid, mode));
  return ReplyCreated(call, *dir, std::move(fd));
}

}  // namespace runsc::gofer
