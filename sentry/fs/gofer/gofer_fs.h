#ifndef SENTRY_FS_GOFER_GOFER_FS_H_
#define SENTRY_FS_GOFER_GOFER_FS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "gofer/client/client.h"
#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/vfs/inode.h"

namespace runsc {

class GoferInode;

struct GoferFsOptions {
  // --file-access: exclusive caches names and attributes for good, shared asks the gofer each time.
  bool exclusive = true;
  // Descriptors of closed files that are kept for the next open.
  size_t max_idle_files = 512;
  // What /proc/mounts shows as the source.
  std::string source = "none";
};

// A node id of the gofer, closed with the last reference.
class GoferNode : public RefCounted {
 public:
  GoferNode(gofer::Client& client, gofer::NodeId id) : client_(client), id_(id) {}
  gofer::NodeId id() const { return id_; }

 private:
  ~GoferNode() override { client_.Close(id_); }
  gofer::Client& client_;
  const gofer::NodeId id_;
};

// A host tree that a gofer serves (one attach point).
class GoferFs final : public Filesystem {
 public:
  // Attaches point `index` of `client`, which outlives the file system.
  static ErrnoOr<Ref<GoferFs>> Attach(gofer::Client& client, uint32_t index,
                                      const GoferFsOptions& options);

  Ref<Inode> root() override;
  ErrnoOr<FsStat> StatFs() override;
  std::string source() override { return options_.source; }
  // Lets go of the root, which holds on to the file system in turn.
  void OnLastUnmount() override;

  gofer::Client& client() { return client_; }
  bool exclusive() const { return options_.exclusive; }

  // The inode of a host file: the one there is, or a new one. It is found as `name` in `parent`.
  // `node` may be null. `fresh`: `attr` is of now, and refreshes an inode that is there.
  Ref<GoferInode> Find(const gofer::Attr& attr, Ref<GoferInode> parent, std::string_view name,
                       Ref<GoferNode> node, std::string link, bool fresh = true);
  // The inode number a guest sees.
  uint64_t GuestIno(const gofer::Attr& attr);

 private:
  friend class GoferInode;
  struct Key {
    uint64_t dev;
    uint64_t ino;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& k) const { return k.ino * 0x9e3779b97f4a7c15 ^ k.dev; }
  };

  GoferFs(gofer::Client& client, const GoferFsOptions& options);

  // Called by inodes: the inode is going or gone from the host; it holds a node, or idle
  // descriptors, that may be taken back when there are too many.
  void Forget(GoferInode* inode);
  void NoteNode(GoferInode* inode);
  void NoteIdleFile(GoferInode* inode);
  // A socket node that a guest bound lives in its inode only: kept until its name is gone.
  void KeepSocket(Ref<GoferInode> inode);
  // Takes the oldest nodes and descriptors back. No locks held.
  void Trim();
  void TrimQueue(std::deque<Key>& queue, size_t limit, std::vector<Ref<GoferInode>>* out)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TrimIdleFiles(std::vector<Ref<GoferInode>>* out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  gofer::Client& client_;
  const GoferFsOptions options_;
  const size_t max_nodes_;

  Mutex<LockRank::kGoferFs> mu_;
  // Weak: an inode leaves when it dies.
  std::unordered_map<Key, GoferInode*, KeyHash> inodes_ ABSL_GUARDED_BY(mu_);
  // Which inodes hold nodes and idle descriptors, oldest first. Entries may be out of date.
  std::deque<Key> nodes_ ABSL_GUARDED_BY(mu_);
  std::deque<Key> idle_files_ ABSL_GUARDED_BY(mu_);
  // Host devices seen; their position tells inode numbers of different ones apart.
  std::vector<uint64_t> devices_ ABSL_GUARDED_BY(mu_);
  Ref<GoferInode> root_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<Key, Ref<GoferInode>, KeyHash> sockets_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FS_GOFER_GOFER_FS_H_
