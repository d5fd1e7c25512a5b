#ifndef SENTRY_FS_OVERLAY_OVERLAY_INODE_H_
#define SENTRY_FS_OVERLAY_OVERLAY_INODE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "sentry/fs/overlay/overlay_fs.h"
#include "sentry/fs/overlay/overlay_mappable.h"
#include "sentry/vfs/inode.h"

namespace runsc {

// A file of an overlay: an inode of the upper layer, of the lower one, or of both (a merged
// directory, or a file that was copied up while in use). It stays the same object when copied up.
class OverlayInode final : public Inode {
 public:
  // `upper` or `lower` may be null. `ino` is what it shows.
  OverlayInode(Ref<OverlayFs> fs, Ref<Inode> upper, Ref<Inode> lower, uint64_t ino,
               Ref<OverlayInode> parent, std::string_view name);

  OverlayFs& overlay() const { return static_cast<OverlayFs&>(fs()); }
  uint32_t type() const override { return type_; }
  // Null until copied up; then it never changes.
  Inode* upper() const { return upper_.load(std::memory_order_acquire); }
  Inode* lower() const { return lower_.get(); }
  // The one that counts.
  Inode& real() const { return upper() != nullptr ? *upper() : *lower_; }
  bool merged() const { return upper() != nullptr && lower_ && IsDir(); }

  ErrnoOr<Attr> GetAttr() override;
  Status SetAttr(const OpContext& ctx, const AttrChange& change) override;

  ErrnoOr<Ref<Inode>> Lookup(std::string_view name) override;
  bool StillValid(std::string_view name, Inode* inode) override;
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
  ErrnoOr<std::string> Readlink(const OpContext& ctx) override { return real().Readlink(ctx); }
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override;
  Ref<Mappable> mappable() override;
  ErrnoOr<std::string> GetXattr(const OpContext& ctx, std::string_view name) override {
    return real().GetXattr(ctx, name);
  }
  Status SetXattr(const OpContext& ctx, std::string_view name, std::string_view value,
                  int flags) override;
  Status RemoveXattr(const OpContext& ctx, std::string_view name) override;
  ErrnoOr<std::vector<std::string>> ListXattr(const OpContext& ctx) override {
    return real().ListXattr(ctx);
  }

  // Makes sure that there is an upper inode, copying this and its parents. Of a regular file's data
  // only the first `limit` bytes are wanted. ENOSPC and what else the upper layer answers.
  Status CopyUp(uint64_t limit = UINT64_MAX);

  // --- for overlay_file.cc ---

  uint64_t upper_ino() const { return upper_ino_.load(std::memory_order_acquire); }
  // Changes of this directory so far.
  uint64_t changes() const { return changes_.load(std::memory_order_acquire); }
  uint64_t ParentIno();
  uint64_t shown_ino() const { return ino_; }
  // Whether an entry of the lower directory does not show.
  bool Hides(std::string_view name) {
    return upper() != nullptr && overlay().IsWhiteout(upper_ino(), name);
  }
  OverlayMappable& EnsureMappable();

 private:
  friend class OverlayFs;
  ~OverlayInode() override;

  // Copy-up (overlay_copy_up.cc).
  Status CopyUpOne(uint64_t limit);
  ErrnoOr<Ref<Inode>> MakeCopyLocked(const Attr& attr, const std::string& temp, uint64_t limit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(copy_up_mu_);
  Status CopyData(Inode& to, uint64_t size);
  Status CopyXattrs(Inode& to);
  Status PlaceLocked(const Attr& attr, const std::string& temp, const Ref<Inode>& made)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(copy_up_mu_);
  void SwitchMappable();

  // Directories (overlay_dir.cc).
  template <typename Make>
  ErrnoOr<Ref<Inode>> Add(std::string_view name, Make make);
  Status Remove(const OpContext& ctx, std::string_view name, OverlayInode& target);
  bool LowerHas(std::string_view name);
  Status EnsureUpperName(std::string_view name, OverlayInode& child);
  Status CheckEmpty();
  struct Move {
    std::string_view name;
    OverlayInode& from;
    OverlayInode& to_dir;
    std::string_view new_name;
    OverlayInode* to;
    bool exchange;
  };
  Status PrepareRename(const Move& m);
  ErrnoOr<bool> MoveInUpper(const OpContext& ctx, const Move& m);
  // After `name` in `dir` is gone; `in_upper`: it was an entry of the upper directory.
  void NameRemoved(const OverlayInode& dir, std::string_view name, bool in_upper)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(copy_up_mu_);
  void Renamed(Ref<OverlayInode> parent, std::string_view name);
  void NoteName(Ref<OverlayInode> parent, std::string_view name);
  void TouchUpper();
  void Changed() { changes_.fetch_add(1, std::memory_order_acq_rel); }

  const uint32_t type_;
  const Ref<Inode> lower_;
  const uint64_t ino_;
  std::atomic<Inode*> upper_;  // owns a reference
  std::atomic<uint64_t> upper_ino_{0};
  std::atomic<uint64_t> changes_{0};
  std::atomic<bool> gone_{false};  // no name left

  // One copy-up at a time; held by whoever changes the name, too. Parents before children.
  Mutex<LockRank::kInodeDir> copy_up_mu_;
  Ref<OverlayInode> parent_ ABSL_GUARDED_BY(copy_up_mu_);
  std::string name_ ABSL_GUARDED_BY(copy_up_mu_);
  bool nameless_ ABSL_GUARDED_BY(copy_up_mu_) = false;  // the name above is gone

  Mutex<LockRank::kOverlayMappable> mappable_mu_;
  Ref<OverlayMappable> mappable_ ABSL_GUARDED_BY(mappable_mu_);
};

}  // namespace runsc

#endif  // SENTRY_FS_OVERLAY_OVERLAY_INODE_H_
