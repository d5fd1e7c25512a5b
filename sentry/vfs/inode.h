#ifndef SENTRY_VFS_INODE_H_
#define SENTRY_VFS_INODE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/mm/mappable.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/types.h"

namespace runsc {

class File;
class Filesystem;
class FileLocks;
class InodeWatches;

// How open(2) opens. Access and truncation permission were checked by vfs.
struct OpenRequest {
  uint32_t flags = 0;  // O_* as passed, without creation flags already served
  bool readable() const { return (flags & 3) != 1; }
  bool writable() const { return (flags & 3) != 0; }
};

// A file system object. vfs serialises directory changes: an operation that adds, removes or
// renames entries of a directory is called with that directory's `dir_mutex` held exclusively,
// Lookup with it held shared or exclusively. Attributes are the file system's own to lock.
// Operations never sleep for the guest (host I/O of the gofer excepted).
// Defaults answer what Linux answers for an inode that lacks the operation.
class Inode : public RefCounted {
 public:
  explicit Inode(Ref<Filesystem> fs);
  ~Inode() override;

  Filesystem& fs() const { return *fs_; }
  // S_IFMT bits; never change.
  virtual uint32_t type() const = 0;
  bool IsDir() const { return type() == 0040000; }
  bool IsRegular() const { return type() == 0100000; }
  bool IsSymlink() const { return type() == 0120000; }

  virtual ErrnoOr<Attr> GetAttr() = 0;
  virtual Status SetAttr(const OpContext& ctx, const AttrChange& change);

  // Directory operations. `name` is one component, not "." or "..", at most 255 bytes.
  // ENOENT if absent.
  virtual ErrnoOr<Ref<Inode>> Lookup(std::string_view name);
  // Asked about a cached dentry on file systems with kRevalidate: `inode` null is a negative one.
  virtual bool StillValid(std::string_view name, Inode* inode) { return true; }
  // The entry does not exist (vfs looked). `mode` has the umask applied; owner is ctx.creds' fsuid
  // and fsgid, or the directory's group if it is set-gid, which the file system applies with
  // InitialOwner().
  virtual ErrnoOr<Ref<Inode>> Create(const OpContext& ctx, std::string_view name, uint32_t mode);
  virtual ErrnoOr<Ref<Inode>> Mkdir(const OpContext& ctx, std::string_view name, uint32_t mode);
  virtual ErrnoOr<Ref<Inode>> Mknod(const OpContext& ctx, std::string_view name, uint32_t mode,
                                    DeviceId dev);
  virtual ErrnoOr<Ref<Inode>> Symlink(const OpContext& ctx, std::string_view name,
                                      std::string_view target);
  virtual Status Link(const OpContext& ctx, std::string_view name, Inode& target);
  virtual Status Unlink(const OpContext& ctx, std::string_view name, Inode& target);
  virtual Status Rmdir(const OpContext& ctx, std::string_view name, Inode& target);
  // rename(2) of `name` here to `new_name` in `new_dir` (same file system, may be this). `target`
  // is what is there now or null. flags: RENAME_NOREPLACE was checked; RENAME_EXCHANGE and
  // RENAME_WHITEOUT reach here.
  virtual Status Rename(const OpContext& ctx, std::string_view name, Inode& source, Inode& new_dir,
                        std::string_view new_name, Inode* target, uint32_t flags);
  // O_TMPFILE: an unnamed regular file. EOPNOTSUPP by default.
  virtual ErrnoOr<Ref<Inode>> CreateTemp(const OpContext& ctx, uint32_t mode);

  // Symlinks: text; EINVAL otherwise.
  virtual ErrnoOr<std::string> Readlink(const OpContext& ctx);
  // Magic links (/proc/pid/fd/N, exe, cwd): where they lead. ENOENT by default is not used:
  // is_magic_link() says which kind this is.
  virtual bool is_magic_link() const { return false; }
  virtual ErrnoOr<Path> FollowMagic(const OpContext& ctx);

  // A new open file description. `path` is where it was found. Regular files must not sleep; a
  // FIFO's File waits for its other end in File::FinishOpen().
  virtual ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                                  const OpenRequest& request) = 0;
  // Regular files: the object behind mmap(2); null if it cannot be mapped (ENODEV).
  virtual Ref<Mappable> mappable() { return nullptr; }

  // Whether O_DIRECT may be asked for: files of data, not those made up as they are read.
  virtual bool TakesDirectIo() const { return IsRegular(); }

  // fcntl(2) F_GET_SEALS, F_ADD_SEALS: EINVAL where there are none.
  virtual ErrnoOr<uint32_t> GetSeals() { return Errno::kInval; }
  virtual Status AddSeals(uint32_t seals) { return Errno::kInval; }

  // xattr(7), full names ("user.x"). ENODATA, ERANGE is vfs's business. flags: XATTR_CREATE, _REPLACE.
  virtual ErrnoOr<std::string> GetXattr(const OpContext& ctx, std::string_view name);
  virtual Status SetXattr(const OpContext& ctx, std::string_view name, std::string_view value,
                          int flags);
  virtual Status RemoveXattr(const OpContext& ctx, std::string_view name);
  virtual ErrnoOr<std::vector<std::string>> ListXattr(const OpContext& ctx);

