// Attributes of files: stat, chmod and friends, extended attributes, statfs.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "gofer/server/ops.h"

namespace runsc::gofer {
namespace {

constexpr uint32_t kTimeMask = kSetAtime | kSetMtime | kSetAtimeNow | kSetMtimeNow;
constexpr uint32_t kKnownMask = kSetMode | kSetUid | kSetGid | kSetSize | kTimeMask;

timespec HostTime(const Time& t, uint32_t mask, uint32_t set, uint32_t now) {
  if ((mask & now) != 0) return {0, UTIME_NOW};
  if ((mask & set) == 0) return {0, UTIME_OMIT};
  return {t.seconds, static_cast<long>(t.nanos)};
}

Status SetTimes(const Node& node, const SetAttrRequest& r) {
  if (r.atime.nanos >= 1000000000 || r.mtime.nanos >= 1000000000) return Errno::kInval;
  timespec times[2] = {HostTime(r.atime, r.mask, kSetAtime, kSetAtimeNow),
                       HostTime(r.mtime, r.mask, kSetMtime, kSetMtimeNow)};
  if (utimensat(node.fd(), "", times, AT_EMPTY_PATH) != 0) return LastError();
  return Ok();
}

Status SetSize(const Node& node, uint64_t size) {
  if (!S_ISREG(node.mode())) return S_ISDIR(node.mode()) ? Errno::kIsdir : Errno::kInval;
  if (size > INT64_MAX) return Errno::kFbig;
  Fd fd(openat(AT_FDCWD, FdPath(node.fd()).c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.ok()) return LastError();
  if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return LastError();
  return Ok();
}

// The attribute names that a sandbox may see and set. ACLs are not: the sentry, which checks
// access, does not look at them. trusted.* and other security.* are the host's.
bool XattrAllowed(std::string_view name) {
  return name.starts_with("user.") || name == "security.capability";
}

struct XattrCall {
  Ref<Node> node;
  std::string name;
};

// Reads the request and, if it carries one, a permitted name.
ErrnoOr<XattrCall> ReadXattr(Call& call, XattrRequest* request) {
  std::string_view name;
  if (!call.in.Get(request) || !call.in.GetString(&name, kMaxName)) return Errno::kInval;
  if (name.find('\0') != std::string_view::npos) return Errno::kInval;
  if (!XattrAllowed(name)) return Errno::kOpnotsupp;
  return XattrCall{TRY(call.nodes.Get(request->node)), std::string(name)};
}

}  // namespace

Status GetAttr(Call& call) {
  GetAttrRequest request{};
  if (!call.in.Get(&request) || !call.in.Done()) return Errno::kInval;
  Ref<Node> node = TRY(call.nodes.Get(request.node));
  call.out.Put(TRY(AttrOf(*node)));
  return Ok();
}

Status SetAttr(Call& call) {
  SetAttrRequest r{};
  if (!call.in.Get(&r) || !call.in.Done() || (r.mask & ~kKnownMask) != 0) return Errno::kInval;
  Ref<Node> node = TRY(call.nodes.Get(r.node));
  TRY(CheckWritable(*node));
  if ((r.mask & kSetSize) != 0) TRY(SetSize(*node, r.size));
  if ((r.mask & (kSetUid | kSetGid)) != 0) {
    uid_t uid = (r.mask & kSetUid) != 0 ? r.uid : static_cast<uid_t>(-1);
    gid_t gid = (r.mask & kSetGid) != 0 ? r.gid : static_cast<gid_t>(-1);
    if (fchownat(node->fd(), "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) {
      return LastError();
    }
  }
  if ((r.mask & kSetMode) != 0) {
    if (S_ISLNK(node->mode())) return Errno::kOpnotsupp;
    if (fchmodat(AT_FDCWD, FdPath(node->fd()).c_str(), r.mode & 07777, 0) != 0) return LastError();
  }
  if ((r.mask & kTimeMask) != 0) TRY(SetTimes(*node, r));
  call.out.Put(TRY(StatAt(node->fd(), "")));
  return Ok();
}

Status XattrGet(Call& call) {
  XattrRequest request{};
  XattrCall x = TRY(ReadXattr(call, &request));
  size_t room = std::min(call.out.left(), kMaxXattr);
  ssize_t n = getxattr(FdPath(x.node->fd()).c_str(), x.name.c_str(), call.out.Room(), room);
  if (n < 0) return LastError();
  call.out.Advance(static_cast<size_t>(n));
  return Ok();
}

Status XattrSet(Call& call) {
  XattrRequest request{};
  XattrCall x = TRY(ReadXattr(call, &request));
  TRY(CheckWritable(*x.node));
  std::string_view value = call.in.Rest();
  if (value.size() > kMaxXattr) return Errno::kRange;
  if ((request.flags & ~uint32_t{XATTR_CREATE | XATTR_REPLACE}) != 0) return Errno::kInval;
  if (setxattr(FdPath(x.node->fd()).c_str(), x.name.c_str(), value.data(), value.size(),
               static_cast<int>(request.flags)) != 0) {
    return LastError();
  }
  return Ok();
}

Status XattrRemove(Call& call) {
  XattrRequest request{};
  XattrCall x = TRY(ReadXattr(call, &request));
  TRY(CheckWritable(*x.node));
  if (removexattr(FdPath(x.node->fd()).c_str(), x.name.c_str()) != 0) return LastError();
  return Ok();
}

Status XattrList(Call& call) {
  XattrRequest request{};
  if (!call.in.Get(&request) || !call.in.Done()) return Errno::kInval;
  Ref<Node> node = TRY(call.nodes.Get(request.node));
  std::string names(kMaxXattr, '\0');
  ssize_t n = listxattr(FdPath(node->fd()).c_str(), names.data(), names.size());
  if (n < 0) return LastError();
  for (size_t at = 0; at < static_cast<size_t>(n);) {
    std::string_view name(names.c_str() + at);
    if (XattrAllowed(name)) call.out.PutBytes({name.data(), name.size() + 1});
    at += name.size() + 1;
  }
  return Ok();
}

Status Statfs(Call& call) {
  StatfsRequest request{};
  if (!call.in.Get(&request) || !call.in.Done()) return Errno::kInval;
  Ref<Node> node = TRY(call.nodes.Get(request.node));
  struct statfs fs{};
  if (fstatfs(node->fd(), &fs) != 0) return LastError();
  StatfsReply reply{};
  reply.type = static_cast<uint64_t>(fs.f_type);
  reply.block_size = static_cast<uint64_t>(fs.f_bsize);
  reply.fragment_size = static_cast<uint64_t>(fs.f_frsize);
  reply.blocks = fs.f_blocks;
  reply.blocks_free = fs.f_bfree;
  reply.blocks_available = fs.f_bavail;
  reply.files = fs.f_files;
  reply.files_free = fs.f_ffree;
  reply.name_max = static_cast<uint64_t>(fs.f_namelen);
  call.out.Put(reply);
  return Ok();
}

Status Sync(Call& call) {
  SyncRequest request{};
  if (!call.in.Get(&request) || !call.in.Done()) return Errno::kInval;
  Ref<Node> node = TRY(call.nodes.Get(request.node));
  if (!S_ISDIR(node->mode()) && !S_ISREG(node->mode())) return Errno::kInval;
  Fd fd(openat(AT_FDCWD, FdPath(node->fd()).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.ok()) return LastError();
  if (fsync(fd.get()) != 0) return LastError();
  return Ok();
}

}  // namespace runsc::gofer
