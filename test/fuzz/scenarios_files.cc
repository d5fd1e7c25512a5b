// Files, descriptors and directories that change under those who use them.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "test/fuzz/scenario_util.h"
#include "test/fuzz/scenarios_list.h"
#include "test/fuzz/worker.h"
#include "test/util/send_fds.h"

namespace fuzz {
namespace {

// One end or file of each kind at a random number; the other ends stay open.
int OpenSomething(Random& r) {
  int pair[2] = {-1, -1};
  switch (r.Below(11)) {
    case 0:
      return pipe2(pair, 0) == 0 ? pair[r.Below(2)] : -1;
    case 1:
      return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 ? pair[0] : -1;
    case 2:
      return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0 ? pair[0] : -1;
    case 3:
      return eventfd(0, 0);
    case 4:
      return timerfd_create(CLOCK_MONOTONIC, 0);
    case 5:
      return epoll_create1(0);
    case 6:
      return inotify_init1(0);
    case 7:
      return open("/dev/ptmx", O_RDWR | O_NOCTTY);
    case 8:
      return open("fifo", O_RDWR);
    case 9:
      return socket(AF_UNIX, SOCK_DGRAM, 0);
    default:
      return open("a", O_RDWR);
  }
}

void BlockOnSomething(Random& r, int fd) {
  char buffer[64];
  pollfd p = {fd, POLLIN | POLLOUT, 0};
  epoll_event event = {EPOLLIN, {}};
  iovec iov = {buffer, sizeof buffer};
  msghdr m = {};
  m.msg_iov = &iov;
  m.msg_iovlen = 1;
  switch (r.Below(9)) {
    case 0:
      read(fd, buffer, sizeof buffer);
      break;
    case 1:
      poll(&p, 1, 30);
      break;
    case 2:
      epoll_wait(fd, &event, 1, 30);
      break;
    case 3:
      recvmsg(fd, &m, 0);
      break;
    case 4:
      flock(fd, r.OneIn(2) ? LOCK_EX : LOCK_SH);
      break;
    case 5:
      accept(fd, nullptr, nullptr);
      break;
    case 6:
      splice(fd, nullptr, static_cast<int>(3 + r.Below(24)), nullptr, 4096, 0);
      break;
    case 7:
      write(fd, buffer, sizeof buffer);
      break;
    default:
      sendfile(static_cast<int>(3 + r.Below(24)), fd, nullptr, 4096);
      break;
  }
}

}  // namespace

// Threads block in calls on descriptors that others close, replace and shut down.
void ClosedUnderACall(Random& random, const SharedArea&) {
  Crowd(random, 5, [](Random& r) {
    int fd = static_cast<int>(3 + r.Below(24));
    switch (r.Below(5)) {
      case 0:
        close(fd);
        break;
      case 1: {
        int fresh = OpenSomething(r);
        dup2(fresh, fd);
        if (fresh > 30) close(fresh);
        break;
      }
      case 2:
        shutdown(fd, static_cast<int>(r.Below(3)));
        break;
      default:
        BlockOnSomething(r, fd);
    }
    if (r.OneIn(30)) close_range(40, ~0U, 0);
  });
}

// Epoll instances that watch each other, as far as the kernel lets them.
void EpollCycles(Random& random, const SharedArea&) {
  for (int i = 0; i < 8; i++) dup2(epoll_create1(0), 40 + i);
  for (int i = 0; i < 4; i++) dup2(eventfd(0, EFD_NONBLOCK), 50 + i);
  Crowd(random, 4, [](Random& r) {
    int epoll = static_cast<int>(40 + r.Below(8));
    int target = static_cast<int>(40 + r.Below(14));
    epoll_event e = {static_cast<uint32_t>(r.Next()) & 0xf000001f, {}};
    e.data.u64 = r.Next();
    epoll_event out[4];
    uint64_t one = 1;
    switch (r.Below(8)) {
      case 0:
        epoll_ctl(epoll, EPOLL_CTL_DEL, target, &e);
        break;
      case 1:
        epoll_ctl(epoll, EPOLL_CTL_MOD, target, &e);
        break;
      case 2:
        epoll_wait(epoll, out, 4, static_cast<int>(r.Below(3)));
        break;
      case 3:
        write(target, &one, 8);
        break;
      case 4:
        read(target, &one, 8);
        break;
      case 5:
        if (r.OneIn(4)) dup2(r.OneIn(2) ? epoll_create1(0) : eventfd(0, EFD_NONBLOCK), target);
        if (r.OneIn(40)) close_range(60, ~0U, 0);
        break;
      default:
        epoll_ctl(epoll, EPOLL_CTL_ADD, target, &e);
    }
  });
}

// Directories moved into each other, removed and listed by many threads.
void RenameLoops(Random& random, const SharedArea&) {
  bool shm = random.OneIn(3);
  std::string top = shm ? "/dev/shm/loops" + std::to_string(getpid()) : "loops";
  mkdir(top.c_str(), 0755);
  chdir(top.c_str());
  Crowd(random, 4, [](Random& r) {
    auto path = [&r] {
      std::string p = "p" + std::to_string(r.Below(3));
      for (uint64_t n = r.Below(4); n > 0; n--) p += "/p" + std::to_string(r.Below(3));
      if (r.OneIn(12)) p += "/..";
      return p;
    };
    std::string a = path(), b = path();
    char cwd[4096];
    switch (r.Below(9)) {
      case 0:
      case 1:
        mkdir(a.c_str(), 0755);
        break;
      case 2:
      case 3:
        rename(a.c_str(), b.c_str());
        break;
      case 4:
        syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), r.Below(4));
        break;
      case 5:
        r.OneIn(3) ? rmdir(a.c_str()) : unlink(a.c_str());
        break;
      case 6:
        close(open(a.c_str(), O_CREAT | O_RDWR, 0644));
        break;
      case 7: {
        int fd = open(a.c_str(), O_DIRECTORY | O_RDONLY);
        if (r.OneIn(4) && syscall(SYS_getcwd, cwd, sizeof cwd) > 0) fchdir(fd);
        syscall(SYS_getdents64, fd, cwd, sizeof cwd);
        close(fd);
        break;
      }
      default:
        syscall(SYS_getcwd, cwd, sizeof cwd);
    }
    if (r.OneIn(50)) symlink(a.c_str(), b.c_str());
    if (r.OneIn(50)) link(a.c_str(), b.c_str());
  });
  if (shm && chdir("/") == 0) execl("/bin/rm", "rm", "-rf", top.c_str(), nullptr);
}

