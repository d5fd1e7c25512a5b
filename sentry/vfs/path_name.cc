#include <vector>

#include "sentry/vfs/vfs.h"

namespace runsc::vfs {
namespace {

constexpr size_t kMaxDepth = 1 << 20;

// Names from `d` up to `top` (exclusive), innermost first. False if `top` is not above.
bool CollectNames(Ref<Dentry>& d, const Dentry* top, std::vector<std::string>& names) {
  while (d.get() != top) {
    if (d->IsRoot() || names.size() > kMaxDepth) return false;
    names.push_back(d->name());
    d = d->parent();
  }
  return true;
}

std::string Join(const std::vector<std::string>& names) {
  if (names.empty()) return "/";
  size_t size = 0;
  for (const std::string& n : names) size += n.size() + 1;
  std::string out;
  out.reserve(size);
  for (auto it = names.rbegin(); it != names.rend(); ++it) {
    out += '/';
    out += *it;
  }
  return out;
}

std::string Unreachable(const std::vector<std::string>& names, const Path& root) {
  return root ? "(unreachable)" + Join(names) : Join(names);
}

// One attempt; a concurrent rename may mix old and new names.
std::string NameOnce(const Path& path, const Path& root) {
  std::vector<std::string> names;
  Path at = path;
  for (;;) {
    const Dentry* top = at.mount->root().get();
    if (root && at.mount == root.mount && at.dentry->IsBelowOrSame(root.dentry.get())) {
      CollectNames(at.dentry, root.dentry.get(), names);
      return Join(names);
    }
    if (!CollectNames(at.dentry, top, names)) {
      // Not below its mount's root: pipes and the like, or moved out of a bind mount.
      if (names.empty() || at.dentry->name() != "/") return at.dentry->name();
      return Unreachable(names, root);
    }
    Path up = MountNamespace::MountPointOf(*at.mount);
    if (!up) {
      std::string top_name = at.dentry->name();
      if (names.empty() && top_name != "/") return top_name;  // an anonymous inode's
      return Unreachable(names, root);
    }
    at = std::move(up);
  }
}

}  // namespace

std::string PathName(const Path& path, const Path& root) {
  std::string out;
  for (int tries = 0; tries < 16; ++tries) {
    uint64_t before = DentryCache::RenameSequence();
    out = NameOnce(path, root);
    if ((before & 1) == 0 && DentryCache::RenameSequence() == before) break;
  }
  if (path.dentry->IsUnlinked()) out += " (deleted)";
  return out;
}

std::string PathInFilesystem(const Dentry& d) {
  std::vector<std::string> names;
  Ref<Dentry> at(const_cast<Dentry*>(&d));
  CollectNames(at, nullptr, names);
  return Join(names);
}

}  // namespace runsc::vfs
