#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "platform/host/file.h"

namespace runsc::host {

HostOr<Fd> OpenAt(int dir, const std::string& path, int flags, unsigned mode) {
  int fd;
  do {
    fd = openat(dir, path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return SysError("cannot open %s", path.c_str());
  return Fd(fd);
}

HostOr<std::string> ReadFile(int dir, const std::string& path, size_t limit) {
  Fd fd = TRY(OpenAt(dir, path, O_RDONLY));
  std::string out;
  char buffer[16384];
  while (true) {
    ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SysError("cannot read %s", path.c_str());
    if (n == 0) return out;
    if (out.size() + static_cast<size_t>(n) > limit) {
      return TextError("%s is larger than the limit of %zu bytes", path.c_str(), limit);
    }
    out.append(buffer, static_cast<size_t>(n));
  }
}

HostStatus WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t n = write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SysError("write failed");
    data.remove_prefix(static_cast<size_t>(n));
  }
  return HostOk();
}

HostStatus WriteFileAtomic(int dir, const std::string& name, std::string_view data) {
  char temporary[64];
  std::snprintf(temporary, sizeof(temporary), ".tmp.%d", getpid());
  HostOr<Fd> fd = OpenAt(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  if (!fd.ok()) return HostError{"cannot write " + name + ": " + fd.error().text, fd.error().code};
  HostStatus written = WriteAll(fd->get(), data);
  if (!written.ok()) {
    written = HostError{"cannot write " + name + ": " + written.error().text, written.error().code};
  }
  if (written.ok() && renameat(dir, temporary, dir, name.c_str()) < 0) {
    written = SysError("cannot rename to %s", name.c_str());
  }
  if (!written.ok()) unlinkat(dir, temporary, 0);
  return written;
}

HostStatus MakeDirs(const std::string& path, unsigned mode) {
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), mode) < 0 && errno != EEXIST) {
      return SysError("cannot create directory %s", part.c_str());
    }
  }
  return HostOk();
}

HostOr<std::vector<std::string>> ListDir(int dir) {
  Fd fd = TRY(OpenAt(dir, ".", O_RDONLY | O_DIRECTORY));
  DIR* stream = fdopendir(fd.get());
  if (stream == nullptr) return SysError("cannot list directory");
  fd.Release();
  std::vector<std::string> names;
  while (dirent* entry = readdir(stream)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  closedir(stream);
  return names;
}

HostStatus RemoveFlatDir(int parent, const std::string& name) {
  HostOr<Fd> dir = OpenAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir.ok()) return dir.error().code == ENOENT ? HostOk() : HostStatus(dir.error());
  std::vector<std::string> names = TRY(ListDir(dir->get()));
  for (const std::string& file : names) {
    if (unlinkat(dir->get(), file.c_str(), 0) < 0 && errno != ENOENT) {
      return SysError("cannot remove %s/%s", name.c_str(), file.c_str());
    }
  }
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT) {
    return SysError("cannot remove directory %s", name.c_str());
  }
  return HostOk();
}

HostStatus LockExclusive(int fd) {
  while (flock(fd, LOCK_EX) < 0) {
    if (errno != EINTR) return SysError("cannot lock the state directory");
  }
  return HostOk();
}

}  // namespace runsc::host
