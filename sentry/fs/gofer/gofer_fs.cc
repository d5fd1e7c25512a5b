#include "sentry/fs/gofer/gofer_fs.h"

#include <algorithm>

#include "sentry/fs/gofer/gofer_inode.h"

namespace runsc {

GoferFs::GoferFs(gofer::Client& client, const GoferFsOptions& options)
    : Filesystem("9p", options.exclusive ? 0 : kRevalidate),
      client_(client),
      options_(options),
      max_nodes_(std::max<size_t>(16, client.max_nodes() / 4 * 3)) {}

ErrnoOr<Ref<GoferFs>> GoferFs::Attach(gofer::Client& client, uint32_t index,
                                      const GoferFsOptions& options) {
  gofer::Walked root = TRY(client.Attach(index));
  Ref<GoferFs> fs = Ref<GoferFs>::Adopt(new GoferFs(client, options));
  fs->GuestIno(root.attr);  // its device is the first
  Ref<GoferInode> inode = fs->Find(root.attr, nullptr, "", MakeRef<GoferNode>(client, root.node),
                                   std::move(root.link));
  MutexLock l(fs->mu_);
  fs->root_ = std::move(inode);
  return fs;
}

Ref<Inode> GoferFs::root() {
  MutexLock l(mu_);
  return root_;
}

void GoferFs::OnLastUnmount() {
  Ref<GoferInode> root;
  std::unordered_map<Key, Ref<GoferInode>, KeyHash> sockets;
  MutexLock l(mu_);
  root = std::move(root_);
  sockets.swap(sockets_);
}

ErrnoOr<FsStat> GoferFs::StatFs() {
  Ref<GoferInode> root;
  {
    MutexLock l(mu_);
    root = root_;
  }
  if (!root) return Errno::kIo;
  Ref<GoferNode> node = TRY(root->Node());
  gofer::StatfsReply r = TRY(client_.Statfs(node->id()));
  FsStat s;
  s.type = r.type;
  s.block_size = r.block_size;
  s.blocks = r.blocks;
  s.blocks_free = r.blocks_free;
  s.blocks_available = r.blocks_available;
  s.files = r.files;
  s.files_free = r.files_free;
  s.name_max = std::min<uint64_t>(r.name_max, gofer::kMaxName);
  return s;
}

uint64_t GoferFs::GuestIno(const gofer::Attr& attr) {
  MutexLock l(mu_);
  auto it = std::find(devices_.begin(), devices_.end(), attr.dev);
  if (it == devices_.end()) it = devices_.insert(it, attr.dev);
  // Files of the root's device keep their number; those of mounts below get one that cannot be
  // small.
  uint64_t index = static_cast<uint64_t>(it - devices_.begin());
  return attr.ino ^ (index << 48);
}

Ref<GoferInode> GoferFs::Find(const gofer::Attr& attr, Ref<GoferInode> parent,
                              std::string_view name, Ref<GoferNode> node, std::string link,
                              bool fresh) {
  Key key{attr.dev, attr.ino};
  Ref<GoferInode> inode;
  bool made = false;
  bool has_node = static_cast<bool>(node);
  {
    MutexLock l(mu_);
    GoferInode*& slot = inodes_[key];
    // A number may have been used again for another file while somebody still holds the old one.
    bool same = slot != nullptr && slot->type() == (attr.mode & 0170000) &&
                slot->btime_.seconds == attr.btime.seconds &&
                slot->btime_.nanos == attr.btime.nanos;
    if (same && slot->TryIncRef()) inode = Ref<GoferInode>::Adopt(slot);
    if (!inode) {
      made = true;
      inode = MakeRef<GoferInode>(Ref<GoferFs>(this), attr, parent, name, node, std::move(link));
      slot = inode.get();
    }
  }
  if (!made && fresh) inode->Update(attr, std::move(parent), name, std::move(node));
  if (has_node) {
    NoteNode(inode.get());
    Trim();
  }
  return inode;
}

void GoferFs::KeepSocket(Ref<GoferInode> inode) {
  MutexLock l(mu_);
  Key key{inode->dev_, inode->ino_};
  sockets_[key] = std::move(inode);
}

void GoferFs::Forget(GoferInode* inode) {
  Ref<GoferInode> socket;
  MutexLock l(mu_);
  auto kept = sockets_.find({inode->dev_, inode->ino_});
  if (kept != sockets_.end() && kept->second == inode) {
    socket = std::move(kept->second);
    sockets_.erase(kept);
  }
  auto it = inodes_.find({inode->dev_, inode->ino_});
  if (it != inodes_.end() && it->second == inode) inodes_.erase(it);
}

void GoferFs::NoteNode(GoferInode* inode) {
  MutexLock l(mu_);
  nodes_.push_back({inode->dev_, inode->ino_});
}

void GoferFs::NoteIdleFile(GoferInode* inode) {
  // One that waits in the queue already is not queued again but spared once (TrimIdleFiles).
  if (inode->idle_queued_.exchange(true)) {
    inode->idle_again_.store(true);
    return;
  }
  MutexLock l(mu_);
  idle_files_.push_back({inode->dev_, inode->ino_});
}

void GoferFs::TrimIdleFiles(std::vector<Ref<GoferInode>>* out) {
  for (size_t looks = idle_files_.size(); looks > 0; --looks) {
    if (idle_files_.size() <= options_.max_idle_files) return;
    Key key = idle_files_.front();
    idle_files_.pop_front();
    auto it = inodes_.find(key);
    if (it == inodes_.end() || !it->second->TryIncRef()) continue;
    Ref<GoferInode> inode = Ref<GoferInode>::Adopt(it->second);
    if (inode->idle_again_.exchange(false)) {
      idle_files_.push_back(key);
    } else {
      inode->idle_queued_.store(false);
    }
    out->push_back(std::move(inode));  // dropped unlocked
  }
}

void GoferFs::TrimQueue(std::deque<Key>& queue, size_t limit,
                        std::vector<Ref<GoferInode>>* out) {
  while (queue.size() > limit) {
    auto it = inodes_.find(queue.front());
    queue.pop_front();
    if (it != inodes_.end() && it->second->TryIncRef()) {
      out->push_back(Ref<GoferInode>::Adopt(it->second));
    }
  }
}

void GoferFs::Trim() {
  std::vector<Ref<GoferInode>> nodes;
  std::vector<Ref<GoferInode>> files;
  {
    MutexLock l(mu_);
    TrimQueue(nodes_, max_nodes_, &nodes);
    TrimIdleFiles(&files);
  }
  for (auto& inode : nodes) inode->DropNode();
  for (auto& inode : files) {
    if (!inode->idle_queued_.load()) inode->DropIdleFiles();
  }
}

}  // namespace runsc
