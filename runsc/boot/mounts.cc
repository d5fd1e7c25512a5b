#include "runsc/boot/mounts.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <string>

#include "platform/base/log.h"
#include "runsc/boot/special_mounts.h"
#include "sentry/fs/gofer/gofer_fs.h"
#include "sentry/fs/overlay/overlay_fs.h"
#include "sentry/fs/tmpfs/tmpfs.h"

namespace runsc::boot {
namespace {

constexpr int kMaxLinks = 40;  // as path walking

// Set up with root's credentials, before any task exists.
class TreeBuilder {
 public:
  TreeBuilder(const ContainerConfig& config, gofer::Client& gofer, Kernel& kernel,
              const Ref<Credentials>& root)
      : config_(config), gofer_(gofer), kernel_(kernel), creds_(root), op_{*creds_, nullptr} {}

  HostOr<Ref<FsContext>> Build() {
    TRY(MountRoot());
    for (const MountConfig& mount : config_.mounts) TRY(AddMount(mount));
    for (const std::string& path : config_.masked_paths) TRY(Mask(path));
    for (const std::string& path : config_.read_only_paths) TRY(MakeReadOnly(path));
    // Made last: its mount points had to be creatable.
    if (config_.root_read_only) {
      (void)ns_->SetFlags(ns_->Root(), MS_RDONLY);
    }
    return fs_;
  }

 private:
  LookupContext Ctx() { return {op_, *fs_, fs_->root(), 0}; }

  static HostError Failed(const std::string& what, Errno e) {
    return TextError("%s: %s", what.c_str(), ErrnoName(e));
  }

  HostOr<Ref<Filesystem>> GoferTree(uint32_t index, bool shared, const std::string& source) {
    GoferFsOptions options;
    options.exclusive = !shared;
    options.source = source.empty() ? "none" : source;
    ErrnoOr<Ref<GoferFs>> fs = GoferFs::Attach(gofer_, index, options);
    if (!fs.ok()) return Failed("cannot attach to the gofer's tree", fs.error());
    return Ref<Filesystem>(std::move(*fs));
  }

  // Writes go to memory; "self" differs in where gVisor keeps them, not in what the guest sees.
  HostOr<Ref<Filesystem>> Overlaid(Ref<Filesystem> lower) {
    TmpfsOptions options;
    // Without a size of its own it may fill the memory that the guest is told of; df wants a
    // number.
    options.size =
        config_.overlay_bytes != 0 ? config_.overlay_bytes : kernel_.options().total_memory;
    options.mode = 0755;
    ErrnoOr<Ref<OverlayFs>> fs =
        OverlayFs::Create(Tmpfs::New(kernel_.memory(), options), std::move(lower));
    if (!fs.ok()) return Failed("cannot set up the overlay", fs.error());
    return Ref<Filesystem>(std::move(*fs));
  }

  HostStatus MountRoot() {
    Ref<Filesystem> fs = TRY(GoferTree(0, config_.root_shared, "none"));
    // Without an overlay, a read-only root gets one just for the mount points that it lacks.
    if (config_.root_overlay != OverlayKind::kNone || config_.root_read_only) {
      fs = TRY(Overlaid(std::move(fs)));
    }
    Ref<Dentry> dentry = Dentry::NewRoot(fs->root());
    ns_ = MountNamespace::New(MakeRef<Mount>(std::move(fs), std::move(dentry), 0, "none"));
    Path root = ns_->Root();
    fs_ = MakeRef<FsContext>(ns_, root, root, config_.process.umask);
    return HostOk();
  }

  HostOr<Ref<Filesystem>> NewFilesystem(const MountConfig& m) {
    switch (m.kind) {
      case MountKind::kGofer: {
        Ref<Filesystem> fs = TRY(GoferTree(m.attach_point, config_.mounts_shared, m.source));
        // A single file has nothing to put an overlay on.
        if (config_.mounts_overlay == OverlayKind::kNone || !fs->root()->IsDir()) return fs;
        return Overlaid(std::move(fs));
      }
      case MountKind::kTmpfs:
        return NewTmpfs(m, 01777);
      default:
        return NewSpecialFilesystem(m, kernel_, creds_);
    }
  }

  HostOr<Ref<Filesystem>> NewTmpfs(const MountConfig& m, uint32_t mode) {
    std::string text;
    for (const std::string& option : m.data) text += (text.empty() ? "" : ",") + option;
    TmpfsOptions base;
    base.mode = mode;
    base.size = PageDown(kernel_.options().total_memory / 2);  // tmpfs(5)'s default
    ErrnoOr<TmpfsOptions> options =
        ParseTmpfsOptions(text, kernel_.options().total_memory, *creds_, base);
    if (!options.ok())
      return Failed("mount " + m.destination + ": options " + text, options.error());
    return Ref<Filesystem>(Tmpfs::New(kernel_.memory(), *options));
  }

