#ifndef SENTRY_FS_TTY_DEVPTS_H_
#define SENTRY_FS_TTY_DEVPTS_H_

#include <cstdint>
#include <functional>
#include <map>

#include "platform/base/mutex.h"
#include "sentry/fs/synthetic/synthetic.h"
#include "sentry/fs/tty/terminal.h"
#include "sentry/vfs/inode.h"

namespace runsc {

// Mount options of devpts(5).
struct DevptsOptions {
  uint32_t mode = 0620;
  Gid gid = 5;          // "tty" of Debian
  uint32_t ptmx_mode = 0666;
  uint32_t max = 4096;
};

// One devpts instance: its ptmx and the slaves of the terminals made through it.
class Devpts final : public Filesystem {
 public:
  static Ref<Devpts> New(const DevptsOptions& options);

  Ref<Inode> root() override;
  ErrnoOr<FsStat> StatFs() override { return FsStat{.type = 0x1cd1, .name_max = 255}; }
  std::string ShowOptions() override;

  // A new terminal (open of ptmx): its master. ENOSPC above the maximum.
  ErrnoOr<Ref<File>> OpenMaster(const OpContext& ctx, const Path& path, uint32_t flags);
  // The slave of `terminal` as a file (TIOCGPTPEER and open by name).
  ErrnoOr<Ref<File>> OpenSlave(const OpContext& ctx, const Path& path, uint32_t flags,
                               const Ref<Terminal>& terminal);
  // Gives a terminal that was not made here the next number and a name: the inode that `make` makes
  // for it, which has InoOf(index). Kept until Remove. ENOSPC above the maximum.
  ErrnoOr<int> Adopt(const std::function<Ref<Inode>(int index)>& make);
  static uint64_t InoOf(int index);
  // The master was closed: the name goes.
  void Remove(int index);

 private:
  class Root;
  class Ptmx;
  class Slave;
  ErrnoOr<int> NextIndexLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  explicit Devpts(const DevptsOptions& options) : Filesystem("devpts", kNoCache), options_(options) {}

  const DevptsOptions options_;
  Mutex<LockRank::kDevpts> mu_;
  std::map<int, Ref<Inode>> slaves_ ABSL_GUARDED_BY(mu_);
};

// Makes /dev/ptmx (5:2) and /dev/tty (5:0) work: the former opens on the devpts mounted at "pts"
// beside it, as Linux does. Called once at boot.
void RegisterTerminals();

}  // namespace runsc

#endif  // SENTRY_FS_TTY_DEVPTS_H_
