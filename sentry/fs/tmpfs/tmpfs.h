#ifndef SENTRY_FS_TMPFS_TMPFS_H_
#define SENTRY_FS_TMPFS_TMPFS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "platform/memory/memory_file.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"

namespace runsc {

class TmpfsInode;
class TmpfsSpace;

// tmpfs(5) mount options. Limits of zero are none.
struct TmpfsOptions {
  uint64_t size = 0;    // bytes
  uint64_t inodes = 0;
  uint32_t mode = 01777;
  Uid uid = 0;
  Gid gid = 0;
};

// "size=10%,mode=755,…" as mount(2) passes it; `total_memory` is what percentages refer to. EINVAL
// for unknown or malformed options. Starts from `base`.
ErrnoOr<TmpfsOptions> ParseTmpfsOptions(std::string_view text, uint64_t total_memory,
                                        const Credentials& creds, TmpfsOptions base = {});

// Files in memory. Also the base of /dev, /dev/shm, memfds, and the overlay's default upper layer.
class Tmpfs : public Filesystem {
 public:
  // `memory` outlives it. `type` is what /proc/mounts shows (static storage).
  static Ref<Tmpfs> New(MemoryFile& memory, const TmpfsOptions& options,
                        const char* type = "tmpfs");

  Ref<Inode> root() override;
  ErrnoOr<FsStat> StatFs() override;
  std::string ShowOptions() override;
  Status Remount(const OpContext& ctx, std::string_view options) override;
  // Lets the whole tree go; files still open keep theirs.
  void OnLastUnmount() override;

  MemoryFile& memory() { return memory_; }
  TmpfsSpace& space() { return *space_; }
  uint64_t NextIno() { return next_ino_.fetch_add(1, std::memory_order_relaxed); }

 private:
  Tmpfs(MemoryFile& memory, const TmpfsOptions& options, const char* type);
  ~Tmpfs() override;

  MemoryFile& memory_;
  const TmpfsOptions options_;
  const Ref<TmpfsSpace> space_;
  std::atomic<uint64_t> next_ino_{1};
  Mutex<LockRank::kInodeAttr> mu_;
  Ref<Inode> root_ ABSL_GUARDED_BY(mu_);
};

// Makes mount(2) of "tmpfs" and "ramfs" possible. Called once at boot; `memory` outlives the kernel.
void RegisterTmpfs(MemoryFile& memory, uint64_t total_memory);

// memfd_create(2): an unnamed file open for reading and writing. `name` without "memfd:".
// `sealable` is MFD_ALLOW_SEALING, `executable` false is MFD_NOEXEC_SEAL.
ErrnoOr<Ref<File>> NewMemfd(MemoryFile& memory, std::string_view name, bool sealable,
                            bool executable, Ref<const Credentials> creds);

// Puts a node into a directory of a tmpfs while the system boots: a device, symlink, directory.
// Answers the inode.
ErrnoOr<Ref<Inode>> TmpfsAddDevice(Inode& dir, std::string_view name, uint32_t mode,
                                   DeviceId dev);

}  // namespace runsc

#endif  // SENTRY_FS_TMPFS_TMPFS_H_
