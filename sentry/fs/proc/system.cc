#include <cpuid.h>
#include <sys/stat.h>

#include <cstring>

#include "platform/base/strings.h"
#include "sentry/fs/proc/kernel_text.h"
#include "sentry/fs/proc/proc_fs.h"
#include "sentry/kernel/group_state.h"
#include "sentry/kernel/task_state.h"
#include "sentry/kernel/task_tree.h"
#include "sentry/time/clock.h"

namespace runsc {
namespace {

using ull = unsigned long long;
constexpr uint64_t kTick = 10000000;  // ns a clock tick: USER_HZ is 100

std::string UptimeText(Kernel& kernel, PidNamespace& ns) {
  int64_t up = MonotonicNanos() - kernel.tree().boot_monotonic;
  uint64_t busy = 0;
  for (const Ref<ThreadGroup>& g : kernel.Processes(ns)) busy += g->UserNanos() + g->SystemNanos();
  int64_t idle = up * kernel.options().cpus - static_cast<int64_t>(busy);
  if (idle < 0) idle = 0;
  return StrPrintf("%lld.%02lld %lld.%02lld\n", static_cast<long long>(up / 1000000000),
                   static_cast<long long>(up % 1000000000 / kTick),
                   static_cast<long long>(idle / 1000000000),
                   static_cast<long long>(idle % 1000000000 / kTick));
}

std::string LoadavgText(Kernel& kernel, PidNamespace& ns) {
  uint64_t load[3];
  kernel.LoadAverages(load);
  std::string out;
  for (uint64_t l : load) {
    out += StrPrintf("%llu.%02llu ", static_cast<ull>(l >> 16),
                     static_cast<ull>((l & 0xffff) * 100 >> 16));
  }
  return out + StrPrintf("%d/%zu %d\n", kernel.tree().load.running(), kernel.task_count(),
                         ns.last());
}

std::string MeminfoText(Kernel& kernel, PidNamespace&) {
  uint64_t total = kernel.options().total_memory;
  uint64_t used = std::min(total, kernel.memory().HostBytes());
  ull free_kb = (total - used) / 1024;
  ull used_kb = used / 1024;
  auto row = [](const char* name, ull kb) { return StrPrintf("%-15s %8llu kB\n", name, kb); };
  return row("MemTotal:", total / 1024) + row("MemFree:", free_kb) +
         row("MemAvailable:", free_kb) + row("Buffers:", 0) + row("Cached:", 0) +
         row("SwapCached:", 0) + row("Active:", used_kb) + row("Inactive:", 0) +
         row("Active(anon):", used_kb) + row("Inactive(anon):", 0) + row("Active(file):", 0) +
         row("Inactive(file):", 0) + row("Unevictable:", 0) + row("Mlocked:", 0) +
         row("SwapTotal:", 0) + row("SwapFree:", 0) + row("Dirty:", 0) + row("Writeback:", 0) +
         row("AnonPages:", used_kb) + row("Mapped:", 0) + row("Shmem:", 0) +
         row("KReclaimable:", 0) + row("Slab:", 0) + row("SReclaimable:", 0) +
         row("SUnreclaim:", 0) + row("KernelStack:", 0) + row("PageTables:", 0) +
         row("CommitLimit:", total / 1024) +
         row("Committed_AS:", kernel.memory().AllocatedBytes() / 1024) +
         row("VmallocTotal:", 34359738367) + row("VmallocUsed:", 0) + row("VmallocChunk:", 0) +
         "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n"
         "HugePages_Surp:        0\nHugepagesize:       2048 kB\n";
}

std::string StatText(Kernel& kernel, PidNamespace& ns) {
  int cpus = kernel.options().cpus;
  uint64_t user = 0, system = 0;
  for (const Ref<ThreadGroup>& g : kernel.Processes(ns)) {
    user += g->UserNanos();
    system += g->SystemNanos();
  }
  uint64_t up = static_cast<uint64_t>(MonotonicNanos() - kernel.tree().boot_monotonic);
  auto line = [](const std::string& name, uint64_t u, uint64_t s, uint64_t all) {
    uint64_t idle = all > u + s ? all - u - s : 0;
    return StrPrintf("%s %llu 0 %llu %llu 0 0 0 0 0 0\n", name.c_str(),
                     static_cast<ull>(u / kTick), static_cast<ull>(s / kTick),
                     static_cast<ull>(idle / kTick));
  };
  uint64_t n = static_cast<uint64_t>(cpus);
  std::string out = line("cpu ", user, system, up * n);
  for (int c = 0; c < cpus; ++c) {
    out += line(StrPrintf("cpu%d", c), user / n, system / n, up);
  }
  return out + StrPrintf("intr 0\nctxt 0\nbtime %lld\nprocesses %llu\nprocs_running %d\n"
                         "procs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
                         static_cast<long long>(kernel.boot_time() / 1000000000),
                         static_cast<ull>(kernel.tree().processes_created.load()),
                         std::max(1, kernel.tree().load.running()));
}

// What CPUID tells every program anyway.
std::string BrandString() {
  char brand[49] = {};
  for (unsigned i = 0; i < 3; ++i) {
    unsigned r[4] = {};
    if (__get_cpuid(0x80000002 + i, &r[0], &r[1], &r[2], &r[3]) == 0) break;
    std::memcpy(brand + i * 16, r, 16);
  }
  return brand;
}

struct FeatureBit {
  unsigned leaf;
  int reg;  // 0 eax, 1 ebx, 2 ecx, 3 edx; subleaf 0
  int bit;
  const char* name;
};
constexpr FeatureBit kFeatures[] = {
    {1, 3, 0, "fpu"},          {1, 3, 3, "pse"},         {1, 3, 4, "tsc"},
    {1, 3, 5, "msr"},          {1, 3, 6, "pae"},         {1, 3, 8, "cx8"},
    {1, 3, 9, "apic"},         {1, 3, 11, "sep"},        {1, 3, 13, "pge"},
    {1, 3, 15, "cmov"},        {1, 3, 16, "pat"},        {1, 3, 19, "clflush"},
    {1, 3, 23, "mmx"},         {1, 3, 24, "fxsr"},       {1, 3, 25, "sse"},
    {1, 3, 26, "sse2"},        {1, 3, 28, "ht"},         {0x80000001, 3, 11, "syscall"},
    {0x80000001, 3, 20, "nx"}, {0x80000001, 3, 27, "rdtscp"}, {0x80000001, 3, 29, "lm"},
    {1, 2, 0, "pni"},          {1, 2, 1, "pclmulqdq"},   {1, 2, 9, "ssse3"},
    {1, 2, 12, "fma"},         {1, 2, 13, "cx16"},       {1, 2, 19, "sse4_1"},
    {1, 2, 20, "sse4_2"},      {1, 2, 22, "movbe"},      {1, 2, 23, "popcnt"},
    {1, 2, 25, "aes"},         {1, 2, 26, "xsave"},      {1, 2, 28, "avx"},
    {1, 2, 29, "f16c"},        {1, 2, 30, "rdrand"},     {1, 2, 31, "hypervisor"},
    {0x80000001, 2, 0, "lahf_lm"}, {0x80000001, 2, 5, "abm"}, {7, 1, 0, "fsgsbase"},
    {7, 1, 3, "bmi1"},         {7, 1, 5, "avx2"},        {7, 1, 8, "bmi2"},
    {7, 1, 9, "erms"},         {7, 1, 16, "avx512f"},    {7, 1, 17, "avx512dq"},
    {7, 1, 18, "rdseed"},      {7, 1, 19, "adx"},        {7, 1, 29, "sha_ni"},
    {7, 1, 28, "avx512cd"},    {7, 1, 30, "avx512bw"},   {7, 1, 31, "avx512vl"},
    {7, 2, 1, "avx512vbmi"},   {7, 2, 8, "gfni"},        {7, 2, 9, "vaes"},
    {7, 2, 11, "avx512_vnni"}, {7, 2, 22, "rdpid"},
};

std::string FeatureText() {
  std::string out;
  for (const FeatureBit& f : kFeatures) {
    unsigned r[4] = {};
    if (__get_cpuid_count(f.leaf, 0, &r[0], &r[1], &r[2], &r[3]) == 0) continue;
    if ((r[f.reg] >> f.bit & 1) == 0) continue;
    if (!out.empty()) out += ' ';
    out += f.name;
  }
  return out;
}

std::string CpuinfoText(Kernel& kernel, PidNamespace&) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  __get_cpuid(1, &a, &b, &c, &d);
  unsigned family = (a >> 8 & 0xf) + ((a >> 8 & 0xf) == 0xf ? a >> 20 & 0xff : 0);
  unsigned model = (a >> 4 & 0xf) | (a >> 12 & 0xf0);
  unsigned r[4] = {};
  char vendor[13] = {};
  __get_cpuid(0, &r[0], &r[1], &r[2], &r[3]);
  std::memcpy(vendor, &r[1], 4);
  std::memcpy(vendor + 4, &r[3], 4);
  std::memcpy(vendor + 8, &r[2], 4);
  std::string features = FeatureText();
  std::string brand = BrandString();
  std::string out;
  int cpus = kernel.options().cpus;
  for (int i = 0; i < cpus; ++i) {
    out += StrPrintf(
        "processor\t: %d\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\n"
        "stepping\t: %u\ncpu MHz\t\t: %.3f\nphysical id\t: 0\nsiblings\t: %d\ncore id\t\t: %d\n"
        "cpu cores\t: %d\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\n"
        "flags\t\t: %s\nbugs\t\t:\nclflush size\t: %u\ncache_alignment\t: %u\n"
        "address sizes\t: 46 bits physical, 48 bits virtual\n\n",
        i, vendor, family, model, brand.c_str(), a & 0xf, 0.0, cpus, i, cpus, r[0],
        features.c_str(), (b >> 8 & 0xff) * 8, (b >> 8 & 0xff) * 8);
  }
  return out;
}

std::string FilesystemsText(Kernel&, PidNamespace&) {
  std::string out;
  for (const char* name : {"sysfs", "tmpfs", "proc", "devtmpfs", "devpts", "overlay", "mqueue"}) {
    out += StrPrintf("nodev\t%s\n", name);
  }
  return out;
}

std::string VmstatText(Kernel& kernel, PidNamespace&) {
  uint64_t total = kernel.options().total_memory / kPageSize;
  uint64_t used = kernel.memory().HostBytes() / kPageSize;
  return StrPrintf("nr_free_pages %llu\nnr_anon_pages %llu\npgpgin 0\npgpgout 0\npswpin 0\n"
                   "pswpout 0\n",
                   static_cast<ull>(total > used ? total - used : 0), static_cast<ull>(used));
}

// One line a CPU of counters that a sandbox has none of.
std::string InterruptsText(Kernel& kernel, PidNamespace&) {
  std::string out = "    ";
  for (int i = 0; i < kernel.options().cpus; ++i) out += StrPrintf("       CPU%d", i);
  return out + "\n";
}

std::string VersionText(Kernel&, PidNamespace&) {
  return std::string("Linux version ") + kKernelRelease + " (runsc) " + kKernelVersion + "\n";
}

constexpr KernelTextRow kRows[] = {
    {"cpuinfo", CpuinfoText},       {"filesystems", FilesystemsText},
    {"interrupts", InterruptsText}, {"loadavg", LoadavgText},
    {"locks", LocksText},           {"meminfo", MeminfoText},
    {"stat", StatText},             {"uptime", UptimeText},
    {"version", VersionText},       {"vmstat", VmstatText},
};

constexpr const char kDevices[] =
    "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\n"
    "Block devices:\n";

}  // namespace

void AddSystemFiles(StaticDir& root, const Ref<ProcFs>& fs) {
  for (const KernelTextRow& row : kRows) root.Add(row.name, MakeRef<KernelText>(fs, row.function));
  root.Add("cmdline", MakeRef<ConstantText>(fs, "runsc\n"));
  root.Add("devices", MakeRef<ConstantText>(fs, kDevices));
  root.Add("modules", MakeRef<ConstantText>(fs, ""));
  root.Add("partitions", MakeRef<ConstantText>(fs, "major minor  #blocks  name\n\n"));
  root.Add("diskstats", MakeRef<ConstantText>(fs, ""));
  root.Add("swaps",
           MakeRef<ConstantText>(
               fs, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"));
  root.Add("cgroups", MakeRef<ConstantText>(fs, "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"));
  root.Add("mounts", MakeRef<ConstantLink>(fs, "self/mounts"));
  root.Add("net", MakeRef<ConstantLink>(fs, "self/net"));
}

}  // namespace runsc