// A directory so deep that recursion over it would end the stack; then it goes at once.
void DeepDirectories(Random& random, const SharedArea&) {
  std::string top = random.OneIn(2) ? "/dev/shm/deep" + std::to_string(getpid()) : "deep";
  mkdir(top.c_str(), 0755);
  int start = open(".", O_RDONLY | O_DIRECTORY);
  chdir(top.c_str());
  int depth = static_cast<int>(random.OneIn(6) ? 20000 : 1500);
  int64_t end = NowMs() + 600;
  for (int i = 0; i < depth && NowMs() < end; i++) {
    if (mkdir("d", 0755) != 0 || chdir("d") != 0) break;
  }
  char buffer[8192];
  syscall(SYS_getcwd, buffer, sizeof buffer);
  int bottom = open(".", O_RDONLY | O_DIRECTORY);
  std::string other = top + "-moved";
  fchdir(start);
  rename(top.c_str(), other.c_str());
  std::string link = "/proc/self/fd/" + std::to_string(bottom);
  readlink(link.c_str(), buffer, sizeof buffer);
  openat(bottom, "../../../..", O_PATH);
  // All the way up again, emptying it.
  fchdir(bottom);
  while (NowMs() < end && chdir("..") == 0 && rmdir("d") == 0) {
  }
}

