#include <algorithm>
#include <atomic>

#include "platform/base/mutex.h"
#include "sentry/auth/credentials.h"

namespace runsc {
namespace {

constexpr int kMaxDepth = 32;
constexpr size_t kMaxExtents = 340;  // UID_GID_MAP_MAX_EXTENTS

// nsfs inode numbers: PROC_USER_INIT_INO for the root, then up.
uint64_t NextInode() {
  static std::atomic<uint64_t> next{4026531837};
  return next.fetch_add(1, std::memory_order_relaxed);
}

uint32_t Down(const std::vector<IdExtent>& map, uint32_t inside) {
  for (const IdExtent& e : map) {
    if (inside >= e.inside && inside - e.inside < e.count) return e.outside + (inside - e.inside);
  }
  return kNoId;
}

uint32_t Up(const std::vector<IdExtent>& map, uint32_t outside) {
  for (const IdExtent& e : map) {
    if (outside >= e.outside && outside - e.outside < e.count) {
      return e.inside + (outside - e.outside);
    }
  }
  return kNoId;
}

bool Overlap(uint32_t a, uint32_t a_count, uint32_t b, uint32_t b_count) {
  return a < uint64_t{b} + b_count && b < uint64_t{a} + a_count;
}

}  // namespace

struct UserNamespace::Maps {
  mutable Mutex<LockRank::kIdMaps> mu;
  // As given (relative to the parent), and with `outside` translated to kernel ids.
  std::vector<IdExtent> uid ABSL_GUARDED_BY(mu), gid ABSL_GUARDED_BY(mu);
  std::vector<IdExtent> kernel_uid ABSL_GUARDED_BY(mu), kernel_gid ABSL_GUARDED_BY(mu);
  bool setgroups_allowed ABSL_GUARDED_BY(mu) = true;
};

Status UserNamespace::CheckExtents(const std::vector<IdExtent>& extents) {
  if (extents.empty() || extents.size() > kMaxExtents) return Errno::kInval;
  for (size_t i = 0; i < extents.size(); ++i) {
    const IdExtent& e = extents[i];
    if (e.count == 0) return Errno::kInval;
    if (uint64_t{e.inside} + e.count > kNoId || uint64_t{e.outside} + e.count > kNoId) {
      return Errno::kInval;
    }
    for (size_t j = 0; j < i; ++j) {
      const IdExtent& o = extents[j];
      if (Overlap(e.inside, e.count, o.inside, o.count) ||
          Overlap(e.outside, e.count, o.outside, o.count)) {
        return Errno::kInval;
      }
    }
  }
  return Ok();
}

UserNamespace::UserNamespace(Ref<UserNamespace> parent, Uid owner, Gid group)
    : parent_(std::move(parent)),
      owner_(owner),
      group_(group),
      depth_(parent_ ? parent_->depth_ + 1 : 0),
      inode_(NextInode()),
      maps_(new Maps) {}

UserNamespace::~UserNamespace() { delete maps_; }

Ref<UserNamespace> UserNamespace::NewRoot() {
  Ref<UserNamespace> ns = Ref<UserNamespace>::Adopt(new UserNamespace(nullptr, 0, 0));
  MutexLock l(ns->maps_->mu);
  ns->maps_->uid = ns->maps_->gid = {{0, 0, kNoId}};
  ns->maps_->kernel_uid = ns->maps_->kernel_gid = {{0, 0, kNoId}};
  return ns;
}

ErrnoOr<Ref<UserNamespace>> UserNamespace::NewChild(Ref<UserNamespace> parent, Uid owner,
                                                    Gid group) {
  if (parent->depth_ >= kMaxDepth) return Errno::kUsers;
  const bool allowed = parent->setgroups_allowed();
  auto ns = Ref<UserNamespace>::Adopt(new UserNamespace(std::move(parent), owner, group));
  MutexLock l(ns->maps_->mu);
  ns->maps_->setgroups_allowed = allowed;
  return ns;
}

bool UserNamespace::IsAncestorOfOrSame(const UserNamespace* other) const {
  for (; other != nullptr; other = other->parent_.get()) {
    if (other == this) return true;
  }
  return false;
}

uint32_t UserNamespace::UidToKernel(uint32_t inside) const {
  if (parent_ == nullptr) return inside;
  MutexLock l(maps_->mu);
  return Down(maps_->kernel_uid, inside);
}

uint32_t UserNamespace::UidFromKernel(uint32_t kernel) const {
  if (parent_ == nullptr) return kernel;
  MutexLock l(maps_->mu);
  return Up(maps_->kernel_uid, kernel);
}

uint32_t UserNamespace::GidToKernel(uint32_t inside) const {
  if (parent_ == nullptr) return inside;
  MutexLock l(maps_->mu);
  return Down(maps_->kernel_gid, inside);
}

uint32_t UserNamespace::GidFromKernel(uint32_t kernel) const {
  if (parent_ == nullptr) return kernel;
  MutexLock l(maps_->mu);
  return Up(maps_->kernel_gid, kernel);
}

uint32_t UserNamespace::MungedUid(uint32_t kernel) const {
  uint32_t id = UidFromKernel(kernel);
  return id == kNoId ? kOverflowId : id;
}

uint32_t UserNamespace::MungedGid(uint32_t kernel) const {
  uint32_t id = GidFromKernel(kernel);
  return id == kNoId ? kOverflowId : id;
}

Status UserNamespace::SetUidMap(std::vector<IdExtent> extents) {
  if (parent_ == nullptr) return Errno::kPerm;
  TRY(CheckExtents(extents));
  std::vector<IdExtent> kernel = extents;
  for (IdExtent& e : kernel) {
    // The whole extent must be mapped by one extent of the parent.
    uint32_t first = parent_->UidToKernel(e.outside);
    if (first == kNoId || parent_->UidToKernel(e.outside + e.count - 1) != first + e.count - 1) {
      return Errno::kPerm;
    }
    e.outside = first;
  }
  MutexLock l(maps_->mu);
  if (!maps_->uid.empty()) return Errno::kPerm;
  maps_->uid = std::move(extents);
  maps_->kernel_uid = std::move(kernel);
  return Ok();
}

Status UserNamespace::SetGidMap(std::vector<IdExtent> extents) {
  if (parent_ == nullptr) return Errno::kPerm;
  TRY(CheckExtents(extents));
  std::vector<IdExtent> kernel = extents;
  for (IdExtent& e : kernel) {
    uint32_t first = parent_->GidToKernel(e.outside);
    if (first == kNoId || parent_->GidToKernel(e.outside + e.count - 1) != first + e.count - 1) {
      return Errno::kPerm;
    }
    e.outside = first;
  }
  MutexLock l(maps_->mu);
  if (!maps_->gid.empty()) return Errno::kPerm;
  maps_->gid = std::move(extents);
  maps_->kernel_gid = std::move(kernel);
  return Ok();
}

std::vector<IdExtent> UserNamespace::uid_map() const {
  MutexLock l(maps_->mu);
  return maps_->uid;
}

std::vector<IdExtent> UserNamespace::gid_map() const {
  MutexLock l(maps_->mu);
  return maps_->gid;
}

bool UserNamespace::MaySetgroups() const {
  MutexLock l(maps_->mu);
  return maps_->setgroups_allowed && !maps_->gid.empty();
}

bool UserNamespace::setgroups_allowed() const {
  MutexLock l(maps_->mu);
  return maps_->setgroups_allowed;
}

Status UserNamespace::DenySetgroups() {
  MutexLock l(maps_->mu);
  if (!maps_->gid.empty()) return Errno::kPerm;
  maps_->setgroups_allowed = false;
  return Ok();
}

}  // namespace runsc
