// Calls as a guest sees them: `guest [name...]` prints "name nanoseconds" lines. Static, plain
// Linux.
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string_view>
#include <thread>

#include "bench/micro/timing.h"

namespace {
using namespace bench;

constexpr char kFile[] = "/etc/passwd";
char g_buffer[65536];
char g_self[4096];

int Scratch() {
  static int fd = [] {
    char name[] = "/tmp/bench.XXXXXX";
    int made = mkstemp(name);
    Check(made >= 0, "mkstemp");
    unlink(name);
    Check(write(made, g_buffer, sizeof g_buffer) == sizeof g_buffer, "write");
    return made;
  }();
  return fd;
}

double Nothing() {
  return Measure([] { syscall(SYS_getppid); });
}

double Transfer(bool reading, size_t size) {
  int fd = Scratch();
  return Measure([=] {
    ssize_t n = reading ? pread(fd, g_buffer, size, 0) : pwrite(fd, g_buffer, size, 0);
    Check(n == static_cast<ssize_t>(size), "transfer");
  });
}

double OpenClose(bool reading) {
  return Measure([=] {
    int fd = open(kFile, O_RDONLY);
    Check(fd >= 0, "open");
    if (reading) Check(read(fd, g_buffer, 100) > 0, "read");
    close(fd);
  });
}

double Stat() {
  struct stat st;
  return Measure([&] { Check(stat(kFile, &st) == 0, "stat"); });
}

void Reap(pid_t pid) {
  int status;
  Check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "child");
}

double ForkWait() {
  return Measure([] {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    Reap(pid);
  });
}

double ForkExecWait() {
  return Measure([] {
    pid_t pid = fork();
    if (pid == 0) {
      execl(g_self, "guest", "--exit", nullptr);
      _exit(1);
    }
    Reap(pid);
  });
}

double VforkExecWait() {
  return Measure([] {
    pid_t pid = vfork();
    if (pid == 0) {
      execl(g_self, "guest", "--exit", nullptr);
      _exit(1);
    }
    Reap(pid);
  });
}

double ThreadJoin() {
  return Measure([] { std::thread([] {}).join(); });
}

double MapTouchUnmap() {
  constexpr size_t kLength = 16 * 4096;
  return Measure([] {
    void* p = mmap(nullptr, kLength, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Check(p != MAP_FAILED, "mmap");
    for (size_t i = 0; i < kLength; i += 4096) static_cast<volatile char*>(p)[i] = 1;
    munmap(p, kLength);
  });
}

// Round trip of a byte between two processes.
double PipePingPong() {
  int there[2], back[2];
  Check(pipe(there) == 0 && pipe(back) == 0, "pipe");
  pid_t pid = fork();
  if (pid == 0) {
    char c;
    close(there[1]);
    while (read(there[0], &c, 1) == 1) Check(write(back[1], &c, 1) == 1, "write");
    _exit(0);
  }
  close(there[0]);
  char c = 'x';
  double ns =
      Measure([&] { Check(write(there[1], &c, 1) == 1 && read(back[0], &c, 1) == 1, "ping"); });
  close(there[1]);
  Reap(pid);
  close(back[0]);
  close(back[1]);
  return ns;
}

double FutexPingPong() {
  std::atomic<int> turn{0};
  auto wait_for = [&](int me) {
    int seen;
    while ((seen = turn.load()) != me && seen != 2) {
      syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, nullptr);
    }
    return seen != 2;
  };
  auto pass = [&](int to) {
    turn = to;
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1);
  };
  std::thread other([&] {
    while (wait_for(1)) pass(0);
  });
  double ns = Measure([&] {
    pass(1);
    wait_for(0);
  });
  pass(2);
  other.join();
  return ns;
}

double SocketPingPong() {
  int s[2];
  Check(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0, "socketpair");
  std::thread other([&] {
    char c;
    while (read(s[1], &c, 1) == 1) Check(write(s[1], &c, 1) == 1, "write");
  });
  char c = 'x';
  double ns = Measure([&] { Check(write(s[0], &c, 1) == 1 && read(s[0], &c, 1) == 1, "ping"); });
  shutdown(s[0], SHUT_RDWR);
  other.join();
  return ns;
}

double SignalToSelf() {
  signal(SIGUSR1, [](int) {});
  pid_t pid = getpid();
  return Measure([=] { kill(pid, SIGUSR1); });
}

double EventfdEpoll() {
  int ep = epoll_create1(0), ev = eventfd(0, 0);
  epoll_event event = {};
  event.events = EPOLLIN;
  Check(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &event) == 0, "epoll_ctl");
  uint64_t one = 1, got;
  return Measure([&] {
    Check(write(ev, &one, 8) == 8, "write");
    Check(epoll_wait(ep, &event, 1, -1) == 1, "epoll_wait");
    Check(read(ev, &got, 8) == 8, "read");
  });
}

double ClockGettime() {
  timespec ts;
  return Measure([&] { clock_gettime(CLOCK_MONOTONIC, &ts); });
}

double SchedYield() {
  return Measure([] { sched_yield(); });
}

// Integer and floating point work that makes no calls.
double CpuBound() {
  return Measure([] {
    uint64_t x = 88172645463325252ULL;
    double y = 0;
    for (int i = 0; i < 2000000; i++) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      y += static_cast<double>(x & 255) * 0.5;
    }
    asm volatile("" : : "r"(x), "x"(y));
  });
}

struct Row {
  const char* name;
  double (*run)();
};
constexpr Row kRows[] = {
    {"call", Nothing},
    {"read-1", [] { return Transfer(true, 1); }},
    {"write-1", [] { return Transfer(false, 1); }},
    {"read-64k", [] { return Transfer(true, 65536); }},
    {"write-64k", [] { return Transfer(false, 65536); }},
    {"stat", Stat},
    {"open-close", [] { return OpenClose(false); }},
    {"open-read-close", [] { return OpenClose(true); }},
    {"signal-self", SignalToSelf},
    {"eventfd-epoll", EventfdEpoll},
    {"clock-gettime", ClockGettime},
    {"sched-yield", SchedYield},
    {"mmap-touch16-munmap", MapTouchUnmap},
    {"pipe-ping-pong", PipePingPong},
    {"futex-ping-pong", FutexPingPong},
    {"socket-ping-pong", SocketPingPong},
    {"thread-create-join", ThreadJoin},
    {"fork-wait", ForkWait},
    {"fork-exec-wait", ForkExecWait},
    {"vfork-exec-wait", VforkExecWait},
    {"cpu-bound", CpuBound},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--exit") return 0;
  Check(readlink("/proc/self/exe", g_self, sizeof g_self - 1) > 0, "/proc/self/exe");
  for (const Row& row : kRows) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; i++) wanted |= std::string_view(argv[i]) == row.name;
    if (wanted) Report(row.name, row.run());
  }
}