  // Permission to access with MAY_* semantics (generic_permission by default); `want` bits.
  virtual Status CheckAccess(const OpContext& ctx, Access want);

  // Advisory locks and inotify watches, made on first use.
  FileLocks& locks();
  // Drops flock and OFD locks of the open file description `file_id`.
  void ReleaseFileLocks(uint64_t file_id);
  // Null if there never was one.
  FileLocks* locks_if_any() { return locks_.load(std::memory_order_acquire); }
  // Drops POSIX locks of the descriptor table `table_id`: any close(2) of the file does.
  void ReleasePosixLocks(uint64_t table_id);
  InodeWatches* watches() const { return watches_.load(std::memory_order_acquire); }
  InodeWatches& EnsureWatches();
  // Bound UNIX socket (S_IFSOCK inodes): an object of net/unix.
  Ref<RefCounted> bound_socket();
  void SetBoundSocket(Ref<RefCounted> socket);

  // Whether a path walk may pass this directory without asking CheckAccess: everybody may search
  // it. Learnt by the default CheckAccess, forgotten when attributes change through vfs. File
  // systems whose attributes change by other ways call ForgetAttrCache (or have kRevalidate).
  bool AnyoneMaySearch() const {
    return (attr_cache_.load(std::memory_order_acquire) & kAnyoneSearches) != 0;
  }
  // Whether writing need not clear set-id bits: there are none. Same life as above.
  bool NoSetIdBits() const {
    return (attr_cache_.load(std::memory_order_acquire) & kNoSetId) != 0;
  }
  void ForgetAttrCache();
  // Learns from `attr`, read after `seen` was got from attr_cache(), if nothing changed since.
  uint32_t attr_cache() const { return attr_cache_.load(std::memory_order_acquire); }
  void LearnAttr(uint32_t seen, const Attr& attr);

  // Writers and deniers of writing (open for writing against execve; get_write_access in Linux).
  // ETXTBSY.
  Status GetWriteAccess();
  void PutWriteAccess() { write_count_.fetch_sub(1, std::memory_order_acq_rel); }
  Status DenyWriteAccess();
  void AllowWriteAccess() { write_count_.fetch_add(1, std::memory_order_acq_rel); }

  // F_SET_RW_HINT: kept for F_GET_RW_HINT. RWH_*.
  std::atomic<uint8_t> write_hint{0};

  RwMutex<LockRank::kInodeDir> dir_mutex;

 private:
  static constexpr uint32_t kAnyoneSearches = 1;
  static constexpr uint32_t kNoSetId = 2;
  static constexpr uint32_t kAttrGeneration = 4;  // counted above the flag bits

  const Ref<Filesystem> fs_;
  std::atomic<FileLocks*> locks_{nullptr};
  std::atomic<InodeWatches*> watches_{nullptr};
  std::atomic<uint32_t> attr_cache_{0};
  std::atomic<int32_t> write_count_{0};  // > 0 writers, < 0 deniers
  Mutex<LockRank::kInode> socket_mu_;
  Ref<RefCounted> bound_socket_ ABSL_GUARDED_BY(socket_mu_);
};

// A mounted-or-mountable file system instance (a super block).
class Filesystem : public RefCounted {
 public:
  enum Flag : uint32_t {
    kRevalidate = 1,    // cached dentries are asked StillValid
    kNoCache = 2,       // dentries are not cached beyond their use (procfs)
    kNoDevices = 4,
  };
  explicit Filesystem(const char* type, uint32_t flags = 0);
  // Counted by Mount. When the last mount is gone vfs drops the cached dentries and calls
  // OnLastUnmount: a file system that keeps its inodes alive (they refer back to it) lets them go.
  void AddMount() { mounts_.fetch_add(1, std::memory_order_relaxed); }
  void DropMount();
  virtual void OnLastUnmount() {}

  const char* type() const { return type_; }     // "tmpfs", "overlay", …
  uint32_t flags() const { return flags_; }
  uint64_t dev() const { return dev_; }           // anonymous device number, unique
  virtual Ref<Inode> root() = 0;
  virtual ErrnoOr<FsStat> StatFs() = 0;
  virtual Status Sync() { return Ok(); }
  // Text for /proc/mounts options after rw/ro, beginning with "," or empty.
  virtual std::string ShowOptions() { return ""; }
  virtual std::string source() { return type_; }
  // mount(2) MS_REMOUNT with file system options. EINVAL for what it does not know.
  virtual Status Remount(const OpContext& ctx, std::string_view options);

 private:
  const char* const type_;
  const uint32_t flags_;
  const uint64_t dev_;
  std::atomic<uint32_t> mounts_{0};
};

// Mode and owner of a new inode in `dir` (set-gid inheritance; inode_init_owner in Linux).
struct InitialOwnership {
  uint32_t mode;
  Uid uid;
  Gid gid;
};
ErrnoOr<InitialOwnership> InitialOwner(const OpContext& ctx, Inode& dir, uint32_t mode);

// Linux's generic_permission on given attributes.
Status GenericAccess(const Credentials& creds, const Attr& attr, Access want);

}  // namespace runsc

#endif  // SENTRY_VFS_INODE_H_
