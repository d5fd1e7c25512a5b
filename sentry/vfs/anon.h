#ifndef SENTRY_VFS_ANON_H_
#define SENTRY_VFS_ANON_H_

#include <string>

#include "platform/base/mutex.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/path.h"

namespace runsc {

// The file system of inodes that no directory names: "anon_inodefs", "pipefs", "sockfs". `type`
// is one of a few static strings; the same one answers the same file system.
Ref<Filesystem> InternalFilesystem(const char* type);

// An inode with plain attributes of its own and no directory operations, for descriptions made
// without a path. Subclasses give Open where re-opening through /proc/self/fd makes sense (pipes).
class InternalInode : public Inode {
 public:
  // `mode`: type and permission bits.
  InternalInode(Ref<Filesystem> fs, uint32_t mode, Uid uid, Gid gid);
  uint32_t type() const override { return type_; }
  ErrnoOr<Attr> GetAttr() override;
  Status SetAttr(const OpContext& ctx, const AttrChange& change) override;
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override {
    return Errno::kNxio;
  }
  uint64_t ino() const { return ino_; }

 private:
  const uint32_t type_;
  const uint64_t ino_;
  Mutex<LockRank::kInodeAttr> mu_;
  Attr attr_ ABSL_GUARDED_BY(mu_);
};

// Path for eventfd, epoll, timerfd, …: on the one inode that all of them share, as in Linux.
// `name` as in "anon_inode:[name]".
Path AnonFilePath(const char* name);

// Path to a new inode of its own on an internal file system, as pipes and sockets have: named
// "label:[ino]", owned by `creds`.
Path NumberedAnonPath(const char* type, const char* label, uint32_t mode,
                      const Credentials& creds);

}  // namespace runsc

#endif  // SENTRY_VFS_ANON_H_
