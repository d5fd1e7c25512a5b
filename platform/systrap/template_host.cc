#include <linux/capability.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "platform/base/log.h"
#include "platform/base/strings.h"
#include "platform/base/types.h"
#include "platform/systrap/calls.h"
#include "platform/systrap/template.h"

// Thread control block that glibc registered with the kernel (glibc 2.35 and later).
extern "C" {
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));
}

namespace runsc::platform::systrap {
namespace {

constexpr int kRseqUnregister = 1;
constexpr uint32_t kRseqSignature = 0x53053053;

// Runs between clone(2) and the blob: no instrumented code there.
#define NO_SANITIZE __attribute__((no_sanitize("address", "thread", "undefined")))

struct LaunchArgs {
  int blob_fd;
  int template_fd;
  int parent;
  void* rseq;
};

NO_SANITIZE long Raw(long nr, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                     long f = 0) {
  long rc;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(rc)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return rc;
}

NO_SANITIZE bool MapFixed(uint64_t at, uint64_t size, int prot, int flags, int fd) {
  return Raw(SYS_mmap, static_cast<long>(at), static_cast<long>(size), prot, flags | MAP_FIXED, fd,
             0) == static_cast<long>(at);
}

// The kernel would go on writing to the parent thread's restartable-sequence area, which will be
// unmapped. Its registered length is not told; these are the ones in use.
NO_SANITIZE void ForgetRseq(void* rseq) {
  if (rseq == nullptr) return;
  for (long size = 32; size <= 256; size += 4) {
    if (Raw(SYS_rseq, reinterpret_cast<long>(rseq), size, kRseqUnregister, kRseqSignature) == 0) {
      return;
    }
  }
}

// Runs in the new process, a copy of the sentry, and turns it into the template. Async-signal-safe,
// nothing of libc: the copied sentry may hold any lock.
[[noreturn]] NO_SANITIZE void Become(const LaunchArgs& l) {
  ForgetRseq(l.rseq);
  bool ok = Raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL) == 0 && Raw(SYS_getppid) == l.parent;
  // A group, to be waited for as one. Not a session: autogroups would weigh stubs against the sentry.
  ok = ok && Raw(SYS_setpgid, 0, 0) == 0;
  ok = ok && Raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1) == 0;
  ok = ok && Raw(SYS_prctl, PR_SET_DUMPABLE, 0) == 0;
  rlimit no_core{0, 0};
  Raw(SYS_prlimit64, 0, RLIMIT_CORE, reinterpret_cast<long>(&no_core), 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  ok = ok && Raw(SYS_capset, reinterpret_cast<long>(&header), reinterpret_cast<long>(none)) == 0;
  static constexpr char kName[] = "runsc-stub";
  Raw(SYS_prctl, PR_SET_NAME, reinterpret_cast<long>(kName));
  ok = ok && MapFixed(STUB_TEMPLATE, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, l.template_fd);
  ok = ok && MapFixed(STUB_TEMPLATE_STACK, STUB_TEMPLATE_STACK_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1);
  ok = ok && MapFixed(STUB_BLOB, STUB_BLOB_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, l.blob_fd);
  if (!ok) Raw(SYS_exit_group, 1);
  __asm__ volatile("jmpq *%0" ::"r"(uint64_t{STUB_BLOB}) : "memory");
  __builtin_unreachable();
}

// Not inlined, and clone(2) by hand: the child goes on with a copy of this stack.
__attribute__((noinline)) NO_SANITIZE int CloneTemplate(const LaunchArgs& l) {
  // No exit signal: children without one are reaped only by who asks for them (__WCLONE), so
  // nobody else's wait(2) in the sentry ever sees a stub.
  long pid = Raw(SYS_clone, CLONE_FILES, 0, 0, 0, 0);
  if (pid == 0) Become(l);
  return static_cast<int>(pid);
}

}  // namespace

