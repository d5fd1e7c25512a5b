#ifndef SENTRY_KERNEL_VERSION_H_
#define SENTRY_KERNEL_VERSION_H_

namespace runsc {

// What uname(2), /proc/version and the boot messages say: the LTS release whose API is served.
inline constexpr char kKernelRelease[] = "6.12.0-runsc";
inline constexpr char kKernelVersion[] = "#1 SMP PREEMPT_DYNAMIC";
inline constexpr char kMachine[] = "x86_64";

}  // namespace runsc

#endif  // SENTRY_KERNEL_VERSION_H_
