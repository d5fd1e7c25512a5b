#include "runsc/boot/process_setup.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "platform/base/strings.h"
#include "sentry/fs/host/host_file.h"

namespace runsc::boot {
namespace {

// What Linux gives its first process (INIT_RLIMITS); the rest is unlimited.
struct DefaultLimit {
  int resource;
  uint64_t soft, hard;
};
constexpr DefaultLimit kDefaults[] = {
    {RLIMIT_STACK, 8u << 20, UINT64_MAX},
    {RLIMIT_CORE, 0, UINT64_MAX},
    {RLIMIT_NOFILE, 1024, FdTable::kMaxFiles},
    {RLIMIT_MEMLOCK, 8u << 20, 8u << 20},
    {RLIMIT_NPROC, 1u << 15, 1u << 15},
    {RLIMIT_SIGPENDING, 1u << 15, 1u << 15},
    {RLIMIT_MSGQUEUE, 819200, 819200},
    {RLIMIT_NICE, 0, 0},
    {RLIMIT_RTPRIO, 0, 0},
};

constexpr size_t kMaxDatabase = 4u << 20;

// A small file of the container, as root reads it.
ErrnoOr<std::string> ReadGuestFile(const std::string& path, FsContext& fs,
                                   const Ref<Credentials>& root) {
  OpContext op{*root, nullptr};
  LookupContext ctx{op, fs, fs.root(), 0};
  Ref<File> file = TRY(vfs::Open(ctx, path, O_RDONLY, 0));
  IoContext io{*root, nullptr, false, false};
  std::string out;
  char buffer[4096];
  while (out.size() < kMaxDatabase) {
    UserOut dst(buffer, sizeof(buffer));
    size_t n = TRY(file->ReadAt(io, dst, out.size()));
    if (n == 0) return out;
    out.append(buffer, n);
  }
  return Errno::kFbig;
}

// Fields of the lines of a file such as /etc/passwd; they point into `file`.
std::vector<std::vector<std::string_view>> Rows(std::string&& file) = delete;
std::vector<std::vector<std::string_view>> Rows(const std::string& file) {
  std::string_view text = file;
  std::vector<std::vector<std::string_view>> rows;
  while (!text.empty()) {
    size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    std::vector<std::string_view> fields;
    while (true) {
      size_t colon = line.find(':');
      fields.push_back(line.substr(0, colon));
      if (colon == std::string_view::npos) break;
      line.remove_prefix(colon + 1);
    }
    rows.push_back(std::move(fields));
    if (newline == std::string_view::npos) break;
    text.remove_prefix(newline + 1);
  }
  return rows;
}

bool Number(std::string_view text, uint32_t* out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size() && *out != UINT32_MAX;
}

bool ListHas(std::string_view list, std::string_view word) {
  while (true) {
    size_t comma = list.find(',');
    if (list.substr(0, comma) == word) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

Ref<Credentials> MakeCredentials(const ProcessConfig& process, Kernel& kernel) {
  Ref<Credentials> c = Credentials::NewRoot(kernel.root_user_namespace());
  c->ruid = c->euid = c->suid = c->fsuid = process.uid;
  c->rgid = c->egid = c->sgid = c->fsgid = process.gid;
  c->groups.assign(process.additional_gids.begin(), process.additional_gids.end());
  auto set = [](uint64_t bits) { return CapSet{bits & kAllCaps.bits}; };
  const CapabilitySets& caps = process.capabilities;
  c->bounding = set(caps.bounding);
  c->permitted = set(caps.permitted);
  c->inheritable = set(caps.inheritable);
  c->ambient = set(caps.ambient & caps.permitted & caps.inheritable);
  // As runc leaves a process that is not root: only ambient capabilities survive its execve.
  c->effective = set(caps.effective & caps.permitted);
  c->no_new_privs = process.no_new_privs;
  return c;
}

HostOr<Ref<FsContext>> MakeFsContext(const ProcessConfig& process, FsContext& container,
                                     const Ref<Credentials>& creds) {
  Ref<FsContext> fs = container.Fork();
  OpContext op{*creds, nullptr};
  ErrnoOr<Path> cwd = vfs::Lookup({op, *fs, fs->root(), 0}, process.cwd, true);
  bool directory = cwd.ok() && cwd->dentry->inode()->IsDir();
  if (!cwd.ok() || !directory) {
    Errno e = cwd.ok() ? Errno::kNotdir : cwd.error();
    return HostError{StrPrintf("cannot use working directory %s: %s; choose one with --cwd or "
                               "process.cwd",
                               process.cwd.c_str(), ErrnoName(e)),
                     0};
  }
  Status allowed = vfs::CheckAccess(op, *cwd, Access{.exec = true});
  if (!allowed.ok()) {
    return HostError{StrPrintf("cannot enter working directory %s: %s", process.cwd.c_str(),
                               ErrnoName(allowed.error())),
                     0};
  }
  fs->SetCwd(*cwd);
  fs->SetUmask(process.umask);
  return fs;
}

HostStatus ResolveUser(const std::string& name, FsContext& fs, const Ref<Credentials>& root,
                       ProcessConfig* process) {
  size_t colon = name.find(':');
  std::string user = name.substr(0, colon);
  std::string group = colon == std::string::npos ? "" : name.substr(colon + 1);
  bool found = Number(user, &process->uid);
  const std::string passwd = ReadGuestFile("/etc/passwd", fs, root).value_or("");
  for (const auto& row : Rows(passwd)) {
    uint32_t uid = 0;
    if (row.size() < 4 || !Number(row[2], &uid)) continue;
    if (row[0] != user && !(found && uid == process->uid)) continue;
    if (!Number(row[3], &process->gid)) continue;
    process->uid = uid;
    user = row[0];
    found = true;
    break;
  }
  if (!found) return TextError("unable to find user %s in the container", user.c_str());
  bool group_found = group.empty() || Number(group, &process->gid);
  const std::string groups = ReadGuestFile("/etc/group", fs, root).value_or("");
  for (const auto& row : Rows(groups)) {
    uint32_t gid = 0;
    if (row.size() < 4 || !Number(row[2], &gid)) continue;
    if (!group.empty() && row[0] == group) {
      process->gid = gid;
      group_found = true;
    }
    if (group.empty() && ListHas(row[3], user)) process->additional_gids.push_back(gid);
  }
  if (!group_found) return TextError("unable to find group %s in the container", group.c_str());
  return HostOk();
}

HostOr<Ref<FdTable>> MakeFdTable(const ProcessConfig& process, std::array<Fd, 3> stdio,
                                 const Ref<Credentials>& creds, FsContext& fs, Ref<File>* tty) {
  ErrnoOr<std::array<Ref<File>, 3>> files = host_fs::NewStdio(std::move(stdio), creds, &fs);
  if (!files.ok()) {
    return TextError("cannot use a descriptor given to the container: %s",
                     ErrnoName(files.error()));
  }
  Ref<FdTable> table = FdTable::New();
  for (int i = 0; i < 3; ++i) {
    Ref<File>& file = (*files)[static_cast<size_t>(i)];
    if (process.terminal && !*tty && host_fs::IsTerminal(*file)) *tty = file;
    ErrnoOr<FdNum> placed = table->Install(std::move(file), false, 3, i);
    if (!placed.ok()) return TextError("cannot install descriptor %d", i);
  }
  return table;
}

HostError StartError(const std::string& program, Errno error) {
  int code = static_cast<int>(error);
  bool searched = program.find('/') == std::string::npos;
  if (error == Errno::kNoent && searched) {
    return {StrPrintf("exec: \"%s\": executable file not found in $PATH", program.c_str()), code};
  }
  const char* text = error == Errno::kNoent    ? "no such file or directory"
                     : error == Errno::kAcces  ? "permission denied"
                     : error == Errno::kNoexec ? "exec format error"
                     : error == Errno::kIsdir  ? "is a directory"
                     : error == Errno::kNotdir ? "not a directory"
                     : error == Errno::kNomem  ? "cannot allocate memory"
                     : error == Errno::kAgain
                         ? "the host refuses another process (ulimit -u, pids cgroup)"
                     : error == Errno::k2big ? "argument list too long"
                                             : ErrnoName(error);
  return {StrPrintf("exec: \"%s\": %s", program.c_str(), text), code};
}

std::vector<std::pair<int, ResourceLimit>> MakeLimits(const ProcessConfig& process) {
  std::vector<std::pair<int, ResourceLimit>> out;
  for (const DefaultLimit& d : kDefaults) out.push_back({d.resource, {d.soft, d.hard}});
  for (const RlimitConfig& r : process.rlimits) {
    std::erase_if(out, [&](const auto& o) { return o.first == r.resource; });
    // Hosts raise their fs.nr_open, and specs made there ask for all of it, or for "no limit".
    uint64_t most = r.resource == RLIMIT_NOFILE ? FdTable::kMaxFiles : UINT64_MAX;
    out.push_back({r.resource, {std::min(r.soft, most), std::min(r.hard, most)}});
  }
  return out;
}

}  // namespace runsc::boot