std::unique_ptr<StubTemplate> StubTemplate::Start(Arena& arena, std::function<void(int)> on_death,
                                                  std::function<void(int)> on_reaped,
                                                  std::string* why) {
  std::unique_ptr<StubTemplate> self(new StubTemplate(arena));
  self->on_death_ = std::move(on_death);
  self->on_reaped_ = std::move(on_reaped);
  std::atomic<int> started{0};
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const Status running = self->reaper_.Start([&] { self->ReaperMain(why, &started); });
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (!running.ok()) {
    *why = "the host refuses a thread";
    return nullptr;
  }
  started.wait(0);
  if (started.load() < 0) return nullptr;
  return self;
}

// `why` and `started` belong to Start, which waits for `started`.
void StubTemplate::ReaperMain(std::string* why, std::atomic<int>* started) {
  pthread_setname_np(pthread_self(), "systrap-reaper");
  const bool ok = Launch(why);
  started->store(ok ? 1 : -1);
  started->notify_one();
  if (pid_ > 0) ReapUntilNoneLeft();
}

bool StubTemplate::Launch(std::string* why) {
  TemplatePage* page = arena_.template_page();
  page->control_fd = arena_.control_fd();
  page->sentry_pid = getpid();
  void* rseq = nullptr;
  if (&__rseq_size != nullptr && __rseq_size != 0) {
    rseq = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  }
  const LaunchArgs l = {arena_.blob_fd(), arena_.template_fd(), getpid(), rseq};
  pid_ = CloneTemplate(l);
  if (pid_ < 0) {
    *why = StrPrintf("clone of the stub template: %s", strerror(-pid_));
    return false;
  }
  auto* ready = reinterpret_cast<uint32_t*>(&page->ready);
  for (int i = 0; i < 100 && __atomic_load_n(ready, __ATOMIC_ACQUIRE) == 0; ++i) {
    siginfo_t info{};
    if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT | __WCLONE) !=
            0 ||
        info.si_pid != 0) {
      break;
    }
    FutexWait(ready, 0, 10000000);
  }
  if (page->ready != 1) {
    *why = StrPrintf("stub template did not start (%d)", page->ready);
    KillProcess(pid_);
    return false;
  }
  return true;
}

void StubTemplate::ReapUntilNoneLeft() {
  const auto group = static_cast<id_t>(pid_);
  for (;;) {
    siginfo_t info{};
    // A template that never got as far as its own group is waited for by pid.
    if (waitid(P_PGID, group, &info, WEXITED | WNOWAIT | __WCLONE) != 0 &&
        waitid(P_PID, group, &info, WEXITED | WNOWAIT | __WCLONE) != 0) {
      if (errno == EINTR) continue;
      dead_.store(true, std::memory_order_release);
      return;
    }
    const int pid = info.si_pid;
    if (pid == pid_) {
      dead_.store(true, std::memory_order_release);
      FutexWake(&arena_.template_page()->done, 1000);
    } else {
      on_death_(pid);
    }
    waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | __WCLONE);
    if (pid != pid_) on_reaped_(pid);
  }
}

void StubTemplate::Shutdown() {
  if (pid_ > 0 && !dead()) KillProcess(pid_);
  if (reaper_.joinable()) reaper_.Join();
}

bool StubTemplate::Request(uint32_t index) {
  if (dead() || requested_ - Answered() >= TEMPLATE_RING / 2) return false;
  TemplatePage* page = arena_.template_page();
  page->index[requested_ % TEMPLATE_RING] = index;
  __atomic_store_n(&page->requested, ++requested_, __ATOMIC_RELEASE);
  FutexWake(&page->requested, 1);
  return true;
}

uint32_t StubTemplate::Answered() const {
  return __atomic_load_n(&arena_.template_page()->done, __ATOMIC_ACQUIRE);
}

int StubTemplate::PidOf(uint32_t n) const { return arena_.template_page()->pid[n % TEMPLATE_RING]; }

bool StubTemplate::AwaitAnswer(uint32_t seen) const {
  while (Answered() == seen) {
    if (dead()) return false;
    FutexWait(&arena_.template_page()->done, seen, 100000000);
  }
  return true;
}

}  // namespace runsc::platform::systrap
