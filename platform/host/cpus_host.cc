#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "platform/host/cpus.h"

namespace runsc::host {
namespace {

long Bind(int tid, const cpu_set_t& set) {
  return syscall(SYS_sched_setaffinity, tid, sizeof(set), &set) < 0 ? -errno : 0;
}

}  // namespace

std::vector<int> AllowedCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return {0};
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  if (cpus.empty()) return {0};
  std::vector<int> placed(cpus.size(), -1);
  for (int cpu : cpus) {
    int& at = placed[static_cast<size_t>(cpu) % placed.size()];
    if (at != -1) return cpus;
    at = cpu;
  }
  return placed;
}

long BindToCpus(int tid, const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu : cpus) CPU_SET(static_cast<size_t>(cpu), &set);
  return Bind(tid, set);
}

long BindToCpu(int tid, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  return Bind(tid, set);
}

}  // namespace runsc::host
