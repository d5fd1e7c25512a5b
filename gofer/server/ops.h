#ifndef GOFER_SERVER_OPS_H_
#define GOFER_SERVER_OPS_H_

#include <string_view>
#include <vector>

#include "gofer/protocol/messages.h"
#include "gofer/protocol/wire.h"
#include "gofer/server/node_table.h"
#include "platform/base/errno.h"
#include "platform/base/fd.h"

namespace runsc::gofer {

// An open directory or file that is served, and whether what is in it may be changed.
struct Tree {
  Fd root;
  bool read_only = false;
};

struct Served {
  std::vector<Tree> trees;
  Fd empty;  // a directory that shows where a file system of the host's kernel is; may be none
};

// One request while it is served. Handlers read `in` (a private copy of the request's bytes),
// write the answer to `out`, and put a descriptor to be donated into `donated`.
struct Call {
  NodeTable& nodes;
  const Served& served;
  Reader in;
  Writer out;
  Fd donated;
};

// Runs the handler of the request in `call.in`. An error means that `out` is to be dropped.
Status Dispatch(Call& call);

// A path component with its NUL.
class Name {
 public:
  // EINVAL if the request has no valid component next.
  Status Read(Reader& in);
  void Set(std::string_view s);
  const char* c_str() const { return bytes_; }

 private:
  char bytes_[kMaxName + 1] = {};
};

// The handlers, in ops_*_host.cc. Every one answers EINVAL to a malformed request.
Status Attach(Call& call);
Status Walk(Call& call);
Status Open(Call& call);
Status Create(Call& call);
Status Tmpfile(Call& call);
Status GetAttr(Call& call);
Status SetAttr(Call& call);
Status ReadDir(Call& call);
Status ReadLink(Call& call);
Status Symlink(Call& call);
Status Link(Call& call);
Status Mknod(Call& call);
Status Unlink(Call& call);
Status Rename(Call& call);
Status XattrGet(Call& call);
Status XattrSet(Call& call);
Status XattrList(Call& call);
Status XattrRemove(Call& call);
Status Statfs(Call& call);
Status Sync(Call& call);
Status CloseNodes(Call& call);

// --- shared by the handlers ---

// errno as Errno.
Errno LastError();
// Attributes of `name` in `dir`, or of `dir` itself if `name` is empty; symlinks are not followed.
ErrnoOr<Attr> StatAt(int dir, const char* name);
// The node `id` of a directory; ENOTDIR.
ErrnoOr<Ref<Node>> GetDirectory(Call& call, NodeId id);
// EROFS if `node` lies in a tree served read-only.
Status CheckWritable(const Node& node);
// Name of a node's descriptor in the working directory, which is this process's /proc/self/fd:
// lets calls that need a path, or a new open file, act on an O_PATH descriptor.
class FdPath {
 public:
  explicit FdPath(int fd);
  const char* c_str() const { return bytes_; }

 private:
  char bytes_[12];
};
// Opens `name` in `parent` as a new node's descriptor and reads its attributes. The host's kernel
// file systems (proc, sysfs and the like) are never served: where one is mounted on a directory, an
// empty one shows that cannot be changed; ENOENT where there is none to show, and for files.
ErrnoOr<Found> OpenChild(const Call& call, const Node& parent, const char* name);
// Attributes of a node as it shows.
ErrnoOr<Attr> AttrOf(const Node& node);
// Registers what was found, `read_only` as its parent or its tree, and answers with a NodeReply.
Status ReplyNode(Call& call, bool read_only, Found found);

}  // namespace runsc::gofer

#endif  // GOFER_SERVER_OPS_H_
