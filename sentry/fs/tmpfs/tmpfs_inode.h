#ifndef SENTRY_FS_TMPFS_TMPFS_INODE_H_
#define SENTRY_FS_TMPFS_TMPFS_INODE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "platform/base/mutex.h"
#include "sentry/fs/tmpfs/pages.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"

namespace runsc {

// What all kinds of tmpfs inodes share: attributes and extended attributes. Private to the folder.
class TmpfsInode : public Inode {
 public:
  TmpfsInode(Tmpfs& fs, const InitialOwnership& who);
  ~TmpfsInode() override;

  uint32_t type() const override { return type_; }
  Tmpfs& tmpfs() const { return static_cast<Tmpfs&>(fs()); }
  uint64_t ino() const { return ino_; }

  ErrnoOr<Attr> GetAttr() override;
  Status SetAttr(const OpContext& ctx, const AttrChange& change) override;
  ErrnoOr<std::string> GetXattr(const OpContext& ctx, std::string_view name) override;
  Status SetXattr(const OpContext& ctx, std::string_view name, std::string_view value,
                  int flags) override;
  Status RemoveXattr(const OpContext& ctx, std::string_view name) override;
  ErrnoOr<std::vector<std::string>> ListXattr(const OpContext& ctx) override;
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override;

  void AddLinks(int n);
  uint32_t nlink();
  // An O_TMPFILE may get its first link though it has none.
  void SetLinkable() { linkable_ = true; }
  bool CanLink();
  void SetRdev(DeviceId dev);
  // ctime, and mtime if `modified`: now.
  void Touch(bool modified);
  // A read: atime by the rules of relatime.
  void Accessed(const File& file);

 protected:
  virtual Status Resize(uint64_t size) { return Errno::kInval; }
  // Fills in size and blocks.
  virtual void AddSize(Attr& attr) = 0;
  void SetNlink(uint32_t n);

 private:
  // ctime is set, and whether reads need look at the clock again.
  void ChangedLocked(FileTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(attr_mu_);
  struct Xattrs {
    std::map<std::string, std::string, std::less<>> values;
    size_t bytes = 0;
  };
  const uint32_t type_;
  const uint64_t ino_;
  bool linkable_ = false;
  // atime is newer than mtime and ctime: reads need not look at the clock.
  std::atomic<bool> atime_fresh_{false};
  Mutex<LockRank::kInodeAttr> attr_mu_;
  uint32_t mode_ ABSL_GUARDED_BY(attr_mu_);
  uint32_t nlink_ ABSL_GUARDED_BY(attr_mu_) = 1;
  Uid uid_ ABSL_GUARDED_BY(attr_mu_);
  Gid gid_ ABSL_GUARDED_BY(attr_mu_);
  DeviceId rdev_ ABSL_GUARDED_BY(attr_mu_);
  FileTime atime_ ABSL_GUARDED_BY(attr_mu_), mtime_ ABSL_GUARDED_BY(attr_mu_);
  FileTime ctime_ ABSL_GUARDED_BY(attr_mu_);
  const FileTime btime_;
  std::unique_ptr<Xattrs> xattrs_ ABSL_GUARDED_BY(attr_mu_);
};

class TmpfsRegular final : public TmpfsInode {
 public:
  TmpfsRegular(Tmpfs& fs, const InitialOwnership& who);
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override;
  Ref<Mappable> mappable() override { return pages_; }
  ErrnoOr<uint32_t> GetSeals() override { return pages().seals(); }
  Status AddSeals(uint32_t seals) override { return pages().AddSeals(seals); }

  ErrnoOr<size_t> Read(UserOut& dst, uint64_t offset);
  ErrnoOr<size_t> Write(UserIn& src, uint64_t offset, bool append, uint64_t* end);
  Status Allocate(int mode, uint64_t offset, uint64_t length);
  ErrnoOr<uint64_t> SeekData(uint64_t offset, bool hole);
  // For what needs no I/O lock.
  TmpfsPages& pages() ABSL_NO_THREAD_SAFETY_ANALYSIS { return *pages_; }

 private:
  Status Resize(uint64_t size) override;
  void AddSize(Attr& attr) override;

  // Held shared by reads, exclusively by what changes size or frees pages.
  RwMutex<LockRank::kInode> io_mu_;
  const Ref<TmpfsPages> pages_ ABSL_PT_GUARDED_BY(io_mu_);
};

class TmpfsFile final : public File {
 public:
  TmpfsFile(const Path& path, uint32_t flags, Ref<const Credentials> creds);
  ErrnoOr<size_t> ReadAt(IoContext& io, UserOut& dst, uint64_t offset) override;
  ErrnoOr<size_t> WriteAt(IoContext& io, UserIn& src, uint64_t offset,
                          uint64_t* end_offset) override;
  ErrnoOr<uint64_t> SeekData(uint64_t offset, bool hole) override;
  Status Sync(bool data_only) override { return Ok(); }
  Status Allocate(const OpContext& ctx, int mode, uint64_t offset, uint64_t length) override;
  ErrnoOr<Ref<Mappable>> Map(bool shared, Access access) override;

 private:
  TmpfsRegular& regular_;
};

// A symlink, FIFO, device or socket node.
class TmpfsNode final : public TmpfsInode {
 public:
  TmpfsNode(Tmpfs& fs, const InitialOwnership& who, std::string target = "");
  ErrnoOr<std::string> Readlink(const OpContext& ctx) override;

 private:
  void AddSize(Attr& attr) override { attr.size = target_.size(); }
  const std::string target_;
};

}  // namespace runsc

#endif  // SENTRY_FS_TMPFS_TMPFS_INODE_H_
