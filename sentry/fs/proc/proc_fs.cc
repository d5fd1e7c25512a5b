#include "sentry/fs/proc/proc_fs.h"

#include <sys/stat.h>

#include <charconv>

namespace runsc {
namespace {

constexpr uint64_t kRootIno = 1;

// /proc/self and /proc/thread-self.
class SelfLink final : public SyntheticInode {
 public:
  SelfLink(Ref<ProcFs> fs, bool thread)
      : SyntheticInode(fs, S_IFLNK | 0777), proc_(*fs), thread_(thread) {}
  ErrnoOr<std::string> Readlink(const OpContext& ctx) override {
    if (ctx.task == nullptr) return Errno::kNoent;
    Tid pid = ctx.task->group().PidIn(proc_.ns());
    if (pid == 0) return Errno::kNoent;
    std::string text = std::to_string(pid);
    if (thread_) text += "/task/" + std::to_string(ctx.task->TidIn(proc_.ns()));
    return text;
  }
  ErrnoOr<Ref<File>> Open(const OpContext&, const Path&, const OpenRequest&) override {
    return Errno::kLoop;
  }

 private:
  ProcFs& proc_;
  const bool thread_;
};

// The fixed files, then a directory for each process.
class RootDir final : public SyntheticDir {
 public:
  explicit RootDir(Ref<ProcFs> fs)
      : SyntheticDir(fs, S_IFDIR | 0555, 0, 0, kRootIno),
        proc_(*fs),
        fixed_(MakeRef<StaticDir>(fs)) {
    AddSystemFiles(*fixed_, fs);
    fixed_->Add("sys", NewSysctlDir(fs));
    fixed_->Add("self", MakeRef<SelfLink>(fs, false));
    fixed_->Add("thread-self", MakeRef<SelfLink>(fs, true));
  }

  ErrnoOr<Ref<Inode>> Lookup(std::string_view name) override {
    Tid tid = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), tid);
    if (error != std::errc() || end != name.data() + name.size() || name[0] == '0') {
      return fixed_->Lookup(name);
    }
    // Threads can be looked up by their id but are not listed, as in Linux.
    Ref<Task> task = proc_.kernel().FindTask(proc_.ns(), tid);
    if (!task) return Errno::kNoent;
    return Ref<Inode>(NewTaskDir(Ref<ProcFs>(&proc_), std::move(task), false));
  }
  std::vector<SyntheticEntry> List(const OpContext& ctx) override {
    std::vector<SyntheticEntry> out = fixed_->List(ctx);
    for (const Ref<ThreadGroup>& group : proc_.kernel().Processes(proc_.ns())) {
      Tid pid = group->PidIn(proc_.ns());
      out.push_back({std::to_string(pid), static_cast<uint64_t>(pid) << 32, S_IFDIR});
    }
    return out;
  }
  ErrnoOr<Attr> GetAttr() override {
    Attr attr = TRY(SyntheticDir::GetAttr());
    attr.nlink = 2 + static_cast<uint32_t>(proc_.kernel().Processes(proc_.ns()).size());
    return attr;
  }

 private:
  ProcFs& proc_;
  const Ref<StaticDir> fixed_;
};

}  // namespace

Ref<ProcFs> ProcFs::New(Kernel& kernel, Ref<PidNamespace> ns) {
  return Ref<ProcFs>::Adopt(new ProcFs(kernel, std::move(ns)));
}

Ref<Inode> ProcFs::root() { return MakeRef<RootDir>(Ref<ProcFs>(this)); }

}  // namespace runsc
