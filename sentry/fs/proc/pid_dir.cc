#include <linux/capability.h>
#include <sys/stat.h>

#include <cstring>

#include "platform/base/strings.h"
#include "sentry/fs/proc/proc_fs.h"
#include "sentry/kernel/group_state.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/process_access.h"
#include "sentry/kernel/task_exit.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/task_tree.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

namespace runsc {

Status CheckTaskAccess(const OpContext& ctx, Task& task) {
  Status s = CheckProcessAccess(ctx.creds, ctx.task, task, AccessIds::kFs);
  return !s.ok() && s.error() == Errno::kPerm ? Status(Errno::kAcces) : s;
}

Attr OwnedBy(Task& task, Attr attr) {
  Ref<const Credentials> creds = task.SharedCreds();
  Ref<MemoryManager> mm = task.SharedMm();
  if (creds && (!mm || mm->dumpable() == 1)) {
    attr.uid = creds->euid;
    attr.gid = creds->egid;
  }
  return attr;
}

namespace {

// A text file of a task.
class TaskText final : public TaskTextInode {
 public:
  TaskText(Ref<ProcFs> fs, Ref<Task> task, uint32_t permissions, bool guarded,
           TaskTextFunction function)
      : TaskTextInode(fs, std::move(task), permissions),
        proc_(*fs),
        guarded_(guarded),
        function_(function) {}
  ErrnoOr<std::string> Text(const OpContext& ctx) override {
    if (guarded_) TRY(CheckTaskAccess(ctx, *task_));
    ErrnoOr<std::string> text = function_(ctx, proc_, *task_);
    // Again: the text may be of a program that the task has become since.
    if (guarded_) TRY(CheckTaskAccess(ctx, *task_));
    return text;
  }

 private:
  ProcFs& proc_;
  const bool guarded_;
  const TaskTextFunction function_;
};

// exe, cwd, root: links that lead to a place rather than a name.
class TaskLink final : public SyntheticInode {
 public:
  enum Kind { kExe, kCwd, kRoot };
  TaskLink(Ref<ProcFs> fs, Ref<Task> task, Kind kind)
      : SyntheticInode(std::move(fs), S_IFLNK | 0777), task_(std::move(task)), kind_(kind) {}

  ErrnoOr<Attr> GetAttr() override { return OwnedBy(*task_, TRY(SyntheticInode::GetAttr())); }
  bool is_magic_link() const override { return true; }
  ErrnoOr<Path> FollowMagic(const OpContext& ctx) override {
    TRY(CheckTaskAccess(ctx, *task_));
    return Target();
  }
  ErrnoOr<std::string> Readlink(const OpContext& ctx) override {
    TRY(CheckTaskAccess(ctx, *task_));
    Path target = TRY(Target());
    Ref<FsContext> fs = ctx.task != nullptr ? ctx.task->SharedFs() : nullptr;
    return vfs::PathName(target, fs ? fs->root() : target);
  }
  ErrnoOr<Ref<File>> Open(const OpContext&, const Path&, const OpenRequest&) override {
    return Errno::kLoop;
  }

 private:
  ErrnoOr<Path> Target() {
    if (kind_ == kExe) {
      Ref<MemoryManager> mm = task_->SharedMm();
      Ref<RefCounted> exe = mm ? mm->executable() : nullptr;
      auto* file = dynamic_cast<File*>(exe.get());
      if (file == nullptr) return Errno::kNoent;
      return file->path();
    }
    Ref<FsContext> fs = task_->SharedFs();
    if (!fs) return Errno::kNoent;
    return kind_ == kCwd ? fs->cwd() : fs->root();
  }

