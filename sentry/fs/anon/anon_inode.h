#ifndef SENTRY_FS_ANON_ANON_INODE_H_
#define SENTRY_FS_ANON_ANON_INODE_H_

#include <memory>
#include <string>

#include "sentry/vfs/inode.h"
#include "sentry/vfs/path.h"

namespace runsc {

// The inode of an object that no directory names: a pipe, a socket, an eventfd. It lives on one of
// three internal file systems, and cannot be opened by path again (ENXIO), except by subclasses.
class AnonInode : public Inode {
 public:
  enum class Kind { kPipe, kSocket, kAnon };
  AnonInode(Kind kind, const Credentials& creds, uint32_t permissions);

  uint32_t type() const override { return type_; }
  ErrnoOr<Attr> GetAttr() override;
  // fchmod, fchown and times work; size does not (EINVAL).
  Status SetAttr(const OpContext& ctx, const AttrChange& change) override;
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override;
  uint64_t ino() const { return ino_; }

 private:
  const uint32_t type_;
  const uint64_t ino_;
  Mutex<LockRank::kInode> mu_;
  Attr attr_ ABSL_GUARDED_BY(mu_);
};

// A path to `inode` as /proc/pid/fd shows it: "pipe:[7]", "socket:[8]", "anon_inode:[eventfd]"
// (`name` is used for kAnon only).
Path MakeAnonPath(AnonInode::Kind kind, const Ref<AnonInode>& inode, std::string_view name);

// Both at once, for objects with nothing of their own in the inode.
Path NewAnonPath(AnonInode::Kind kind, const Credentials& creds, std::string_view name);

}  // namespace runsc

#endif  // SENTRY_FS_ANON_ANON_INODE_H_
