#ifndef SENTRY_FS_TMPFS_TMPFS_DIR_H_
#define SENTRY_FS_TMPFS_TMPFS_DIR_H_

#include <memory>
#include <string>
#include <vector>

#include "sentry/fs/tmpfs/tmpfs_inode.h"

namespace runsc {

// A directory. dir_mutex, which vfs holds around all of these, guards the entries.
class TmpfsDir final : public TmpfsInode {
 public:
  TmpfsDir(Tmpfs& fs, const InitialOwnership& who);
  ~TmpfsDir() override;

  ErrnoOr<Ref<Inode>> Lookup(std::string_view name) override;
  ErrnoOr<Ref<Inode>> Create(const OpContext& ctx, std::string_view name, uint32_t mode) override;
  ErrnoOr<Ref<Inode>> Mkdir(const OpContext& ctx, std::string_view name, uint32_t mode) override;
  ErrnoOr<Ref<Inode>> Mknod(const OpContext& ctx, std::string_view name, uint32_t mode,
                            DeviceId dev) override;
  ErrnoOr<Ref<Inode>> Symlink(const OpContext& ctx, std::string_view name,
                              std::string_view target) override;
  Status Link(const OpContext& ctx, std::string_view name, Inode& target) override;
  Status Unlink(const OpContext& ctx, std::string_view name, Inode& target) override;
  Status Rmdir(const OpContext& ctx, std::string_view name, Inode& target) override;
  Status Rename(const OpContext& ctx, std::string_view name, Inode& source, Inode& new_dir,
                std::string_view new_name, Inode* target, uint32_t flags) override;
  ErrnoOr<Ref<Inode>> CreateTemp(const OpContext& ctx, uint32_t mode) override;
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override;

  bool IsEmpty() const;
  // Entries from directory offset `from` on, in the order they were made.
  struct Entry {
    std::string name;
    Ref<TmpfsInode> inode;
    int64_t offset;  // its own; the next listing starts behind it
  };
  // Calls `add(entry)` until it answers false.
  template <typename Add>
  void List(int64_t from, Add add);
  // Takes all children out (the file system goes).
  void TakeChildren(std::vector<Ref<TmpfsInode>>& out);
  void Insert(std::string_view name, Ref<TmpfsInode> inode);

 private:
  struct Entries;
  template <typename MakeInode>
  ErrnoOr<Ref<Inode>> Make(const OpContext& ctx, std::string_view name, uint32_t mode,
                           MakeInode make);
  Ref<TmpfsInode> Erase(std::string_view name);
  void Replace(std::string_view name, Ref<TmpfsInode> inode);
  void AddSize(Attr& attr) override;

  const std::unique_ptr<Entries> entries_;
};

class TmpfsDirFile final : public File {
 public:
  TmpfsDirFile(const Path& path, uint32_t flags, Ref<const Credentials> creds);
  Status ReadDir(const OpContext& ctx, DirSink& sink) override;
  ErrnoOr<int64_t> Seek(int64_t offset, int whence) override;
  Status Sync(bool data_only) override { return Ok(); }

 private:
  TmpfsDir& dir_;
};

}  // namespace runsc

#endif  // SENTRY_FS_TMPFS_TMPFS_DIR_H_
