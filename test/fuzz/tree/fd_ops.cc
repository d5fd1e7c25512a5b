// Operations on open files.
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "test/fuzz/tree/tree.h"

namespace tree {

void OpOpen() {
  static const long acc[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
  std::string p = RandomPath();
  int s = Slot();
  int fl = Pick(acc);
  if (Chance(45)) fl |= O_CREAT;
  if (Chance(15)) fl |= O_EXCL;
  if (Chance(15)) fl |= O_TRUNC;
  if (Chance(10)) fl |= O_APPEND;
  if (Chance(8)) fl |= O_DIRECTORY;
  if (Chance(8)) fl |= O_NOFOLLOW;
  if (Chance(6)) fl |= O_PATH;
  if (Chance(5)) fl = (fl & ~O_CREAT) | O_TMPFILE;
  fl |= O_NONBLOCK;
  if ((fl & O_CREAT) && (fl & O_DIRECTORY) && (fl & O_TMPFILE) != O_TMPFILE) fl &= ~O_DIRECTORY;
  mode_t m = Below(010000);
  if (g_fd[s] >= 0) close(g_fd[s]);
  g_fd[s] = open(p.c_str(), fl, m);
  Say("open %d %s %x %o = %s", s, p.c_str(), fl, m, Error(g_fd[s]));
  struct stat st;
  if (g_fd[s] >= 0 && fstat(g_fd[s], &st) == 0) Say(" %s", StatText(st).c_str());
}

void OpOpenat2() {
  static const long res[] = {RESOLVE_BENEATH, RESOLVE_IN_ROOT,       RESOLVE_NO_SYMLINKS,
                             RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, 0};
  std::string p = RandomPath();
  int s = Slot(), d = Slot();
  open_how how = {};
  how.flags = Chance(50) ? O_PATH : (O_RDWR | (Chance(50) ? O_CREAT : 0) | O_NONBLOCK);
  if (how.flags & O_CREAT) how.mode = Below(01000);
  how.resolve = Pick(res);
  int dfd = Chance(60) ? AT_FDCWD : g_fd[d];
  if (s == d) dfd = AT_FDCWD;
  if (g_fd[s] >= 0) close(g_fd[s]);
  g_fd[s] = syscall(SYS_openat2, dfd, p.c_str(), &how, sizeof how);
  Say("openat2 %d at %d %s %llx %llx = %s", s, dfd == AT_FDCWD ? -100 : d, p.c_str(), how.flags,
      how.resolve, Error(g_fd[s]));
}

void OpClose() {
  int s = Slot();
  int r = close(g_fd[s]);
  Say("close %d = %s", s, Error(r));
  g_fd[s] = -1;
}

void OpWrite() {
  static char buf[70000];
  int s = Slot();
  size_t n = Chance(70) ? Below(300) : Below(sizeof buf);
  memset(buf, 'A' + Below(26), n);
  long off = Chance(60) ? -1 : (long)Below(Chance(80) ? 5000 : 200000);
  long r = off < 0 ? write(g_fd[s], buf, n) : pwrite(g_fd[s], buf, n, off);
  Say("write %d %zu @%ld = %ld %s", s, n, off, r, Error(r));
}

void OpRead() {
  static char buf[70000];
  int s = Slot();
  size_t n = Chance(70) ? Below(300) : Below(sizeof buf);
  long off = Chance(60) ? -1 : (long)Below(Chance(80) ? 5000 : 200000);
  long r = off < 0 ? read(g_fd[s], buf, n) : pread(g_fd[s], buf, n, off);
  Say("read %d %zu @%ld = %ld %s %x", s, n, off, r, Error(r), r > 0 ? Sum(buf, r) : 0);
}

void OpSeek() {
  int s = Slot();
  struct stat st;
  bool dir = fstat(g_fd[s], &st) == 0 && S_ISDIR(st.st_mode);
  int w = Below(g_features.holes ? 5 : 3);
  long off = (long)Below(6000) - 500;
  if (dir) {
    off = 0;
    w = SEEK_SET;
  }
  long r = lseek(g_fd[s], off, w);
  Say("lseek %d %ld %d = %ld %s", s, off, w, r, Error(r));
}

void OpTrunc() {
  static const long sizes[] = {0, 1, 100, 4096, 5000, 70000, -1};
  long n = Pick(sizes);
  if (Chance(50)) {
    std::string p = RandomPath();
    struct stat st;
    Watch w(p);
    int r = truncate(p.c_str(), n);
    Say("truncate %s %ld = %s", p.c_str(), n, Error(r));
    w.Tell();
    (void)st;
  } else {
    int s = Slot();
    int r = ftruncate(g_fd[s], n);
    Say("ftruncate %d %ld = %s", s, n, Error(r));
  }
}

void OpFalloc() {
  if (!g_features.fallocate) return;
  static const long modes[] = {0,
                               FALLOC_FL_KEEP_SIZE,
                               FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
                               FALLOC_FL_PUNCH_HOLE,
                               FALLOC_FL_ZERO_RANGE,
                               FALLOC_FL_COLLAPSE_RANGE,
                               FALLOC_FL_INSERT_RANGE,
                               FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
  int s = Slot();
  int m = Pick(modes);
  long off = Chance(40) ? 4096 * (long)Below(4) : (long)Below(9000) - 50,
       len = Chance(40) ? 4096 * (long)(Below(4)) : Below(9000);
  int r = fallocate(g_fd[s], m, off, len);
  Say("fallocate %d %x %ld %ld = %s", s, m, off, len, Error(r));
}

void OpFstat() {
  int s = Slot();
  struct stat st;
  int r = fstat(g_fd[s], &st);
  Say("fstat %d = %s %s", s, Error(r), r == 0 ? StatText(st).c_str() : "");
}

void OpCopy() {
  int a = Slot(), b = Slot();
  if (a == b) {
    Say("same");
    return;
  }
  size_t n = Below(9000);
  if (Chance(50)) {
    long r = sendfile(g_fd[b], g_fd[a], nullptr, n);
    Say("sendfile %d %d %zu = %ld %s", b, a, n, r, Error(r));
  } else {
    loff_t i = Below(3000), o = Below(3000);
    bool p = Chance(50);
    long r = copy_file_range(g_fd[a], p ? &i : nullptr, g_fd[b], p ? &o : nullptr, n, 0);
    Say("copy_file_range %d %d %zu = %ld %s", a, b, n, r, Error(r));
  }
}

void OpMmap() {
  int s = Slot();
  bool shared = Chance(70), write = Chance(60);
  char* m = (char*)mmap(nullptr, 8192, PROT_READ | (write ? PROT_WRITE : 0),
                        shared ? MAP_SHARED : MAP_PRIVATE, g_fd[s], 0);
  Say("mmap %d %d %d = %s", s, shared, write, m == MAP_FAILED ? strerrorname_np(errno) : "");
  struct stat st;
  if (m == MAP_FAILED) return;
  if (fstat(g_fd[s], &st) == 0 && st.st_size > 0) {
    size_t n = std::min<size_t>(st.st_size, 8192);
    Say(" %x", Sum(m, n));
    if (write) {
      memset(m, 'm', n);
      char b[100];
      long r = pread(g_fd[s], b, sizeof b, 0);
      Say(" %ld %x", r, r > 0 ? Sum(b, r) : 0);
    }
  }
  munmap(m, 8192);
}

void OpLock() {
  int s = Slot();
  if (Chance(50)) {
    int how = Below(3) == 0 ? LOCK_UN : (Chance(50) ? LOCK_SH : LOCK_EX);
    int r = flock(g_fd[s], how | LOCK_NB);
    Say("flock %d %d = %s", s, how, Error(r));
    return;
  }
  struct flock l = {};
  l.l_type = Below(3);
  l.l_whence = SEEK_SET;
  l.l_start = Below(20);
  l.l_len = Below(20);
  bool get = Chance(40);
  if (get && l.l_type == F_UNLCK) l.l_type = F_WRLCK;
  int r = fcntl(g_fd[s], get ? F_OFD_GETLK : F_OFD_SETLK, &l);
  Say("ofd %d %d %d = %s %d %ld %ld", s, get, l.l_type, Error(r), l.l_type, (long)l.l_start,
      (long)l.l_len);
}

void OpFcntl() {
  int s = Slot();
  int r = fcntl(g_fd[s], F_GETFL);
  Say("getfl %d = %x %s", s, r, Error(r));
}

}  // namespace tree
