#include "sentry/fs/anon/anon_inode.h"

#include <sys/stat.h>

#include <atomic>

#include "platform/base/strings.h"
#include "sentry/time/clock.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

// Linux's magic numbers: PIPEFS_MAGIC, SOCKFS_MAGIC, ANON_INODE_FS_MAGIC.
class AnonFilesystem final : public Filesystem {
 public:
  AnonFilesystem(const char* type, uint64_t magic) : Filesystem(type), magic_(magic) {}
  Ref<Inode> root() override { return nullptr; }
  ErrnoOr<FsStat> StatFs() override { return FsStat{.type = magic_}; }

 private:
  const uint64_t magic_;
};

Ref<Filesystem> FilesystemOf(AnonInode::Kind kind) {
  static Filesystem* const pipefs = new AnonFilesystem("pipefs", 0x50495045);
  static Filesystem* const sockfs = new AnonFilesystem("sockfs", 0x534f434b);
  static Filesystem* const anonfs = new AnonFilesystem("anon_inodefs", 0x09041934);
  switch (kind) {
    case AnonInode::Kind::kPipe: return Ref<Filesystem>(pipefs);
    case AnonInode::Kind::kSocket: return Ref<Filesystem>(sockfs);
    case AnonInode::Kind::kAnon: return Ref<Filesystem>(anonfs);
  }
  __builtin_unreachable();
}

uint32_t TypeOf(AnonInode::Kind kind) {
  switch (kind) {
    case AnonInode::Kind::kPipe: return S_IFIFO;
    case AnonInode::Kind::kSocket: return S_IFSOCK;
    case AnonInode::Kind::kAnon: return 0;
  }
  __builtin_unreachable();
}

std::atomic<uint64_t> g_next_ino{1000};

}  // namespace

AnonInode::AnonInode(Kind kind, const Credentials& creds, uint32_t permissions)
    : Inode(FilesystemOf(kind)), type_(TypeOf(kind)), ino_(g_next_ino.fetch_add(1)) {
  FileTime now = RealtimeNanos();
  attr_ = Attr{.ino = ino_,
               .dev = fs().dev(),
               .mode = type_ | permissions,
               .nlink = 1,
               .uid = creds.fsuid,
               .gid = creds.fsgid,
               .atime = now,
               .mtime = now,
               .ctime = now,
               .btime = now};
}

ErrnoOr<Attr> AnonInode::GetAttr() {
  MutexLock l(mu_);
  return attr_;
}

Status AnonInode::SetAttr(const OpContext& ctx, const AttrChange& change) {
  if (change.size.has_value()) return Errno::kInval;
  MutexLock l(mu_);
  if (change.mode) attr_.mode = type_ | (*change.mode & 07777);
  if (change.uid) attr_.uid = *change.uid;
  if (change.gid) attr_.gid = *change.gid;
  if (change.atime) attr_.atime = *change.atime;
  if (change.mtime) attr_.mtime = *change.mtime;
  attr_.ctime = RealtimeNanos();
  return Ok();
}

ErrnoOr<Ref<File>> AnonInode::Open(const OpContext&, const Path&, const OpenRequest&) {
  return Errno::kNxio;
}

Path MakeAnonPath(AnonInode::Kind kind, const Ref<AnonInode>& inode, std::string_view name) {
  unsigned long long ino = inode->ino();
  switch (kind) {
    case AnonInode::Kind::kPipe: return vfs::AnonPath(inode, StrPrintf("pipe:[%llu]", ino));
    case AnonInode::Kind::kSocket: return vfs::AnonPath(inode, StrPrintf("socket:[%llu]", ino));
    case AnonInode::Kind::kAnon: break;
  }
  return vfs::AnonPath(inode, "anon_inode:" + std::string(name));
}

Path NewAnonPath(AnonInode::Kind kind, const Credentials& creds, std::string_view name) {
  return MakeAnonPath(kind, MakeRef<AnonInode>(kind, creds, 0600), name);
}

}  // namespace runsc
