#ifndef SENTRY_VFS_VFS_H_
#define SENTRY_VFS_VFS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "platform/base/errno.h"
#include "platform/base/ref.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/types.h"

namespace runsc {

// cwd, root and umask of a process (clone(2) CLONE_FS). Thread-safe.
class FsContext : public RefCounted {
 public:
  ~FsContext() override;
  FsContext(Ref<MountNamespace> ns, Path root, Path cwd, uint32_t umask);
  Ref<FsContext> Fork();
  Path root();
  Path cwd();
  void SetRoot(Path p);
  void SetCwd(Path p);
  uint32_t umask();
  uint32_t SetUmask(uint32_t mask);  // answers the old one
  Ref<MountNamespace> mount_namespace();
  void SetMountNamespace(Ref<MountNamespace> ns, Path root, Path cwd);

 private:
  friend class FsContextList;
  // Links of the list of all contexts, for pivot_root(2).
  FsContext* prev_ = nullptr;
  FsContext* next_ = nullptr;
  Mutex<LockRank::kFsContext> mu_;
  Ref<MountNamespace> ns_ ABSL_GUARDED_BY(mu_);
  Path root_ ABSL_GUARDED_BY(mu_);
  Path cwd_ ABSL_GUARDED_BY(mu_);
  uint32_t umask_ ABSL_GUARDED_BY(mu_);
};

// Where and how to look up a path.
struct LookupContext {
  const OpContext& op;
  FsContext& fs;
  Path start;             // for relative paths: cwd or the directory fd's path
  uint64_t resolve = 0;   // RESOLVE_* of openat2(2)
};

// path_resolution(7). All of these take a path as the guest gave it; ENOENT for an empty one
// unless stated, ENAMETOOLONG, ELOOP (40 links), ENOTDIR, EACCES.
namespace vfs {

// Existing object. `follow`: a final symlink is followed.
ErrnoOr<Path> Lookup(const LookupContext& ctx, std::string_view path, bool follow);

// open(2), openat2(2): flags O_*, creation included; `mode` before umask. The file is not yet in
// any fd table. kWouldBlock for FIFOs whose other end is missing: the caller waits and retries.
ErrnoOr<Ref<File>> Open(const LookupContext& ctx, std::string_view path, uint32_t flags,
                        uint32_t mode);
// Opens an object already looked up (execve, /proc/pid/fd re-open, boot).
ErrnoOr<Ref<File>> OpenPath(const LookupContext& ctx, const Path& path, uint32_t flags);

Status Mkdir(const LookupContext& ctx, std::string_view path, uint32_t mode);
// ENOENT etc. as mknod(2); `dev` matters for devices. S_IFSOCK with `socket` is bind(2).
Status Mknod(const LookupContext& ctx, std::string_view path, uint32_t mode, DeviceId dev,
             Ref<RefCounted> socket = nullptr);
Status Symlink(const LookupContext& ctx, std::string_view target, std::string_view path);
Status Link(const Path& source, const LookupContext& ctx, std::string_view path);
Status Unlink(const LookupContext& ctx, std::string_view path);
Status Rmdir(const LookupContext& ctx, std::string_view path);
Status Rename(const LookupContext& from, std::string_view old_path, const LookupContext& to,
              std::string_view new_path, uint32_t flags);

// Attribute changes with Linux's permission rules (setattr_prepare): chmod, chown, utimensat,
// truncate. EROFS by mount.
Status Chmod(const OpContext& ctx, const Path& path, uint32_t mode);
Status Chown(const OpContext& ctx, const Path& path, Uid uid, Gid gid);  // kNoId: leave
struct TimeChange {
  enum Kind { kSet, kNow, kOmit } kind = kNow;
  FileTime time = 0;
};
Status SetTimes(const OpContext& ctx, const Path& path, TimeChange atime, TimeChange mtime);
// `opening`: for O_TRUNC, which sets times even if the size is the same.
Status Truncate(const OpContext& ctx, const Path& path, uint64_t size, bool opening = false);
ErrnoOr<Attr> GetAttr(const Path& path);
// access(2) and the like: mode bits R_OK/W_OK/X_OK with ctx's credentials, read-only mounts too.
Status CheckAccess(const OpContext& ctx, const Path& path, Access want);

// xattr calls with namespace rules (user., trusted., security., system.).
ErrnoOr<std::string> GetXattr(const OpContext& ctx, const Path& path, std::string_view name);
Status SetXattr(const OpContext& ctx, const Path& path, std::string_view name,
                std::string_view value, int flags);
Status RemoveXattr(const OpContext& ctx, const Path& path, std::string_view name);
ErrnoOr<std::vector<std::string>> ListXattr(const OpContext& ctx, const Path& path);

// d_path: the name of `path` as seen from `root`; " (deleted)" is appended when unlinked, and
// "(unreachable)" put in front when `root` is not above it. With an empty `root`: from the top of
// the mount tree.
std::string PathName(const Path& path, const Path& root);

// The name of `d` inside its own file system, beginning with "/".
std::string PathInFilesystem(const Dentry& d);

// A file's Path on the internal mount "anon_inode", "pipe", "socket": for descriptions that no
// directory names. `inode` is theirs.
Path AnonPath(Ref<Inode> inode, std::string name);

// inotify(7): something happened to `path` (IN_* mask), `name` for its parent's watches.
void NotifyInotify(const Path& path, uint32_t mask);

// Before a write(2), fallocate(2) or the like to a regular file: clears set-id bits as Linux's
// file_remove_privs does. Cheap when there are none.
Status PrepareWrite(const OpContext& ctx, File& file);
// After data was read (IN_ACCESS) or written (IN_MODIFY). Cheap when nobody watches.
void NotifyRead(File& file);
void NotifyWritten(File& file);
// The last reference to `file` goes (IN_CLOSE_*).
void NotifyClosed(File& file);
// Whether `path` may be written to: EROFS on a read-only mount.
Status CheckMountWritable(const Path& path);

}  // namespace vfs
}  // namespace runsc

#endif  // SENTRY_VFS_VFS_H_
