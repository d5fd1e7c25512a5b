#include "sentry/vfs/inode.h"

#include <linux/capability.h>
#include <sys/stat.h>

#include "sentry/vfs/dentry.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/file_locks.h"
#include "sentry/vfs/inotify.h"

namespace runsc {

Inode::Inode(Ref<Filesystem> fs) : fs_(std::move(fs)) {}

Inode::~Inode() {
  delete locks_.load(std::memory_order_relaxed);
  InodeWatches* watches = watches_.load(std::memory_order_relaxed);
  if (watches != nullptr) {
    watches->InodeGone();
    delete watches;
  }
}

// What Linux answers where an inode lacks the operation: EPERM or ENOTDIR for directory changes,
// EOPNOTSUPP for extended attributes, EINVAL for readlink.
Status Inode::SetAttr(const OpContext& ctx, const AttrChange& change) { return Errno::kPerm; }
ErrnoOr<Ref<Inode>> Inode::Lookup(std::string_view name) {
  return IsDir() ? Errno::kNoent : Errno::kNotdir;
}
ErrnoOr<Ref<Inode>> Inode::Create(const OpContext& ctx, std::string_view name, uint32_t mode) {
  return Errno::kAcces;
}
ErrnoOr<Ref<Inode>> Inode::Mkdir(const OpContext& ctx, std::string_view name, uint32_t mode) {
  return Errno::kPerm;
}
ErrnoOr<Ref<Inode>> Inode::Mknod(const OpContext& ctx, std::string_view name, uint32_t mode,
                                 DeviceId dev) {
  return Errno::kPerm;
}
ErrnoOr<Ref<Inode>> Inode::Symlink(const OpContext& ctx, std::string_view name,
                                   std::string_view target) {
  return Errno::kPerm;
}
Status Inode::Link(const OpContext& ctx, std::string_view name, Inode& target) {
  return Errno::kPerm;
}
Status Inode::Unlink(const OpContext& ctx, std::string_view name, Inode& target) {
  return Errno::kPerm;
}
Status Inode::Rmdir(const OpContext& ctx, std::string_view name, Inode& target) {
  return Errno::kPerm;
}
Status Inode::Rename(const OpContext& ctx, std::string_view name, Inode& source, Inode& new_dir,
                     std::string_view new_name, Inode* target, uint32_t flags) {
  return flags != 0 ? Errno::kInval : Errno::kPerm;
}
ErrnoOr<Ref<Inode>> Inode::CreateTemp(const OpContext& ctx, uint32_t mode) {
  return Errno::kOpnotsupp;
}
ErrnoOr<std::string> Inode::Readlink(const OpContext& ctx) { return Errno::kInval; }
ErrnoOr<Path> Inode::FollowMagic(const OpContext& ctx) { return Errno::kInval; }
ErrnoOr<std::string> Inode::GetXattr(const OpContext& ctx, std::string_view name) {
  return Errno::kOpnotsupp;
}
Status Inode::SetXattr(const OpContext& ctx, std::string_view name, std::string_view value,
                       int flags) {
  return Errno::kOpnotsupp;
}
Status Inode::RemoveXattr(const OpContext& ctx, std::string_view name) {
  return Errno::kOpnotsupp;
}
ErrnoOr<std::vector<std::string>> Inode::ListXattr(const OpContext& ctx) {
  return std::vector<std::string>();
}

Status Inode::CheckAccess(const OpContext& ctx, Access want) {
  uint32_t seen = attr_cache();
  Attr attr = TRY(GetAttr());
  LearnAttr(seen, attr);
  return GenericAccess(ctx.creds, attr, want);
}

void Inode::ForgetAttrCache() {
  uint32_t old = attr_cache_.load(std::memory_order_relaxed);
  uint32_t fresh;
  do {
    fresh = (old + kAttrGeneration) & ~(kAttrGeneration - 1);
  } while (!attr_cache_.compare_exchange_weak(old, fresh, std::memory_order_acq_rel));
}

void Inode::LearnAttr(uint32_t seen, const Attr& attr) {
  if ((fs_->flags() & (Filesystem::kRevalidate | Filesystem::kNoCache)) != 0) return;
  uint32_t fresh = seen;
  if (S_ISDIR(attr.mode) && (attr.mode & 0111) == 0111) fresh |= kAnyoneSearches;
  if ((attr.mode & (S_ISUID | S_ISGID)) == 0) fresh |= kNoSetId;
  if (fresh != seen) {
    attr_cache_.compare_exchange_strong(seen, fresh, std::memory_order_acq_rel);
  }
}

Status Inode::GetWriteAccess() {
  int32_t n = write_count_.load(std::memory_order_relaxed);
  do {
    if (n < 0) return Errno::kTxtbsy;
  } while (!write_count_.compare_exchange_weak(n, n + 1, std::memory_order_acq_rel));
  return Ok();
}

Status Inode::DenyWriteAccess() {
  int32_t n = write_count_.load(std::memory_order_relaxed);
  do {
    if (n > 0) return Errno::kTxtbsy;
  } while (!write_count_.compare_exchange_weak(n, n - 1, std::memory_order_acq_rel));
  return Ok();
}

FileLocks& Inode::locks() {
  FileLocks* l = locks_.load(std::memory_order_acquire);
  if (l != nullptr) return *l;
  FileLocks* fresh = new FileLocks(*this);
  if (locks_.compare_exchange_strong(l, fresh, std::memory_order_acq_rel)) return *fresh;
  delete fresh;
  return *l;
}

InodeWatches& Inode::EnsureWatches() {
  InodeWatches* w = watches_.load(std::memory_order_acquire);
  if (w != nullptr) return *w;
  InodeWatches* fresh = new InodeWatches;
  if (watches_.compare_exchange_strong(w, fresh, std::memory_order_acq_rel)) return *fresh;
  delete fresh;
  return *w;
}

Ref<RefCounted> Inode::bound_socket() {
  MutexLock l(socket_mu_);
  return bound_socket_;
}

void Inode::SetBoundSocket(Ref<RefCounted> socket) {
  MutexLock l(socket_mu_);
  std::swap(bound_socket_, socket);
}

namespace {

uint64_t NextAnonymousDevice() {
  static std::atomic<uint32_t> next{1};
  return EncodeDevice({0, next.fetch_add(1, std::memory_order_relaxed)});
}

}  // namespace

Filesystem::Filesystem(const char* type, uint32_t flags)
    : type_(type), flags_(flags), dev_(NextAnonymousDevice()) {}

void Filesystem::DropMount() {
  if (mounts_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  inotify::Unmounted(*this);
  DentryCache::Purge(this);
  OnLastUnmount();
}

Status Filesystem::Remount(const OpContext& ctx, std::string_view options) {
  return options.empty() ? Ok() : Status(Errno::kInval);
}

ErrnoOr<InitialOwnership> InitialOwner(const OpContext& ctx, Inode& dir, uint32_t mode) {
  InitialOwnership out{mode, ctx.creds.fsuid, ctx.creds.fsgid};
  Attr attr = TRY(dir.GetAttr());
  if ((attr.mode & S_ISGID) != 0) {
    out.gid = attr.gid;
    if (S_ISDIR(mode)) {
      out.mode |= S_ISGID;
    } else if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
               !ctx.creds.InGroup(attr.gid) && !ctx.creds.HasCap(CAP_FSETID)) {
      out.mode &= ~static_cast<uint32_t>(S_ISGID);
    }
  }
  return out;
}

namespace {

bool IdsMapped(const Credentials& creds, const Attr& attr) {
  return creds.user_ns->UidFromKernel(attr.uid) != kNoId &&
         creds.user_ns->GidFromKernel(attr.gid) != kNoId;
}

}  // namespace

Status GenericAccess(const Credentials& creds, const Attr& attr, Access want) {
  uint32_t bits = attr.mode;
  if (attr.uid == creds.fsuid) {
    bits >>= 6;
  } else if (creds.InGroup(attr.gid)) {
    bits >>= 3;
  }
  uint32_t need = (want.read ? 4u : 0) | (want.write ? 2u : 0) | (want.exec ? 1u : 0);
  if ((need & ~bits & 7) == 0) return Ok();
  // capable_wrt_inode_uidgid(): the capability counts only over ids its namespace maps.
  if (!IdsMapped(creds, attr)) return Errno::kAcces;
  if (S_ISDIR(attr.mode)) {
    if (!want.write && creds.HasCap(CAP_DAC_READ_SEARCH)) return Ok();
    return creds.HasCap(CAP_DAC_OVERRIDE) ? Ok() : Status(Errno::kAcces);
  }
  if (want.read && !want.write && !want.exec && creds.HasCap(CAP_DAC_READ_SEARCH)) return Ok();
  if ((!want.exec || (attr.mode & 0111) != 0) && creds.HasCap(CAP_DAC_OVERRIDE)) return Ok();
  return Errno::kAcces;
}

}  // namespace runsc
