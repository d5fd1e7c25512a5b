// Threads, processes, signals and memory that change under those who use them.
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/fuzz/scenario_util.h"
#include "test/fuzz/scenarios_list.h"
#include "test/fuzz/worker.h"

namespace fuzz {
namespace {

char* const kNoArguments[] = {const_cast<char*>("true"), nullptr};

int Gettid() { return static_cast<int>(syscall(SYS_gettid)); }

// A thread of this process, or near it.
int SomeThread(Random& r) { return getpid() + static_cast<int>(r.Below(8)); }

int MapFlags(Random& r) {
  return (r.OneIn(5) ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_FIXED;
}

}  // namespace

// All shapes of calls, by several threads on the same descriptors and memory.
void CrowdOfWorkers(Random& random, const SharedArea& shared) {
  for (int i = 0; i < 4; i++) {
    uint64_t seed = random.Next();
    StartThread([seed, &shared] {
      Worker worker(seed, shared, false);
      worker.RunThread(300);
    });
  }
  Worker worker(random.Next(), shared, false);
  worker.RunThread(300);
}

// Memory mapped, moved, protected and given back under threads that touch and pass it.
void MapsUnderThreads(Random& random, const SharedArea& shared) {
  auto base = reinterpret_cast<uint64_t>(shared.base);
  int file = open("a", O_RDWR);
  int pipes[2];
  pipe2(pipes, O_NONBLOCK);
  Crowd(random, 4, [=](Random& r) {
    uint64_t page = base + r.Below(SharedArea::kPages) * kPage;
    size_t length = (1 + r.Below(16)) * kPage;
    uint64_t end = base + SharedArea::kPages * kPage;
    if (page + length > end) length = end - page;
    auto* p = reinterpret_cast<void*>(page);
    const int advices[] = {MADV_DONTNEED, MADV_FREE,     MADV_REMOVE,     MADV_DONTFORK,
                           MADV_DOFORK,   MADV_WILLNEED, MADV_WIPEONFORK, MADV_POPULATE_WRITE};
    switch (r.Below(14)) {
      case 0:
        munmap(p, length);
        break;
      case 1:
      case 2:
        mmap(p, length, PROT_READ | PROT_WRITE, MapFlags(r), -1, 0);
        break;
      case 3:
        mmap(p, length, static_cast<int>(r.Below(8)), MAP_PRIVATE | MAP_FIXED, file, 0);
        break;
      case 4:
        mprotect(p, length, static_cast<int>(r.Below(8)));
        break;
      case 5:
        mremap(p, length, r.Below(8) * kPage, MREMAP_MAYMOVE | MREMAP_FIXED,
               base + r.Below(SharedArea::kPages - 8) * kPage);
        break;
      case 6:
        mremap(p, length, length + kPage, 0);
        break;
      case 7:
        madvise(p, length, r.Pick(advices));
        break;
      case 8:
        read(pipes[0], p, length);
        break;
      case 9:
        write(pipes[1], p, length);
        break;
      case 10:
        syscall(SYS_futex, p, r.Below(2) | (r.Below(2) << 7), 0, nullptr, nullptr, 0);
        break;
      case 11:
        if (r.OneIn(10) && fork() == 0) {
          for (int i = 0; i < 20; i++) Touch(base + r.Below(SharedArea::kPages) * kPage, true);
          _exit(0);
        }
        break;
      default:
        Touch(page + r.Below(length), r.OneIn(2));
    }
  });
}

// Threads of one process that execute, fork, end and signal at once.
void ExecRaces(Random& random, const SharedArea&) {
  int64_t end = NowMs() + kSceneMs;
  while (NowMs() < end) {
    uint64_t seed = random.Next();
    pid_t pid = fork();
    if (pid == 0) {
      Random r(seed);
      for (int i = 0; i < 4; i++) {
        uint64_t own = r.Next();
        StartThread([own] {
          Random mine(own);
          if (mine.OneIn(2)) usleep(static_cast<useconds_t>(mine.Below(500)));
          switch (mine.Below(7)) {
            case 0:
              _exit(1);
              break;
            case 1:
              if (fork() == 0) execv("/bin/true", kNoArguments);
              break;
            case 2:
              syscall(SYS_tgkill, getpid(), SomeThread(mine), SIGUSR1);
              break;
            case 3:
              syscall(SYS_exit, 0);
              break;
            case 4:
              if (vfork() == 0) _exit(0);
              break;
            case 5:
              execv("/missing", kNoArguments);
              break;
            default:
              execv(mine.OneIn(2) ? "/bin/true" : "/proc/self/exe", kNoArguments);
          }
          if (mine.OneIn(2)) pause();
        });
      }
      if (r.OneIn(3)) execv("/bin/true", kNoArguments);
      if (r.OneIn(2)) syscall(SYS_exit, 0);  // the leader ends first
      usleep(2000);
      _exit(0);
    }
    if (pid < 0) break;
    usleep(static_cast<useconds_t>(random.Below(3000)));
    if (random.OneIn(3)) kill(pid, random.OneIn(2) ? SIGSTOP : SIGTERM);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
}

// Doubles until the process limit stops it.
void ForkBomb(Random& random, const SharedArea&) {
  int64_t end = NowMs() + 150;
  bool vforks = random.OneIn(4);
  while (NowMs() < end) {
    if (vforks && random.OneIn(4)) {
      if (vfork() == 0) _exit(0);
    }
    pid_t pid = fork();
    if (pid == 0) random = Random(random.Next() + static_cast<uint64_t>(getpid()));
    if (random.OneIn(3)) waitpid(-1, nullptr, WNOHANG);
    if (random.OneIn(30)) _exit(0);
  }
}

// Threads that signal each other in calls, in handlers and while their masks and stacks change.
void SignalStorm(Random& random, const SharedArea& shared) {
  for (int s = SIGRTMIN; s < SIGRTMIN + 8; s++) {
    struct sigaction action = {};
    action.sa_handler = [](int) { getppid(); };
    action.sa_flags = SA_ONSTACK | (s % 2 != 0 ? SA_RESTART : 0);
    if (s % 3 == 0) sigfillset(&action.sa_mask);
    sigaction(s, &action, nullptr);
  }
  pid_t child = fork();
  if (child == 0) {
    for (;;) usleep(100);
  }
  Crowd(random, 4, [=, &shared](Random& r) {
    int signal = SIGRTMIN + static_cast<int>(r.Below(8));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    timespec brief = {0, static_cast<long>(r.Below(200000))};
    stack_t stack = {shared.base + r.Below(200) * kPage, static_cast<int>(r.Below(2) * 2),
                     r.Below(40) * 1024};
    siginfo_t info = {};
    info.si_code = -static_cast<int>(r.Below(9));
    switch (r.Below(11)) {
      case 0:
        syscall(SYS_tgkill, getpid(), SomeThread(r), signal);
        break;
      case 1:
        kill(getpid(), signal);
        break;
      case 2:
        syscall(SYS_rt_sigqueueinfo, getpid(), signal, &info);
        break;
      case 3:
        syscall(SYS_rt_sigprocmask, r.Below(3), &set, nullptr, 8);
        break;
      case 4:
        sigtimedwait(&set, &info, &brief);
        break;
      case 5:
        nanosleep(&brief, nullptr);
        break;
      case 6:
        sigaltstack(&stack, nullptr);
        break;
      case 7:
        kill(child, r.OneIn(2) ? SIGSTOP : SIGCONT);
        break;
      case 8:
        waitpid(child, nullptr, WNOHANG | WUNTRACED | WCONTINUED);
        break;
      case 9:
        Touch(reinterpret_cast<uint64_t>(shared.base) + r.Below(1 << 21), true);
        break;
      default:
        syscall(SYS_futex, shared.base, FUTEX_WAIT, 0, &brief, nullptr, 0);
    }
  });
  kill(child, SIGKILL);
}

// clone and clone3 with flags and pointers that nobody would pass.
void OddClones(Random& random, const SharedArea& shared) {
  static char stacks[16][16384] __attribute__((aligned(16)));
  int64_t end = NowMs() + kSceneMs;
  for (int i = 0; NowMs() < end; i++) {
    const uint64_t bits[] = {
        CLONE_VM,           CLONE_FS,       CLONE_FILES,         CLONE_SIGHAND,
        CLONE_VFORK,        CLONE_PARENT,   CLONE_THREAD,        CLONE_NEWNS,
        CLONE_SYSVSEM,      CLONE_IO,       CLONE_NEWPID,        CLONE_NEWUSER,
        CLONE_NEWUTS,       CLONE_UNTRACED, CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID,
        CLONE_CHILD_SETTID, CLONE_PIDFD,    CLONE_CLEAR_SIGHAND, CLONE_INTO_CGROUP};
    uint64_t flags = 0;
    for (uint64_t n = random.Below(6); n > 0; n--) flags |= random.Pick(bits);
    if (random.OneIn(3)) flags |= CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
    auto tid =
        reinterpret_cast<uint64_t>(shared.base) + random.Below(256) * kPage - random.Below(9);
    if (random.OneIn(8)) tid = random.Next();
    if (random.OneIn(3)) {
      uint64_t args[11] = {flags, tid, tid, tid, random.OneIn(3) ? random.Below(66) : SIGCHLD, 0, 0,
                           0,     0,   0,   0};
      if ((flags & CLONE_VM) != 0) {
        args[5] = random.OneIn(2) ? 0 : random.Next();
        args[6] = random.Below(3);
        if (random.OneIn(2)) args[0] &= ~uint64_t{CLONE_VM};
      }
      if (random.OneIn(4)) args[8 + random.Below(3)] = random.Below(40);
      size_t size = random.OneIn(6) ? random.Below(200) : 64 + 8 * random.Below(4);
      // Without memory of its own the child would run on this stack: only copies are asked for.
      if ((args[0] & CLONE_VM) != 0 && args[5] == 0) args[0] &= ~uint64_t{CLONE_VM};
      if (syscall(SYS_clone3, args, size) == 0) syscall(SYS_exit, 0);
    } else {
      flags &= 0xffffffff;
      auto body = [](void*) -> int {
        for (int n = 0; n < 5; n++) syscall(SYS_sched_yield);
        syscall(SYS_exit, 0);
        return 0;
      };
      char* stack = stacks[i % 16] + sizeof stacks[0];
      clone(body, stack, static_cast<int>(flags) | (random.OneIn(3) ? 0 : SIGCHLD), nullptr, tid,
            nullptr, tid);
    }
    while (waitpid(-1, nullptr, WNOHANG | __WALL) > 0) {
    }
  }
}

// Robust lists and thread ids that point at each other, at nothing, or at changing memory.
void HostileFutexLists(Random& random, const SharedArea& shared) {
  Crowd(random, 4, [&shared](Random& r) {
    auto base = reinterpret_cast<uint64_t>(shared.base);
    uint64_t ring[12];
    for (uint64_t& word : ring) {
      const uint64_t choices[] = {reinterpret_cast<uint64_t>(&ring[r.Below(12)]),
                                  reinterpret_cast<uint64_t>(&ring[r.Below(12)]) | 1,
                                  base + r.Below(256) * kPage,
                                  r.Next(),
                                  0,
                                  static_cast<uint64_t>(Gettid())};
      word = r.Pick(choices);
    }
    uint64_t seed = r.Next();
    auto copy = new uint64_t[12];
    memcpy(copy, ring, sizeof ring);
    for (int i = 0; i < 12; i++) {
      auto from = reinterpret_cast<uint64_t>(ring);
      if (copy[i] - from < sizeof ring) copy[i] += reinterpret_cast<uint64_t>(copy) - from;
    }
    StartThread([=] {
      Random own(seed);
      syscall(SYS_set_robust_list, copy, 24);
      if (own.OneIn(2)) syscall(SYS_set_tid_address, base + own.Below(256) * kPage);
      timespec brief = {0, 100000};
      int op = static_cast<int>(own.Below(14));
      syscall(SYS_futex, copy, op, own.Below(3), &brief, copy + 4, own.Below(5));
      if (own.OneIn(2)) syscall(SYS_exit, 0);
    });
    if (r.OneIn(4)) munmap(shared.base + r.Below(256) * kPage, kPage);
    usleep(100);
  });
}

// Reads all of /proc/PID of processes that start, execute and end meanwhile.
void ProcReaders(Random& random, const SharedArea&) {
  Crowd(random, 3, [](Random& r) {
    if (r.OneIn(6)) {
      pid_t pid = fork();
      if (pid == 0 && r.OneIn(2)) execv("/bin/true", kNoArguments);
      if (pid == 0) _exit(0);
      if (r.OneIn(2)) waitpid(-1, nullptr, WNOHANG);
    }
    const char* const files[] = {"status", "maps",    "smaps", "stat",    "statm",  "fd",
                                 "fdinfo", "environ", "mem",   "cmdline", "task",   "mountinfo",
                                 "exe",    "cwd",     "root",  "limits",  "cgroup", "comm"};
    char path[64], buffer[2048];
    int pid = getpid() + static_cast<int>(r.Below(12)) - 2;
    snprintf(path, sizeof path, "/proc/%d/%s%s", pid, r.Pick(files), r.OneIn(6) ? "/0" : "");
    int fd = open(path, r.OneIn(8) ? O_RDWR : O_RDONLY);
    if (fd < 0) {
      readlink(path, buffer, sizeof buffer);
      return;
    }
    for (int i = 0; i < 3; i++) {
      if (r.OneIn(3)) lseek(fd, static_cast<off_t>(r.OneIn(2) ? r.Next() : r.Below(9000)), 0);
      if (read(fd, buffer, r.Below(sizeof buffer)) < 0) {
        syscall(SYS_getdents64, fd, buffer, sizeof buffer);
      }
    }
    if (r.OneIn(5)) write(fd, buffer, 9);
    close(fd);
  });
}

// Timers aimed at threads and processes that end.
void TimersAndEnds(Random& random, const SharedArea&) {
  Crowd(random, 3, [](Random& r) {
    sigevent event = {};
    const int kinds[] = {SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD_ID};
    event.sigev_notify = r.Pick(kinds);
    event.sigev_signo = SIGRTMIN + static_cast<int>(r.Below(20));
    event._sigev_un._tid = SomeThread(r);
    int id = 0;
    itimerspec when = {{0, static_cast<long>(r.Below(400000))},
                       {0, static_cast<long>(r.Below(400000))}};
    const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
                          CLOCK_THREAD_CPUTIME_ID, CLOCK_BOOTTIME};
    syscall(SYS_timer_create, r.Pick(clocks), &event, &id);
    syscall(SYS_timer_settime, id, 0, &when, nullptr);
    itimerval old = {{0, static_cast<long>(r.Below(2000))}, {0, static_cast<long>(r.Below(2000))}};
    setitimer(r.OneIn(2) ? ITIMER_PROF : ITIMER_VIRTUAL, &old, nullptr);
    if (r.OneIn(3)) syscall(SYS_timer_delete, id - static_cast<int>(r.Below(3)));
    if (r.OneIn(8)) StartThread([] { syscall(SYS_exit, 0); });
    if (r.OneIn(30) && fork() == 0) _exit(0);
    if (r.OneIn(9)) waitpid(-1, nullptr, WNOHANG);
  });
}

}  // namespace fuzz