  HostStatus AddMount(const MountConfig& m) {
    HostOr<Ref<Filesystem>> fs = NewFilesystem(m);
    if (!fs.ok()) return fs.error();
    if (!*fs) {
      LOG_INFO("mount %s is left out: its file system is not in this release",
               m.destination.c_str());
      return HostOk();
    }
    Ref<Inode> root = (*fs)->root();
    TRY(MakeMountPoint(m.destination, root->IsDir()));
    return Attach(std::move(*fs), m.destination, m.flags, m.source);
  }

  HostStatus Attach(Ref<Filesystem> fs, const std::string& where, uint32_t flags,
                    const std::string& source) {
    ErrnoOr<Path> at = vfs::Lookup(Ctx(), where, true);
    if (!at.ok()) return Failed("mount point " + where, at.error());
    Ref<Dentry> dentry = Dentry::NewRoot(fs->root());
    Status attached =
        ns_->Attach(MakeRef<Mount>(std::move(fs), std::move(dentry), flags, source), *at);
    if (!attached.ok()) return Failed("cannot mount on " + where, attached.error());
    return HostOk();
  }

  // Directories above it, then itself. `links`: symbolic links gone through on the way.
  HostStatus MakeMountPoint(const std::string& path, bool directory, int links = 0) {
    for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
      TRY(MakeOne(path.substr(0, at), true, links));
    }
    return path == "/" ? HostOk() : MakeOne(path, directory, links);
  }

  HostStatus MakeOne(const std::string& path, bool directory, int links) {
    if (vfs::Lookup(Ctx(), path, true).ok()) return HostOk();
    ErrnoOr<Path> link = vfs::Lookup(Ctx(), path, false);
    if (link.ok() && link->dentry->inode()->IsSymlink()) {
      return MakeLinkTarget(path, *link, directory, links);
    }
    Status made =
        directory ? vfs::Mkdir(Ctx(), path, 0755) : vfs::Mknod(Ctx(), path, S_IFREG | 0644, {});
    if (made.ok()) return HostOk();
    if (made.error() == Errno::kExist) {
      return TextError(
          "cannot make mount point %s: the host has a file system there that is not "
          "shown; use an overlay (--overlay2=root:memory)",
          path.c_str());
    }
    return Failed("cannot make mount point " + path, made.error());
  }

  // A link that leads nowhere yet (/etc/resolv.conf of many images): what it names is made, as the
  // container's root sees the name.
  HostStatus MakeLinkTarget(const std::string& path, const Path& link, bool directory, int links) {
    ErrnoOr<std::string> target = link.dentry->inode()->Readlink(op_);
    if (target.ok() && links == kMaxLinks) target = Errno::kLoop;
    if (!target.ok() || target->empty()) {
      return Failed("cannot make mount point " + path,
                    target.ok() ? Errno::kNoent : target.error());
    }
    bool absolute = (*target)[0] == '/';
    std::string name = absolute ? *target : path.substr(0, path.rfind('/') + 1) + *target;
    return MakeMountPoint(name, directory, links + 1);
  }

  // An empty directory, or an empty file nobody may read, over the path; missing ones are fine.
  HostStatus Mask(const std::string& path) {
    ErrnoOr<Path> at = vfs::Lookup(Ctx(), path, true);
    if (!at.ok()) return HostOk();
    bool directory = at->dentry->inode()->IsDir();
    Ref<Tmpfs> fs = Tmpfs::New(kernel_.memory(), {.size = 4096, .inodes = 2, .mode = 0555});
    Ref<Inode> target = fs->root();
    if (!directory) {
      ErrnoOr<Ref<Inode>> file = target->Create(op_, "masked", 0);
      if (!file.ok()) return Failed("cannot mask " + path, file.error());
      target = std::move(*file);
    }
    Status attached = ns_->Attach(
        MakeRef<Mount>(fs, Dentry::NewRoot(std::move(target)), MS_RDONLY, "masked"), *at);
    if (!attached.ok()) return Failed("cannot mask " + path, attached.error());
    return HostOk();
  }

  HostStatus MakeReadOnly(const std::string& path) {
    ErrnoOr<Path> at = vfs::Lookup(Ctx(), path, true);
    if (!at.ok()) return HostOk();
    Mount& old = *at->mount;
    Status attached = ns_->Attach(MakeRef<Mount>(Ref<Filesystem>(&old.fs()), at->dentry,
                                                 old.flags() | MS_RDONLY, old.source()),
                                  *at);
    if (!attached.ok()) return Failed("cannot make " + path + " read-only", attached.error());
    return HostOk();
  }

  const ContainerConfig& config_;
  gofer::Client& gofer_;
  Kernel& kernel_;
  const Ref<Credentials> creds_;
  const OpContext op_;
  Ref<MountNamespace> ns_;
  Ref<FsContext> fs_;
};

}  // namespace

HostOr<Ref<FsContext>> BuildTree(const ContainerConfig& config, gofer::Client& gofer,
                                 Kernel& kernel, const Ref<Credentials>& root) {
  return TreeBuilder(config, gofer, kernel, root).Build();
}

}  // namespace runsc::boot
