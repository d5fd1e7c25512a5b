// Directories: listing, and making, linking, renaming and removing entries.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "gofer/server/ops.h"

namespace runsc::gofer {
namespace {

constexpr size_t kBatch = 32 << 10;

bool IsDots(const char* name) {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

// Opens the stream if needed and puts it at `cookie`.
Status SeekStream(Node& dir, uint64_t cookie) ABSL_EXCLUSIVE_LOCKS_REQUIRED(dir.stream_mu) {
  if (!dir.stream.fd.ok()) {
    dir.stream.fd.Reset(
        openat(AT_FDCWD, FdPath(dir.fd()).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir.stream.fd.ok()) return LastError();
    dir.stream.position = 0;
  }
  if (dir.stream.position == cookie) return Ok();
  if (lseek(dir.stream.fd.get(), static_cast<off_t>(cookie), SEEK_SET) < 0) return LastError();
  dir.stream.position = cookie;
  return Ok();
}

// Writes one entry; false if it does not fit.
bool PutEntry(Call& call, const Node& dir, const dirent64& e, bool attrs, size_t limit) {
  size_t length = std::strlen(e.d_name);
  size_t need = sizeof(DirEntry) + length + (attrs ? sizeof(Attr) : 0);
  if (length > kMaxName || call.out.size() + need > limit) return false;
  Attr attr{};
  if (attrs) {
    auto got = StatAt(dir.fd(), e.d_name);
    if (got.ok()) attr = *got;
    if (attr.dev != dir.dev()) {  // a mount: what shows may be something else
      ErrnoOr<Found> found = OpenChild(call, dir, e.d_name);
      attr = found.ok() ? found->attr : Attr{};
    }
  }
  call.out.Put(DirEntry{e.d_ino, e.d_type, 0, static_cast<uint16_t>(length), 0});
  call.out.PutBytes({e.d_name, length});
  if (attrs) call.out.Put(attr);
  return true;
}

// Fills the reply from the stream. `reply` ends up with count, end and next.
Status List(Call& call, Node& dir, const ReadDirRequest& r, size_t limit, ReadDirReply* reply)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(dir.stream_mu) {
  auto batch = std::make_unique_for_overwrite<char[]>(kBatch);
  reply->next = r.cookie;
  for (;;) {
    // Until a batch is used up, the stream stands nowhere we know.
    dir.stream.position = UINT64_MAX;
    long n = syscall(SYS_getdents64, dir.stream.fd.get(), batch.get(), kBatch);
    if (n < 0) return LastError();
    if (n == 0) {
      reply->end = 1;
      dir.stream.fd.Reset();
      return Ok();
    }
    for (long at = 0; at < n;) {
      auto* e = reinterpret_cast<dirent64*>(batch.get() + at);
      at += e->d_reclen;
      if (!IsDots(e->d_name)) {
        if (!PutEntry(call, dir, *e, (r.flags & kReadDirAttrs) != 0, limit)) return Ok();
        ++reply->count;
      }
      reply->next = static_cast<uint64_t>(e->d_off);
    }
    dir.stream.position = reply->next;
  }
}

// Gives a new entry its owner and mode; removes it if that fails.
Status FinishEntry(Call& call, const Node& dir, const char* name, uint32_t uid, uint32_t gid,
                   uint32_t mode) {
  auto made = OpenChild(call, dir, name);
  if (!made.ok()) return made.error();
  int fd = made->fd.get();
  bool directory = S_ISDIR(made->attr.mode);
  Status done = Ok();
  if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) done = LastError();
  // mkdir leaves out the set-id bits, a change of owner may take them away.
  if (done.ok() && !S_ISLNK(made->attr.mode) && (mode & 07000) != 0 &&
      fchmodat(AT_FDCWD, FdPath(fd).c_str(), mode & 07777, 0) != 0) {
    done = LastError();
  }
  if (done.ok()) {
    made->attr = TRY(StatAt(fd, ""));
    done = ReplyNode(call, dir.read_only(), std::move(*made));
  }
  if (!done.ok()) unlinkat(dir.fd(), name, directory ? AT_REMOVEDIR : 0);
  return done;
}

}  // namespace

Status ReadDir(Call& call) {
  ReadDirRequest r{};
  if (!call.in.Get(&r) || !call.in.Done() || (r.flags & ~uint32_t{kReadDirAttrs}) != 0) {
    return Errno::kInval;
  }
  Ref<Node> dir = TRY(GetDirectory(call, r.dir));
  size_t limit = call.out.size() + std::min<size_t>(call.out.left(), r.max_bytes);
  ReadDirReply reply{};
  call.out.Put(reply);
  MutexLock l(dir->stream_mu);
  TRY(SeekStream(*dir, r.cookie));
  TRY(List(call, *dir, r, limit, &reply));
  if (reply.count == 0 && reply.end == 0) return Errno::kInval;  // max_bytes holds no entry
  call.out.PutAt(sizeof(ReplyHeader), reply);
  return Ok();
}

Status ReadLink(Call& call) {
  ReadLinkRequest request{};
  if (!call.in.Get(&request) || !call.in.Done()) return Errno::kInval;
  Ref<Node> node = TRY(call.nodes.Get(request.node));
  if (!S_ISLNK(node->mode())) return Errno::kInval;
  ssize_t n = readlinkat(node->fd(), "", call.out.Room(), kMaxLink);
  if (n < 0) return LastError();
  call.out.Advance(static_cast<size_t>(n));
  return Ok();
}

Status Symlink(Call& call) {
  SymlinkRequest request{};
  Name name;
  std::string_view target;
  if (!call.in.Get(&request)) return Errno::kInval;
  TRY(name.Read(call.in));
  if (!call.in.GetString(&target, kMaxLink) || !call.in.Done()) return Errno::kInval;
  if (target.empty() || target.find('\0') != std::string_view::npos) return Errno::kInval;
  Ref<Node> dir = TRY(GetDirectory(call, request.dir));
  TRY(CheckWritable(*dir));
  if (symlinkat(std::string(target).c_str(), dir->fd(), name.c_str()) != 0) return LastError();
  return FinishEntry(call, *dir, name.c_str(), request.uid, request.gid, 0);
}

Status Link(Call& call) {
  LinkRequest request{};
  Name name;
  if (!call.in.Get(&request)) return Errno::kInval;
  TRY(name.Read(call.in));
  Ref<Node> node = TRY(call.nodes.Get(request.node));
  Ref<Node> dir = TRY(GetDirectory(call, request.dir));
  TRY(CheckWritable(*dir));
  TRY(CheckWritable(*node));
  if (linkat(AT_FDCWD, FdPath(node->fd()).c_str(), dir->fd(), name.c_str(), AT_SYMLINK_FOLLOW) !=
      0) {
    return LastError();
  }
  call.out.Put(TRY(StatAt(node->fd(), "")));
  return Ok();
}

Status Mknod(Call& call) {
  MknodRequest request{};
  Name name;
  if (!call.in.Get(&request)) return Errno::kInval;
  TRY(name.Read(call.in));
  Ref<Node> dir = TRY(GetDirectory(call, request.dir));
  TRY(CheckWritable(*dir));
  uint32_t type = request.mode & S_IFMT;
  uint32_t mode = request.mode & 07777;
  int result = 0;
  if (type == S_IFDIR) {
    result = mkdirat(dir->fd(), name.c_str(), mode);
  } else if (type == S_IFREG || type == S_IFIFO || type == S_IFSOCK) {
    result = mknodat(dir->fd(), name.c_str(), type | mode, 0);
  } else {
    return Errno::kPerm;  // no device node is ever made on the host
  }
  if (result != 0) return LastError();
  return FinishEntry(call, *dir, name.c_str(), request.uid, request.gid, mode);
}

Status Unlink(Call& call) {
  UnlinkRequest request{};
  Name name;
  if (!call.in.Get(&request)) return Errno::kInval;
  TRY(name.Read(call.in));
  if (!call.in.Done()) return Errno::kInval;
  Ref<Node> dir = TRY(GetDirectory(call, request.dir));
  TRY(CheckWritable(*dir));
  int flags = request.directory != 0 ? AT_REMOVEDIR : 0;
  if (unlinkat(dir->fd(), name.c_str(), flags) != 0) return LastError();
  return Ok();
}

Status Rename(Call& call) {
  RenameRequest request{};
  Name from;
  Name to;
  if (!call.in.Get(&request)) return Errno::kInval;
  TRY(from.Read(call.in));
  TRY(to.Read(call.in));
  if ((request.flags & ~uint32_t{RENAME_NOREPLACE | RENAME_EXCHANGE}) != 0) return Errno::kInval;
  Ref<Node> old_dir = TRY(GetDirectory(call, request.old_dir));
  Ref<Node> new_dir = TRY(GetDirectory(call, request.new_dir));
  TRY(CheckWritable(*old_dir));
  TRY(CheckWritable(*new_dir));
  // By number: glibc turns a renameat2 without flags into renameat, which the filter refuses.
  if (syscall(SYS_renameat2, old_dir->fd(), from.c_str(), new_dir->fd(), to.c_str(),
              request.flags) != 0) {
    return LastError();
  }
  return Ok();
}

}  // namespace runsc::gofer
