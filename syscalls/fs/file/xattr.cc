#include <fcntl.h>
#include <linux/limits.h>
#include <linux/xattr.h>

#include "syscalls/fs/file/common.h"

namespace runsc {
namespace {

// Where an xattr call applies: a path (followed or not) or a descriptor.
class Place {
 public:
  explicit Place(Task& t) : at_(t) {}
  Status ByPath(UserAddr path, bool follow) {
    TRY(at_.Load(FdNum(AT_FDCWD), path));
    path_ = TRY(at_.Resolve(follow));
    return Ok();
  }
  Status ByFd(Task& t, FdNum fd) {
    Ref<File> file = TRY(t.fds().GetIo(fd));
    path_ = file->path();
    return Ok();
  }
  const OpContext& op() const { return at_.op(); }
  const Path& path() const { return path_; }

 private:
  AtPath at_;
  Path path_;
};

ErrnoOr<std::string> GetName(Task& t, UserAddr addr) {
  ErrnoOr<std::string> name = t.mem().GetString(addr, XATTR_NAME_MAX);
  if (!name.ok()) return name.error() == Errno::kNametoolong ? Errno::kRange : name.error();
  if (name->empty()) return Errno::kRange;
  return name;
}

Status DoSet(Task& t, const Place& place, UserAddr name_addr, UserAddr value, uint64_t size,
             int32_t flags) {
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0) return Errno::kInval;
  std::string name = TRY(GetName(t, name_addr));
  if (size > XATTR_SIZE_MAX) return Errno::k2big;
  std::string data(size, '\0');
  TRY(t.mem().CopyIn(data.data(), value, size));
  return vfs::SetXattr(place.op(), place.path(), name, data, flags);
}

// The answer of a call that fills a buffer, or with size 0 says how much it would.
ErrnoOr<int64_t> PutSized(Task& t, std::string_view data, UserAddr to, uint64_t size) {
  if (size != 0) {
    if (data.size() > size) return Errno::kRange;
    TRY(t.mem().CopyOut(to, data.data(), data.size()));
  }
  return static_cast<int64_t>(data.size());
}

ErrnoOr<int64_t> DoGet(Task& t, const Place& place, UserAddr name_addr, UserAddr value,
                       uint64_t size) {
  std::string name = TRY(GetName(t, name_addr));
  std::string data = TRY(vfs::GetXattr(place.op(), place.path(), name));
  return PutSized(t, data, value, size);
}

ErrnoOr<int64_t> DoList(Task& t, const Place& place, UserAddr list, uint64_t size) {
  std::string out;
  for (const std::string& name : TRY(vfs::ListXattr(place.op(), place.path()))) {
    out += name;
    out += '\0';
  }
  if (out.size() > XATTR_LIST_MAX) return Errno::k2big;
  return PutSized(t, out, list, size);
}

Status DoRemove(Task& t, const Place& place, UserAddr name_addr) {
  return vfs::RemoveXattr(place.op(), place.path(), TRY(GetName(t, name_addr)));
}

}  // namespace

ErrnoOr<void> Setxattr(Task& t, UserAddr path, UserAddr name, UserAddr value, uint64_t size,
                       int32_t flags) {
  Place place(t);
  TRY(place.ByPath(path, true));
  return DoSet(t, place, name, value, size, flags);
}

ErrnoOr<void> Lsetxattr(Task& t, UserAddr path, UserAddr name, UserAddr value, uint64_t size,
                        int32_t flags) {
  Place place(t);
  TRY(place.ByPath(path, false));
  return DoSet(t, place, name, value, size, flags);
}

ErrnoOr<void> Fsetxattr(Task& t, FdNum fd, UserAddr name, UserAddr value, uint64_t size,
                        int32_t flags) {
  Place place(t);
  TRY(place.ByFd(t, fd));
  return DoSet(t, place, name, value, size, flags);
}

ErrnoOr<int64_t> Getxattr(Task& t, UserAddr path, UserAddr name, UserAddr value, uint64_t size) {
  Place place(t);
  TRY(place.ByPath(path, true));
  return DoGet(t, place, name, value, size);
}

ErrnoOr<int64_t> Lgetxattr(Task& t, UserAddr path, UserAddr name, UserAddr value, uint64_t size) {
  Place place(t);
  TRY(place.ByPath(path, false));
  return DoGet(t, place, name, value, size);
}

ErrnoOr<int64_t> Fgetxattr(Task& t, FdNum fd, UserAddr name, UserAddr value, uint64_t size) {
  Place place(t);
  TRY(place.ByFd(t, fd));
  return DoGet(t, place, name, value, size);
}

ErrnoOr<int64_t> Listxattr(Task& t, UserAddr path, UserAddr list, uint64_t size) {
  Place place(t);
  TRY(place.ByPath(path, true));
  return DoList(t, place, list, size);
}

ErrnoOr<int64_t> Llistxattr(Task& t, UserAddr path, UserAddr list, uint64_t size) {
  Place place(t);
  TRY(place.ByPath(path, false));
  return DoList(t, place, list, size);
}

ErrnoOr<int64_t> Flistxattr(Task& t, FdNum fd, UserAddr list, uint64_t size) {
  Place place(t);
  TRY(place.ByFd(t, fd));
  return DoList(t, place, list, size);
}

ErrnoOr<void> Removexattr(Task& t, UserAddr path, UserAddr name) {
  Place place(t);
  TRY(place.ByPath(path, true));
  return DoRemove(t, place, name);
}

ErrnoOr<void> Lremovexattr(Task& t, UserAddr path, UserAddr name) {
  Place place(t);
  TRY(place.ByPath(path, false));
  return DoRemove(t, place, name);
}

ErrnoOr<void> Fremovexattr(Task& t, FdNum fd, UserAddr name) {
  Place place(t);
  TRY(place.ByFd(t, fd));
  return DoRemove(t, place, name);
}

}  // namespace runsc
