#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/stat.h>

#include "sentry/kernel/program_loader.h"

namespace runsc {
namespace {

constexpr CapSet And(CapSet a, CapSet b) { return {a.bits & b.bits}; }
constexpr CapSet Or(CapSet a, CapSet b) { return {a.bits | b.bits}; }

// Sets euid and egid from the file's mode bits. Ids that the user namespace does not map are left.
void ApplySetId(Credentials& c, const Attr& attr) {
  if ((attr.mode & S_ISUID) != 0 && c.user_ns->UidFromKernel(attr.uid) != kNoId) c.euid = attr.uid;
  constexpr uint32_t kGroupExec = S_ISGID | S_IXGRP;
  if ((attr.mode & kGroupExec) == kGroupExec && c.user_ns->GidFromKernel(attr.gid) != kNoId) {
    c.egid = attr.gid;
  }
}

}  // namespace

Ref<const Credentials> ExecCredentials(const Credentials& old, const Attr& attr, bool honour_suid,
                                       bool* secure) {
  Ref<Credentials> c = old.Fork();
  if (honour_suid && !old.no_new_privs) ApplySetId(*c, attr);
  bool ids_changed = c->euid != old.euid || c->egid != old.egid;
  if (ids_changed) c->ambient = CapSet{};
  Uid root = c->user_ns->UidToKernel(0);
  // The file's capability sets: full for root unless SECBIT_NOROOT, otherwise empty.
  CapSet file_permitted, file_inheritable;
  bool file_effective = false;
  bool root_rules = (c->securebits & issecure_mask(SECURE_NOROOT)) == 0;
  if (root_rules && (c->euid == root || c->ruid == root)) {
    file_permitted = file_inheritable = kAllCaps;
    file_effective = c->euid == root;
  }
  c->permitted = Or(Or(And(c->inheritable, file_inheritable), And(file_permitted, c->bounding)),
                    c->ambient);
  c->effective = file_effective ? c->permitted : c->ambient;
  c->suid = c->fsuid = c->euid;
  c->sgid = c->fsgid = c->egid;
  bool gained = file_effective && c->ruid != root && (c->permitted.bits & ~c->ambient.bits) != 0;
  *secure = c->euid != c->ruid || c->egid != c->rgid || ids_changed || gained;
  return c;
}

}  // namespace runsc
