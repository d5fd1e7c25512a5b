#ifndef SENTRY_FS_OVERLAY_OVERLAY_FS_H_
#define SENTRY_FS_OVERLAY_OVERLAY_FS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/mount.h"

namespace runsc {

class OverlayInode;

// A writable file system over one that is never written to, as Linux's overlayfs: what is changed is
// first copied to the upper one. Both must be used by nothing else. What Linux keeps in the upper
// layer (whiteouts, opaque and redirected directories, the index of hard links) is in tables here:
// the upper layer lives no longer than the overlay.
class OverlayFs final : public Filesystem {
 public:
  // `upper` is empty and writable. Errors are those of making two directories in it.
  static ErrnoOr<Ref<OverlayFs>> Create(Ref<Filesystem> upper, Ref<Filesystem> lower);

  Ref<Inode> root() override;
  ErrnoOr<FsStat> StatFs() override;
  void OnLastUnmount() override;

  // Who acts on the layers where the guest's credentials do not count.
  const OpContext& super() const { return super_; }
  // A path to open an inode of a layer by.
  Path LayerPath(Inode& inode);
  // Number shown for an upper inode.
  uint64_t ShownIno(uint64_t upper_ino);
  // Names below an upper directory that do not show.
  bool IsWhiteout(uint64_t upper_ino, std::string_view name);
  std::unordered_set<std::string> Whiteouts(uint64_t upper_ino);

 private:
  friend class OverlayInode;

  // What is known of an upper inode that came from the lower layer. Kept for as long as the upper
  // inode has names.
  struct Origin {
    Ref<Inode> lower;  // directories: what is merged below
    uint64_t ino = 0;  // the lower one's: a file keeps its number
    std::unordered_set<std::string> whiteouts;
    // Files with several names below: the upper inode is kept by `index`, a name in the work
    // directory; names that exist only below, less that one, are `extra_links`.
    std::string index;
    int64_t extra_links = 0;
    uint64_t lower_ino = 0;
  };

  OverlayFs(Ref<Filesystem> upper, Ref<Filesystem> lower);
  Status SetUp();

  // The overlay's inode of an inode found in a layer, as `name` in `parent`.
  ErrnoOr<Ref<OverlayInode>> FindUpper(Ref<Inode> upper, Ref<OverlayInode> parent,
                                       std::string_view name);
  ErrnoOr<Ref<OverlayInode>> FindLower(Ref<Inode> lower, Ref<OverlayInode> parent,
                                       std::string_view name);
  void Forget(OverlayInode* inode);
  // A socket that a guest bound lives in its inode only: kept until its name is gone.
  void KeepSocket(Ref<OverlayInode> inode);
  void DropSocket(OverlayInode* inode);
  // `inode` has been copied to `upper`.
  void Publish(OverlayInode* inode, Inode* upper, uint64_t upper_ino, Origin origin);
  void ForgetOrigin(uint64_t upper_ino);

  void AddWhiteout(uint64_t upper_ino, std::string_view name);
  void RemoveWhiteout(uint64_t upper_ino, std::string_view name);
  int64_t ExtraLinks(uint64_t upper_ino);
  // Changes extra_links of a file that has an index, then drops the index if it serves no purpose
  // any more. `links` is the upper inode's count of names, index included. Answers the name to
  // remove from the work directory, or "".
  std::string AdjustLinks(uint64_t upper_ino, int delta, uint32_t links);
  std::string NextTempName();

  const Ref<Filesystem> upper_fs_;
  const Ref<Filesystem> lower_fs_;
  const Ref<Credentials> super_creds_;
  const OpContext super_;
  std::atomic<uint64_t> next_temp_{1};

  // Set once, by SetUp.
  Ref<Mount> upper_mount_;
  Ref<Mount> lower_mount_;
  Ref<Inode> work_;

  Mutex<LockRank::kOverlayFs> mu_;
  Ref<OverlayInode> root_ ABSL_GUARDED_BY(mu_);
  // Weak: inodes leave when they die. They hold the layers' inodes, so the keys are theirs.
  std::unordered_map<const Inode*, OverlayInode*> by_upper_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<const Inode*, OverlayInode*> by_lower_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<uint64_t, Origin> origins_ ABSL_GUARDED_BY(mu_);  // by upper number
  std::unordered_map<const OverlayInode*, Ref<OverlayInode>> sockets_ ABSL_GUARDED_BY(mu_);
  // Copied files that have names only below: lower number to upper inode.
  std::unordered_map<uint64_t, Ref<Inode>> linked_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FS_OVERLAY_OVERLAY_FS_H_
