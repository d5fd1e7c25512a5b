#include "sentry/loader/exec_file.h"

#include <fcntl.h>

#include <utility>

namespace runsc {
namespace {

// Only names the file, and denies writing to it while it lives.
class WriteDenial final : public File {
 public:
  WriteDenial(const Path& path, Ref<const Credentials> creds)
      : File(path, O_PATH, std::move(creds)) {}
  ~WriteDenial() override { inode().AllowWriteAccess(); }
};

}  // namespace

ErrnoOr<ExecFile> ExecFile::OpenPath(const LoadRequest& request, const Path& path) {
  Inode& inode = *path.dentry->get_inode();
  if (inode.IsSymlink()) return Errno::kLoop;
  if (!inode.IsRegular()) return Errno::kAcces;
  TRY(vfs::CheckAccess(request.op, path, Access{.exec = true}));
  ExecFile f;
  f.creds_ = Ref<const Credentials>(&request.op.creds);
  f.readable_ = vfs::CheckAccess(request.op, path, Access{.read = true}).ok();
  TRY(inode.DenyWriteAccess());
  f.denial_ = MakeRef<WriteDenial>(path, f.creds_);
  // Execute permission is enough to load a file that the program itself may not read.
  f.file_ = TRY(inode.Open(request.op, path, OpenRequest{O_RDONLY}));
  return f;
}

ErrnoOr<ExecFile> ExecFile::Open(const LoadRequest& request, std::string_view path, bool follow) {
  const LookupContext ctx{request.op, *request.fs, request.start};
  return OpenPath(request, TRY(vfs::Lookup(ctx, path, follow)));
}

// Linux opens these names itself, and an empty one is then the directory it starts from.
ErrnoOr<ExecFile> ExecFile::OpenInterpreter(const LoadRequest& request, std::string_view path) {
  if (path.empty()) return Errno::kAcces;
  return Open(request, path, true);
}

ErrnoOr<ExecFile> ExecFile::Adopt(const LoadRequest& request, const Ref<File>& file) {
  return OpenPath(request, file->path());
}

Status ExecFile::ReadExact(void* out, size_t size, uint64_t offset) const {
  IoContext io{*creds_};
  UserOut dst(out, size);
  if (offset > INT64_MAX - size) return Errno::kInval;
  while (dst.remaining() > 0) {
    const uint64_t at = offset + (size - dst.remaining());
    if (TRY(file_->ReadAt(io, dst, at)) == 0) return Errno::kIo;
  }
  return Ok();
}

ErrnoOr<std::array<char, ExecFile::kHeadSize>> ExecFile::ReadHead() const {
  std::array<char, kHeadSize> head{};
  IoContext io{*creds_};
  UserOut dst(head.data(), head.size());
  while (dst.remaining() > 0) {
    const size_t done = kHeadSize - dst.remaining();
    if (TRY(file_->ReadAt(io, dst, done)) == 0) break;
  }
  return head;
}

}  // namespace runsc
