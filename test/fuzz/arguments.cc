#include "test/fuzz/arguments.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace fuzz {
namespace {

#define X16(x) x x x x x x x x x x x x x x x x
#define kLongName X16("0123456789abcdef")  // 256 bytes, one too many
#define kLongPath X16(X16("0123456789abcd/")) "x"

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
    "/proc/1/status",
    "/proc/1/maps",
    "/proc/self/cwd",
    "/proc/self/root/proc",
    "/proc/self/fd/4",
    "/proc/self/fd/5",
    "/proc/self/mountinfo",
    "/proc/self/comm",
    "/proc/self/oom_score_adj",
    "/proc/thread-self/stat",
    "/proc/sys/kernel/hostname",
    "/dev/shm/x",
    "/dev/pts/1",
    "/dev/pts/ptmx",
    "d/e/../../d/e/g",
    "w/x/y/z",
    kLongName,
    kLongPath,
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

// Pages of an arena that are not like the others.
constexpr size_t kArenaPages = 64, kUsable = 56, kReadOnly = 57, kNoAccess = 60, kHole = 63;

}  // namespace

Arguments::Arguments(Random& random, const SharedArea& shared) : random_(random), shared_(shared) {
  arena_ = static_cast<char*>(mmap(nullptr, kArenaPages * kPage, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (size_t i = 0; i < kUsable * kPage; i++) arena_[i] = static_cast<char>(random_.Next());
  mprotect(arena_ + kReadOnly * kPage, kPage, PROT_READ);
  mprotect(arena_ + kNoAccess * kPage, kPage, PROT_NONE);
  munmap(arena_ + kHole * kPage, kPage);
  int file = open("a", O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void* mapped = mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) beyond_file_ = static_cast<char*>(mapped);
  close(file);
}

char* Arguments::Scratch(size_t length) {
  return arena_ + 8 * random_.Below((kUsable * kPage - length) / 8);
}

uint64_t Arguments::BadPointer() {
  auto at = [](const void* p) { return reinterpret_cast<uint64_t>(p); };
  const uint64_t bad[] = {
      0,
      1,
      8,
      ~0ULL,
      ~0ULL - 4095,
      0xffff800000000000,
      0xffffffff80000000,
      0x7ffffffff000,
      0x7fffffffeff8,
      0x800000000000,
      0x8000000000000000,
      0x0000deadbeef0000,
      getauxval(AT_SYSINFO_EHDR) - random_.Below(5 * kPage),
      at(arena_ + kHole * kPage - random_.Below(64)),
      at(arena_ + kNoAccess * kPage - random_.Below(64)),
      at(arena_ + kNoAccess * kPage),
      at(arena_ + kReadOnly * kPage - random_.Below(64)),
      at(arena_ + kReadOnly * kPage),
      at(&kPaths),
      at(reinterpret_cast<const void*>(&getpid)),
      at(beyond_file_ == nullptr ? nullptr : beyond_file_ + kPage - random_.Below(64)),
  };
  return random_.Pick(bad);
}

uint64_t Arguments::SharedPointer() {
  uint64_t base = reinterpret_cast<uint64_t>(shared_.base);
  return base + random_.Below(SharedArea::kPages) * kPage +
         (random_.OneIn(3) ? kPage - random_.Below(64) : random_.Below(kPage));
}

uint64_t Arguments::Number() { return random_.Pick(kNumbers); }

uint64_t Arguments::Pointer(size_t length) {
  if (random_.OneIn(16)) return BadPointer();
  if (random_.OneIn(share_fds ? 3 : 24)) return SharedPointer();
  return reinterpret_cast<uint64_t>(Scratch(length));
}

uint64_t Arguments::Path() {
  if (random_.OneIn(20)) return BadPointer();
  return reinterpret_cast<uint64_t>(random_.Pick(kPaths));
}

int Arguments::FdValue() {
  if (fds.empty() || random_.OneIn(12)) {
    const int odd[] = {-1, -100, 0, 1000, 1 << 30, -2};
    return random_.Pick(odd);
  }
  if (share_fds && random_.OneIn(2)) return static_cast<int>(3 + random_.Below(24));
  return fds[random_.Below(fds.size())];
}

uint64_t Arguments::Time() {
  auto* t = reinterpret_cast<int64_t*>(Scratch(32));
  for (int i = 0; i < 4; i += 2) {
    t[i] = random_.OneIn(10) ? static_cast<int64_t>(random_.Pick(kNumbers)) : 0;
    t[i + 1] = random_.OneIn(10) ? static_cast<int64_t>(random_.Pick(kNumbers))
                                 : static_cast<int64_t>(random_.Below(3000000));
  }
  if (random_.OneIn(12)) return BadPointer();
  return reinterpret_cast<uint64_t>(t);
}

uint64_t Arguments::IoVector() {
  auto* v = reinterpret_cast<uint64_t*>(Scratch(128));
  for (int i = 0; i < 16; i += 2) {
    v[i] = Pointer(256);
    v[i + 1] = random_.OneIn(20) ? random_.Pick(kNumbers) : random_.Below(256);
    // Ends of buffers that wrap around, and sums that do.
    if (random_.OneIn(40)) v[i + 1] = ~v[i] + random_.Below(3);
  }
  if (random_.OneIn(30)) return BadPointer();
  // Two of the entries before the end of what is mapped.
  if (random_.OneIn(30)) {
    char* edge = arena_ + kNoAccess * kPage - 32;
    memcpy(edge, v, 32);
    return reinterpret_cast<uint64_t>(edge);
  }
  return reinterpret_cast<uint64_t>(v);
}

uint64_t Arguments::Sigset() {
  auto* set = reinterpret_cast<uint64_t*>(Scratch(8));
  *set = random_.OneIn(2) ? 0 : random_.Next();
  if (!random_.OneIn(20)) *set &= ~(1ULL << (SIGALRM - 1));
  return reinterpret_cast<uint64_t>(set);
}

uint64_t Arguments::Xattr() {
  static const char* const names[] = {"user.a",    "user.b",   "user.", "security.capability",
                                      "trusted.x", "system.x", "",      "user.a/b"};
  return random_.OneIn(10) ? BadPointer() : reinterpret_cast<uint64_t>(random_.Pick(names));
}

uint64_t Arguments::Message() {
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

uint64_t Arguments::SocketAddress() {
  auto* a = reinterpret_cast<sockaddr_un*>(Scratch(sizeof(sockaddr_un)));
  memset(a, 0, sizeof *a);
  a->sun_family = random_.OneIn(10) ? static_cast<sa_family_t>(random_.Next()) : AF_UNIX;
  const char* const names[] = {"sock", "a", "missing/x", "\0abstract", "d/s"};
  memcpy(a->sun_path, random_.Pick(names), 9);
  return reinterpret_cast<uint64_t>(a);
}

uint64_t Arguments::Region() {
  if (random_.OneIn(share_fds ? 2 : 8))
    return SharedPointer() & (random_.OneIn(9) ? ~0ULL : -kPage);
  if (regions.empty() || random_.OneIn(10)) return BadPointer();
  return regions[random_.Below(regions.size())] + kPage * random_.Below(8) +
         (random_.OneIn(10) ? random_.Below(kPage) : 0);
}

uint64_t Arguments::Length() {
  return random_.OneIn(12) ? random_.Pick(kNumbers) : kPage * random_.Below(12);
}

uint64_t Arguments::Flags(uint64_t bits) {
  if (random_.OneIn(30)) return random_.Next();
  uint64_t value = 0;
  for (int i = 0; i < 3; i++) {
    int bit = static_cast<int>(random_.Below(64));
    value |= bits & (1ULL << bit);
  }
  return random_.OneIn(4) ? bits & random_.Next() : value;
}

pid_t Arguments::Child() {
  if (!children.empty() && !random_.OneIn(5)) return children[random_.Below(children.size())];
  return random_.OneIn(4) ? 0x3fffff00 : getpid();
}

uint64_t Arguments::Make(const Arg& arg) {
  switch (arg.kind) {
    case Kind::kNone:
      return 0;
    case Kind::kFd:
      return static_cast<uint64_t>(static_cast<int64_t>(FdValue()));
    case Kind::kDirFd:
      return random_.OneIn(3) ? static_cast<uint64_t>(FdValue()) : static_cast<uint64_t>(AT_FDCWD);
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
    case Kind::kIovCount:
      if (random_.OneIn(30)) return random_.Pick(kNumbers);
      return random_.OneIn(20) ? 1023 + random_.Below(3) : random_.Below(9);
    case Kind::kXattr:
      return Xattr();
    case Kind::kSigset:
      return Sigset();
    case Kind::kBad:
      return BadPointer();
    case Kind::kMapFd:
      return random_.OneIn(2) ? ~0ULL : static_cast<uint64_t>(FdValue());
  }
  return 0;
}

}  // namespace fuzz
