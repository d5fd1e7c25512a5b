#include "gofer/server/node_table.h"

namespace runsc::gofer {

ErrnoOr<NodeId> NodeTable::Add(Ref<Node> node) {
  MutexLock l(mu_);
  uint32_t slot = 0;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else {
    if (slots_.size() >= max_nodes_) return Errno::kNfile;
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  slots_[slot].node = std::move(node);
  return uint64_t{slots_[slot].generation} << 32 | slot;
}

NodeTable::Slot* NodeTable::FindLocked(NodeId id) {
  uint32_t slot = static_cast<uint32_t>(id);
  if (slot >= slots_.size()) return nullptr;
  Slot& s = slots_[slot];
  return s.node && s.generation == id >> 32 ? &s : nullptr;
}

ErrnoOr<Ref<Node>> NodeTable::Get(NodeId id) {
  MutexLock l(mu_);
  Slot* slot = FindLocked(id);
  if (slot == nullptr) return Errno::kStale;
  return slot->node;
}

void NodeTable::Remove(NodeId id) {
  Ref<Node> gone;  // closes its descriptors after the unlock
  MutexLock l(mu_);
  Slot* slot = FindLocked(id);
  if (slot == nullptr) return;
  gone = std::move(slot->node);
  if (++slot->generation == 0) slot->generation = 1;
  free_.push_back(static_cast<uint32_t>(id));
}

}  // namespace runsc::gofer
