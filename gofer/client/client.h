#ifndef GOFER_CLIENT_CLIENT_H_
#define GOFER_CLIENT_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gofer/protocol/channel.h"
#include "gofer/protocol/messages.h"
#include "gofer/protocol/wire.h"
#include "platform/base/errno.h"
#include "platform/base/fd.h"
#include "platform/base/mutex.h"
#include "platform/host/thread.h"

namespace runsc::gofer {

// Is told once, from any thread, that the gofer hung up, stalled or lied. From then on every call
// answers EIO. The container cannot go on; whoever owns it ends it.
class DeathListener {
 public:
  virtual ~DeathListener() = default;
  virtual void OnGoferDeath(std::string_view reason) = 0;
};

struct ClientOptions {
  int64_t timeout_ms = 120'000;      // an answer that takes longer is a stalled gofer
  DeathListener* listener = nullptr;  // outlives the client
};

struct Walked {
  NodeId node = 0;  // 0 if none was asked for
  Attr attr{};
  std::string link;  // target if it is a symlink
};
// Steps taken. `error`: why the next one failed; kOk if all were taken or the last one taken is
// not a directory.
struct WalkResult {
  std::vector<Walked> steps;
  Errno error = Errno::kOk;
};
struct Opened {
  NodeId node = 0;  // Create, Tmpfile
  Attr attr{};
  Fd fd;  // a regular file, open as asked
};
struct Entry {
  std::string name;
  uint64_t ino = 0;
  uint8_t type = 0;  // DT_*
  bool has_attr = false;
  Attr attr{};
};
struct EntryBatch {
  std::vector<Entry> entries;
  bool end = false;
  uint64_t next = 0;
};

// A connection to a gofer: every call is one request and waits for its answer. Thread-safe.
// Errors are the gofer's; EIO once the gofer is dead. What the gofer answers is checked: names are
// components, types and sizes are possible, a descriptor is what was asked for.
class Client {
 public:
  // Shakes hands over `socket` (taken over). nullptr with the reason in `*error`.
  static std::unique_ptr<Client> Connect(Fd socket, const ClientOptions& options,
                                         std::string* error);
  ~Client();
  Client(const Client&) = delete;

  uint32_t attach_points() const { return attach_points_; }
  // Ids that may be held at a time.
  uint32_t max_nodes() const { return max_nodes_; }
  bool dead() const { return dead_.load(std::memory_order_relaxed); }

  ErrnoOr<Walked> Attach(uint32_t index);
  // `flags`: WalkFlags. Names are components, at most kMaxWalk.
  ErrnoOr<WalkResult> Walk(NodeId dir, std::span<const std::string_view> names, uint32_t flags);
  // One component: ENOENT and so on are errors.
  ErrnoOr<Walked> WalkOne(NodeId dir, std::string_view name, uint32_t flags = 0);
  // Opens `name` in `node`, or `node` itself if the name is empty; `flags`: OpenFlags.
  ErrnoOr<Opened> Open(NodeId node, std::string_view name, uint32_t flags);
  ErrnoOr<Opened> Create(NodeId dir, std::string_view name, uint32_t flags, uint32_t mode,
                         uint32_t uid, uint32_t gid);
  ErrnoOr<Opened> Tmpfile(NodeId dir, uint32_t flags, uint32_t mode, uint32_t uid, uint32_t gid);
  ErrnoOr<Attr> GetAttr(NodeId node);
  ErrnoOr<Attr> SetAttr(const SetAttrRequest& request);
  // A batch of entries from `cookie` on; `attrs`: with their attributes.
  ErrnoOr<EntryBatch> ReadDir(NodeId dir, uint64_t cookie, bool attrs);
  ErrnoOr<std::string> ReadLink(NodeId node);
  ErrnoOr<Walked> Symlink(NodeId dir, std::string_view name, std::string_view target, uint32_t uid,
                          uint32_t gid);
  ErrnoOr<Attr> Link(NodeId node, NodeId dir, std::string_view name);
  // Directories, regular files, FIFOs and sockets; EPERM for devices.
  ErrnoOr<Walked> Mknod(NodeId dir, std::string_view name, uint32_t mode, uint32_t uid,
                        uint32_t gid);
  Status Unlink(NodeId dir, std::string_view name, bool directory);
  Status Rename(NodeId old_dir, std::string_view old_name, NodeId new_dir,
                std::string_view new_name, uint32_t flags);
  ErrnoOr<std::string> XattrGet(NodeId node, std::string_view name);
  Status XattrSet(NodeId node, std::string_view name, std::string_view value, uint32_t flags);
  // Names, each with its NUL.
  ErrnoOr<std::string> XattrList(NodeId node);
  Status XattrRemove(NodeId node, std::string_view name);
  ErrnoOr<StatfsReply> Statfs(NodeId node);
  Status Sync(NodeId node);
  // Gives an id back, sooner or later: closes travel in batches.
  void Close(NodeId node);
  // Sends the closes that are queued.
  void FlushCloses();

 private:
  class Exchange;
  struct Channel {
    ChannelMemory* memory = nullptr;
    Fd socket;
    uint32_t sequence = 0;
    uint32_t cpu = 0;
    std::unique_ptr<char[]> reply;  // private copy of the answer
    std::atomic<bool> busy{false};
  };

  explicit Client(const ClientOptions& options) : options_(options) {}
  std::string Handshake(Fd socket);
  Status StartWatcher();
  void Watch();
  // Marks the gofer dead, wakes everyone, tells the listener. Returns EIO.
  Errno Die(const std::string& reason);
  Channel& Acquire();
  Channel* TryAcquire();
  void Release(Channel& channel);
  ErrnoOr<Walked> NodeAnswer(Exchange& x);
  ErrnoOr<Attr> AttrAnswer(Exchange& x);
  ErrnoOr<Opened> OpenAnswer(Exchange& x, uint32_t flags, bool with_node);

  const ClientOptions options_;
  Fd socket_;
  uint32_t channel_count_ = 0;
  uint32_t attach_points_ = 0;
  uint32_t max_nodes_ = 0;
  ChannelMemory* memory_ = nullptr;
  std::unique_ptr<Channel[]> channels_;
  std::atomic<bool> dead_{false};
  std::atomic<bool> told_{false};
  host::Thread watcher_;
  Fd stop_fd_;  // an eventfd that tells the watcher to end

  Mutex<LockRank::kGoferClient> mu_;
  CondVar channel_free_;
  std::atomic<uint32_t> waiters_{0};
  std::vector<NodeId> closes_ ABSL_GUARDED_BY(mu_);
};

// Whether `attr` can be a file's: a known type, sizes and times in range.
bool AttrValid(const Attr& attr);
// Whether `fd` is the regular file `attr` describes, open as `flags` (OpenFlags) say.
bool DonationValid(int fd, const Attr& attr, uint32_t flags);

}  // namespace runsc::gofer

#endif  // GOFER_CLIENT_CLIENT_H_
