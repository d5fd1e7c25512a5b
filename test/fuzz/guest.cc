// Random but well-shaped system calls: `guest --seed N --seconds S [--verbose]`.
//
// A parent starts one worker at a time; worker k of seed N always makes the same calls as long as
// the kernel answers the same. The parent prints each worker's seed before it starts, so the last
// line names what to repeat after a crash (`--seed N --only K`). Nothing outside an own scratch
// directory is written and no process but an own child is signalled.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "test/fuzz/call_shapes.h"

namespace fuzz {
namespace {

constexpr size_t kPage = 4096;

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 1) {}
  uint64_t Next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545f4914f6cdd1dULL;
  }
  uint64_t Below(uint64_t n) { return (Next() >> 11) % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  template <typename T, size_t N>
  T Pick(const T (&list)[N]) {
    return list[Below(N)];
  }

 private:
  uint64_t state_;
};

const char* const kPaths[] = {
    "a",
    "b",
    "c",
    "d",
    "d/e",
    "d/e/f",
    "link",
    "loop",
    ".",
    "..",
    "./a",
    "d/../b",
    "",
    "sock",
    "fifo",
    "missing/x",
    "/proc/self/status",
    "/proc/self/maps",
    "/proc/self/fd",
    "/proc/self/mem",
    "/proc/self/task",
    "/proc/meminfo",
    "/proc/self/stat",
    "/proc/mounts",
    "/proc",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/urandom",
    "/dev/ptmx",
    "/dev/pts/0",
    "/dev/tty",
    "/dev/shm",
    "/bin/true",
    "/etc/passwd",
    "/",
    "/sys/devices/system/cpu/online",
    "/proc/self/exe",
    "/proc/self/fd/3",
    "/proc/self/fdinfo/1",
    "/proc/self/environ",
    "/proc/self/smaps",
};
const uint64_t kNumbers[] = {0,
                             1,
                             2,
                             3,
                             4,
                             7,
                             8,
                             15,
                             16,
                             64,
                             100,
                             255,
                             4095,
                             4096,
                             4097,
                             8192,
                             65535,
                             65536,
                             1 << 20,
                             0x7fffffff,
                             0x80000000,
                             0xffffffff,
                             0x100000000,
                             0x7fffffffffffffff,
                             0x8000000000000000,
                             ~0ULL,
                             ~0ULL - 1,
                             ~0ULL - 99};
const int kSignals[] = {0,       SIGHUP,  SIGINT,  SIGUSR1,  SIGUSR2, SIGPIPE, SIGALRM, SIGTERM,
                        SIGCHLD, SIGCONT, SIGTSTP, SIGWINCH, SIGIO,   SIGURG,  33,      34,
                        40,      64,      65,      -1,       SIGSTOP, SIGKILL};
const uint64_t kIoctls[] = {
    0x5401, 0x5402,     0x5403,     0x5404, 0x5405,     0x5406,     0x5409,    0x540a,
    0x540b, 0x540e,     0x540f,     0x5410, 0x5411,     0x5413,     0x5414,    0x541b,
    0x5420, 0x5421,     0x5422,     0x5423, 0x5424,     0x5429,     0x5450,    0x5451,
    0x5452, 0x80045430, 0x40045431, 0x5441, 0x80086601, 0x40086602, 0x1260,    0x80081272,
    0x8901, 0x8902,     0x8912,     0x8913, 0x40049409, 0x5460,     0x12345678};

