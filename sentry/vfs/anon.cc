#include "sentry/vfs/anon.h"

#include "platform/base/strings.h"

#include <sys/stat.h>

#include <map>
#include <string_view>

#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

constexpr uint64_t kAnonMagic = 0x09041934, kPipeMagic = 0x50495045, kSockMagic = 0x534F434B;

class AnonFs : public Filesystem {
 public:
  explicit AnonFs(const char* type) : Filesystem(type, kNoCache) {}
  Ref<Inode> root() override { return nullptr; }
  ErrnoOr<FsStat> StatFs() override {
    FsStat s;
    std::string_view t = type();
    s.type = t == "pipefs" ? kPipeMagic : t == "sockfs" ? kSockMagic : kAnonMagic;
    return s;
  }
};

struct AnonMount {
  Ref<Filesystem> fs;
  Ref<Mount> mount;
};

struct AnonMounts {
  Mutex<LockRank::kDentryLru> mu;
  std::map<std::string_view, AnonMount> by_type ABSL_GUARDED_BY(mu);
};

// Lives as long as the sentry.
AnonMount GetMount(const char* type) {
  static AnonMounts* all = new AnonMounts;
  MutexLock l(all->mu);
  AnonMount& m = all->by_type[type];
  if (!m.fs) {
    m.fs = MakeRef<AnonFs>(type);
    Ref<Inode> root = MakeRef<InternalInode>(m.fs, S_IFDIR | 0555, 0, 0);
    m.mount = MakeRef<Mount>(m.fs, Dentry::NewRoot(std::move(root)), 0, type);
  }
  return m;
}

}  // namespace

Ref<Filesystem> InternalFilesystem(const char* type) { return GetMount(type).fs; }

InternalInode::InternalInode(Ref<Filesystem> fs, uint32_t mode, Uid uid, Gid gid)
    : Inode(std::move(fs)), type_(mode & S_IFMT), ino_([] {
        static std::atomic<uint64_t> next{1};
        return next.fetch_add(1, std::memory_order_relaxed);
      }()) {
  attr_.ino = ino_;
  attr_.dev = this->fs().dev();
  attr_.mode = mode;
  attr_.nlink = 1;
  attr_.uid = uid;
  attr_.gid = gid;
  attr_.atime = attr_.mtime = attr_.ctime = attr_.btime = CurrentFileTime();
}

ErrnoOr<Attr> InternalInode::GetAttr() {
  MutexLock l(mu_);
  return attr_;
}

Status InternalInode::SetAttr(const OpContext& ctx, const AttrChange& change) {
  if (change.size) return Errno::kInval;
  MutexLock l(mu_);
  if (change.mode) attr_.mode = type_ | (*change.mode & 07777);
  if (change.uid) attr_.uid = *change.uid;
  if (change.gid) attr_.gid = *change.gid;
  if (change.atime) attr_.atime = *change.atime;
  if (change.mtime) attr_.mtime = *change.mtime;
  attr_.ctime = CurrentFileTime();
  return Ok();
}

Path AnonFilePath(const char* name) {
  static Ref<Inode>* shared =
      new Ref<Inode>(MakeRef<InternalInode>(InternalFilesystem("anon_inodefs"), 0600, 0, 0));
  return Path(GetMount("anon_inodefs").mount,
              Dentry::NewDisconnected(*shared, std::string("anon_inode:[") + name + "]"));
}

namespace vfs {

Path AnonPath(Ref<Inode> inode, std::string name) {
  Ref<Mount> mount = GetMount(inode->fs().type()).mount;
  return Path(std::move(mount), Dentry::NewDisconnected(std::move(inode), std::move(name)));
}

}  // namespace vfs
Path NumberedAnonPath(const char* type, const char* label, uint32_t mode,
                      const Credentials& creds) {
  Ref<InternalInode> inode =
      MakeRef<InternalInode>(InternalFilesystem(type), mode, creds.fsuid, creds.fsgid);
  std::string name =
      StrPrintf("%s:[%llu]", label, static_cast<unsigned long long>(inode->ino()));
  return vfs::AnonPath(inode, std::move(name));
}

}  // namespace runsc
