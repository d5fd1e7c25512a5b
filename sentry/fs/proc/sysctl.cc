#include <linux/capability.h>

#include <cstdio>

#include "platform/base/random.h"
#include "platform/base/strings.h"
#include "sentry/fs/proc/kernel_text.h"
#include "sentry/fs/proc/proc_fs.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/inotify.h"

namespace runsc {
namespace {

// kernel/hostname and kernel/domainname of the reader's UTS namespace.
class UtsText final : public TextInode {
 public:
  UtsText(Ref<ProcFs> fs, bool domain) : TextInode(std::move(fs), 0644), domain_(domain) {}
  ErrnoOr<std::string> Text(const OpContext& ctx) override {
    if (ctx.task == nullptr) return Errno::kNosys;
    UtsNamespace& uts = ctx.task->uts();
    return (domain_ ? uts.domainname() : uts.hostname()) + "\n";
  }
  Status Store(const OpContext& ctx, std::string_view text) override {
    if (ctx.task == nullptr) return Errno::kNosys;
    UtsNamespace& uts = ctx.task->uts();
    if (!ctx.creds.HasCapIn(CAP_SYS_ADMIN, uts.user_ns().get())) return Errno::kPerm;
    text = text.substr(0, text.find('\n')).substr(0, 64);
    domain_ ? uts.SetDomainname(std::string(text)) : uts.SetHostname(std::string(text));
    return Ok();
  }

 private:
  const bool domain_;
};

// A version 4 UUID in text.
std::string Uuid() {
  unsigned char b[16];
  HostRandom(b, sizeof(b));
  b[6] = static_cast<unsigned char>((b[6] & 0x0f) | 0x40);
  b[8] = static_cast<unsigned char>((b[8] & 0x3f) | 0x80);
  return StrPrintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\n", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
}

struct Constant {
  const char* name;
  std::string text;
};

std::string Line(uint64_t value) { return std::to_string(value) + "\n"; }

Ref<StaticDir> Constants(const Ref<ProcFs>& fs, std::initializer_list<Constant> rows) {
  Ref<StaticDir> dir = MakeRef<StaticDir>(fs);
  for (const Constant& row : rows) dir->Add(row.name, MakeRef<ConstantText>(fs, row.text));
  return dir;
}

Ref<StaticDir> KernelDir(const Ref<ProcFs>& fs) {
  Ref<StaticDir> dir = Constants(fs, {{"cap_last_cap", "40\n"},
                                      {"core_pattern", "core\n"},
                                      {"msgmax", "8192\n"},
                                      {"msgmnb", "16384\n"},
                                      {"msgmni", "32000\n"},
                                      {"ngroups_max", "65536\n"},
                                      {"ostype", "Linux\n"},
                                      {"overflowgid", "65534\n"},
                                      {"overflowuid", "65534\n"},
                                      {"pid_max", "4194304\n"},
                                      {"randomize_va_space", "2\n"},
                                      {"sem", "32000\t1024000000\t500\t32000\n"},
                                      {"shmall", "18446744073692774399\n"},
                                      {"shmmax", "18446744073692774399\n"},
                                      {"shmmni", "4096\n"},
                                      {"tainted", "0\n"},
                                      {"threads-max", "126000\n"}});
  dir->Add("hostname", MakeRef<UtsText>(fs, false));
  dir->Add("domainname", MakeRef<UtsText>(fs, true));
  dir->Add("osrelease", MakeRef<ConstantText>(fs, std::string(kKernelRelease) + "\n"));
  dir->Add("version", MakeRef<ConstantText>(fs, std::string(kKernelVersion) + "\n"));
  Ref<StaticDir> random = MakeRef<StaticDir>(fs);
  random->Add("boot_id", MakeRef<ConstantText>(fs, Uuid()));
  random->Add("uuid", MakeRef<KernelText>(fs, [](Kernel&, PidNamespace&) { return Uuid(); }));
  random->Add("entropy_avail", MakeRef<ConstantText>(fs, "256\n"));
  random->Add("poolsize", MakeRef<ConstantText>(fs, "256\n"));
  dir->Add("random", std::move(random));
  dir->Add("yama", Constants(fs, {{"ptrace_scope", "0\n"}}));
  dir->Add("keys", Constants(fs, {{"maxkeys", "200\n"}, {"maxbytes", "20000\n"}}));
  return dir;
}

}  // namespace

Ref<SyntheticInode> NewSysctlDir(const Ref<ProcFs>& fs) {
  Ref<StaticDir> dir = MakeRef<StaticDir>(fs);
  dir->Add("kernel", KernelDir(fs));
  Ref<StaticDir> files = Constants(fs, {{"file-max", "9223372036854775807\n"},
                                        {"file-nr", "0\t0\t9223372036854775807\n"},
                                        {"nr_open", Line(FdTable::kMaxFiles)},
                                        {"pipe-max-size", "1048576\n"},
                                        {"protected_hardlinks", "0\n"},
                                        {"protected_symlinks", "0\n"},
                                        {"suid_dumpable", "0\n"}});
  files->Add("inotify", Constants(fs, {{"max_queued_events", Line(inotify::kMaxQueued)},
                                       {"max_user_instances", Line(inotify::kMaxInstances)},
                                       {"max_user_watches", Line(inotify::kMaxWatches)}}));
  files->Add("epoll", Constants(fs, {{"max_user_watches", "1000000\n"}}));
  files->Add("mqueue", MakeRef<StaticDir>(fs));
  dir->Add("fs", std::move(files));
  dir->Add("vm", Constants(fs, {{"max_map_count", "65530\n"},
                                {"mmap_min_addr", "65536\n"},
                                {"overcommit_memory", "0\n"},
                                {"overcommit_ratio", "50\n"},
                                {"swappiness", "60\n"}}));
  Ref<StaticDir> net = MakeRef<StaticDir>(fs);
  net->Add("core", Constants(fs, {{"somaxconn", "4096\n"},
                                  {"rmem_max", "212992\n"},
                                  {"wmem_max", "212992\n"},
                                  {"rmem_default", "212992\n"},
                                  {"wmem_default", "212992\n"}}));
  net->Add("unix", Constants(fs, {{"max_dgram_qlen", "10\n"}}));
  dir->Add("net", std::move(net));
  return dir;
}

}  // namespace runsc
