#include "sentry/fs/sys/sys_fs.h"

#include <algorithm>

#include "platform/base/strings.h"
#include "sentry/fs/synthetic/synthetic.h"

namespace runsc {
namespace {

class SysFs final : public Filesystem {
 public:
  explicit SysFs(int cpus) : Filesystem("sysfs", kNoCache), cpus_(cpus) {}
  Ref<Inode> root() override;
  ErrnoOr<FsStat> StatFs() override { return FsStat{.type = 0x62656572}; }
  std::string source() override { return "sysfs"; }

 private:
  Ref<StaticDir> CpuDir();
  std::string Mask(int first, int end) const;
  Ref<StaticDir> Dir() { return MakeRef<StaticDir>(Ref<Filesystem>(this)); }
  Ref<SyntheticInode> Text(std::string text) {
    return MakeRef<ConstantText>(Ref<Filesystem>(this), std::move(text));
  }

  const int cpus_;
};

// CPUs [first, end) as a bitmap of all: groups of 32 bits, the highest first.
std::string SysFs::Mask(int first, int end) const {
  std::string out;
  for (int low = (cpus_ - 1) / 32 * 32; low >= 0; low -= 32) {
    uint32_t bits = 0;
    for (int cpu = std::max(low, first); cpu < std::min(low + 32, end); ++cpu) {
      bits |= uint32_t{1} << (cpu - low);
    }
    int digits = out.empty() ? (std::min(cpus_ - low, 32) + 3) / 4 : 8;
    out += StrPrintf("%s%0*x", out.empty() ? "" : ",", digits, bits);
  }
  return out + "\n";
}

Ref<StaticDir> SysFs::CpuDir() {
  Ref<StaticDir> dir = Dir();
  std::string all = cpus_ > 1 ? StrPrintf("0-%d\n", cpus_ - 1) : "0\n";
  for (const char* name : {"online", "possible", "present"}) dir->Add(name, Text(all));
  dir->Add("offline", Text("\n"));
  dir->Add("kernel_max", Text("8191\n"));
  for (int i = 0; i < cpus_; ++i) {
    Ref<StaticDir> topology = Dir();
    topology->Add("core_id", Text(StrPrintf("%d\n", i)));
    topology->Add("physical_package_id", Text("0\n"));
    topology->Add("core_siblings_list", Text(all));
    topology->Add("thread_siblings_list", Text(StrPrintf("%d\n", i)));
    topology->Add("core_cpus_list", Text(StrPrintf("%d\n", i)));
    topology->Add("package_cpus_list", Text(all));
    topology->Add("die_id", Text("0\n"));
    topology->Add("core_cpus", Text(Mask(i, i + 1)));
    topology->Add("thread_siblings", Text(Mask(i, i + 1)));
    topology->Add("core_siblings", Text(Mask(0, cpus_)));
    topology->Add("package_cpus", Text(Mask(0, cpus_)));
    Ref<StaticDir> cpu = Dir();
    cpu->Add("topology", std::move(topology));
    dir->Add(StrPrintf("cpu%d", i), std::move(cpu));
  }
  return dir;
}

Ref<Inode> SysFs::root() {
  Ref<StaticDir> root = Dir();
  for (const char* name : {"block", "bus", "class", "firmware", "module", "power"}) {
    root->Add(name, Dir());
  }
  Ref<StaticDir> dev = Dir();
  dev->Add("block", Dir());
  dev->Add("char", Dir());
  root->Add("dev", std::move(dev));
  Ref<StaticDir> node0 = Dir();
  node0->Add("cpulist", Text(cpus_ > 1 ? StrPrintf("0-%d\n", cpus_ - 1) : "0\n"));
  node0->Add("cpumap", Text(Mask(0, cpus_)));
  node0->Add("distance", Text("10\n"));
  Ref<StaticDir> node = Dir();
  node->Add("node0", std::move(node0));
  node->Add("online", Text("0\n"));
  node->Add("possible", Text("0\n"));
  Ref<StaticDir> system = Dir();
  system->Add("cpu", CpuDir());
  system->Add("node", std::move(node));
  Ref<StaticDir> devices = Dir();
  devices->Add("system", std::move(system));
  root->Add("devices", std::move(devices));
  Ref<StaticDir> fs = Dir();
  fs->Add("cgroup", Dir());
  root->Add("fs", std::move(fs));
  Ref<StaticDir> mm = Dir();
  Ref<StaticDir> thp = Dir();
  thp->Add("enabled", Text("always [madvise] never\n"));
  thp->Add("hpage_pmd_size", Text("2097152\n"));
  mm->Add("transparent_hugepage", std::move(thp));
  Ref<StaticDir> kernel = Dir();
  kernel->Add("mm", std::move(mm));
  root->Add("kernel", std::move(kernel));
  return root;
}

}  // namespace

Ref<Filesystem> NewSysfs(int cpus) { return MakeRef<SysFs>(cpus); }

}  // namespace runsc
