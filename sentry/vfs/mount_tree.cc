#include "sentry/vfs/mount_tree.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace runsc {
namespace {

using Key = std::pair<const Mount*, const Dentry*>;

absl::flat_hash_map<Key, Mount*>& Table() {
  static auto* table = new absl::flat_hash_map<Key, Mount*>;
  return *table;
}

}  // namespace

RwMutex<LockRank::kMountTable>& MountTree::mu() {
  static auto* mu = new RwMutex<LockRank::kMountTable>;
  return *mu;
}

Mount* MountTree::FindLocked(const Mount* parent, const Dentry* at) {
  auto it = Table().find(Key(parent, at));
  return it == Table().end() ? nullptr : it->second;
}

void MountTree::AttachLocked(Ref<Mount> mount, Mount* parent, Ref<Dentry> at,
                             MountNamespace* ns) {
  Mount* m = mount.get();
  Table()[Key(parent, at.get())] = m;
  at->mounted.fetch_add(1, std::memory_order_acq_rel);
  m->parent_ = parent;
  m->mountpoint_ = std::move(at);
  parent->children_.push_back(std::move(mount));
  SetNamespaceLocked(m, ns);
}

Ref<Mount> MountTree::DetachLocked(Mount* mount) {
  Mount* parent = mount->parent_;
  if (parent == nullptr) return nullptr;
  Table().erase(Key(parent, mount->mountpoint_.get()));
  mount->mountpoint_->mounted.fetch_sub(1, std::memory_order_acq_rel);
  auto it = std::find_if(parent->children_.begin(), parent->children_.end(),
                         [mount](const Ref<Mount>& c) { return c.get() == mount; });
  Ref<Mount> out = std::move(*it);
  parent->children_.erase(it);
  mount->parent_ = nullptr;
  // The mountpoint's reference stays until the mount dies: dentries are not freed under this lock.
  return out;
}

void MountTree::DissolveLocked(Ref<Mount> mount, Dropped& dropped) {
  size_t first = dropped.size();
  dropped.push_back(std::move(mount));
  for (size_t i = first; i < dropped.size(); ++i) {
    while (!dropped[i]->children_.empty()) {
      dropped.push_back(DetachLocked(dropped[i]->children_.back().get()));
    }
    dropped[i]->ns_ = nullptr;
  }
}

std::vector<Mount*> MountTree::SubtreeLocked(Mount* mount) {
  std::vector<Mount*> all, todo{mount};
  while (!todo.empty()) {
    Mount* m = todo.back();
    todo.pop_back();
    all.push_back(m);
    for (auto it = m->children_.rbegin(); it != m->children_.rend(); ++it) {
      todo.push_back(it->get());
    }
  }
  return all;
}

void MountTree::SetNamespaceLocked(Mount* mount, MountNamespace* ns) {
  for (Mount* m : SubtreeLocked(mount)) m->ns_ = ns;
}

Ref<Mount> MountTree::CopyLocked(Mount* mount, const Ref<Dentry>& root, bool recursive,
                                 std::vector<std::pair<Mount*, Mount*>>* map) {
  std::vector<std::pair<Mount*, Mount*>> own;
  auto& pairs = map != nullptr ? *map : own;
  Ref<Mount> top = MakeRef<Mount>(mount->fs_, root, mount->flags(), mount->source_);
  pairs.emplace_back(mount, top.get());
  if (!recursive) return top;
  for (size_t i = 0; i < pairs.size(); ++i) {
    auto [from, to] = pairs[i];
    for (const Ref<Mount>& c : from->children_) {
      if (!c->mountpoint_->IsBelowOrSame(to->root_.get())) continue;
      Ref<Mount> copy = MakeRef<Mount>(c->fs_, c->root_, c->flags(), c->source_);
      pairs.emplace_back(c.get(), copy.get());
      AttachLocked(std::move(copy), to, c->mountpoint_, nullptr);
    }
  }
  return top;
}

bool MountTree::IsBelowOrSameLocked(const Mount* mount, const Mount* ancestor) {
  while (mount != nullptr && mount != ancestor) mount = mount->parent_;
  return mount != nullptr;
}

}  // namespace runsc
