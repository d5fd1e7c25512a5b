#ifndef GOFER_PROTOCOL_MESSAGES_H_
#define GOFER_PROTOCOL_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

// Every message between sentry and gofer. All structs are fixed-layout, without padding and in
// host byte order (both ends are the same binary). Tails that follow a struct are said beside it.
// Both sides treat every field as hostile.
namespace runsc::gofer {

inline constexpr uint32_t kMagic = 0x46475352;  // "RSGF"
inline constexpr uint32_t kVersion = 1;

// Limits, part of the version.
inline constexpr size_t kMaxRequest = 128 << 10;  // one request; an xattr value and names fit
inline constexpr size_t kMaxReply = 256 << 10;    // one reply; a bulk of directory entries
inline constexpr size_t kMaxName = 255;
inline constexpr size_t kMaxLink = 4095;
inline constexpr size_t kMaxXattr = 64 << 10;
inline constexpr size_t kMaxWalk = 64;       // components in one walk
inline constexpr size_t kMaxClose = 1024;    // ids in one close
inline constexpr uint32_t kMaxChannels = 32;
inline constexpr uint32_t kMaxAttachPoints = 4096;

// A file that the gofer holds open for a connection; 0 is none. Slot number below, generation
// above, so that a stale id is refused.
using NodeId = uint64_t;

enum class Op : uint32_t {
  kAttach = 1,
  kWalk,
  kOpen,
  kCreate,
  kTmpfile,
  kGetAttr,
  kSetAttr,
  kReadDir,
  kReadLink,
  kSymlink,
  kLink,
  kMknod,
  kUnlink,
  kRename,
  kXattrGet,
  kXattrSet,
  kXattrList,
  kXattrRemove,
  kStatfs,
  kSync,
  kUnixConnect,
  kUnixBind,
  kClose,
};

// --- handshake, over the UNIX socket (SOCK_SEQPACKET) ---

struct Hello {
  uint32_t magic;
  uint32_t version;
};

// Comes with descriptors: the shared memory, then one socket a channel.
struct HelloReply {
  uint32_t magic;
  uint32_t version;
  uint32_t channels;
  uint32_t attach_points;
  uint32_t max_nodes;  // node ids the connection may hold
  uint32_t pad;
  uint32_t cpu[kMaxChannels];  // where the thread behind each channel runs
};

// Says which request a donated descriptor belongs to; comes with exactly one descriptor.
struct Donation {
  uint32_t magic;
  uint32_t sequence;
};

// --- shared structs ---

struct RequestHeader {
  uint32_t op;
  uint32_t pad;
};

struct ReplyHeader {
  uint32_t error;  // errno, 0 is success; with an error nothing follows
  uint32_t fds;    // 1: a descriptor was donated
};

struct Time {
  int64_t seconds;
  uint32_t nanos;
  uint32_t pad;
};

struct Attr {
  uint64_t ino;
  uint64_t dev;
  uint64_t rdev;
  uint64_t size;
  uint64_t blocks;
  uint32_t mode;  // type and permission bits
  uint32_t nlink;
  uint32_t uid;
  uint32_t gid;
  uint32_t block_size;
  uint32_t has_btime;
  Time atime, mtime, ctime, btime;
};

// A file and what is known of it.
struct NodeReply {
  NodeId node;
  Attr attr;
};

// --- requests; "name" is one path component: u16 length and bytes ---

struct AttachRequest {  // -> NodeReply
  uint32_t index;
  uint32_t pad;
};

// Steps from `dir` through the names. Stops after a component that is not a directory (a symlink
// is never followed). -> WalkReply, then per step a WalkStep and the bytes of a symlink's target.
enum WalkFlags : uint32_t {
  kWalkAllIds = 1,  // an id for every step, otherwise for the last only
  kWalkNoIds = 2,   // attributes only
};
struct WalkRequest {  // names
  NodeId dir;
  uint32_t flags;
  uint32_t count;
};
struct WalkReply {
  uint32_t steps;
  uint32_t error;  // why the walk stopped before the last name, 0 if a non-directory was met
};
struct WalkStep {
  NodeId node;
  Attr attr;
  uint32_t link_size;
  uint32_t pad;
};

// Opens a regular file (or a directory, for syncing); the descriptor is donated. By name in a
// directory if there is a name, else the node itself. Anything else is ENXIO.
enum OpenFlags : uint32_t {
  kOpenRead = 1,
  kOpenWrite = 2,
  kOpenTruncate = 4,
};
struct OpenRequest {  // name, may be empty; -> Attr and a descriptor
  NodeId node;
  uint32_t flags;
  uint32_t pad;
};
// The file must not exist. Owner, group and mode are set exactly as given: no umask.
struct CreateRequest {  // name (none for tmpfile); -> NodeReply and a descriptor
  NodeId dir;
  uint32_t flags;
  uint32_t mode;
  uint32_t uid;
  uint32_t gid;
};

struct GetAttrRequest {  // -> Attr
  NodeId node;
};

enum SetAttrMask : uint32_t {
  kSetMode = 1,
  kSetUid = 2,
  kSetGid = 4,
  kSetSize = 8,
  kSetAtime = 16,
  kSetMtime = 32,
  kSetAtimeNow = 64,
  kSetMtimeNow = 128,
};
struct SetAttrRequest {  // -> Attr
  NodeId node;
  uint32_t mask;
  uint32_t mode;
  uint32_t uid;
  uint32_t gid;
  uint64_t size;
  Time atime, mtime;
};

// Entries from position `cookie` (0: the start; otherwise a cookie of an earlier reply), "." and
// ".." left out. -> ReadDirReply, then entries: DirEntry, name bytes, and with kReadDirAttrs an
// Attr (ino 0 if the entry vanished meanwhile).
enum ReadDirFlags : uint32_t { kReadDirAttrs = 1 };
struct ReadDirRequest {
  NodeId dir;
  uint64_t cookie;
  uint32_t flags;
  uint32_t max_bytes;
};
struct ReadDirReply {
  uint32_t count;
  uint32_t end;   // 1: no more
  uint64_t next;  // the cookie to go on with
};
struct DirEntry {
  uint64_t ino;
  uint8_t type;  // DT_*
  uint8_t pad;
  uint16_t name_size;
  uint32_t pad2;
};

struct ReadLinkRequest {  // -> the target's bytes
  NodeId node;
};
struct SymlinkRequest {  // name, then u16 length and bytes of the target; -> NodeReply
  NodeId dir;
  uint32_t uid;
  uint32_t gid;
};
struct LinkRequest {  // name; -> Attr
  NodeId node;
  NodeId dir;
};
struct MknodRequest {  // name; directories too (S_IFDIR); -> NodeReply
  NodeId dir;
  uint32_t mode;
  uint32_t uid;
  uint32_t gid;
  uint32_t pad;
  uint64_t rdev;
};
struct UnlinkRequest {  // name
  NodeId dir;
  uint32_t directory;  // 1: rmdir
  uint32_t pad;
};
struct RenameRequest {  // old name, new name
  NodeId old_dir;
  NodeId new_dir;
  uint32_t flags;  // RENAME_NOREPLACE, RENAME_EXCHANGE
  uint32_t pad;
};

struct XattrRequest {  // get, remove: name; set: name, then the rest is the value; list: nothing
  NodeId node;
  uint32_t flags;  // set: XATTR_CREATE, XATTR_REPLACE
  uint32_t pad;
};  // get, list -> the bytes

struct StatfsRequest {
  NodeId node;
};
struct StatfsReply {
  uint64_t type;
  uint64_t block_size;
  uint64_t fragment_size;
  uint64_t blocks;
  uint64_t blocks_free;
  uint64_t blocks_available;
  uint64_t files;
  uint64_t files_free;
  uint64_t name_max;
};

struct SyncRequest {  // fsync of a directory or file
  NodeId node;
};

struct CloseRequest {  // NodeId[count]; unknown ids are skipped
  uint32_t count;
  uint32_t pad;
};

static_assert(std::has_unique_object_representations_v<Attr>);
static_assert(std::has_unique_object_representations_v<WalkStep>);
static_assert(std::has_unique_object_representations_v<SetAttrRequest>);
static_assert(std::has_unique_object_representations_v<MknodRequest>);
static_assert(std::has_unique_object_representations_v<DirEntry>);
static_assert(std::has_unique_object_representations_v<HelloReply>);

}  // namespace runsc::gofer

#endif  // GOFER_PROTOCOL_MESSAGES_H_
