#include "gofer/client/client.h"

#include <algorithm>

#include "gofer/client/exchange.h"

namespace runsc::gofer {
namespace {

constexpr size_t kCloseBatch = 128;

bool TimeValid(const Time& t) { return t.nanos < 1'000'000'000; }

}  // namespace

bool AttrValid(const Attr& a) {
  switch (a.mode & 0170000) {
    case 0010000: case 0020000: case 0040000: case 0060000:
    case 0100000: case 0120000: case 0140000: break;
    default: return false;
  }
  return (a.mode >> 16) == 0 && a.size <= INT64_MAX && a.blocks <= INT64_MAX / 512 &&
         TimeValid(a.atime) && TimeValid(a.mtime) && TimeValid(a.ctime) && TimeValid(a.btime);
}

ErrnoOr<Walked> Client::NodeAnswer(Exchange& x) {
  TRY(x.Run());
  NodeReply reply{};
  if (!x.in().Get(&reply) || !x.in().Done() || reply.node == 0 || !AttrValid(reply.attr)) {
    return x.Nonsense();
  }
  return Walked{reply.node, reply.attr, ""};
}

ErrnoOr<Attr> Client::AttrAnswer(Exchange& x) {
  TRY(x.Run());
  Attr attr{};
  if (!x.in().Get(&attr) || !x.in().Done() || !AttrValid(attr)) return x.Nonsense();
  return attr;
}

ErrnoOr<Opened> Client::OpenAnswer(Exchange& x, uint32_t flags, bool with_node) {
  TRY(x.Run());
  NodeReply reply{};
  if (with_node) {
    if (!x.in().Get(&reply) || reply.node == 0) return x.Nonsense();
  } else if (!x.in().Get(&reply.attr)) {
    return x.Nonsense();
  }
  Opened opened{reply.node, reply.attr, x.TakeFd()};
  if (!x.in().Done() || !AttrValid(opened.attr) ||
      !DonationValid(opened.fd.get(), opened.attr, flags)) {
    return x.Nonsense();
  }
  return opened;
}

ErrnoOr<Walked> Client::Attach(uint32_t index) {
  Exchange x(*this, Op::kAttach);
  x.out().Put(AttachRequest{index, 0});
  return NodeAnswer(x);
}

ErrnoOr<WalkResult> Client::Walk(NodeId dir, std::span<const std::string_view> names,
                                 uint32_t flags) {
  if (names.empty() || names.size() > kMaxWalk) return Errno::kInval;
  Exchange x(*this, Op::kWalk);
  x.out().Put(WalkRequest{dir, flags, static_cast<uint32_t>(names.size())});
  for (std::string_view name : names) x.out().PutString(name);
  TRY(x.Run());
  WalkReply reply{};
  if (!x.in().Get(&reply) || reply.steps > names.size() || reply.error > 133) return x.Nonsense();
  WalkResult result;
  result.error = static_cast<Errno>(reply.error);
  for (uint32_t i = 0; i < reply.steps; ++i) {
    WalkStep step{};
    std::string_view link;
    if (!x.in().Get(&step) || !AttrValid(step.attr) || step.link_size > kMaxLink ||
        !x.in().GetBytes(step.link_size, &link)) {
      return x.Nonsense();
    }
    bool last = i + 1 == names.size();
    bool want_id = (flags & kWalkNoIds) == 0 && (last || (flags & kWalkAllIds) != 0);
    bool directory = (step.attr.mode & 0170000) == 0040000;
    if ((step.node != 0) != want_id) return x.Nonsense();
    if (!directory && i + 1 != reply.steps) return x.Nonsense();
    result.steps.push_back({step.node, step.attr, std::string(link)});
  }
  bool short_walk = reply.steps < names.size();
  bool at_directory = result.steps.empty() ||
                      (result.steps.back().attr.mode & 0170000) == 0040000;
  // It must say why it stopped early, and only then.
  if (!x.in().Done() || (short_walk && at_directory) != (reply.error != 0)) return x.Nonsense();
  return result;
}

ErrnoOr<Walked> Client::WalkOne(NodeId dir, std::string_view name, uint32_t flags) {
  if (!IsComponent(name)) return name.size() > kMaxName ? Errno::kNametoolong : Errno::kInval;
  WalkResult r = TRY(Walk(dir, {&name, 1}, flags));
  if (r.steps.empty()) return r.error;
  return std::move(r.steps[0]);
}

ErrnoOr<Opened> Client::Open(NodeId node, std::string_view name, uint32_t flags) {
  Exchange x(*this, Op::kOpen);
  x.out().Put(OpenRequest{node, flags, 0});
  x.out().PutString(name);
  return OpenAnswer(x, flags, false);
}

ErrnoOr<Opened> Client::Create(NodeId dir, std::string_view name, uint32_t flags, uint32_t mode,
                               uint32_t uid, uint32_t gid) {
  Exchange x(*this, Op::kCreate);
  x.out().Put(CreateRequest{dir, flags, mode, uid, gid});
  x.out().PutString(name);
  return OpenAnswer(x, flags, true);
}

ErrnoOr<Opened> Client::Tmpfile(NodeId dir, uint32_t flags, uint32_t mode, uint32_t uid,
                                uint32_t gid) {
  Exchange x(*this, Op::kTmpfile);
  x.out().Put(CreateRequest{dir, flags, mode, uid, gid});
  return OpenAnswer(x, flags, true);
}

ErrnoOr<Attr> Client::GetAttr(NodeId node) {
  Exchange x(*this, Op::kGetAttr);
  x.out().Put(GetAttrRequest{node});
  return AttrAnswer(x);
}

ErrnoOr<Attr> Client::SetAttr(const SetAttrRequest& request) {
  Exchange x(*this, Op::kSetAttr);
  x.out().Put(request);
  return AttrAnswer(x);
}

ErrnoOr<EntryBatch> Client::ReadDir(NodeId dir, uint64_t cookie, bool attrs) {
  Exchange x(*this, Op::kReadDir);
  x.out().Put(ReadDirRequest{dir, cookie, attrs ? kReadDirAttrs : 0u,
                             static_cast<uint32_t>(kMaxReply - 1024)});
  TRY(x.Run());
  ReadDirReply reply{};
  if (!x.in().Get(&reply) || reply.count > kMaxReply / sizeof(DirEntry)) return x.Nonsense();
  // A listing that neither ends nor goes on would never end.
  if (reply.end == 0 && (reply.count == 0 || reply.next == cookie)) return x.Nonsense();
  EntryBatch batch;
  batch.end = reply.end != 0;
  batch.next = reply.next;
  batch.entries.reserve(reply.count);
  for (uint32_t i = 0; i < reply.count; ++i) {
    DirEntry e{};
    std::string_view name;
    Entry out;
    if (!x.in().Get(&e) || !x.in().GetBytes(e.name_size, &name) || !IsComponent(name) ||
        e.type > 14) {
      return x.Nonsense();
    }
    if (attrs) {
      if (!x.in().Get(&out.attr)) return x.Nonsense();
      out.has_attr = out.attr.mode != 0;
      if (out.has_attr && !AttrValid(out.attr)) return x.Nonsense();
    }
    out.name = name;
    out.ino = e.ino;
    out.type = e.type;
    batch.entries.push_back(std::move(out));
  }
  if (!x.in().Done()) return x.Nonsense();
  return batch;
}

ErrnoOr<std::string> Client::ReadLink(NodeId node) {
  Exchange x(*this, Op::kReadLink);
  x.out().Put(ReadLinkRequest{node});
  TRY(x.Run());
  std::string_view target = x.in().Rest();
  if (target.empty() || target.size() > kMaxLink) return x.Nonsense();
  return std::string(target);
}

ErrnoOr<Walked> Client::Symlink(NodeId dir, std::string_view name, std::string_view target,
                                uint32_t uid, uint32_t gid) {
  Exchange x(*this, Op::kSymlink);
  x.out().Put(SymlinkRequest{dir, uid, gid});
  x.out().PutString(name);
  x.out().PutString(target);
  Walked made = TRY(NodeAnswer(x));
  made.link = target;
  return made;
}

ErrnoOr<Attr> Client::Link(NodeId node, NodeId dir, std::string_view name) {
  Exchange x(*this, Op::kLink);
  x.out().Put(LinkRequest{node, dir});
  x.out().PutString(name);
  return AttrAnswer(x);
}

ErrnoOr<Walked> Client::Mknod(NodeId dir, std::string_view name, uint32_t mode, uint32_t uid,
                              uint32_t gid) {
  Exchange x(*this, Op::kMknod);
  x.out().Put(MknodRequest{dir, mode, uid, gid, 0, 0});
  x.out().PutString(name);
  return NodeAnswer(x);
}

Status Client::Unlink(NodeId dir, std::string_view name, bool directory) {
  Exchange x(*this, Op::kUnlink);
  x.out().Put(UnlinkRequest{dir, directory ? 1u : 0u, 0});
  x.out().PutString(name);
  return x.Run();
}

Status Client::Rename(NodeId old_dir, std::string_view old_name, NodeId new_dir,
                      std::string_view new_name, uint32_t flags) {
  Exchange x(*this, Op::kRename);
  x.out().Put(RenameRequest{old_dir, new_dir, flags, 0});
  x.out().PutString(old_name);
  x.out().PutString(new_name);
  return x.Run();
}

ErrnoOr<std::string> Client::XattrGet(NodeId node, std::string_view name) {
  Exchange x(*this, Op::kXattrGet);
  x.out().Put(XattrRequest{node, 0, 0});
  x.out().PutString(name);
  TRY(x.Run());
  std::string_view value = x.in().Rest();
  if (value.size() > kMaxXattr) return x.Nonsense();
  return std::string(value);
}

Status Client::XattrSet(NodeId node, std::string_view name, std::string_view value,
                        uint32_t flags) {
  Exchange x(*this, Op::kXattrSet);
  x.out().Put(XattrRequest{node, flags, 0});
  x.out().PutString(name);
  x.out().PutBytes(value);
  return x.Run();
}

ErrnoOr<std::string> Client::XattrList(NodeId node) {
  Exchange x(*this, Op::kXattrList);
  x.out().Put(XattrRequest{node, 0, 0});
  TRY(x.Run());
  std::string_view names = x.in().Rest();
  if (names.size() > kMaxXattr || (!names.empty() && names.back() != '\0')) return x.Nonsense();
  return std::string(names);
}

Status Client::XattrRemove(NodeId node, std::string_view name) {
  Exchange x(*this, Op::kXattrRemove);
  x.out().Put(XattrRequest{node, 0, 0});
  x.out().PutString(name);
  return x.Run();
}

ErrnoOr<StatfsReply> Client::Statfs(NodeId node) {
  Exchange x(*this, Op::kStatfs);
  x.out().Put(StatfsRequest{node});
  TRY(x.Run());
  StatfsReply reply{};
  if (!x.in().Get(&reply) || !x.in().Done()) return x.Nonsense();
  return reply;
}

Status Client::Sync(NodeId node) {
  Exchange x(*this, Op::kSync);
  x.out().Put(SyncRequest{node});
  return x.Run();
}

void Client::Close(NodeId node) {
  if (node == 0) return;
  bool full = false;
  {
    MutexLock l(mu_);
    closes_.push_back(node);
    full = closes_.size() >= kCloseBatch;
  }
  if (full) FlushCloses();
}

void Client::FlushCloses() {
  std::vector<NodeId> ids;
  {
    MutexLock l(mu_);
    ids.swap(closes_);
  }
  for (size_t at = 0; at < ids.size(); at += kMaxClose) {
    size_t count = std::min(ids.size() - at, kMaxClose);
    Exchange x(*this, Op::kClose);
    x.out().Put(CloseRequest{static_cast<uint32_t>(count), 0});
    for (size_t i = 0; i < count; ++i) x.out().Put(ids[at + i]);
    (void)x.Run().ok();
  }
}

}  // namespace runsc::gofer
