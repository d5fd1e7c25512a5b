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

// A file of the host that a client holds. Deleted when the client closed it and no request uses
// it any more.
class Node : public RefCounted {
 public:
  Node(Fd fd, uint32_t mode, uint64_t dev, bool read_only)
      : fd_(std::move(fd)), mode_(mode), dev_(dev), read_only_(read_only) {}

  int fd() const { return fd_.get(); }  // O_PATH
  uint32_t mode() const { return mode_; }  // type bits as of the open, which never change
  uint64_t dev() const { return dev_; }
  bool read_only() const { return read_only_; }

  // Directory stream, open while a listing is under way.
  struct Stream {
    Fd fd;
    uint64_t position = 0;
  };
  Mutex<LockRank::kGoferNode> stream_mu;
  Stream stream ABSL_GUARDED_BY(stream_mu);

 private:
  const Fd fd_;
  const uint32_t mode_;
  const uint64_t dev_;
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
