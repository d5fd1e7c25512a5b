#include <fcntl.h>
#include <sys/stat.h>

#include <charconv>

#include "platform/base/strings.h"
#include "sentry/fs/proc/kernel_text.h"
#include "sentry/fs/proc/proc_fs.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/mount.h"

namespace runsc {
namespace {

ErrnoOr<Ref<File>> FileOf(Task& task, int32_t fd) {
  Ref<FdTable> fds = task.SharedFds();
  if (!fds) return Errno::kNoent;
  ErrnoOr<Ref<File>> file = fds->Get(FdNum(fd));
  return file.ok() ? file : Errno::kNoent;
}

// A number without sign or leading zero.
ErrnoOr<int32_t> ParseFd(std::string_view name) {
  int32_t fd = -1;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), fd);
  if (error != std::errc() || end != name.data() + name.size() || fd < 0) return Errno::kNoent;
  return fd;
}

// /proc/PID/fd/N: leads to the open file description's place.
class FdLink final : public SyntheticInode {
 public:
  FdLink(Ref<Filesystem> fs, Ref<Task> task, int32_t fd, uint32_t permissions)
      : SyntheticInode(std::move(fs), S_IFLNK | permissions), task_(std::move(task)), fd_(fd) {}

  ErrnoOr<Attr> GetAttr() override {
    Attr attr = OwnedBy(*task_, TRY(SyntheticInode::GetAttr()));
    attr.size = 64;
    return attr;
  }
  bool is_magic_link() const override { return true; }
  ErrnoOr<Path> FollowMagic(const OpContext& ctx) override {
    TRY(CheckTaskAccess(ctx, *task_));
    return TRY(FileOf(*task_, fd_))->path();
  }
  ErrnoOr<std::string> Readlink(const OpContext& ctx) override {
    TRY(CheckTaskAccess(ctx, *task_));
    Ref<File> file = TRY(FileOf(*task_, fd_));
    std::string description = file->Description();
    if (!description.empty()) return description;
    Ref<FsContext> fs = ctx.task != nullptr ? ctx.task->SharedFs() : nullptr;
    return vfs::PathName(file->path(), fs ? fs->root() : file->path());
  }
  ErrnoOr<Ref<File>> Open(const OpContext&, const Path&, const OpenRequest&) override {
    return Errno::kLoop;
  }

 private:
  const Ref<Task> task_;
  const int32_t fd_;
};

class FdInfoFile final : public TaskTextInode {
 public:
  FdInfoFile(Ref<ProcFs> fs, Ref<Task> task, int32_t fd)
      : TaskTextInode(fs, std::move(task), 0400), proc_(*fs), fd_(fd) {}
  ErrnoOr<std::string> Text(const OpContext& ctx) override {
    TRY(CheckTaskAccess(ctx, *task_));
    Ref<FdTable> fds = task_->SharedFds();
    Ref<File> file = TRY(FileOf(*task_, fd_));
    bool cloexec = fds && fds->CloseOnExec(FdNum(fd_)).value_or(false);
    uint32_t flags = file->flags() | (cloexec ? O_CLOEXEC : 0);
    ErrnoOr<Attr> attr = file->inode().GetAttr();
    return StrPrintf("pos:\t%lld\nflags:\t0%o\nmnt_id:\t%d\nino:\t%llu\n",
                     static_cast<long long>(file->offset()), flags, file->path().mount->id(),
                     static_cast<unsigned long long>(attr.ok() ? attr->ino : 0)) +
           FdLocksText(proc_.kernel(), proc_.ns(), *file, fds ? fds->id() : 0) + file->FdInfo();
  }

 private:
  ProcFs& proc_;
  const int32_t fd_;
};

class FdDir final : public SyntheticDir {
 public:
  FdDir(Ref<ProcFs> fs, Ref<Task> task, bool info)
      : SyntheticDir(fs, S_IFDIR | (info ? 0555 : 0500)),
        proc_(*fs),
        task_(std::move(task)),
        info_(info) {}

  ErrnoOr<Attr> GetAttr() override {
    Attr attr = OwnedBy(*task_, TRY(SyntheticDir::GetAttr()));
    if (!info_) {
      if (Ref<FdTable> fds = task_->SharedFds()) attr.size = fds->Count();
    }
    return attr;
  }
  // A process always gets at its own descriptors, whoever owns the directory by now.
  Status CheckAccess(const OpContext& ctx, Access want) override {
    if (ctx.task != nullptr && &ctx.task->group() == &task_->group()) return Ok();
    return SyntheticDir::CheckAccess(ctx, want);
  }
  ErrnoOr<Ref<Inode>> Lookup(std::string_view name) override {
    int32_t fd = TRY(ParseFd(name));
    Ref<File> file = TRY(FileOf(*task_, fd));
    Ref<ProcFs> owner(&proc_);
    if (info_) return Ref<Inode>(MakeRef<FdInfoFile>(owner, task_, fd));
    uint32_t permissions = (file->readable() ? 0500 : 0) | (file->writable() ? 0300 : 0);
    return Ref<Inode>(MakeRef<FdLink>(owner, task_, fd, permissions));
  }
  std::vector<SyntheticEntry> List(const OpContext&) override {
    std::vector<SyntheticEntry> out;
    Ref<FdTable> fds = task_->SharedFds();
    if (!fds) return out;
    for (int32_t fd : fds->List()) {
      out.push_back({std::to_string(fd), ino() + 1000 + static_cast<uint64_t>(fd),
                     info_ ? uint32_t{S_IFREG} : uint32_t{S_IFLNK}});
    }
    return out;
  }

 private:
  ProcFs& proc_;
  const Ref<Task> task_;
  const bool info_;
};

}  // namespace

Ref<SyntheticInode> NewFdDir(const Ref<ProcFs>& fs, Ref<Task> task) {
  return MakeRef<FdDir>(fs, std::move(task), false);
}

Ref<SyntheticInode> NewFdInfoDir(const Ref<ProcFs>& fs, Ref<Task> task) {
  return MakeRef<FdDir>(fs, std::move(task), true);
}

}  // namespace runsc