// Sockets sent through sockets: chains, and rings that hold themselves alive.
void SocketsInSockets(Random& random, const SharedArea&) {
  int previous = open("a", O_RDONLY);
  int length = static_cast<int>(random.OneIn(4) ? 20000 : 200);
  bool ring = random.OneIn(3);
  int64_t end = NowMs() + 700;
  for (int i = 0; i < length && NowMs() < end; i++) {
    int pair[2];
    if (socketpair(AF_UNIX, random.OneIn(2) ? SOCK_STREAM : SOCK_DGRAM, 0, pair) != 0) break;
    guest::SendFds(pair[0], {previous, ring ? pair[1] : previous}, "x", MSG_DONTWAIT);
    close(pair[0]);
    close(previous);
    previous = pair[1];
  }
  close(previous);
}

// A mapped file that is cut, punched, written and mapped anew under those who touch it.
void ChangingMappedFiles(Random& random, const SharedArea&) {
  const char* name = random.OneIn(2) ? "mapped" : "/dev/shm/mapped";
  int fd = random.OneIn(3) ? static_cast<int>(syscall(SYS_memfd_create, "m", 2))
                           : open(name, O_RDWR | O_CREAT, 0600);
  ftruncate(fd, 16 * kPage);
  auto base = reinterpret_cast<uint64_t>(
      mmap(nullptr, 32 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  auto copy = reinterpret_cast<uint64_t>(
      mmap(nullptr, 32 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
  Crowd(random, 3, [=](Random& r) {
    uint64_t at = (r.OneIn(2) ? base : copy) + r.Below(32 * kPage);
    uint64_t page = at & -kPage;
    switch (r.Below(10)) {
      case 0:
        ftruncate(fd, static_cast<off_t>(r.Below(20 * kPage)));
        break;
      case 1:
        fallocate(fd, 3, static_cast<off_t>(r.Below(16) * kPage), kPage * 2);
        break;
      case 2:
        pwrite(fd, "0123456789", 10, static_cast<off_t>(r.Below(20 * kPage)));
        break;
      case 3:
        pread(fd, reinterpret_cast<void*>(at), 3 * kPage, 0);
        break;
      case 4:
        pwrite(fd, reinterpret_cast<void*>(at), 3 * kPage, 0);
        break;
      case 5:
        madvise(reinterpret_cast<void*>(page), 2 * kPage, r.OneIn(2) ? 4 : 9);
        break;
      case 6:
        msync(reinterpret_cast<void*>(page), kPage, MS_SYNC);
        break;
      case 7:
        if (r.OneIn(10) && fork() == 0) {
          for (int i = 0; i < 10; i++) Touch(base + r.Below(32) * kPage, true);
          _exit(0);
        }
        break;
      default:
        Touch(at, r.OneIn(2));
    }
  });
}

// Locks of all kinds by several processes, with deadlocks and closed descriptors.
void FileLocks(Random& random, const SharedArea&) {
  for (int i = 0; i < 2; i++) {
    if (fork() == 0) random = Random(random.Next() + static_cast<uint64_t>(i) + 1);
  }
  Crowd(random, 2, [](Random& r) {
    int fd = open(r.OneIn(2) ? "a" : "b", O_RDWR);
    for (int i = 0; i < 4; i++) {
      struct flock l = {};
      const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
      l.l_type = r.Pick(types);
      l.l_whence = static_cast<short>(r.Below(3));
      l.l_start = static_cast<off_t>(r.OneIn(9) ? r.Next() : r.Below(8));
      l.l_len = static_cast<off_t>(r.OneIn(9) ? r.Next() : r.Below(8));
      const int commands[] = {F_SETLK, F_SETLKW, F_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK};
      fcntl(fd, r.Pick(commands), &l);
      if (r.OneIn(4)) flock(fd, static_cast<int>(r.Below(16)));
    }
    if (!r.OneIn(4)) close(fd);
    if (r.OneIn(20)) close_range(20, ~0U, 0);
  });
}

// Watches on things that come and go, and readers that close the instance.
void InotifyStorm(Random& random, const SharedArea&) {
  Crowd(random, 4, [](Random& r) {
    int fd = static_cast<int>(40 + r.Below(3));
    const char* const names[] = {"a", "d", "d/e", ".", "x", "d/x", "link"};
    char buffer[256];
    switch (r.Below(8)) {
      case 0:
        dup2(inotify_init1(IN_NONBLOCK), fd);
        break;
      case 1:
      case 2:
        inotify_add_watch(fd, r.Pick(names), static_cast<uint32_t>(r.Next()));
        break;
      case 3:
        inotify_rm_watch(fd, static_cast<int>(r.Below(6)));
        break;
      case 4:
        read(fd, buffer, r.Below(sizeof buffer));
        break;
      case 5:
        rename(r.Pick(names), r.Pick(names));
        break;
      case 6:
        close(open(r.Pick(names), O_CREAT | O_RDWR, 0644));
        break;
      default:
        r.OneIn(2) ? unlink(r.Pick(names)) : mkdir(r.Pick(names), 0755);
    }
    if (r.OneIn(50)) close_range(50, ~0U, 0);
  });
}

// Mounts that come and go under walkers. Refused where root may not mount.
void MountsUnderWalkers(Random& random, const SharedArea&) {
  Crowd(random, 3, [](Random& r) {
    const char* const places[] = {"d", "d/e", "m", "d/../d/e"};
    const char* where = r.Pick(places);
    switch (r.Below(7)) {
      case 0:
        mkdir(where, 0755);
        break;
      case 1:
        mount("none", where, "tmpfs", r.Next() & 0x1f, "size=1m");
        break;
      case 2:
        umount2(where, static_cast<int>(r.Below(16)));
        break;
      case 3:
        mount(r.Pick(places), where, nullptr, MS_BIND | (r.Next() & MS_REC), nullptr);
        break;
      case 4:
        rename(where, r.Pick(places));
        break;
      case 5:
        close(open("d/e/f", O_RDWR | O_CREAT, 0600));
        break;
      default:
        close(open("/proc/self/mountinfo", O_RDONLY));
    }
  });
  for (int i = 0; i < 200 && umount2("d/e", MNT_DETACH) == 0; i++) {
  }
  for (int i = 0; i < 200 && umount2("d", MNT_DETACH) == 0; i++) {
  }
}

// Terminals opened, read, hung up and taken as controlling ones at once.
void Terminals(Random& random, const SharedArea&) {
  Crowd(random, 4, [](Random& r) {
    int fd = static_cast<int>(40 + r.Below(6));
    char name[32] = "/dev/tty";
    unsigned number = static_cast<unsigned>(r.Below(3));
    if (!r.OneIn(4)) snprintf(name, sizeof name, "/dev/pts/%u", number);
    char buffer[64] = "some\n\x03\x1a\x04text";
    int value = static_cast<int>(r.Below(3));
    const unsigned long requests[] = {TIOCSPTLCK, TIOCSCTTY, TIOCNOTTY,   TIOCSPGRP, TIOCGPGRP,
                                      TIOCSETD,   TIOCEXCL,  TIOCPKT,     TCFLSH,    TIOCSTI,
                                      TIOCGPTN,   FIONREAD,  TIOCVHANGUP, 0x5441};
    switch (r.Below(8)) {
      case 0:
        dup2(open("/dev/ptmx", O_RDWR | O_NONBLOCK), fd);
        break;
      case 1:
        dup2(open(name, O_RDWR | O_NONBLOCK), fd);
        break;
      case 2:
        read(fd, buffer, sizeof buffer);
        break;
      case 3:
        write(fd, buffer, sizeof buffer);
        break;
      case 4:
        close(fd);
        break;
      case 5:
        if (r.OneIn(8) && fork() == 0) {
          setsid();
          ioctl(fd, TIOCSCTTY, 0);
          read(fd, buffer, sizeof buffer);
          _exit(0);
        }
        break;
      default:
        ioctl(fd, r.Pick(requests), &value);
    }
    if (r.OneIn(30)) close_range(50, ~0U, 0);
  });
}

}  // namespace fuzz
