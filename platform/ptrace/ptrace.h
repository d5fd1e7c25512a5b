#ifndef PLATFORM_PTRACE_PTRACE_H_
#define PLATFORM_PTRACE_PTRACE_H_

#include "platform/api/platform.h"

namespace runsc::platform {

// The ptrace platform: guest code runs in processes that the sentry traces with PTRACE_SYSEMU.
// Works where nothing else does, at two context switches a system call.
//
// Beyond what platform.h asks: the thread that creates the platform must outlive it and have its
// final user and group ids, and descriptors must stay shared with the stubs (no unshare(CLONE_FILES)).
// A context is used and destroyed by one thread, or its Release is called by the thread that
// switched before another one goes on or the thread ends.
const PlatformFactory& PtraceFactory();

}  // namespace runsc::platform

#endif  // PLATFORM_PTRACE_PTRACE_H_
