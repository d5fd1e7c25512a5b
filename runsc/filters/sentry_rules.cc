#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "runsc/filters/filters.h"

namespace runsc::filters {
namespace {

constexpr uint32_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                                  CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
                                  CLONE_CHILD_CLEARTID;

// TCGETS2 and TCSETS2; the headers that have them clash with <termios.h>.
constexpr uint32_t kTcgets2 = 0x802c542a;
constexpr uint32_t kTcsets2 = 0x402c542b;

// What every sentry does, whatever the platform.
constexpr Rule kCommon[] = {
    // --- Memory: its own heap and stacks, guest memory, gofer rings. Never executable. ---
    {SYS_mmap,
     "heap, thread stacks, guest memory, donated files",
     {Within(2, PROT_READ | PROT_WRITE)}},
    {SYS_mprotect, "thread stack guards, heap growth", {Within(2, PROT_READ | PROT_WRITE)}},
    {SYS_munmap, "freeing what was mapped"},
    {SYS_mremap, "heap growth", {Within(3, MREMAP_MAYMOVE)}},
    {SYS_brk, "heap growth"},
    {SYS_openat,
     "no: malloc asks for /proc/sys/vm/overcommit_memory when a heap shrinks",
     {},
     EACCES},
    {SYS_madvise, "guest memory and free heap go back to the host"},
    {SYS_mincore, "whether pages of a donated file are there"},
    {SYS_fallocate, "memory file: freed guest pages; fallocate(2) on donated files"},
    {SYS_ftruncate, "size of the memory file, of rings, of donated files"},
    {SYS_memfd_create, "rings shared with the gofer or stubs"},

    // --- Threads and time ---
    {SYS_futex, "locks, waits and hand-offs"},
    {SYS_clone, "a sentry thread for each guest task", {Is(0, kThreadFlags)}},
    {SYS_clone3, "no: libc then takes clone(2), whose flags can be checked", {}, ENOSYS},
    {SYS_set_robust_list, "start of a thread"},
    {SYS_rseq, "start of a thread"},
    {SYS_rt_sigprocmask, "threads start with signals blocked"},
    {SYS_rt_sigaction, "handlers of platform and fault recovery"},
    {SYS_rt_sigreturn, "end of a signal handler"},
    {SYS_gettid, "log lines, placement"},
    {SYS_getpid, "raising signals against itself"},
    {SYS_exit, "end of a thread"},
    {SYS_exit_group, "end of the sandbox"},
    {SYS_sched_yield, "hand-off to the gofer on the same CPU"},
    {SYS_sched_getaffinity, "number of CPUs"},
    {SYS_sched_setaffinity, "both halves of a hand-off stay on one CPU"},
    {SYS_getcpu, "gofer channels are per CPU"},
    {SYS_clock_nanosleep, "bounded waits"},
    {SYS_clock_gettime, "clocks, where the vDSO cannot; CPU time of threads"},
    {SYS_getrandom, "guest randomness, ASLR"},
    {SYS_membarrier, "memory barriers across its threads"},
    {SYS_prctl, "thread names", {Is(0, PR_SET_NAME)}},
    {SYS_prctl, "the timer thread wakes in time", {Is(0, PR_SET_TIMERSLACK)}},
    {SYS_restart_syscall, "continuing a wait after a stop"},

    // --- Descriptors it was given: container stdio, donated files, sockets to runsc and gofer ---
    {SYS_read, "donated files, stdio, event files"},
    {SYS_write, "donated files, stdio, event files, the log"},
    {SYS_writev, "what libc says before it aborts", {Is(0, STDERR_FILENO)}},
    {SYS_pread64, "donated files"},
    {SYS_pwrite64, "donated files"},
    {SYS_preadv, "donated files"},
    {SYS_pwritev, "donated files"},
    {SYS_preadv2, "donated files, without waiting"},
    {SYS_pwritev2, "donated files, appending"},
    {SYS_lseek, "donated files: size, holes"},
    {SYS_fstat, "donated files, stdio"},
    {SYS_newfstatat, "fstat as libc makes it", {Is(3, AT_EMPTY_PATH)}},
    {SYS_fstatfs, "whether a donated memory file is one"},
    {SYS_fsync, "fsync(2) of donated files"},
    {SYS_fdatasync, "fdatasync(2) of donated files"},
    {SYS_close, "descriptors no longer used"},
    {SYS_fcntl, "status flags of stdio", {Is(1, F_GETFL)}},
    {SYS_fcntl, "stdio must not block", {Is(1, F_SETFL)}},
    {SYS_fcntl, "copies of donated descriptors", {Is(1, F_DUPFD_CLOEXEC)}},
    {SYS_fcntl, "whether the gofer's memory can shrink", {Is(1, F_GET_SEALS)}},
    {SYS_fcntl, "seals of rings of its own", {Is(1, F_ADD_SEALS)}},
    {SYS_poll, "readiness of stdio; control connections"},
    {SYS_epoll_create1, "readiness of stdio"},
    {SYS_epoll_ctl, "readiness of stdio"},
    {SYS_epoll_wait, "readiness of stdio"},
    {SYS_epoll_pwait, "readiness of stdio"},
    {SYS_eventfd2, "waking threads that poll"},
    {SYS_sendmsg, "control connections, gofer; descriptors to runsc"},
    {SYS_recvmsg, "control connections, gofer; donated descriptors"},
    {SYS_accept4, "control connections"},

    // --- The container's terminal ---
    {SYS_ioctl, "terminal settings", {Is(1, TCGETS)}},
    {SYS_ioctl, "terminal settings with speeds", {Is(1, kTcgets2)}},
    {SYS_ioctl, "terminal settings with speeds", {Is(1, kTcsets2)}},
    {SYS_ioctl, "terminal size", {Is(1, TIOCGWINSZ)}},
    {SYS_ioctl, "terminal size", {Is(1, TIOCSWINSZ)}},
    {SYS_ioctl, "bytes waiting in stdin", {Is(1, FIONREAD)}},
    {SYS_ioctl, "bytes waiting in a terminal's output", {Is(1, TIOCOUTQ)}},
    {SYS_ioctl, "flushing a terminal", {Is(1, TCFLSH)}},
    {SYS_ioctl, "flow control of a terminal", {Is(1, TCXONC)}},
};

// user_regs_struct's rax.
constexpr uint64_t kResultRegister = offsetof(user_regs_struct, rax);
// STUB_INTERRUPT_SIGNAL of platform/systrap.
constexpr uint32_t kSystrapInterrupt = SIGURG;

// As platform/ptrace/README.md says.
constexpr uint64_t kSeizeOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
constexpr Rule kPtrace[] = {
    {SYS_ptrace,
     "attaching to a place that is bound",
     {Is(0, PTRACE_SEIZE), Wide(3, kSeizeOptions)}},
    {SYS_ptrace, "attaching: its first stop", {Is(0, PTRACE_INTERRUPT)}},
    {SYS_ptrace, "parking a place", {Is(0, PTRACE_DETACH)}},
    {SYS_ptrace, "running guest code", {Is(0, PTRACE_SYSEMU)}},
    {SYS_ptrace, "registers of guest code", {Is(0, PTRACE_GETREGS)}},
    {SYS_ptrace, "registers of guest code", {Is(0, PTRACE_SETREGS)}},
    {SYS_ptrace, "the result of a call", {Is(0, PTRACE_POKEUSER), Wide(2, kResultRegister)}},
    {SYS_ptrace, "FPU state of guest code", {Is(0, PTRACE_GETREGSET)}},
    {SYS_ptrace, "FPU state of guest code", {Is(0, PTRACE_SETREGSET)}},
    {SYS_ptrace, "the error code of a fault", {Is(0, PTRACE_PEEKDATA)}},
    {SYS_ptrace, "what a fault is", {Is(0, PTRACE_GETSIGINFO)}},
    {SYS_wait4, "stops of guest code"},
    {SYS_kill, "ending stubs; only its own pid namespace can be named", {Is(1, SIGKILL)}},
    {SYS_tgkill, "interrupting guest code", {Is(2, SIGUSR1)}},
};

// As platform/systrap/README.md says.
constexpr Rule kSystrap[] = {
    {SYS_waitid, "end of stubs"},
    {SYS_kill, "ending stubs; only its own pid namespace can be named", {Is(1, SIGKILL)}},
    {SYS_tgkill, "whether a stub's thread is there", {Is(2, 0)}},
    {SYS_tgkill, "interrupting guest code", {Is(2, kSystrapInterrupt)}},
};

}  // namespace

std::vector<Rule> SentryRules(const std::string& platform, int pid) {
  std::vector<Rule> rules(std::begin(kCommon), std::end(kCommon));
  const auto own = static_cast<uint32_t>(pid);
  rules.push_back({SYS_tgkill, "abort of its own", {Is(0, own), Is(2, SIGABRT)}});
  if (platform == "ptrace") rules.insert(rules.end(), std::begin(kPtrace), std::end(kPtrace));
  if (platform == "systrap") rules.insert(rules.end(), std::begin(kSystrap), std::end(kSystrap));
  return rules;
}

}  // namespace runsc::filters
