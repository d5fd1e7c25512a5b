// What this host's primitives cost (DESIGN.md section 3): prints "name nanoseconds" lines.
#include <fcntl.h>
#include <immintrin.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>

#include "bench/micro/timing.h"

namespace {
using namespace bench;

void Pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

std::atomic<int>* SharedWord() {
  return static_cast<std::atomic<int>*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

void Stop(pid_t pid) {
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

// A word handed to another process and back; spinning, or sleeping on a futex.
double HandOff(int my_cpu, int its_cpu, bool spin) {
  std::atomic<int>* word = SharedWord();
  auto wait_while = [=](int value) {
    while (*word == value) {
      if (spin) {
        _mm_pause();
      } else {
        syscall(SYS_futex, word, FUTEX_WAIT, value, nullptr);
      }
    }
  };
  auto set = [=](int value) {
    *word = value;
    if (!spin) syscall(SYS_futex, word, FUTEX_WAKE, 1);
  };
  pid_t pid = fork();
  if (pid == 0) {
    Pin(its_cpu);
    for (;;) {
      wait_while(0);
      set(0);
    }
  }
  Pin(my_cpu);
  double ns = Measure([=] {
    set(1);
    wait_while(1);
  });
  Stop(pid);
  return ns;
}

double Sysemu() {
  Pin(0);
  pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    for (;;) syscall(SYS_getppid);
  }
  int status;
  waitpid(pid, &status, 0);
  double ns = Measure([=] {
    int stop;
    user_regs_struct regs;
    ptrace(PTRACE_SYSEMU, pid, 0, 0);
    waitpid(pid, &stop, 0);
    ptrace(PTRACE_GETREGS, pid, 0, &regs);
    regs.rax = 1;
    ptrace(PTRACE_SETREGS, pid, 0, &regs);
  });
  Stop(pid);
  return ns;
}

// Runs `body` in a child whose getppid() gets `action` from seccomp; answers what it measured.
template <typename F>
double UnderFilter(uint32_t action, F body) {
  int p[2];
  Check(pipe(p) == 0, "pipe");
  pid_t pid = fork();
  if (pid == 0) {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program = {4, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    Check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
    double ns = Measure(body);
    Check(write(p[1], &ns, sizeof ns) == sizeof ns, "write");
    _exit(0);
  }
  double ns = 0;
  Check(read(p[0], &ns, sizeof ns) == sizeof ns, "read");
  waitpid(pid, nullptr, 0);
  close(p[0]);
  close(p[1]);
  return ns;
}

void OnSigsys(int, siginfo_t*, void* context) {
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RAX] = 42;
}

double SeccompTrap() {
  struct sigaction action = {};
  action.sa_sigaction = OnSigsys;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSYS, &action, nullptr);
  return UnderFilter(SECCOMP_RET_TRAP, [] { syscall(SYS_getppid); });
}

double VmRead(size_t size) {
  static char from[4096], to[4096];
  pid_t pid = fork();
  if (pid == 0) {
    for (;;) pause();
  }
  double ns = Measure([=] {
    iovec local = {to, size}, remote = {from, size};
    process_vm_readv(pid, &local, 1, &remote, 1, 0);
  });
  Stop(pid);
  return ns;
}

constexpr size_t kArea = 4 << 20;
constexpr size_t kPages = kArea / 4096;

void Touch(void* p) {
  for (size_t i = 0; i < kArea; i += 4096) static_cast<volatile char*>(p)[i] = 1;
}

void MapTouchUnmap(int flags, int fd) {
  void* p = mmap(nullptr, kArea, PROT_READ | PROT_WRITE, flags, fd, 0);
  Check(p != MAP_FAILED, "mmap");
  Touch(p);
  munmap(p, kArea);
}

void Pages() {
  Report("page-anonymous",
         Measure([] { MapTouchUnmap(MAP_PRIVATE | MAP_ANONYMOUS, -1); }) / kPages);
  int fd = memfd_create("bench", 0);
  Check(ftruncate(fd, kArea) == 0, "ftruncate");
  Report("page-memfd-fresh", Measure([=] {
                               fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kArea);
                               MapTouchUnmap(MAP_SHARED, fd);
                             }) / kPages);
  MapTouchUnmap(MAP_SHARED, fd);
  Report("page-memfd-second-touch", Measure([=] { MapTouchUnmap(MAP_SHARED, fd); }) / kPages);
  Report("page-memfd-second-populate",
         Measure([=] { MapTouchUnmap(MAP_SHARED | MAP_POPULATE, fd); }) / kPages);
  close(fd);
}

}  // namespace

int main() {
  struct stat st;
  char c;
  int fd = open("/etc/passwd", O_RDONLY);
  Report("getppid", Measure([] { syscall(SYS_getppid); }));
  Report("pread-1", Measure([&] { Check(pread(fd, &c, 1, 0) == 1, "pread"); }));
  Report("stat", Measure([&] { stat("/etc/passwd", &st); }));
  Report("getppid-under-filter", UnderFilter(SECCOMP_RET_ALLOW, [] { syscall(SYS_getppid); }));
  Report("seccomp-trap-sigsys", SeccompTrap());
  Report("ptrace-sysemu-same-cpu", Sysemu());
  int cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  if (cpus > 1) {
    Report("hand-off-spin-two-cpus", HandOff(0, 1, true));
    Report("hand-off-futex-other-cpu", HandOff(0, 1, false));
  }
  Report("hand-off-futex-same-cpu", HandOff(0, 0, false));
  Report("process-vm-readv-8", VmRead(8));
  Report("process-vm-readv-4096", VmRead(4096));
  Pages();
}
