#ifndef PLATFORM_HOST_CPUS_H_
#define PLATFORM_HOST_CPUS_H_

#include <vector>

namespace runsc::host {

// CPUs that the calling thread may use, by their host numbers, in the order in which guests number
// them: guest CPU i is the i-th. Never empty. Guests' vDSO takes the host's number modulo the count,
// so each stands at that place if that gives every CPU a place of its own.
std::vector<int> AllowedCpus();

// sched_setaffinity(2) of thread `tid` (0: the caller) to host CPUs `cpus`. -errno.
long BindToCpus(int tid, const std::vector<int>& cpus);
long BindToCpu(int tid, int cpu);

}  // namespace runsc::host

#endif  // PLATFORM_HOST_CPUS_H_
