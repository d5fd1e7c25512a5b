#ifndef PLATFORM_HOST_FILE_H_
#define PLATFORM_HOST_FILE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/fd.h"
#include "platform/host/error.h"

namespace runsc::host {

// Opens relative to `dir` (AT_FDCWD allowed) with O_CLOEXEC added.
HostOr<Fd> OpenAt(int dir, const std::string& path, int flags, unsigned mode = 0);
// Whole contents of a file, at most `limit` bytes (more is an error).
HostOr<std::string> ReadFile(int dir, const std::string& path, size_t limit);
// Writes all of `data` to an open descriptor.
HostStatus WriteAll(int fd, std::string_view data);
// Replaces `name` in `dir` in one step (temporary file, fsync-free rename), mode 0600.
HostStatus WriteFileAtomic(int dir, const std::string& name, std::string_view data);
// Creates `path` and its missing parents with mode 0700.
HostStatus MakeDirs(const std::string& path, unsigned mode = 0700);
// Removes a directory that holds only plain files, and those.
HostStatus RemoveFlatDir(int parent, const std::string& name);
// Names in a directory, without "." and "..", unsorted.
HostOr<std::vector<std::string>> ListDir(int dir);
// Takes flock(2) LOCK_EX on the descriptor, waiting for it.
HostStatus LockExclusive(int fd);

}  // namespace runsc::host

#endif  // PLATFORM_HOST_FILE_H_
