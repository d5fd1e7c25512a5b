#ifndef PLATFORM_SYSTRAP_CALLS_H_
#define PLATFORM_SYSTRAP_CALLS_H_

#include <cstdint>

namespace runsc::platform::systrap {

// The host system calls that the sentry's side makes while it runs; README.md lists them with
// their arguments for the sentry's own filter. All answer the call's result or -errno.

// Futexes are shared ones: the other side is another process. `timeout_ns` < 0: for ever.
long FutexWait(uint32_t* word, uint32_t expected, int64_t timeout_ns);
long FutexWake(uint32_t* word, int count);

// A counter that starts at 0: eventfd(2). -errno if the host has none left.
int NewEvent();
// Waits until the counter is not 0; answers it and sets it to 0.
uint64_t AwaitEvent(int fd);
void AddToEvent(int fd, uint64_t value);

long SignalThread(int pid, int tid, int signal);
long KillProcess(int pid);
int CurrentCpu();

uint64_t MonotonicNanos();
// CPU time of the calling thread.
uint64_t ThreadCpuNanos();
// CPU time of a whole process; 0 if it is gone.
uint64_t ProcessCpuNanos(int pid);

inline uint64_t Tsc() { return __builtin_ia32_rdtsc(); }
// TSC ticks a microsecond, measured once (a tenth of a millisecond) at start, to a part in a thousand.
uint64_t TicksPerMicro();

}  // namespace runsc::platform::systrap

#endif  // PLATFORM_SYSTRAP_CALLS_H_
