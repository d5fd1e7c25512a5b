// Operations on names.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <map>
#include <set>

#include "test/fuzz/tree/tree.h"

namespace tree {
namespace {

const char* XattrName() {
  static const char* n[] = {"user.x", "user.y", "trusted.x", "security.x",
                            "user.",  "bad",    "system.x"};
  return n[g_features.xattrs ? Below(7) : 2 + Below(5)];
}

void List(int fd, const char* what) {
  DIR* d = fd >= 0 ? fdopendir(fd) : nullptr;
  if (!d) {
    Say("%s = %s", what, strerrorname_np(errno));
    return;
  }
  std::map<std::string, std::string> out;
  errno = 0;
  while (dirent* e = readdir(d)) {
    std::string n = e->d_name;
    if (n == "lost+found") continue;
    struct stat st;
    std::string t = std::to_string(e->d_type);
    if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && n != "..") {
      if (st.st_ino != e->d_ino) t += "!ino";
      if (((st.st_mode & S_IFMT) >> 12) != e->d_type) t += "!type";
    }
    if (out.count(n)) t += "!twice";
    out[n] = t;
  }
  Say("%s = %s", what, errno ? strerrorname_np(errno) : "");
  for (auto& [n, t] : out) Say(" %s:%s", n.c_str(), t.c_str());
  closedir(d);
}

}  // namespace

void OpStat() {
  std::string p = RandomPath();
  struct stat st;
  bool l = Chance(50);
  int r = l ? lstat(p.c_str(), &st) : stat(p.c_str(), &st);
  Say("%sstat %s = %s %s", l ? "l" : "", p.c_str(), Error(r), r == 0 ? StatText(st).c_str() : "");
}

void OpMkdir() {
  std::string p = RandomPath();
  mode_t m = Below(010000);
  Watch w(p);
  int r = mkdir(p.c_str(), m);
  Say("mkdir %s %o = %s", p.c_str(), m, Error(r));
  w.Tell();
}

void OpRmdir() {
  std::string p = RandomPath();
  Watch w(p);
  int r = rmdir(p.c_str());
  Say("rmdir %s = %s", p.c_str(), Error(r));
  w.Tell();
}

void OpUnlink() {
  std::string p = RandomPath();
  Watch w(p);
  int r = unlink(p.c_str());
  Say("unlink %s = %s", p.c_str(), Error(r));
  w.Tell();
}

void OpLink() {
  std::string a = RandomPath(), b = RandomPath();
  static const long fl[] = {0, 0, 0, AT_SYMLINK_FOLLOW};
  int f = Pick(fl);
  if (Chance(15)) {
    int s = Slot();
    int r = linkat(g_fd[s], "", AT_FDCWD, b.c_str(), AT_EMPTY_PATH);
    Say("linkat fd %d %s = %s", s, b.c_str(), Error(r));
    return;
  }
  Watch w(a), v(b);
  int r = linkat(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), f);
  Say("link %s %s %x = %s", a.c_str(), b.c_str(), f, Error(r));
  w.Tell();
  v.Tell();
}

void OpSymlink() {
  std::string a = RandomPath(), b = RandomPath();
  Watch w(b);
  int r = symlink(a.c_str(), b.c_str());
  Say("symlink %s %s = %s", a.c_str(), b.c_str(), Error(r));
  w.Tell();
}

void OpReadlink() {
  std::string p = RandomPath();
  char b[300];
  size_t n = Below(30);
  long r = readlink(p.c_str(), b, n);
  Say("readlink %s %zu = %ld %s %.*s", p.c_str(), n, r, Error(r), r > 0 ? (int)r : 0, b);
}

void OpRename() {
  std::string a = RandomPath(), b = RandomPath();
  static const long fl[] = {
      0, 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_EXCHANGE | RENAME_NOREPLACE};
  int f = Pick(fl);
  Watch w(a), v(b);
  int r = syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), f);
  Say("rename %s %s %x = %s", a.c_str(), b.c_str(), f, Error(r));
  w.Tell();
  v.Tell();
}

void OpMknod() {
  static const long ty[] = {S_IFIFO, S_IFSOCK, S_IFREG, S_IFCHR, S_IFBLK, 0, S_IFDIR, S_IFLNK};
  std::string p = RandomPath();
  mode_t m = Pick(ty) | Below(010000);
  Watch w(p);
  int r = mknod(p.c_str(), m, makedev(1, 3));
  Say("mknod %s %o = %s", p.c_str(), m, Error(r));
  w.Tell();
}

void OpChmod() {
  mode_t m = Chance(70) ? Below(010000) : 0777;
  if (Chance(70)) {
    std::string p = RandomPath();
    Watch w(p);
    int r = chmod(p.c_str(), m);
    Say("chmod %s %o = %s", p.c_str(), m, Error(r));
    w.Tell();
  } else {
    int s = Slot();
    int r = fchmod(g_fd[s], m);
    Say("fchmod %d %o = %s", s, m, Error(r));
  }
}

