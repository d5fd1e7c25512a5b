#ifndef SENTRY_VFS_ACCESS_H_
#define SENTRY_VFS_ACCESS_H_

#include "sentry/vfs/vfs.h"

namespace runsc {

// Permission rules shared by the vfs operations. Private to sentry/vfs.

// May add a name to `dir` / remove `victim` from it (Linux may_create, may_delete). `is_dir`: by
// rmdir(2) or a rename of a directory.
Status MayCreate(const OpContext& ctx, const Dentry& dir);
Status MayDelete(const OpContext& ctx, const Dentry& dir, const Dentry& victim, bool is_dir);
// The owner of the inode, or CAP_FOWNER over it.
bool OwnerOrCapable(const Credentials& creds, const Attr& attr);
// `cap`, if the inode's ids mean something in the caller's user namespace.
bool CapableOver(const Credentials& creds, const Attr& attr, int cap);
// Set-id bits that a change of the owner takes away from a file (setattr_should_drop_suidgid).
uint32_t DroppedSetIdBits(const OpContext& ctx, const Attr& attr);
// Set-id bits that writing takes away.
uint32_t KilledSetIdBits(const OpContext& ctx, const Attr& attr);

}  // namespace runsc

#endif  // SENTRY_VFS_ACCESS_H_
