#ifndef SENTRY_VFS_FILESYSTEM_TYPES_H_
#define SENTRY_VFS_FILESYSTEM_TYPES_H_

#include <string_view>
#include <vector>

#include "sentry/vfs/inode.h"

namespace runsc {

// What mount(2) of a type makes. `source` and `options` are as the guest passed them. EINVAL for
// options it does not know. `op.task` is never null.
using FilesystemMaker = ErrnoOr<Ref<Filesystem>> (*)(const OpContext& op, std::string_view source,
                                                     std::string_view options);

// File systems register at start-up, before the first guest runs. `name` is static storage.
void RegisterFilesystemType(const char* name, FilesystemMaker maker);
// Null if there is no such type.
FilesystemMaker FindFilesystemType(std::string_view name);
// Names in order of registration (/proc/filesystems).
std::vector<const char*> FilesystemTypes();

}  // namespace runsc

#endif  // SENTRY_VFS_FILESYSTEM_TYPES_H_
