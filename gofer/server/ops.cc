#include "gofer/server/ops.h"

#include <cstring>

namespace runsc::gofer {

Status Name::Read(Reader& in) {
  std::string_view s;
  if (!in.GetName(&s)) return Errno::kInval;
  Set(s);
  return Ok();
}

void Name::Set(std::string_view s) {
  std::memcpy(bytes_, s.data(), s.size());
  bytes_[s.size()] = '\0';
}

ErrnoOr<Ref<Node>> GetDirectory(Call& call, NodeId id) {
  Ref<Node> node = TRY(call.nodes.Get(id));
  if ((node->mode() & 0170000) != 0040000) return Errno::kNotdir;
  return node;
}

Status CheckWritable(const Node& node) {
  if (node.read_only()) return Errno::kRofs;
  return Ok();
}

Status ReplyNode(Call& call, bool read_only, Found found) {
  Attr attr = found.attr;
  NodeId id = TRY(call.nodes.Add(MakeRef<Node>(std::move(found), read_only)));
  call.out.Put(NodeReply{id, attr});
  return Ok();
}

Status CloseNodes(Call& call) {
  CloseRequest request{};
  if (!call.in.Get(&request) || request.count > kMaxClose ||
      call.in.left() != request.count * sizeof(NodeId)) {
    return Errno::kInval;
  }
  NodeId id = 0;
  while (call.in.left() > 0 && call.in.Get(&id)) call.nodes.Remove(id);
  return Ok();
}

Status Dispatch(Call& call) {
  RequestHeader header{};
  if (!call.in.Get(&header)) return Errno::kInval;
  switch (static_cast<Op>(header.op)) {
    case Op::kAttach:
      return Attach(call);
    case Op::kWalk:
      return Walk(call);
    case Op::kOpen:
      return Open(call);
    case Op::kCreate:
      return Create(call);
    case Op::kTmpfile:
      return Tmpfile(call);
    case Op::kGetAttr:
      return GetAttr(call);
    case Op::kSetAttr:
      return SetAttr(call);
    case Op::kReadDir:
      return ReadDir(call);
    case Op::kReadLink:
      return ReadLink(call);
    case Op::kSymlink:
      return Symlink(call);
    case Op::kLink:
      return Link(call);
    case Op::kMknod:
      return Mknod(call);
    case Op::kUnlink:
      return Unlink(call);
    case Op::kRename:
      return Rename(call);
    case Op::kXattrGet:
      return XattrGet(call);
    case Op::kXattrSet:
      return XattrSet(call);
    case Op::kXattrList:
      return XattrList(call);
    case Op::kXattrRemove:
      return XattrRemove(call);
    case Op::kStatfs:
      return Statfs(call);
    case Op::kSync:
      return Sync(call);
    case Op::kClose:
      return CloseNodes(call);
    // --host-uds=none is the only policy so far: the host's sockets are out of reach.
    case Op::kUnixConnect:
      return Errno::kConnrefused;
    case Op::kUnixBind:
      return Errno::kOpnotsupp;
  }
  return Errno::kNosys;
}

}  // namespace runsc::gofer
