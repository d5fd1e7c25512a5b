#ifndef SENTRY_VFS_FS_CONTEXT_LIST_H_
#define SENTRY_VFS_FS_CONTEXT_LIST_H_

#include "sentry/vfs/path.h"

namespace runsc {

class FsContext;

// All FsContexts there are: pivot_root(2) moves the root and cwd of every process that has the old
// root to the new one.
class FsContextList {
 public:
  static void Add(FsContext* c);
  static void Remove(FsContext* c);
  static void ReplacePaths(const Path& from, const Path& to);
};

}  // namespace runsc

#endif  // SENTRY_VFS_FS_CONTEXT_LIST_H_
