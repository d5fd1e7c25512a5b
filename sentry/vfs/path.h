#ifndef SENTRY_VFS_PATH_H_
#define SENTRY_VFS_PATH_H_

#include "platform/base/ref.h"

namespace runsc {

class Dentry;
class Mount;

// A place in a mount tree. Empty (both null) or both set. Copying takes references; dentry.h and
// mount.h must be included to destroy one.
struct Path {
  Ref<Mount> mount;
  Ref<Dentry> dentry;

  Path();
  Path(Ref<Mount> m, Ref<Dentry> d);
  Path(const Path&);
  Path(Path&&) noexcept;
  Path& operator=(const Path&);
  Path& operator=(Path&&) noexcept;
  ~Path();
  explicit operator bool() const { return static_cast<bool>(dentry); }
  bool operator==(const Path& o) const { return mount == o.mount && dentry == o.dentry; }
};

}  // namespace runsc

#endif  // SENTRY_VFS_PATH_H_
