#include "sentry/vfs/access.h"

#include <linux/capability.h>
#include <sys/stat.h>

namespace runsc {

bool CapableOver(const Credentials& creds, const Attr& attr, int cap) {
  return creds.HasCap(cap) && creds.user_ns->UidFromKernel(attr.uid) != kNoId &&
         creds.user_ns->GidFromKernel(attr.gid) != kNoId;
}

bool OwnerOrCapable(const Credentials& creds, const Attr& attr) {
  return attr.uid == creds.fsuid || CapableOver(creds, attr, CAP_FOWNER);
}

Status MayCreate(const OpContext& ctx, const Dentry& dir) {
  if (dir.IsUnlinked()) return Errno::kNoent;
  return dir.get_inode()->CheckAccess(ctx, Access{.write = true, .exec = true});
}

Status MayDelete(const OpContext& ctx, const Dentry& dir, const Dentry& victim, bool is_dir) {
  Inode& parent = *dir.get_inode();
  Inode& inode = *victim.get_inode();
  TRY(parent.CheckAccess(ctx, Access{.write = true, .exec = true}));
  Attr dir_attr = TRY(parent.GetAttr());
  if ((dir_attr.mode & S_ISVTX) != 0) {
    Attr attr = TRY(inode.GetAttr());
    if (attr.uid != ctx.creds.fsuid && dir_attr.uid != ctx.creds.fsuid &&
        !CapableOver(ctx.creds, attr, CAP_FOWNER)) {
      return Errno::kPerm;
    }
  }
  if (is_dir) {
    if (!inode.IsDir()) return Errno::kNotdir;
    if (victim.IsRoot()) return Errno::kBusy;
  } else if (inode.IsDir()) {
    return Errno::kIsdir;
  }
  if (dir.IsUnlinked()) return Errno::kNoent;
  return Ok();
}

uint32_t DroppedSetIdBits(const OpContext& ctx, const Attr& attr) {
  uint32_t drop = attr.mode & S_ISUID;
  if ((attr.mode & S_ISGID) == 0) return drop;
  // Without group execution the bit once meant mandatory locking, and stays for who may set it.
  bool stays = (attr.mode & S_IXGRP) == 0 &&
               (ctx.creds.InGroup(attr.gid) || CapableOver(ctx.creds, attr, CAP_FSETID));
  return stays ? drop : drop | S_ISGID;
}

uint32_t KilledSetIdBits(const OpContext& ctx, const Attr& attr) {
  uint32_t kill = DroppedSetIdBits(ctx, attr);
  if (kill == 0 || !S_ISREG(attr.mode) || ctx.creds.HasCap(CAP_FSETID)) return 0;
  return kill;
}

}  // namespace runsc
