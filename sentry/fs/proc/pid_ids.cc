// /proc/PID/uid_map, gid_map and setgroups (user_namespaces(7)).
#include <linux/capability.h>

#include <cstdio>
#include <cstring>

#include "platform/base/strings.h"
#include "sentry/fs/proc/proc_fs.h"
#include "sentry/kernel/task.h"

namespace runsc {
namespace {

ErrnoOr<Ref<UserNamespace>> NamespaceOf(Task& task) {
  Ref<const Credentials> creds = task.SharedCreds();
  if (!creds) return Errno::kSrch;
  return creds->user_ns;
}

ErrnoOr<std::vector<IdExtent>> ParseExtents(std::string_view text) {
  std::vector<IdExtent> out;
  std::string copy(text);
  char* rest_of_text = nullptr;
  for (char* line = strtok_r(copy.data(), "\n", &rest_of_text); line != nullptr;
       line = strtok_r(nullptr, "\n", &rest_of_text)) {
    IdExtent e;
    char rest = 0;
    if (sscanf(line, "%u %u %u %c", &e.inside, &e.outside, &e.count, &rest) != 3) {
      return Errno::kInval;
    }
    out.push_back(e);
  }
  return out;
}

class IdMapFile final : public TaskTextInode {
 public:
  IdMapFile(Ref<ProcFs> fs, Ref<Task> task, bool gid)
      : TaskTextInode(std::move(fs), std::move(task), 0644), gid_(gid) {}
  ErrnoOr<std::string> Text(const OpContext&) override {
    Ref<UserNamespace> ns = TRY(NamespaceOf(*task_));
    std::string out;
    for (const IdExtent& e : gid_ ? ns->gid_map() : ns->uid_map()) {
      out += StrPrintf("%10u %10u %10u\n", e.inside, e.outside, e.count);
    }
    return out;
  }
  Status Store(const OpContext& ctx, std::string_view text) override {
    Ref<UserNamespace> ns = TRY(NamespaceOf(*task_));
    if (!ns->parent() || !ctx.creds.HasCapIn(CAP_SYS_ADMIN, ns.get())) return Errno::kPerm;
    std::vector<IdExtent> extents = TRY(ParseExtents(text));
    TRY(UserNamespace::CheckExtents(extents));
    if (!MayMap(ctx.creds, *ns, extents)) return Errno::kPerm;
    return gid_ ? ns->SetGidMap(std::move(extents)) : ns->SetUidMap(std::move(extents));
  }

 private:
  // Any ids with the parent's capability; without it the owner may map his own, his group only if
  // nobody inside can use that to leave a group.
  bool MayMap(const Credentials& creds, const UserNamespace& ns,
              const std::vector<IdExtent>& extents) {
    const UserNamespace& parent = *ns.parent();
    if (creds.HasCapIn(gid_ ? CAP_SETGID : CAP_SETUID, &parent)) return true;
    if (extents.size() != 1 || extents[0].count != 1 || ns.owner() != creds.euid) return false;
    if (gid_ && ns.setgroups_allowed()) return false;
    return extents[0].outside ==
           (gid_ ? parent.GidFromKernel(creds.egid) : parent.UidFromKernel(creds.euid));
  }

  const bool gid_;
};

class SetgroupsFile final : public TaskTextInode {
 public:
  SetgroupsFile(Ref<ProcFs> fs, Ref<Task> task)
      : TaskTextInode(std::move(fs), std::move(task), 0644) {}
  ErrnoOr<std::string> Text(const OpContext&) override {
    Ref<UserNamespace> ns = TRY(NamespaceOf(*task_));
    return std::string(ns->setgroups_allowed() ? "allow\n" : "deny\n");
  }
  Status Store(const OpContext& ctx, std::string_view text) override {
    Ref<UserNamespace> ns = TRY(NamespaceOf(*task_));
    if (!ctx.creds.HasCapIn(CAP_SYS_ADMIN, ns.get())) return Errno::kAcces;
    while (!text.empty() && std::strchr(" \t\n", text.back()) != nullptr) text.remove_suffix(1);
    if (text == "deny") return ns->DenySetgroups();
    if (text != "allow") return Errno::kInval;
    return ns->setgroups_allowed() ? Ok() : Status(Errno::kPerm);
  }
};

}  // namespace

Ref<SyntheticInode> NewIdMapFile(const Ref<ProcFs>& fs, Ref<Task> task, bool gid) {
  return MakeRef<IdMapFile>(fs, std::move(task), gid);
}

Ref<SyntheticInode> NewSetgroupsFile(const Ref<ProcFs>& fs, Ref<Task> task) {
  return MakeRef<SetgroupsFile>(fs, std::move(task));
}

}  // namespace runsc