class Worker {
 public:
  Worker(uint64_t seed, bool verbose) : random_(seed), verbose_(verbose) {
    arena_ = static_cast<char*>(
        mmap(nullptr, 64 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(arena_ + 62 * kPage, kPage, PROT_READ);
    munmap(arena_ + 63 * kPage, kPage);
    for (size_t i = 0; i < 60 * kPage; i++) arena_[i] = static_cast<char>(random_.Next());
  }

  int64_t Run(int calls, int depth) {
    for (int i = 0; i < calls; i++) {
      done_++;
      if (random_.OneIn(60)) {
        ForkSome(depth);
      } else if (random_.OneIn(25)) {
        Anything();
      } else {
        Shaped();
      }
      if (fds_.size() > 200) CloseAll();
      if (children_.size() > 8) ReapAll();
    }
    ReapAll();
    return done_;
  }

 private:
  char* Scratch(size_t length) { return arena_ + 8 * random_.Below((60 * kPage - length) / 8); }

  uint64_t BadPointer() {
    const uint64_t bad[] = {0,
                            1,
                            8,
                            ~0ULL,
                            ~0ULL - 4095,
                            0xffff800000000000,
                            0x7ffffffff000,
                            0x8000000000000000,
                            reinterpret_cast<uint64_t>(arena_ + 63 * kPage - random_.Below(64)),
                            reinterpret_cast<uint64_t>(arena_ + 62 * kPage - random_.Below(64)),
                            reinterpret_cast<uint64_t>(arena_ + 62 * kPage)};
    return random_.Pick(bad);
  }

  uint64_t Pointer(size_t length) {
    return random_.OneIn(16) ? BadPointer() : reinterpret_cast<uint64_t>(Scratch(length));
  }

  uint64_t Path() {
    if (random_.OneIn(20)) return BadPointer();
    return reinterpret_cast<uint64_t>(random_.Pick(kPaths));
  }

  int FdValue() {
    if (fds_.empty() || random_.OneIn(12)) {
      const int odd[] = {-1, -100, 0, 1000, 1 << 30, -2};
      return random_.Pick(odd);
    }
    return fds_[random_.Below(fds_.size())];
  }

  uint64_t Time() {
    auto* t = reinterpret_cast<int64_t*>(Scratch(32));
    for (int i = 0; i < 4; i += 2) {
      t[i] = random_.OneIn(10) ? static_cast<int64_t>(random_.Pick(kNumbers)) : 0;
      t[i + 1] = random_.OneIn(10) ? static_cast<int64_t>(random_.Pick(kNumbers))
                                   : static_cast<int64_t>(random_.Below(3000000));
    }
    if (random_.OneIn(12)) return BadPointer();
    return reinterpret_cast<uint64_t>(t);
  }

  uint64_t IoVector() {
    auto* v = reinterpret_cast<uint64_t*>(Scratch(128));
    for (int i = 0; i < 16; i += 2) {
      v[i] = Pointer(256);
      v[i + 1] = random_.OneIn(20) ? random_.Pick(kNumbers) : random_.Below(256);
    }
    return reinterpret_cast<uint64_t>(v);
  }

  uint64_t Message() {
    auto* m = reinterpret_cast<msghdr*>(Scratch(sizeof(msghdr)));
    *m = {};
    m->msg_iov = reinterpret_cast<iovec*>(IoVector());
    m->msg_iovlen = random_.Below(8);
    char* control = Scratch(256);
    auto* c = reinterpret_cast<cmsghdr*>(control);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = static_cast<int>(1 + random_.Below(2));
    size_t count = random_.Below(4);
    c->cmsg_len = random_.OneIn(8) ? random_.Pick(kNumbers) : CMSG_LEN(count * 4);
    for (size_t i = 0; i < count; i++) {
      reinterpret_cast<int*>(CMSG_DATA(c))[i] = FdValue();
    }
    if (random_.OneIn(2)) {
      m->msg_control = control;
      m->msg_controllen = random_.OneIn(8) ? random_.Below(512) : CMSG_SPACE(count * 4);
    }
    if (random_.OneIn(3)) {
      m->msg_name = reinterpret_cast<void*>(SocketAddress());
      m->msg_namelen = static_cast<socklen_t>(random_.Below(120));
    }
    return reinterpret_cast<uint64_t>(m);
  }

  uint64_t SocketAddress() {
    auto* a = reinterpret_cast<sockaddr_un*>(Scratch(sizeof(sockaddr_un)));
    memset(a, 0, sizeof *a);
    a->sun_family = random_.OneIn(10) ? static_cast<sa_family_t>(random_.Next()) : AF_UNIX;
    const char* const names[] = {"sock", "a", "missing/x", "\0abstract", "d/s"};
    memcpy(a->sun_path, random_.Pick(names), 9);
    return reinterpret_cast<uint64_t>(a);
  }

  uint64_t Region() {
    if (regions_.empty() || random_.OneIn(10)) return BadPointer();
    return regions_[random_.Below(regions_.size())] + kPage * random_.Below(8) +
           (random_.OneIn(10) ? random_.Below(kPage) : 0);
  }

  uint64_t Length() {
    return random_.OneIn(12) ? random_.Pick(kNumbers) : kPage * random_.Below(12);
  }

  uint64_t Flags(uint64_t bits) {
    if (random_.OneIn(30)) return random_.Next();
    uint64_t value = 0;
    for (int i = 0; i < 3; i++) {
      int bit = static_cast<int>(random_.Below(64));
      value |= bits & (1ULL << bit);
    }
    return random_.OneIn(4) ? bits & random_.Next() : value;
  }

  pid_t Child() {
    if (!children_.empty() && !random_.OneIn(5)) return children_[random_.Below(children_.size())];
    return random_.OneIn(4) ? 0x3fffff00 : getpid();
  }

  uint64_t Argument(const Arg& arg) {
    switch (arg.kind) {
      case Kind::kNone:
        return 0;
      case Kind::kFd:
        return static_cast<uint64_t>(static_cast<int64_t>(FdValue()));
      case Kind::kDirFd:
        return random_.OneIn(3) ? static_cast<uint64_t>(FdValue())
                                : static_cast<uint64_t>(AT_FDCWD);
      case Kind::kPath:
        return Path();
      case Kind::kBuffer:
        return Pointer(4096);
      case Kind::kSize:
        return random_.OneIn(6) ? random_.Pick(kNumbers) : random_.Below(4096);
      case Kind::kNumber:
        return random_.OneIn(3) ? random_.Pick(kNumbers) : random_.Below(16);
      case Kind::kSmall:
        return random_.OneIn(20) ? random_.Pick(kNumbers) : random_.Below(arg.bits);
      case Kind::kFlags:
        return Flags(arg.bits);
      case Kind::kTime:
        return Time();
      case Kind::kIoVector:
        return IoVector();
      case Kind::kMessage:
        return Message();
      case Kind::kAddress:
        return SocketAddress();
      case Kind::kRegion:
        return Region();
      case Kind::kLength:
        return Length();
      case Kind::kSignal:
        return static_cast<uint64_t>(random_.Pick(kSignals));
      case Kind::kIoctl:
        return random_.Pick(kIoctls);
      case Kind::kPid:
        return static_cast<uint64_t>(Child());
      case Kind::kMapFd:
        return random_.OneIn(2) ? ~0ULL : static_cast<uint64_t>(FdValue());
    }
    return 0;
  }

  // Signals that would end or stop this worker go to children only.
  bool WouldEndUs(const Shape& shape, const uint64_t* a) {
    bool kills = shape.number == SYS_kill || shape.number == SYS_tkill ||
                 shape.number == SYS_tgkill || shape.number == SYS_rt_sigqueueinfo;
    if (!kills) return false;
    auto pid = static_cast<pid_t>(a[0]);
    if (pid <= 0) return true;
    int signal = static_cast<int>(a[shape.number == SYS_tgkill ? 2 : 1]);
    return pid == getpid() && (signal == SIGKILL || signal == SIGSTOP);
  }

  void Shaped() {
    const Shape& shape = kShapes[random_.Below(kShapeCount)];
    uint64_t a[6];
    for (int i = 0; i < 6; i++) a[i] = Argument(shape.args[i]);
    if (WouldEndUs(shape, a)) return;
    Take(shape, Call(shape.number, a));
  }

  // Keeps what a call gave: descriptors and mappings.
  void Take(const Shape& shape, int64_t result) {
    if (result < 0) return;
    switch (shape.result) {
      case Result::kNothing:
        return;
      case Result::kFd:
        if (result > 2) fds_.push_back(static_cast<int>(result));
        return;
      case Result::kRegion:
        regions_.push_back(static_cast<uint64_t>(result));
        if (regions_.size() > 30) {
          munmap(reinterpret_cast<void*>(regions_.front()), 16 * kPage);
          regions_.erase(regions_.begin());
        }
        return;
      case Result::kTwoFds: {
        int pair[2] = {-1, -1};
        int ok = shape.number == SYS_pipe2 ? pipe2(pair, O_NONBLOCK)
                                           : socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
        if (ok == 0) fds_.insert(fds_.end(), pair, pair + 2);
        return;
      }
    }
  }

  int64_t Call(long number, const uint64_t* a) {
    if (verbose_) {
      fprintf(stderr, "%ld(%lx, %lx, %lx, %lx, %lx, %lx)", number, a[0], a[1], a[2], a[3], a[4],
              a[5]);
    }
    int64_t result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (verbose_) fprintf(stderr, " = %ld (errno %d)\n", result, errno);
    return result;
  }

  // Any number with any arguments, but for those that end or block for good.
  void Anything() {
    long number = static_cast<long>(random_.Below(470));
    if (number >= 335 && number < 424) number = 424 + number % 40;
    for (size_t i = 0; i < kDeniedCount; i++) {
      if (number == kDenied[i]) return;
    }
    uint64_t a[6];
    for (uint64_t& value : a) {
      value = random_.OneIn(2)   ? Pointer(4096)
              : random_.OneIn(2) ? random_.Pick(kNumbers)
                                 : FdValue();
    }
    Call(number, a);
  }

  void ForkSome(int depth) {
    if (depth >= 2) return;
    pid_t pid = fork();
    if (pid < 0) return;
    if (pid == 0) {
      children_.clear();
      if (random_.OneIn(6)) {
        execl("/bin/true", "true", nullptr);
        _exit(0);
      }
      Run(static_cast<int>(random_.Below(60)), depth + 1);
      _exit(static_cast<int>(random_.Below(256)));
    }
    children_.push_back(pid);
    random_.Next();
  }

  void CloseAll() {
    for (int fd : fds_) close(fd);
    fds_.clear();
  }

  void ReapAll() {
    for (pid_t pid : children_) {
      kill(pid, SIGKILL);
      while (waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
      }
    }
    children_.clear();
  }

  Random random_;
  bool verbose_;
  char* arena_;
  int64_t done_ = 0;
  std::vector<int> fds_;
  std::vector<uint64_t> regions_;
  std::vector<pid_t> children_;
};

void Populate() {
  mkdir("d", 0755);
  mkdir("d/e", 0755);
  for (const char* name : {"a", "b", "c", "d/e/f"}) {
    int fd = open(name, O_CREAT | O_WRONLY, 0644);
    if (fd >= 0) {
      if (write(fd, "some content", 12) != 12) perror("write");
      close(fd);
    }
  }
  if (symlink("a", "link") != 0 || symlink("loop", "loop") != 0) return;
  mkfifo("fifo", 0600);
}

[[noreturn]] void RunWorker(uint64_t seed, bool verbose) {
  rlimit memory = {1ULL << 30, 1ULL << 30}, file = {16 << 20, 16 << 20}, processes = {200, 200};
  rlimit core = {0, 0};
  setrlimit(RLIMIT_AS, &memory);
  setrlimit(RLIMIT_FSIZE, &file);
  setrlimit(RLIMIT_NPROC, &processes);
  setrlimit(RLIMIT_CORE, &core);
  // Blocking calls end by themselves: a timer interrupts them again and again.
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigaction(SIGALRM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  itimerval often = {{0, 5000}, {0, 5000}};
  setitimer(ITIMER_REAL, &often, nullptr);
  int null = open("/dev/null", O_RDWR);
  dup2(null, 0);
  dup2(null, 1);
  if (!verbose) dup2(null, 2);
  Worker worker(seed, verbose);
  worker.Run(400, 0);
  _exit(0);
}

// Waits at most `ms`, then kills; everything it left over goes with its process group.
void Await(pid_t pid, int ms) {
  for (int waited = 0; waited < ms; waited += 5) {
    if (waitpid(pid, nullptr, WNOHANG) == pid) {
      kill(-pid, SIGKILL);
      return;
    }
    usleep(5000);
  }
  kill(-pid, SIGKILL);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

}  // namespace
}  // namespace fuzz

int main(int argc, char** argv) {
  uint64_t seed = static_cast<uint64_t>(time(nullptr)), only = ~0ULL;
  int seconds = 10;
  bool verbose = false;
  for (int i = 1; i < argc; i++) {
    std::string_view flag = argv[i];
    if (flag == "--verbose") verbose = true;
    if (i + 1 >= argc) break;
    if (flag == "--seed") seed = strtoull(argv[++i], nullptr, 0);
    if (flag == "--seconds") seconds = atoi(argv[++i]);
    if (flag == "--only") only = strtoull(argv[++i], nullptr, 0);
  }
  char scratch[] = "/tmp/fuzz.XXXXXX";
  if (mkdtemp(scratch) == nullptr || chdir(scratch) != 0) return 2;
  setvbuf(stdout, nullptr, _IOLBF, 0);
  time_t end = time(nullptr) + seconds;
  uint64_t k = only != ~0ULL ? only : 0;
  uint64_t count = 0;
  do {
    printf("seed %lu only %lu\n", seed, k);
    fflush(stdout);
    std::string dir = "w" + std::to_string(k % 8);
    mkdir(dir.c_str(), 0755);
    pid_t pid = fork();
    if (pid == 0) {
      setpgid(0, 0);
      if (chdir(dir.c_str()) != 0) _exit(2);
      fuzz::Populate();
      fuzz::RunWorker(seed * 1000003 + k, verbose);
    }
    if (pid > 0) {
      setpgid(pid, pid);
      fuzz::Await(pid, 1000);
      count++;
    }
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    k++;
  } while (only == ~0ULL && time(nullptr) < end);
  printf("finished %lu workers of seed %lu\n", count, seed);
  if (fork() == 0) execl("/bin/rm", "rm", "-rf", scratch, nullptr);
  wait(nullptr);
  return 0;
}
