#include "sentry/fs/tty/devpts.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>

#include <charconv>

#include "platform/base/strings.h"
#include "sentry/fs/tty/pty_files.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/vfs/special_files.h"
#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

constexpr uint32_t kTtyMajor = 5;
constexpr uint64_t kPtmxIno = 2;
constexpr uint64_t kFirstSlaveIno = 3;

Ref<const Credentials> Share(const Credentials& creds) { return Ref<const Credentials>(&creds); }

}  // namespace

// "ptmx" inside the mount.
class Devpts::Ptmx final : public SyntheticInode {
 public:
  Ptmx(Ref<Filesystem> fs, uint32_t mode)
      : SyntheticInode(std::move(fs), S_IFCHR | mode, 0, 0, kPtmxIno) {}
  ErrnoOr<Attr> GetAttr() override {
    Attr attr = TRY(SyntheticInode::GetAttr());
    attr.rdev = {kTtyMajor, 2};
    return attr;
  }
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override {
    return static_cast<Devpts&>(fs()).OpenMaster(ctx, path, request.flags);
  }
};

// "0", "1", …: owned by whoever opened the master; mode and owner can be changed (grantpt, mesg).
class Devpts::Slave final : public Inode {
 public:
  Slave(Ref<Filesystem> fs, const Credentials& owner, Gid gid, uint32_t mode,
        Ref<Terminal> terminal)
      : Inode(std::move(fs)), terminal_(std::move(terminal)) {
    attr_.ino = InoOf(terminal_->index());
    attr_.dev = this->fs().dev();
    attr_.mode = S_IFCHR | mode;
    attr_.nlink = 1;
    attr_.uid = owner.fsuid;
    attr_.gid = gid;
    attr_.rdev = terminal_->device();
    attr_.blksize = 1024;
    attr_.atime = attr_.mtime = attr_.ctime = attr_.btime = CurrentFileTime();
  }
  uint32_t type() const override { return S_IFCHR; }
  ErrnoOr<Attr> GetAttr() override {
    MutexLock l(mu_);
    return attr_;
  }
  Status SetAttr(const OpContext&, const AttrChange& change) override {
    MutexLock l(mu_);
    if (change.mode) attr_.mode = S_IFCHR | (*change.mode & 07777);
    if (change.uid) attr_.uid = *change.uid;
    if (change.gid) attr_.gid = *change.gid;
    if (change.atime) attr_.atime = *change.atime;
    if (change.mtime) attr_.mtime = *change.mtime;
    attr_.ctime = CurrentFileTime();
    return Ok();
  }
  ErrnoOr<Ref<File>> Open(const OpContext& ctx, const Path& path,
                          const OpenRequest& request) override {
    return static_cast<Devpts&>(fs()).OpenSlave(ctx, path, request.flags, terminal_);
  }

 private:
  const Ref<Terminal> terminal_;
  Mutex<LockRank::kDevptsInode> mu_;
  Attr attr_ ABSL_GUARDED_BY(mu_);
};

class Devpts::Root final : public SyntheticDir {
 public:
  explicit Root(Ref<Devpts> fs) : SyntheticDir(fs, S_IFDIR | 0755, 0, 0, 1), devpts_(*fs) {}

  ErrnoOr<Ref<Inode>> Lookup(std::string_view name) override {
    if (name == "ptmx") {
      return Ref<Inode>(MakeRef<Ptmx>(Ref<Filesystem>(&devpts_), devpts_.options_.ptmx_mode));
    }
    int index = -1;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    if (error != std::errc() || end != name.data() + name.size()) return Errno::kNoent;
    MutexLock l(devpts_.mu_);
    auto it = devpts_.slaves_.find(index);
    if (it == devpts_.slaves_.end()) return Errno::kNoent;
    return it->second;
  }
  std::vector<SyntheticEntry> List(const OpContext&) override {
    std::vector<SyntheticEntry> out = {{"ptmx", kPtmxIno, S_IFCHR}};
    MutexLock l(devpts_.mu_);
    for (const auto& [index, inode] : devpts_.slaves_) {
      out.push_back({std::to_string(index), InoOf(index), S_IFCHR});
    }
    return out;
  }

 private:
  Devpts& devpts_;
};

Ref<Devpts> Devpts::New(const DevptsOptions& options) {
  return Ref<Devpts>::Adopt(new Devpts(options));
}

Ref<Inode> Devpts::root() { return MakeRef<Root>(Ref<Devpts>(this)); }

std::string Devpts::ShowOptions() {
  return StrPrintf(",gid=%u,mode=%03o,ptmxmode=%03o", options_.gid, options_.mode,
                   options_.ptmx_mode);
}

