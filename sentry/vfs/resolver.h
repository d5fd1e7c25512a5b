#ifndef SENTRY_VFS_RESOLVER_H_
#define SENTRY_VFS_RESOLVER_H_

#include <string>
#include <string_view>

#include "sentry/vfs/vfs.h"

namespace runsc {

// One walk of a path (path_resolution(7), Linux fs/namei.c). Private to sentry/vfs. Cached names
// are walked without allocating.
class Resolver {
 public:
  // What the last component is.
  enum class Last { kName, kDot, kDotDot, kRoot };

  explicit Resolver(const LookupContext& ctx) : ctx_(ctx) {}

  // Walks all but the last component. Then dir() is the directory it is looked up in.
  Status WalkToLast(std::string_view path);
  Last last() const { return last_; }
  std::string_view name() const { return name_; }
  // Slashes follow the last component: it must be a directory.
  bool must_be_dir() const { return trailing_; }
  const Path& dir() const { return cur_; }
  Path& dir() { return cur_; }

  // Looks the last component up. `follow`: symlinks too (always if must_be_dir). The result may be
  // the directory itself (kDot) or above. ENOENT if missing.
  ErrnoOr<Path> FinishLookup(bool follow);
  // The last component's dentry in dir(), which may be negative. last() must be kName. Mounts on it
  // are not crossed. ENOENT if the directory was removed.
  ErrnoOr<Ref<Dentry>> LookupLast();
  // The last component turned out to be the symlink `link`: continues the walk to the last
  // component of what it says, or, for magic links and links to "/", sets last() to kRoot and
  // dir() to the place.
  Status FollowLast(Ref<Dentry> link);
  // Crosses mounts at a place found by LookupLast. EXDEV by RESOLVE_NO_XDEV.
  ErrnoOr<Path> CrossMounts(Ref<Dentry> child);

  // The child `name` of `dir` (exclusive or shared dir_mutex not held): cached or looked up, may
  // be negative. `cached_only`: EAGAIN instead of asking the file system.
  static ErrnoOr<Ref<Dentry>> Child(Dentry& dir, std::string_view name, bool cached_only = false);
  // The same with the directory's dir_mutex held.
  static ErrnoOr<Ref<Dentry>> ChildLocked(Dentry& dir, std::string_view name);

 private:
  Status Start(std::string_view path);
  Status JumpToRoot();
  Status Walk();
  Status TakeComponent();
  Status StepInto(Ref<Dentry> child);
  Status DotDot();
  Status FollowLink(Ref<Dentry> link, std::string_view after);
  Status CheckSearch();
  Status CheckBeneath();
  void EnsureRoot();

  const LookupContext& ctx_;
  Path cur_;
  Path root_;           // set by EnsureRoot
  std::string_view rest_;
  std::string link_text_;  // what rest_ points into once a symlink was followed
  std::string_view name_;
  std::string_view after_;  // what follows name_
  Last last_ = Last::kRoot;
  bool trailing_ = false;
  int links_ = 0;
  uint64_t rename_sequence_ = 0;
};

}  // namespace runsc

#endif  // SENTRY_VFS_RESOLVER_H_
