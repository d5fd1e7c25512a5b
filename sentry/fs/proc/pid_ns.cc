#include <sys/stat.h>

#include "platform/base/strings.h"
#include "sentry/fs/proc/proc_fs.h"

namespace runsc {
namespace {

// There is one of each of these kinds so far; their numbers are Linux's initial ones.
constexpr uint64_t kNetNamespace = 4026531840;
constexpr uint64_t kCgroupNamespace = 4026531835;
constexpr uint64_t kTimeNamespace = 4026531834;

// /proc/PID/ns/KIND: reads as "kind:[inode]". Opening one (for setns(2)) is not served yet.
class NamespaceLink final : public SyntheticInode {
 public:
  NamespaceLink(Ref<Filesystem> fs, Ref<Task> task, std::string kind, uint64_t number)
      : SyntheticInode(std::move(fs), S_IFLNK | 0777),
        task_(std::move(task)),
        kind_(std::move(kind)),
        number_(number) {}
  bool is_magic_link() const override { return true; }
  ErrnoOr<Path> FollowMagic(const OpContext& ctx) override {
    if (ctx.task == nullptr) return Errno::kNoent;
    return ctx.task->Unimplemented("open of /proc/pid/ns", Errno::kNosys);
  }
  ErrnoOr<std::string> Readlink(const OpContext& ctx) override {
    TRY(CheckTaskAccess(ctx, *task_));
    return StrPrintf("%s:[%llu]", kind_.c_str(), static_cast<unsigned long long>(number_));
  }
  ErrnoOr<Ref<File>> Open(const OpContext&, const Path&, const OpenRequest&) override {
    return Errno::kLoop;
  }

 private:
  const Ref<Task> task_;
  const std::string kind_;
  const uint64_t number_;
};

class NamespaceDir final : public SyntheticDir {
 public:
  NamespaceDir(Ref<ProcFs> fs, Ref<Task> task)
      : SyntheticDir(std::move(fs), S_IFDIR | 0511), task_(std::move(task)) {}
  ErrnoOr<Attr> GetAttr() override { return OwnedBy(*task_, TRY(SyntheticDir::GetAttr())); }
  ErrnoOr<Ref<Inode>> Lookup(std::string_view name) override {
    uint64_t number = Number(name);
    if (number == 0) return Errno::kNoent;
    return Ref<Inode>(
        MakeRef<NamespaceLink>(Ref<Filesystem>(&fs()), task_, std::string(name), number));
  }
  std::vector<SyntheticEntry> List(const OpContext&) override {
    std::vector<SyntheticEntry> out;
    for (const char* name : {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}) {
      out.push_back({name, ino() + out.size() + 1, S_IFLNK});
    }
    return out;
  }

 private:
  uint64_t Number(std::string_view kind) {
    if (kind == "net") return kNetNamespace;
    if (kind == "cgroup") return kCgroupNamespace;
    if (kind == "time") return kTimeNamespace;
    if (kind == "uts") return task_->uts().inode();
    if (kind == "ipc") return task_->ipc().inode();
    if (kind == "pid") return task_->pid_ns().inode();
    if (kind == "user") {
      Ref<const Credentials> creds = task_->SharedCreds();
      return creds ? creds->user_ns->inode() : 0;
    }
    if (kind == "mnt") {
      Ref<FsContext> fs = task_->SharedFs();
      return fs ? fs->mount_namespace()->inode() : 0;
    }
    return 0;
  }

  const Ref<Task> task_;
};

}  // namespace

Ref<SyntheticInode> NewNamespaceDir(const Ref<ProcFs>& fs, Ref<Task> task) {
  return MakeRef<NamespaceDir>(fs, std::move(task));
}

}  // namespace runsc
