#ifndef SENTRY_VFS_TYPES_H_
#define SENTRY_VFS_TYPES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "platform/base/errno.h"
#include "platform/base/types.h"
#include "sentry/auth/credentials.h"
#include "sentry/time/clock.h"

namespace runsc {

class Task;
class UserMemory;

// Nanoseconds since the epoch.
using FileTime = int64_t;
// Time stamp for a change now: the realtime clock with the tick's granularity, as Linux uses.
inline FileTime CurrentFileTime() { return CoarseRealtimeNanos(); }

// Device numbers as stat(2) gives them (new_encode_dev in Linux).
constexpr uint64_t EncodeDevice(DeviceId d) {
  return (d.minor & 0xff) | (uint64_t{d.major & 0xfff} << 8) | (uint64_t{d.minor & ~0xffu} << 12);
}
constexpr DeviceId DecodeDevice(uint64_t dev) {
  return {static_cast<uint32_t>(dev >> 8 & 0xfff),
          static_cast<uint32_t>((dev & 0xff) | (dev >> 12 & 0xfff00))};
}

// What stat(2) and statx(2) report. Ids are kernel ids.
struct Attr {
  uint64_t ino = 0;
  uint64_t dev = 0;     // of the file system, encoded as in new_encode_dev
  uint32_t mode = 0;    // type and permission bits
  uint32_t nlink = 0;
  Uid uid = 0;
  Gid gid = 0;
  DeviceId rdev;
  uint64_t size = 0;
  uint64_t blocks = 0;  // of 512 bytes
  uint32_t blksize = 4096;
  FileTime atime = 0, mtime = 0, ctime = 0, btime = 0;
  uint64_t attributes = 0;  // STATX_ATTR_*
};

// A change of attributes; unset members stay. Permission was checked by the caller (vfs).
struct AttrChange {
  std::optional<uint32_t> mode;  // permission bits only
  std::optional<Uid> uid;
  std::optional<Gid> gid;
  std::optional<uint64_t> size;
  std::optional<FileTime> atime, mtime;
  // The file system sets it to now. Set by an overlay only, whose copies keep what they copy; file
  // systems that cannot set it need not.
  std::optional<FileTime> ctime;
};

struct FsStat {
  uint64_t type = 0;  // f_type magic
  uint64_t block_size = 4096, blocks = 0, blocks_free = 0, blocks_available = 0;
  uint64_t files = 0, files_free = 0;
  uint64_t name_max = 255;
};

// Who does an operation. `task` may be null (boot); only sentry/fs and above look inside it.
struct OpContext {
  const Credentials& creds;
  Task* task = nullptr;
};

// Who does a read, write or ioctl and how.
struct IoContext {
  const Credentials& creds;
  Task* task = nullptr;
  // The caller will not wait (O_NONBLOCK, RWF_NOWAIT, MSG_DONTWAIT). Files answer kWouldBlock either
  // way; sockets and ttys may need to know.
  bool nonblock = false;
  bool append = false;  // RWF_APPEND or O_APPEND: the write goes to the end
  bool expired = false;  // the wait that File::ReadDeadline allowed is over: answer now
};

}  // namespace runsc

#endif  // SENTRY_VFS_TYPES_H_
