// Plays random file operations in a directory and prints what each answers, then the whole tree:
// what Linux says and what the sandbox says is compared by test/fuzz/tree/compare.
//
// main DIR SEED COUNT LETTERS: `p` only makes the first tree, `i` makes it before, the others are
// Features.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <set>

#include "test/fuzz/tree/tree.h"

namespace tree {
namespace {

constexpr Operation kOperations[] = {
    {OpOpen, 14},  {OpOpenat2, 2}, {OpClose, 3},   {OpWrite, 8},    {OpRead, 6},    {OpSeek, 4},
    {OpTrunc, 4},  {OpFalloc, 3},  {OpFstat, 3},   {OpStat, 4},     {OpMkdir, 6},   {OpRmdir, 4},
    {OpUnlink, 6}, {OpLink, 6},    {OpSymlink, 4}, {OpReadlink, 2}, {OpRename, 14}, {OpMknod, 3},
    {OpChmod, 5},  {OpChown, 5},   {OpTimes, 3},   {OpAccess, 3},   {OpXattr, 4},   {OpLs, 4},
    {OpLsFd, 2},   {OpChdir, 4},   {OpId, 2},      {OpUmask, 1},    {OpCopy, 3},    {OpMmap, 3},
    {OpLock, 3},   {OpStatx, 1},   {OpFcntl, 1},
};

void Play(int count) {
  unsigned total = 0;
  for (const Operation& o : kOperations) total += static_cast<unsigned>(o.weight);
  for (int i = 0; i < count; ++i) {
    int at = static_cast<int>(Below(total));
    Say("%d ", i);
    for (const Operation& o : kOperations) {
      if ((at -= o.weight) >= 0) continue;
      o.run();
      break;
    }
    Say("\n");
  }
}

void SayXattrs(const std::string& path) {
  char list[4096], value[300];
  long size = llistxattr(path.c_str(), list, sizeof(list));
  std::set<std::string> names;
  for (long i = 0; i < size; i += static_cast<long>(strlen(list + i)) + 1) names.insert(list + i);
  for (const std::string& name : names) {
    Say(" %s=%ld", name.c_str(), lgetxattr(path.c_str(), name.c_str(), value, sizeof(value)));
  }
}

void SayContents(int dir, const char* name, const struct stat& st) {
  char buffer[4096];
  if (S_ISLNK(st.st_mode)) {
    long n = readlinkat(dir, name, buffer, sizeof(buffer));
    Say(" -> %.*s", static_cast<int>(n), buffer);
  }
  if (!S_ISREG(st.st_mode)) return;
  int fd = openat(dir, name, O_RDONLY | O_NOATIME);
  uint32_t sum = 0;
  long n;
  while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
    sum = sum * 7 + Sum(buffer, static_cast<size_t>(n));
  }
  Say(" %x", sum);
  close(fd);
}

void Dump(int dir, const char* name, const std::string& path) {
  struct stat st;
  if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return Say("%s: %s\n", path.c_str(), strerrorname_np(errno));
  }
  Say("%s: %s", path.c_str(), StatText(st, true).c_str());
  if (path.size() < 4000) SayXattrs(path.empty() ? "/" : path);
  SayContents(dir, name, st);
  Say("\n");
  if (!S_ISDIR(st.st_mode)) return;
  DIR* d = fdopendir(openat(dir, name, O_RDONLY | O_DIRECTORY));
  if (d == nullptr) return Say("%s: opendir %s\n", path.c_str(), strerrorname_np(errno));
  std::set<std::string> names;
  while (dirent* e = readdir(d)) names.insert(e->d_name);
  for (const std::string& n : names) {
    if (n != "." && n != "..") Dump(dirfd(d), n.c_str(), path + "/" + n);
  }
  closedir(d);
}

void MakeFile(const std::string& path, const std::string& dir) {
  int fd = open(path.c_str(), O_CREAT | O_RDWR, 0666);
  std::string data(Below(3) != 0 ? Below(6000) : 0, static_cast<char>('a' + Below(26)));
  (void)!write(fd, data.data(), data.size());
  if (Chance(30)) (void)!fchown(fd, 1000, 2000);
  if (Chance(60)) fchmod(fd, Below(010000));
  if (Chance(15) && g_features.xattrs) fsetxattr(fd, "user.x", "12", 2, 0);
  close(fd);
  if (Chance(30)) (void)!link(path.c_str(), (dir + "/" + Name()).c_str());
}

void Populate(const std::string& dir, int depth) {
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    std::string path = dir + "/" + name;
    unsigned kind = Below(10);
    if (kind < 3 && depth < 3) {
      mkdir(path.c_str(), 0777);
      Populate(path, depth + 1);
      chmod(path.c_str(), Chance(60) ? 0755 : Below(010000));
      if (Chance(30)) (void)!chown(path.c_str(), 1000, 2000);
      if (Chance(15) && g_features.xattrs) setxattr(path.c_str(), "user.x", "12", 2, 0);
    } else if (kind < 7) {
      MakeFile(path, dir);
    } else if (kind == 7) {
      (void)!symlink(RandomPath().c_str(), path.c_str());
    } else if (kind == 8 && Chance(40)) {
      mknod(path.c_str(), S_IFIFO | 0666, 0);
    }
  }
}

int Main(const char* dir, uint64_t seed, int count, const std::string& letters) {
  auto has = [&](char c) { return letters.find(c) != std::string::npos; };
  g_features = {has('h'), has('t'), has('x'), has('f')};
  setvbuf(stdout, nullptr, _IOLBF, 4096);
  umask(0);
  if (has('p') || has('i')) {
    if (chdir(dir) != 0) return 1;
    Seed(~seed);
    Populate(".", 0);
    chmod(".", 0777);
    if (has('p')) return 0;
  }
  if (chroot(dir) != 0 || chdir("/") != 0) return 1;
  Seed(seed);
  Play(count);
  if (seteuid(0) != 0 || chdir("/") != 0) return 1;
  Dump(AT_FDCWD, "/", "");
  Say("done\n");
  return 0;
}

}  // namespace
}  // namespace tree

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  return tree::Main(argv[1], strtoull(argv[2], nullptr, 0), atoi(argv[3]), argv[4]);
}