void OpChown() {
  static const long ids[] = {0, 1000, 2000, 3000, -1};
  int u = Pick(ids), g = Pick(ids);
  if (Chance(70)) {
    std::string p = RandomPath();
    bool l = Chance(30);
    Watch w(p);
    int r = l ? lchown(p.c_str(), u, g) : chown(p.c_str(), u, g);
    Say("%schown %s %d %d = %s", l ? "l" : "", p.c_str(), u, g, Error(r));
    w.Tell();
  } else {
    int s = Slot();
    int r = fchown(g_fd[s], u, g);
    Say("fchown %d %d %d = %s", s, u, g, Error(r));
  }
}

void OpTimes() {
  timespec t[2] = {{(long)Below(1000000000), (long)Below(1000000000)},
                   {(long)Below(1000000000), (long)Below(1000000000)}};
  for (auto& x : t) {
    if (Chance(15))
      x.tv_nsec = UTIME_NOW;
    else if (Chance(20))
      x.tv_nsec = UTIME_OMIT;
    else if (Chance(5))
      x.tv_nsec = 2000000000;
  }
  std::string p = RandomPath();
  int f = Chance(30) ? AT_SYMLINK_NOFOLLOW : 0;
  Watch w(p);
  int r = utimensat(AT_FDCWD, p.c_str(), t, f);
  Say("utimensat %s %ld.%ld %ld.%ld %x = %s", p.c_str(), t[0].tv_sec, t[0].tv_nsec, t[1].tv_sec,
      t[1].tv_nsec, f, Error(r));
  w.Tell();
  struct stat st;
  if (r == 0 && fstatat(AT_FDCWD, p.c_str(), &st, f) == 0) {
    if (t[0].tv_nsec < 1000000000) Say(" a%ld.%ld", st.st_atim.tv_sec, st.st_atim.tv_nsec);
    if (t[1].tv_nsec < 1000000000) Say(" m%ld.%ld", st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  }
}

void OpAccess() {
  std::string p = RandomPath();
  int m = Below(9);
  static const long fl[] = {0, AT_EACCESS, AT_SYMLINK_NOFOLLOW};
  int f = Pick(fl);
  int r = syscall(SYS_faccessat2, AT_FDCWD, p.c_str(), m, f);
  Say("access %s %d %x = %s", p.c_str(), m, f, Error(r));
}

void OpXattr() {
  std::string p = RandomPath();
  const char* n = XattrName();
  char b[300];
  long r;
  switch (Below(4)) {
    case 0: {
      std::string v(Below(40), 'v');
      int f = Below(3);
      r = lsetxattr(p.c_str(), n, v.data(), v.size(), f);
      Say("setxattr %s %s %zu %d = %s", p.c_str(), n, v.size(), f, Error(r));
      break;
    }
    case 1: {
      size_t z = Below(60);
      r = lgetxattr(p.c_str(), n, b, z);
      Say("getxattr %s %s %zu = %ld %s", p.c_str(), n, z, r, Error(r));
      break;
    }
    case 2:
      r = lremovexattr(p.c_str(), n);
      Say("removexattr %s %s = %s", p.c_str(), n, Error(r));
      break;
    default: {
      r = llistxattr(p.c_str(), b, sizeof b);
      std::set<std::string> s;
      for (long i = 0; i < r; i += strlen(b + i) + 1) s.insert(b + i);
      Say("listxattr %s = %s", p.c_str(), Error(r));
      for (auto& x : s) Say(" %s", x.c_str());
    }
  }
}

void OpLs() {
  std::string p = RandomPath();
  List(open(p.c_str(), O_RDONLY | O_DIRECTORY), ("ls " + p).c_str());
}

void OpLsFd() {
  int s = Slot();
  lseek(g_fd[s], 0, SEEK_SET);
  List(dup(g_fd[s]), ("lsfd " + std::to_string(s)).c_str());
}

void OpChdir() {
  int r;
  if (Chance(60)) {
    std::string p = RandomPath();
    r = chdir(p.c_str());
    Say("chdir %s = %s", p.c_str(), Error(r));
  } else {
    int s = Slot();
    r = fchdir(g_fd[s]);
    Say("fchdir %d = %s", s, Error(r));
  }
  if (Chance(30)) {
    r = chdir("/");
    Say(" back %s", Error(r));
  }
  char b[500];
  long n = syscall(SYS_getcwd, b, sizeof b);
  Say(" cwd %s", n < 0 ? strerrorname_np(errno) : b);
}

void OpId() {
  bool was = geteuid() != 0;
  if (was) {
    seteuid(0);
    setegid(0);
    gid_t g[1] = {0};
    setgroups(1, g);
  } else {
    gid_t g[2] = {1000, 2000};
    setgroups(2, g);
    setegid(1000);
    seteuid(1000);
  }
  Say("id %d", geteuid());
}

void OpUmask() {
  mode_t m = Chance(50) ? 022 : Below(01000);
  Say("umask %o = %o", m, umask(m));
}

void OpStatx() {
  std::string p = RandomPath();
  struct statx sx = {};
  int r = statx(AT_FDCWD, p.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &sx);
  Say("statx %s = %s %x", p.c_str(), Error(r), r == 0 ? sx.stx_mask & STATX_BASIC_STATS : 0);
}

}  // namespace tree
