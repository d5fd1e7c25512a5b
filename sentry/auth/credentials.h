#ifndef SENTRY_AUTH_CREDENTIALS_H_
#define SENTRY_AUTH_CREDENTIALS_H_

#include <cstdint>
#include <vector>

#include "platform/base/errno.h"
#include "platform/base/ref.h"

namespace runsc {

// Kernel ids: what the root user namespace calls them.
using Uid = uint32_t;
using Gid = uint32_t;
inline constexpr uint32_t kNoId = UINT32_MAX;
inline constexpr uint32_t kOverflowId = 65534;

// CAP_* bits (capabilities(7)).
struct CapSet {
  uint64_t bits = 0;
  constexpr bool Has(int cap) const { return (bits >> cap & 1) != 0; }
  constexpr void Add(int cap) { bits |= uint64_t{1} << cap; }
  constexpr void Remove(int cap) { bits &= ~(uint64_t{1} << cap); }
  bool operator==(const CapSet&) const = default;
};
inline constexpr int kLastCap = 40;  // CAP_CHECKPOINT_RESTORE
inline constexpr CapSet kAllCaps{(uint64_t{1} << (kLastCap + 1)) - 1};

// One extent of uid_map/gid_map: [inside, inside+count) is [outside, outside+count) of the parent.
struct IdExtent {
  uint32_t inside = 0, outside = 0, count = 0;
};

// A user namespace (user_namespaces(7)). Immutable but for its maps, which are set once.
class UserNamespace : public RefCounted {
 public:
  static Ref<UserNamespace> NewRoot();
  // Child owned by `owner`. EUSERS if nested deeper than 32.
  static ErrnoOr<Ref<UserNamespace>> NewChild(Ref<UserNamespace> parent, Uid owner, Gid group);

  const Ref<UserNamespace>& parent() const { return parent_; }
  Uid owner() const { return owner_; }
  Gid group() const { return group_; }
  uint64_t inode() const { return inode_; }
  bool IsAncestorOfOrSame(const UserNamespace* other) const;
  // Maps between ids as seen inside and kernel ids; kNoId where there is no mapping.
  uint32_t UidToKernel(uint32_t inside) const;
  uint32_t UidFromKernel(uint32_t kernel) const;
  uint32_t GidToKernel(uint32_t inside) const;
  uint32_t GidFromKernel(uint32_t kernel) const;
  // As FromKernel, with unmapped ids as the overflow id.
  uint32_t MungedUid(uint32_t kernel) const;
  uint32_t MungedGid(uint32_t kernel) const;
  // EINVAL for bad or overlapping extents.
  static Status CheckExtents(const std::vector<IdExtent>& extents);
  // Sets a map once: EPERM if set before, EINVAL as CheckExtents. Extents are given
  // relative to the parent namespace.
  Status SetUidMap(std::vector<IdExtent> extents);
  Status SetGidMap(std::vector<IdExtent> extents);
  std::vector<IdExtent> uid_map() const;
  std::vector<IdExtent> gid_map() const;
  // Whether setgroups(2) may be made in it by who has the capability: not before it has a gid map,
  // nor once that is denied for good (EPERM with a gid map set). Namespaces made in it inherit that.
  bool MaySetgroups() const;
  bool setgroups_allowed() const;
  Status DenySetgroups();

 private:
  UserNamespace(Ref<UserNamespace> parent, Uid owner, Gid group);
  struct Maps;
  const Ref<UserNamespace> parent_;
  const Uid owner_;
  const Gid group_;
  const int depth_;
  const uint64_t inode_;
  Maps* maps_;
  ~UserNamespace() override;
};

// Credentials of a task (credentials(7), capabilities(7)). Immutable once shared: a change makes a
// copy (Fork), edits it and installs it in the task.
class Credentials : public RefCounted {
 public:
  // Root with all capabilities in `ns`.
  static Ref<Credentials> NewRoot(Ref<UserNamespace> ns);
  Ref<Credentials> Fork() const;

  Uid ruid = 0, euid = 0, suid = 0, fsuid = 0;
  Gid rgid = 0, egid = 0, sgid = 0, fsgid = 0;
  std::vector<Gid> groups;
  CapSet permitted, inheritable, effective, bounding, ambient;
  uint32_t securebits = 0;
  bool no_new_privs = false;
  Ref<UserNamespace> user_ns;

  // In the file system's or object's namespace `ns` (default: their own); also true for an owner
  // of a descendant namespace, as ns_capable() answers.
  bool HasCap(int cap) const { return HasCapIn(cap, user_ns.get()); }
  bool HasCapIn(int cap, const UserNamespace* ns) const;
  bool InGroup(Gid gid) const;  // fsgid or a supplementary group
  // kill(2): whether a sender with these ids may signal us without a capability.
  bool TakesSignalsOf(Uid real, Uid effective) const {
    return effective == suid || effective == ruid || real == suid || real == ruid;
  }
};

}  // namespace runsc

#endif  // SENTRY_AUTH_CREDENTIALS_H_
