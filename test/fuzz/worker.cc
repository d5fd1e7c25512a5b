#include "test/fuzz/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fuzz {
namespace {

thread_local sigjmp_buf t_back;
thread_local volatile bool t_touching = false;

void OnFault(int) {
  if (!t_touching) _exit(3);
  t_touching = false;
  siglongjmp(t_back, 1);
}

bool Dangerous(long number) {
  for (size_t i = 0; i < kDeniedCount; i++) {
    if (number == kDenied[i]) return true;
  }
  return false;
}

// What stays dangerous in a child: signals and powers that reach beyond the fuzzer's processes.
bool ReachesOut(long number) {
  const long list[] = {SYS_kill,
                       SYS_tkill,
                       SYS_tgkill,
                       SYS_rt_sigqueueinfo,
                       SYS_rt_tgsigqueueinfo,
                       SYS_pidfd_send_signal,
                       SYS_reboot,
                       SYS_kexec_load,
                       SYS_settimeofday,
                       SYS_clock_settime,
                       SYS_setpgid,
                       SYS_setsid};
  for (long one : list) {
    if (number == one) return true;
  }
  return false;
}

}  // namespace

uint64_t* g_calls = nullptr;

void Touch(uint64_t address, bool write) {
  if (sigsetjmp(t_back, 0) != 0) return;
  t_touching = true;
  auto* p = reinterpret_cast<volatile char*>(address);
  char seen = *p;
  if (write) *p = static_cast<char>(seen + 1);
  t_touching = false;
}

void SurviveSignals() {
  for (int s = 1; s <= 64; s++) {
    struct sigaction action = {};
    bool fault = s == SIGSEGV || s == SIGBUS || s == SIGILL || s == SIGFPE;
    action.sa_handler = fault ? OnFault : [](int) {};
    action.sa_flags = SA_NODEFER | (s % 3 == 0 ? SA_RESTART : 0);
    sigaction(s, &action, nullptr);
  }
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

void Worker::Run(int calls, int depth) {
  for (int i = 0; i < calls; i++) {
    if (random_.OneIn(60)) {
      ForkSome(depth);
    } else if (random_.OneIn(25)) {
      Anything();
    } else if (random_.OneIn(25)) {
      Touch(arguments_.Region(), random_.OneIn(2));
    } else {
      Shaped();
    }
    if (arguments_.fds.size() > 200) CloseAll();
    if (arguments_.children.size() > 8) ReapAll();
  }
  ReapAll();
}

void Worker::RunThread(int calls) {
  arguments_.share_fds = true;
  for (int i = 0; i < calls; i++) {
    if (random_.OneIn(6)) {
      Touch(arguments_.SharedPointer(), random_.OneIn(2));
    } else {
      Shaped();
    }
  }
}

// Signals that would end or stop this worker go to children only.
bool Worker::WouldEndUs(const Shape& shape, const uint64_t* a) {
  bool three = shape.number == SYS_tgkill || shape.number == SYS_rt_tgsigqueueinfo;
  bool kills = shape.number == SYS_kill || shape.number == SYS_tkill || three ||
               shape.number == SYS_rt_sigqueueinfo;
  if (!kills) return false;
  auto pid = static_cast<pid_t>(a[0]);
  if (pid <= 0) return true;
  int signal = static_cast<int>(a[three ? 2 : 1]);
  return pid == getpid() && (signal == SIGKILL || signal == SIGSTOP || signal == SIGSEGV);
}

void Worker::Shaped() {
  const Shape& shape = kShapes[random_.Below(kShapeCount)];
  uint64_t a[6];
  for (int i = 0; i < 6; i++) a[i] = arguments_.Make(shape.args[i]);
  if (WouldEndUs(shape, a)) return;
  Take(shape, Call(shape.number, a));
}

// Keeps what a call gave: descriptors and mappings.
void Worker::Take(const Shape& shape, int64_t result) {
  if (result < 0) return;
  switch (shape.result) {
    case Result::kNothing:
      return;
    case Result::kFd:
      if (result > 2) arguments_.fds.push_back(static_cast<int>(result));
      return;
    case Result::kRegion:
      arguments_.regions.push_back(static_cast<uint64_t>(result));
      if (arguments_.regions.size() > 30) {
        munmap(reinterpret_cast<void*>(arguments_.regions.front()), 16 * kPage);
        arguments_.regions.erase(arguments_.regions.begin());
      }
      return;
    case Result::kTwoFds: {
      int pair[2] = {-1, -1};
      bool pipe = shape.number == SYS_pipe2 || shape.number == SYS_pipe;
      int ok = pipe ? pipe2(pair, O_NONBLOCK) : socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
      if (ok == 0) arguments_.fds.insert(arguments_.fds.end(), pair, pair + 2);
      return;
    }
  }
}

int64_t Worker::Call(long number, const uint64_t* a) {
  if (verbose_) {
    fprintf(stderr, "%ld(%lx, %lx, %lx, %lx, %lx, %lx)", number, a[0], a[1], a[2], a[3], a[4],
            a[5]);
  }
  if (g_calls != nullptr) __atomic_fetch_add(g_calls, 1, __ATOMIC_RELAXED);
  int64_t result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (verbose_) fprintf(stderr, " = %ld (errno %d)\n", result, errno);
  return result;
}

// Any number with any arguments; a child may also end or lose itself.
void Worker::Anything() {
  bool child = random_.OneIn(4);
  long number = static_cast<long>(random_.Below(470));
  if (number >= 335 && number < 424) number = 424 + number % 40;
  if (child ? ReachesOut(number) : Dangerous(number)) return;
  uint64_t a[6];
  for (uint64_t& value : a) {
    value = random_.OneIn(2)   ? arguments_.Pointer(4096)
            : random_.OneIn(2) ? arguments_.Number()
                               : static_cast<uint64_t>(arguments_.FdValue());
  }
  if (!child) {
    Call(number, a);
    return;
  }
  pid_t pid = fork();
  if (pid == 0) {
    Call(number, a);
    _exit(0);
  }
  if (pid > 0) arguments_.children.push_back(pid);
}

void Worker::ForkSome(int depth) {
  if (depth >= 2) return;
  pid_t pid = fork();
  if (pid < 0) return;
  if (pid == 0) ChildMain(depth);
  arguments_.children.push_back(pid);
  random_.Next();
}

void Worker::ChildMain(int depth) {
  arguments_.children.clear();
  if (random_.OneIn(6)) {
    execl("/bin/true", "true", nullptr);
    _exit(0);
  }
  Run(static_cast<int>(random_.Below(60)), depth + 1);
  uint64_t none[6] = {};
  if (random_.OneIn(8)) Call(SYS_rt_sigreturn, none);
  if (random_.OneIn(4)) {
    uint64_t a[6] = {arguments_.Make({Kind::kPath}), arguments_.Pointer(64),
                     arguments_.Pointer(64)};
    Call(SYS_execve, a);
  }
  if (random_.OneIn(4)) Call(SYS_exit, none);
  _exit(static_cast<int>(random_.Below(256)));
}

void Worker::CloseAll() {
  for (int fd : arguments_.fds) close(fd);
  arguments_.fds.clear();
}

void Worker::ReapAll() {
  for (pid_t pid : arguments_.children) {
    kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
    }
  }
  arguments_.children.clear();
}

}  // namespace fuzz
