#ifndef SENTRY_FS_GOFER_GOFER_INODE_H_
#define SENTRY_FS_GOFER_GOFER_INODE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sentry/fs/gofer/gofer_data.h"
#include "sentry/fs/gofer/gofer_fs.h"
#include "sentry/fs/gofer/listing.h"
#include "sentry/vfs/inode.h"

namespace runsc {

class DirSink;

// A file, directory, symlink or special file that a gofer serves.
//
// What is known of it is cached. In exclusive mode that is always true: attributes are fetched
// again only after an operation of ours whose effect the host decides (times, link counts), and a
// directory that was listed once answers lookups of absent names. In shared mode attributes are
// fetched when asked for. The gofer's node id is got when needed, by a walk from the parent, and may be
// taken back at any time; an inode whose name is gone keeps it.
class GoferInode final : public Inode {
 public:
  GoferInode(Ref<GoferFs> fs, const gofer::Attr& attr, Ref<GoferInode> parent,
             std::string_view name, Ref<GoferNode> node, std::string link);

  GoferFs& gofer_fs() const { return static_cast<GoferFs&>(fs()); }
  uint32_t type() const override { return type_; }
  uint64_t host_ino() const { return ino_; }

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
  ErrnoOr<std::string> Readlink(const OpContext& ctx) override;
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override;
  Ref<Mappable> mappable() override { return data_; }
  ErrnoOr<std::string> GetXattr(const OpContext& ctx, std::string_view name) override;
  Status SetXattr(const OpContext& ctx, std::string_view name, std::string_view value,
                  int flags) override;
  Status RemoveXattr(const OpContext& ctx, std::string_view name) override;
  ErrnoOr<std::vector<std::string>> ListXattr(const OpContext& ctx) override;

  // --- for gofer_file.cc ---

  // Writes at the end of the file, one writer at a time; `*at` is where that was.
  ErrnoOr<size_t> Append(const HostFile& file, UserIn& src, uint64_t* at);
  // A descriptor of the contents, kept or from the gofer.
  ErrnoOr<Ref<HostFile>> OpenHost(bool writable);
  GoferData* data() const { return data_.get(); }
  // Contents changed through a descriptor: size, blocks and times are to be read again.
  void Written() { dirty_.store(true, std::memory_order_relaxed); }
  // Truncation through whatever is at hand; cuts mappings.
  Status TruncateTo(uint64_t size);
  void FileOpened() { open_files_.fetch_add(1, std::memory_order_relaxed); }
  // In the file system's queue of idle files; closed again since it was put there.
  std::atomic<bool> idle_queued_{false}, idle_again_{false};
  void FileClosed();
  // Adds entries from position `*at` of the listing on, which moves behind the last one added.
  // `*listing` is what one open directory goes through; fetched if null.
  Status List(uint64_t* at, std::shared_ptr<Listing>* listing, DirSink& sink);
  Status SyncDir();
  uint64_t ParentIno();

 private:
  friend class GoferFs;
  ~GoferInode() override;

  // The gofer's node, walking to it if there is none at hand. No locks held.
  ErrnoOr<Ref<GoferNode>> Node();
  // Makes sure that the inode can be reached after its name is gone.
  void PinNode();
  void NoteAbsent();
  ErrnoOr<std::vector<gofer::Entry>> FetchEntries(bool attrs);
  // The listing to show: the cached one, or a fresh one in shared mode.
  ErrnoOr<std::shared_ptr<Listing>> GetListing();
  // What the listing says of `name`: ENOENT, or attributes that came with it.
  ErrnoOr<std::optional<gofer::Attr>> AskListing(std::string_view name);
  // After a change of this directory: `added` appears in the listing, `removed` leaves it.
  void DirChanged(std::string_view added, uint64_t ino, uint32_t type, std::string_view removed);
  void Update(const gofer::Attr& attr, Ref<GoferInode> parent, std::string_view name,
              Ref<GoferNode> node);
  void MovedTo(Ref<GoferInode> parent, std::string_view name);
  // A name of it was removed.
  void NameRemoved(const GoferInode& dir, std::string_view name);
  void ForgetAttr();
  // Brings attr_ up to date.
  Status RefreshLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Status RefreshRemote();
  bool NeedsRemoteLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Attr ToAttrLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ErrnoOr<Ref<Inode>> AddChild(std::string_view name, gofer::Walked made);
  bool SameFile(const gofer::Attr& attr) const { return attr.ino == ino_ && attr.dev == dev_; }
  Status Remove(std::string_view name, Inode& target, bool directory);
  void DropNode();
  void DropIdleFiles();

  const uint32_t type_;
  const uint64_t ino_;  // the host's
  const uint64_t dev_;
  const gofer::Time btime_;
  const Ref<GoferData> data_;  // regular files
  std::atomic<bool> dirty_{false};
  std::atomic<uint32_t> open_files_{0};
  std::atomic<uint32_t> absent_{0};  // lookups that the gofer answered with ENOENT

  Mutex<LockRank::kInode> mu_;
  gofer::Attr attr_ ABSL_GUARDED_BY(mu_);
  bool attr_valid_ ABSL_GUARDED_BY(mu_) = true;
  int64_t fetched_ns_ ABSL_GUARDED_BY(mu_) = 0;  // shared mode: when attr_ was fetched
  bool unlinked_ ABSL_GUARDED_BY(mu_) = false;   // no name left: the node cannot be got again
  Ref<GoferInode> parent_ ABSL_GUARDED_BY(mu_);
  std::string name_ ABSL_GUARDED_BY(mu_);
  Ref<GoferNode> node_ ABSL_GUARDED_BY(mu_);
  std::string link_ ABSL_GUARDED_BY(mu_);  // symlinks: the target, empty until known
  std::shared_ptr<Listing> listing_ ABSL_GUARDED_BY(mu_);  // exclusive mode
  std::optional<std::vector<std::string>> xattr_names_ ABSL_GUARDED_BY(mu_);  // exclusive mode
};

}  // namespace runsc

#endif  // SENTRY_FS_GOFER_GOFER_INODE_H_
