#include "sentry/fs/testing/vfs_fixture.h"

#include <fcntl.h>

namespace runsc {
namespace {

class NameSink : public DirSink {
 public:
  bool Add(std::string_view name, uint64_t ino, uint32_t type, int64_t next) override {
    // A few at a time, so that listings go on from offsets.
    if (batch_ == 7) return false;
    ++batch_;
    if (name != "." && name != "..") {
      EXPECT_TRUE(names_.insert(std::string(name)).second) << name << " listed twice";
    }
    return true;
  }
  std::set<std::string> names_;
  int batch_ = 0;
};

}  // namespace

void VfsTest::MountRoot(Ref<Filesystem> fs, uint32_t flags) {
  Ref<Mount> mount = Mount::New(std::move(fs), flags, "test");
  Ref<MountNamespace> ns = MountNamespace::New(std::move(mount));
  Path root = ns->Root();
  fs_ = MakeRef<FsContext>(ns, root, root, 022);
}

void VfsTest::TearDown() {
  const Filesystem* fs = fs_ ? &fs_->root().mount->fs() : nullptr;
  fs_.reset();
  if (fs != nullptr) DentryCache::Purge(nullptr);
}

LookupContext VfsTest::Ctx() { return {op_, *fs_, fs_->cwd()}; }

ErrnoOr<Ref<File>> VfsTest::Open(std::string_view path, uint32_t flags, uint32_t mode) {
  return vfs::Open(Ctx(), path, flags, mode);
}

std::string VfsTest::ReadFile(File& file, uint64_t offset) {
  std::string out(1 << 20, '\0');
  UserOut dst(out.data(), out.size());
  auto n = file.ReadAt(io_, dst, offset);
  if (!n.ok()) return std::string("!") + ErrnoName(n.error());
  out.resize(*n);
  return out;
}

std::string VfsTest::Read(std::string_view path) {
  auto file = Open(path, O_RDONLY);
  if (!file.ok()) return std::string("!") + ErrnoName(file.error());
  return ReadFile(**file);
}

ErrnoOr<size_t> VfsTest::WriteFile(File& file, std::string_view text, uint64_t offset,
                                   bool append) {
  UserIn src(text.data(), text.size());
  IoContext io = io_;
  io.append = append;
  uint64_t end = 0;
  return file.WriteAt(io, src, offset, &end);
}

Errno VfsTest::Write(std::string_view path, std::string_view text, uint32_t flags) {
  auto file = Open(path, O_WRONLY | O_CREAT | O_TRUNC | flags);
  if (!file.ok()) return file.error();
  return WriteFile(**file, text, 0).error();
}

ErrnoOr<Attr> VfsTest::Stat(std::string_view path, bool follow) {
  return vfs::GetAttr(TRY(vfs::Lookup(Ctx(), path, follow)));
}

std::set<std::string> VfsTest::List(std::string_view path) {
  NameSink sink;
  auto dir = Open(path, O_RDONLY | O_DIRECTORY);
  if (!dir.ok()) return {std::string("!") + ErrnoName(dir.error())};
  do {
    sink.batch_ = 0;
    Status s = (*dir)->ReadDir(op_, sink);
    if (!s.ok()) return {std::string("!") + ErrnoName(s.error())};
  } while (sink.batch_ > 0);
  return sink.names_;
}

Errno VfsTest::Mkdir(std::string_view path, uint32_t mode) {
  return vfs::Mkdir(Ctx(), path, mode).error();
}
Errno VfsTest::Unlink(std::string_view path) { return vfs::Unlink(Ctx(), path).error(); }
Errno VfsTest::Rmdir(std::string_view path) { return vfs::Rmdir(Ctx(), path).error(); }
Errno VfsTest::Rename(std::string_view from, std::string_view to, uint32_t flags) {
  return vfs::Rename(Ctx(), from, Ctx(), to, flags).error();
}
Errno VfsTest::Link(std::string_view from, std::string_view to) {
  auto source = vfs::Lookup(Ctx(), from, false);
  if (!source.ok()) return source.error();
  return vfs::Link(*source, Ctx(), to).error();
}
Errno VfsTest::Symlink(std::string_view target, std::string_view path) {
  return vfs::Symlink(Ctx(), target, path).error();
}
std::string VfsTest::Readlink(std::string_view path) {
  auto at = vfs::Lookup(Ctx(), path, false);
  if (!at.ok()) return std::string("!") + ErrnoName(at.error());
  auto text = at->dentry->inode()->Readlink(op_);
  return text.ok() ? *text : std::string("!") + ErrnoName(text.error());
}
Errno VfsTest::Chmod(std::string_view path, uint32_t mode) {
  auto at = vfs::Lookup(Ctx(), path, true);
  return at.ok() ? vfs::Chmod(op_, *at, mode).error() : at.error();
}
Errno VfsTest::Truncate(std::string_view path, uint64_t size) {
  auto at = vfs::Lookup(Ctx(), path, true);
  return at.ok() ? vfs::Truncate(op_, *at, size).error() : at.error();
}
Errno VfsTest::Mknod(std::string_view path, uint32_t mode, DeviceId dev) {
  return vfs::Mknod(Ctx(), path, mode, dev).error();
}

}  // namespace runsc
