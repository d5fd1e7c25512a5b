#ifndef GOFER_SERVER_NODE_TABLE_H_
#define GOFER_SERVER_NODE_TABLE_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "gofer/protocol/messages.h"
#include "platform/base/errno.h"
#include "platform/base/fd.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"

namespace runsc::gofer {

// A file of the host as it was found.
struct Found {
  Fd fd;  // O_PATH
  Attr attr;
  bool stands_in = false;  // `fd` is an empty directory in the place of what has these attributes
};

// A file of the host that a client holds. Deleted when the client closed it and no request uses
// it any more.
class Node : public RefCounted {
 public:
  Node(Found found, bool read_only)
      : found_(std::move(found)), read_only_(read_only || found_.stands_in) {}

  int fd() const { return found_.fd.get(); }
  // Type bits as of the open, which never change.
  uint32_t mode() const { return found_.attr.mode; }
  uint64_t dev() const { return found_.attr.dev; }
  // Its attributes for good, if something else stands in for it; else null.
  const Attr* fixed_attr() const { return found_.stands_in ? &found_.attr : nullptr; }
  bool read_only() const { return read_only_; }

  // Directory stream, open while a listing is under way.
  struct Stream {
    Fd fd;
    uint64_t position = 0;
  };
  Mutex<LockRank::kGoferNode> stream_mu;
  Stream stream ABSL_GUARDED_BY(stream_mu);

 private:
  const Found found_;
  const bool read_only_;
};

// A client's nodes by id. Thread-safe.
class NodeTable {
 public:
  explicit NodeTable(uint32_t max_nodes) : max_nodes_(max_nodes) {}

  // ENFILE when the client holds as many as it was told it may.
  ErrnoOr<NodeId> Add(Ref<Node> node);
  // ESTALE if the id is not, or no longer, one.
  ErrnoOr<Ref<Node>> Get(NodeId id);
  // Unknown ids are skipped.
  void Remove(NodeId id);
  uint32_t max_nodes() const { return max_nodes_; }

 private:
  struct Slot {
    Ref<Node> node;
    uint32_t generation = 1;
  };
  Slot* FindLocked(NodeId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const uint32_t max_nodes_;
  Mutex<LockRank::kGoferNodes> mu_;
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mu_);
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc::gofer

#endif  // GOFER_SERVER_NODE_TABLE_H_