  const Ref<Task> task_;
  const Kind kind_;
};

ErrnoOr<std::string> ReadArea(Task& task, uint64_t start, uint64_t end) {
  Ref<MemoryManager> mm = task.SharedMm();
  if (!mm || end <= start) return std::string();
  std::string out(std::min<uint64_t>(end - start, 1 << 20), '\0');
  ErrnoOr<size_t> n = mm->PeekPartial(out.data(), UserAddr(start), out.size());
  out.resize(n.value_or(0));
  return out;
}

ImageLayout LayoutOf(Task& task) {
  Ref<MemoryManager> mm = task.SharedMm();
  return mm ? mm->layout() : ImageLayout();
}

ErrnoOr<std::string> CmdlineText(const OpContext&, ProcFs&, Task& task) {
  ImageLayout l = LayoutOf(task);
  std::string args = TRY(ReadArea(task, l.arg_start, l.arg_end));
  // setproctitle: if the last NUL was overwritten the string goes on into the environment.
  if (!args.empty() && args.back() != '\0') {
    args += TRY(ReadArea(task, l.env_start, l.env_end));
    args.resize(std::min(args.size(), std::strlen(args.c_str())));
  }
  return args;
}

ErrnoOr<std::string> EnvironText(const OpContext&, ProcFs&, Task& task) {
  ImageLayout l = LayoutOf(task);
  return ReadArea(task, l.env_start, l.env_end);
}

ErrnoOr<std::string> AuxvText(const OpContext&, ProcFs&, Task& task) {
  ImageLayout l = LayoutOf(task);
  return std::string(reinterpret_cast<const char*>(l.auxv.data()), l.auxv.size() * 8);
}

ErrnoOr<std::string> LimitsText(const OpContext&, ProcFs&, Task& task) {
  static constexpr struct {
    int resource;
    const char* name;
    const char* unit;
  } kRows[] = {{0, "Max cpu time", "seconds"},     {1, "Max file size", "bytes"},
               {2, "Max data size", "bytes"},      {3, "Max stack size", "bytes"},
               {4, "Max core file size", "bytes"}, {5, "Max resident set", "bytes"},
               {6, "Max processes", "processes"},  {7, "Max open files", "files"},
               {8, "Max locked memory", "bytes"},  {9, "Max address space", "bytes"},
               {10, "Max file locks", "locks"},    {11, "Max pending signals", "signals"},
               {12, "Max msgqueue size", "bytes"}, {13, "Max nice priority", ""},
               {14, "Max realtime priority", ""},  {15, "Max realtime timeout", "us"}};
  std::string out =
      StrPrintf("%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
  for (const auto& row : kRows) {
    ResourceLimit l = task.group().GetLimit(row.resource);
    std::string soft = l.soft == UINT64_MAX ? "unlimited" : std::to_string(l.soft);
    std::string hard = l.hard == UINT64_MAX ? "unlimited" : std::to_string(l.hard);
    out += StrPrintf("%-25s %-20s %-20s %-10s\n", row.name, soft.c_str(), hard.c_str(), row.unit);
  }
  return out;
}

// A name in a line of fields: what would end the field or the line is in octal, in a source also
// what begins a comment in fstab(5).
std::string Mangled(const std::string& name, bool source = false) {
  std::string out;
  for (char c : name) {
    bool plain = c != ' ' && c != '\t' && c != '\n' && c != '\\' && !(source && c == '#');
    out += plain ? std::string(1, c) : StrPrintf("\\%03o", static_cast<unsigned char>(c));
  }
  return out;
}

ErrnoOr<std::vector<MountInfo>> MountsOf(Task& task) {
  Ref<FsContext> fs = task.SharedFs();
  if (!fs) return Errno::kInval;
  return fs->mount_namespace()->List(fs->root());
}

ErrnoOr<std::string> MountsText(const OpContext&, ProcFs&, Task& task) {
  std::string out;
  for (const MountInfo& m : TRY(MountsOf(task))) {
    // super_options begins with its own "ro" or "rw".
    out += Mangled(m.source, true) + " " + Mangled(m.mount_point) + " " + m.type + " " + m.options +
           m.super_options.substr(2) + " 0 0\n";
  }
  return out;
}

ErrnoOr<std::string> MountinfoText(const OpContext&, ProcFs&, Task& task) {
  std::string out;
  for (const MountInfo& m : TRY(MountsOf(task))) {
    out += StrPrintf("%d %d %u:%u %s %s %s - %s %s %s\n", m.id, m.parent_id,
                     static_cast<unsigned>(m.dev >> 8 & 0xfff), static_cast<unsigned>(m.dev & 0xff),
                     Mangled(m.root).c_str(), Mangled(m.mount_point).c_str(), m.options.c_str(),
                     m.type.c_str(), Mangled(m.source, true).c_str(), m.super_options.c_str());
  }
  return out;
}

ErrnoOr<std::string> MountstatsText(const OpContext&, ProcFs&, Task& task) {
  std::string out;
  for (const MountInfo& m : TRY(MountsOf(task))) {
    out += "device " + Mangled(m.source, true) + " mounted on " + Mangled(m.mount_point) +
           " with fstype " + m.type + "\n";
  }
  return out;
}

ErrnoOr<std::string> CpusetText(const OpContext&, ProcFs&, Task&) { return std::string("/\n"); }
ErrnoOr<std::string> CgroupText(const OpContext&, ProcFs&, Task&) { return std::string("0::/\n"); }

// What the out-of-memory killer would go by: the share of memory in use, moved by oom_score_adj.
ErrnoOr<std::string> OomScoreText(const OpContext&, ProcFs& fs, Task& task) {
  Ref<MemoryManager> mm = task.SharedMm();
  int64_t total = static_cast<int64_t>(fs.kernel().options().total_memory / kPageSize);
  int64_t adjust = task.group().state().oom_score_adj.load();
  if (!mm || adjust == -1000 || total == 0) return std::string("0\n");
  int64_t points = static_cast<int64_t>(mm->Usage().resident / kPageSize) + adjust * total / 1000;
  return StrPrintf("%lld\n", static_cast<long long>((1000 + points * 1000 / total) * 2 / 3));
}

ErrnoOr<std::string> EmptyText(const OpContext&, ProcFs&, Task&) { return std::string(); }
ErrnoOr<std::string> LoginuidText(const OpContext&, ProcFs&, Task&) {
  return std::string("4294967295");
}
ErrnoOr<std::string> PersonalityText(const OpContext&, ProcFs&, Task& task) {
  return StrPrintf("%08x\n", task.state().personality.load());
}
ErrnoOr<std::string> WchanText(const OpContext&, ProcFs&, Task&) { return std::string("0"); }
ErrnoOr<std::string> SchedstatText(const OpContext&, ProcFs&, Task& task) {
  return StrPrintf("%llu 0 0\n",
                   static_cast<unsigned long long>(task.UserNanos() + task.SystemNanos()));
}

// The sandbox has no storage of its own: what of this reached the host's disks is the host's.
std::string IoLines(const IoUse& use) {
  using ull = unsigned long long;
  return StrPrintf(
      "rchar: %llu\nwchar: %llu\nsyscr: %llu\nsyscw: %llu\nread_bytes: 0\n"
      "write_bytes: 0\ncancelled_write_bytes: 0\n",
      static_cast<ull>(use.read_bytes), static_cast<ull>(use.written_bytes),
      static_cast<ull>(use.reads), static_cast<ull>(use.writes));
}

ErrnoOr<std::string> ThreadIoText(const OpContext&, ProcFs&, Task& task) {
  return IoLines(task.state().io.Use());
}

// All threads, those gone too, and the children that were waited for.
ErrnoOr<std::string> IoText(const OpContext&, ProcFs& fs, Task& task) {
  TaskTree& tree = fs.kernel().tree();
  MutexLock l(tree.mu);
  IoUse use = TaskExit::UseOf(tree, task.group()).io;
  use.Add(task.group().state().dead_children.io);
  return IoLines(use);
}

ErrnoOr<std::string> ChildrenText(const OpContext&, ProcFs& fs, Task& task) {
  std::string out;
  for (const Ref<ThreadGroup>& group : fs.kernel().Processes(fs.ns())) {
    Ref<ThreadGroup> parent = group->parent();
    if (parent == &task.group()) out += std::to_string(group->PidIn(fs.ns())) + " ";
  }
  return out;
}

struct TextRow {
  const char* name;
  uint32_t permissions;
  bool guarded;
  TaskTextFunction function;
};
constexpr TextRow kTexts[] = {
    {"auxv", 0400, true, AuxvText},
    {"cgroup", 0444, false, CgroupText},
    {"cmdline", 0444, false, CmdlineText},
    {"cpuset", 0444, false, CpusetText},
    {"environ", 0400, true, EnvironText},
    {"limits", 0444, false, LimitsText},
    {"loginuid", 0444, false, LoginuidText},
    {"maps", 0444, true, MapsText},
    {"mountinfo", 0444, false, MountinfoText},
    {"mounts", 0444, false, MountsText},
    {"mountstats", 0400, true, MountstatsText},
    {"oom_score", 0444, false, OomScoreText},
    {"personality", 0400, true, PersonalityText},
    {"schedstat", 0444, false, SchedstatText},
    {"sessionid", 0444, false, LoginuidText},
    {"smaps", 0444, true, SmapsText},
    {"smaps_rollup", 0444, true, SmapsRollupText},
    {"statm", 0444, false, StatmText},
    {"status", 0444, false, StatusText},
    {"syscall", 0400, true, EmptyText},
    {"wchan", 0444, false, WchanText},
};

class TaskDir;

// /proc/PID/task.
class ThreadsDir final : public SyntheticDir {
 public:
  ThreadsDir(Ref<ProcFs> fs, Ref<Task> task)
      : SyntheticDir(fs, S_IFDIR | 0555), proc_(*fs), task_(std::move(task)) {}
  ErrnoOr<Attr> GetAttr() override {
    Attr attr = OwnedBy(*task_, TRY(SyntheticDir::GetAttr()));
    attr.nlink = 2 + static_cast<uint32_t>(task_->group().tasks().size());
    return attr;
  }
  ErrnoOr<Ref<Inode>> Lookup(std::string_view name) override {
    for (const Ref<Task>& t : task_->group().tasks()) {
      if (std::to_string(t->TidIn(proc_.ns())) != name) continue;
      return Ref<Inode>(NewTaskDir(Ref<ProcFs>(&proc_), t, true));
    }
    return Errno::kNoent;
  }
  std::vector<SyntheticEntry> List(const OpContext&) override {
    std::vector<SyntheticEntry> out;
    for (const Ref<Task>& t : task_->group().tasks()) {
      Tid tid = t->TidIn(proc_.ns());
      out.push_back({std::to_string(tid), (static_cast<uint64_t>(tid) << 32) + 1, S_IFDIR});
    }
    return out;
  }

 private:
  ProcFs& proc_;
  const Ref<Task> task_;
};

// /proc/PID and /proc/PID/task/TID: entries are made when looked up.
class TaskDir final : public SyntheticDir, public NamesProcess {
 public:
  TaskDir(Ref<ProcFs> fs, Ref<Task> task, bool thread)
      : SyntheticDir(fs, S_IFDIR | 0555, 0, 0,
                     (static_cast<uint64_t>(task->TidIn(fs->ns())) << 32) + (thread ? 1 : 0)),
        proc_(*fs),
        task_(std::move(task)),
        thread_(thread) {}

  ErrnoOr<Attr> GetAttr() override { return OwnedBy(*task_, TRY(SyntheticDir::GetAttr())); }
  Ref<ThreadGroup> Process() override {
    return thread_ ? Ref<ThreadGroup>() : Ref<ThreadGroup>(&task_->group());
  }

  ErrnoOr<Ref<Inode>> Lookup(std::string_view name) override {
    if (!Alive()) return Errno::kNoent;
    Ref<ProcFs> fs(&proc_);
    for (const TextRow& row : kTexts) {
      if (name != row.name) continue;
      return Ref<Inode>(MakeRef<TaskText>(fs, task_, row.permissions, row.guarded, row.function));
    }
    Ref<SyntheticInode> special = MakeSpecial(fs, name);
    if (!special) return Errno::kNoent;
    return Ref<Inode>(special);
  }

  std::vector<SyntheticEntry> List(const OpContext&) override {
    std::vector<SyntheticEntry> out;
    if (!Alive()) return out;
    uint64_t ino = this->ino() + 16;
    for (const TextRow& row : kTexts) out.push_back({row.name, ino++, S_IFREG});
    for (const char* name :
         {"comm", "gid_map", "io", "mem", "oom_score_adj", "setgroups", "stat", "uid_map"}) {
      out.push_back({name, ino++, S_IFREG});
    }
    for (const char* name : {"cwd", "exe", "root"}) out.push_back({name, ino++, S_IFLNK});
    for (const char* name : {"fd", "fdinfo", "net", "ns"}) out.push_back({name, ino++, S_IFDIR});
    if (thread_) {
      out.push_back({"children", ino++, S_IFREG});
    } else {
      out.push_back({"coredump_filter", ino++, S_IFREG});
      out.push_back({"task", ino++, S_IFDIR});
      out.push_back({"timerslack_ns", ino++, S_IFREG});
    }
    return out;
  }

 private:
  bool Alive() { return proc_.kernel().FindTask(proc_.ns(), task_->TidIn(proc_.ns())) == task_; }

  Ref<SyntheticInode> MakeText(const Ref<ProcFs>& fs, TaskTextFunction function) {
    return MakeRef<TaskText>(fs, task_, 0444, false, function);
  }

  Ref<SyntheticInode> MakeSpecial(const Ref<ProcFs>& fs, std::string_view name) {
    if (name == "stat") return MakeText(fs, thread_ ? ThreadStatText : StatText);
    if (name == "exe") return MakeRef<TaskLink>(fs, task_, TaskLink::kExe);
    if (name == "cwd") return MakeRef<TaskLink>(fs, task_, TaskLink::kCwd);
    if (name == "root") return MakeRef<TaskLink>(fs, task_, TaskLink::kRoot);
    if (name == "fd") return NewFdDir(fs, task_);
    if (name == "fdinfo") return NewFdInfoDir(fs, task_);
    if (name == "ns") return NewNamespaceDir(fs, task_);
    if (name == "mem") return NewMemFile(fs, task_);
    if (name == "net") return NewNetDir(fs);
    if (Ref<SyntheticInode> value = NewTaskValue(fs, task_, name, thread_); value) return value;
    if (name == "uid_map" || name == "gid_map") return NewIdMapFile(fs, task_, name == "gid_map");
    if (name == "setgroups") return NewSetgroupsFile(fs, task_);
    if (name == "io") {
      return MakeRef<TaskText>(fs, task_, 0400, true, thread_ ? ThreadIoText : IoText);
    }
    if (name == "task" && !thread_) return MakeRef<ThreadsDir>(fs, task_);
    if (name == "children" && thread_) return MakeText(fs, ChildrenText);
    return nullptr;
  }

  ProcFs& proc_;
  const Ref<Task> task_;
  const bool thread_;
};

}  // namespace

Ref<SyntheticInode> NewTaskDir(const Ref<ProcFs>& fs, Ref<Task> task, bool thread) {
  return MakeRef<TaskDir>(fs, std::move(task), thread);
}

}  // namespace runsc
