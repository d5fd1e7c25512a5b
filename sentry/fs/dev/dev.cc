#include "sentry/fs/dev/dev.h"

#include <linux/random.h>
#include <sys/stat.h>

#include <algorithm>

#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/mm/memory_manager.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/filesystem_types.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/special_files.h"

namespace runsc {
namespace {

constexpr uint32_t kMemMajor = 1;
enum Minor : uint32_t { kNull = 3, kZero = 5, kFull = 7, kRandom = 8, kUrandom = 9 };

// A read is cut here, so that a signal need not wait for all that was asked for.
constexpr size_t kMostRandom = 32 << 20;

MemoryFile* g_memory = nullptr;  // set once at boot

// What all of them share: positions mean nothing, and lseek(2) goes to 0.
class MemDevice : public File {
 public:
  using File::File;
  ErrnoOr<size_t> Read(IoContext& io, UserOut& dst) override { return ReadAt(io, dst, 0); }
  ErrnoOr<size_t> Write(IoContext& io, UserIn& src) override {
    uint64_t end = 0;
    return WriteAt(io, src, 0, &end);
  }
  ErrnoOr<int64_t> Seek(int64_t offset, int whence) override { return int64_t{0}; }
  ErrnoOr<size_t> WriteAt(IoContext& io, UserIn& src, uint64_t, uint64_t* end) override {
    size_t n = src.remaining();
    src.Skip(n);
    return n;
  }
};

class NullFile final : public MemDevice {
 public:
  using MemDevice::MemDevice;
  ErrnoOr<size_t> ReadAt(IoContext& io, UserOut& dst, uint64_t) override { return size_t{0}; }
};

// zero and full: mapping either is mapping anonymous memory.
class ZeroFile : public MemDevice {
 public:
  using MemDevice::MemDevice;
  ErrnoOr<size_t> ReadAt(IoContext& io, UserOut& dst, uint64_t) override {
    return dst.WriteZeros(dst.remaining());
  }
  ErrnoOr<Ref<Mappable>> Map(bool shared, Access access) override {
    return NewSharedAnonymous(*g_memory, uint64_t{1} << 46);
  }
};

class FullFile final : public ZeroFile {
 public:
  using ZeroFile::ZeroFile;
  ErrnoOr<size_t> WriteAt(IoContext& io, UserIn& src, uint64_t, uint64_t* end) override {
    return Errno::kNospc;
  }
  ErrnoOr<Ref<Mappable>> Map(bool shared, Access access) override { return Errno::kNodev; }
};

class RandomFile final : public MemDevice {
 public:
  using MemDevice::MemDevice;
  ErrnoOr<size_t> ReadAt(IoContext& io, UserOut& dst, uint64_t) override {
    char buffer[4096];
    size_t done = 0;
    while (dst.remaining() != 0) {
      size_t n = std::min(dst.remaining(), sizeof(buffer));
      FillRandom(buffer, n);
      ErrnoOr<size_t> put = dst.Write(buffer, n);
      if (!put.ok()) return done != 0 ? ErrnoOr<size_t>(done) : put.error();
      done += *put;
      if (*put < n || done >= kMostRandom) break;
    }
    return done;
  }
  ErrnoOr<int64_t> Ioctl(IoContext& io, const IoctlRequest& request) override {
    if (request.command != RNDGETENTCNT) return File::Ioctl(io, request);
    TRY(request.mem.Put(UserAddr(request.arg), int32_t{256}));
    return 0;
  }
};

ErrnoOr<Ref<File>> OpenMemDevice(const OpContext& ctx, const Path& path,
                                 const OpenRequest& request, DeviceId dev) {
  Ref<const Credentials> creds(&ctx.creds);
  switch (dev.minor) {
    case kNull: return Ref<File>(MakeRef<NullFile>(path, request.flags, creds));
    case kZero: return Ref<File>(MakeRef<ZeroFile>(path, request.flags, creds));
    case kFull: return Ref<File>(MakeRef<FullFile>(path, request.flags, creds));
    case kRandom:
    case kUrandom: return Ref<File>(MakeRef<RandomFile>(path, request.flags, creds));
    default: return Errno::kNxio;
  }
}

struct Node {
  const char* name;
  DeviceId dev;
};
constexpr Node kNodes[] = {
    {"null", {kMemMajor, kNull}},     {"zero", {kMemMajor, kZero}},
    {"full", {kMemMajor, kFull}},     {"random", {kMemMajor, kRandom}},
    {"urandom", {kMemMajor, kUrandom}}, {"tty", {5, 0}},
};

struct Link {
  const char* name;
  const char* target;
};
constexpr Link kLinks[] = {
    {"ptmx", "pts/ptmx"},           {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"},  {"stderr", "/proc/self/fd/2"}, {"core", "/proc/kcore"},
};

}  // namespace

ErrnoOr<Ref<Filesystem>> NewDevFilesystem(MemoryFile& memory) {
  Ref<Tmpfs> fs = Tmpfs::New(memory, {.mode = 0755}, "devtmpfs");
  Ref<Inode> dir = fs->root();
  Ref<Credentials> root = Credentials::NewRoot(UserNamespace::NewRoot());
  OpContext op{*root};
  for (const Node& n : kNodes) TRY(TmpfsAddDevice(*dir, n.name, S_IFCHR | 0666, n.dev));
  WriterLock l(dir->dir_mutex);
  for (const Link& link : kLinks) TRY(dir->Symlink(op, link.name, link.target));
  for (const char* name : {"pts", "mqueue"}) TRY(dir->Mkdir(op, name, S_IFDIR | 0755));
  TRY(dir->Mkdir(op, "shm", S_IFDIR | 01777));
  return Ref<Filesystem>(fs);
}

void RegisterMemoryDevices(MemoryFile& memory) {
  g_memory = &memory;
  RegisterDevice(false, kMemMajor, kNull, kUrandom, &OpenMemDevice);
  RegisterFilesystemType("devtmpfs", [](const OpContext&, std::string_view, std::string_view) {
    return NewDevFilesystem(*g_memory);
  });
}

}  // namespace runsc