uint64_t Devpts::InoOf(int index) { return kFirstSlaveIno + static_cast<uint64_t>(index); }

ErrnoOr<int> Devpts::NextIndexLocked() {
  int index = 0;
  while (slaves_.contains(index)) ++index;
  if (static_cast<uint32_t>(index) >= options_.max) return Errno::kNospc;
  return index;
}

ErrnoOr<int> Devpts::Adopt(const std::function<Ref<Inode>(int index)>& make) {
  MutexLock l(mu_);
  const int index = TRY(NextIndexLocked());
  slaves_[index] = make(index);
  return index;
}

ErrnoOr<Ref<File>> Devpts::OpenMaster(const OpContext& ctx, const Path& path, uint32_t flags) {
  Ref<Terminal> terminal;
  {
    MutexLock l(mu_);
    const int index = TRY(NextIndexLocked());
    terminal = MakeRef<Terminal>(index);
    slaves_[index] = MakeRef<Slave>(Ref<Filesystem>(this), ctx.creds, options_.gid, options_.mode,
                                    terminal);
  }
  return Ref<File>(MakeRef<PtyMaster>(path, flags, Share(ctx.creds), Ref<Devpts>(this),
                                      std::move(terminal)));
}

ErrnoOr<Ref<File>> Devpts::OpenSlave(const OpContext& ctx, const Path& path, uint32_t flags,
                                     const Ref<Terminal>& terminal) {
  if (terminal->hung_up() || terminal->locked()) return Errno::kIo;
  if (terminal->exclusive() && !ctx.creds.HasCap(CAP_SYS_ADMIN)) return Errno::kBusy;
  Ref<Inode> inode;
  {
    MutexLock l(mu_);
    auto it = slaves_.find(terminal->index());
    if (it != slaves_.end()) inode = it->second;
  }
  if (!inode) return Errno::kIo;
  // Opened through the master (TIOCGPTPEER) the path is the master's; name the slave instead.
  Path own = path.dentry->inode() == inode
                 ? path
                 : vfs::AnonPath(inode, "/dev/pts/" + std::to_string(terminal->index()));
  Ref<File> file = MakeRef<PtySlave>(std::move(own), flags, Share(ctx.creds), terminal);
  if ((flags & O_NOCTTY) == 0 && ctx.task != nullptr) terminal->jobs().AdoptOnOpen(*ctx.task);
  return file;
}

void Devpts::Remove(int index) {
  Ref<Inode> gone;
  MutexLock l(mu_);
  auto it = slaves_.find(index);
  if (it == slaves_.end()) return;
  gone = std::move(it->second);
  slaves_.erase(it);
}

namespace {

// The devpts mounted at "pts" beside the node that was opened.
ErrnoOr<Path> PtsBeside(const OpContext& ctx, const Path& node) {
  if (ctx.task == nullptr) return Errno::kNxio;
  Path dir(node.mount, node.dentry->parent());
  return vfs::Lookup(ctx.task->Lookup(ctx, std::move(dir)), "pts", true);
}

ErrnoOr<Ref<File>> OpenPtmx(const OpContext& ctx, const Path& path, const OpenRequest& request) {
  Path pts = TRY(PtsBeside(ctx, path));
  auto* devpts = dynamic_cast<Devpts*>(&pts.mount->fs());
  if (devpts == nullptr) return Errno::kNodev;
  return devpts->OpenMaster(ctx, path, request.flags);
}

// /dev/tty: the caller's controlling terminal.
ErrnoOr<Ref<File>> OpenOwnTty(const OpContext& ctx, const Path& path, const OpenRequest& request) {
  if (ctx.task == nullptr) return Errno::kNxio;
  Ref<Session> session = ctx.task->group().session();
  Ref<ControllingTty> tty = session ? session->tty() : nullptr;
  if (!tty) return Errno::kNxio;
  return tty->OpenAgain(ctx, path, request.flags | O_NOCTTY);
}

ErrnoOr<Ref<File>> OpenTtyDevice(const OpContext& ctx, const Path& path,
                                 const OpenRequest& request, DeviceId dev) {
  if (dev.minor == 2) return OpenPtmx(ctx, path, request);
  if (dev.minor == 0) return OpenOwnTty(ctx, path, request);
  return Errno::kNxio;
}

}  // namespace

ErrnoOr<Ref<File>> Terminal::OpenAgain(const OpContext& ctx, const Path& path, uint32_t flags) {
  if (hung_up()) return Errno::kIo;
  return Ref<File>(MakeRef<PtySlave>(path, flags, Share(ctx.creds), Ref<Terminal>(this)));
}

void RegisterTerminals() {
  RegisterDevice(false, kTtyMajor, 0, 2, &OpenTtyDevice);
}

}  // namespace runsc
