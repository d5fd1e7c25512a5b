#include <linux/capability.h>
#include <linux/securebits.h>

#include <algorithm>

#include "platform/abi/task.h"
#include "sentry/kernel/kernel.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

constexpr int kMaxGroups = 65536;

// An id as passed: kNoId (-1) means "leave it" where `optional`.
ErrnoOr<uint32_t> MapId(uint32_t id, bool optional, uint32_t kernel) {
  if (optional && id == kNoId) return kNoId;
  if (kernel == kNoId) return Errno::kInval;
  return kernel;
}
ErrnoOr<Uid> MapUid(const Credentials& c, uint32_t id, bool optional) {
  return MapId(id, optional, c.user_ns->UidToKernel(id));
}
ErrnoOr<Gid> MapGid(const Credentials& c, uint32_t id, bool optional) {
  return MapId(id, optional, c.user_ns->GidToKernel(id));
}

// What a change of user ids does to capabilities (capabilities(7), "Effect of user ID changes").
void FixCapabilities(const Credentials& old, Credentials& c) {
  if ((c.securebits & issecure_mask(SECURE_NO_SETUID_FIXUP)) != 0) return;
  Uid root = c.user_ns->UidToKernel(0);
  auto has_root = [root](const Credentials& x) {
    return x.ruid == root || x.euid == root || x.suid == root;
  };
  if (has_root(old) && !has_root(c)) {
    if ((c.securebits & issecure_mask(SECURE_KEEP_CAPS)) == 0) {
      c.permitted = c.effective = CapSet{};
    }
    c.ambient = CapSet{};
  }
  if (old.euid == root && c.euid != root) c.effective = CapSet{};
  if (old.euid != root && c.euid == root) c.effective = c.permitted;
}

// What setfsuid(2) does: only capabilities about files move. The other calls, which move fsuid
// along, leave these as they are.
void FixFsCapabilities(const Credentials& old, Credentials& c) {
  constexpr uint64_t kFsCaps = uint64_t{1} << CAP_CHOWN | uint64_t{1} << CAP_MKNOD |
                               uint64_t{1} << CAP_DAC_OVERRIDE |
                               uint64_t{1} << CAP_DAC_READ_SEARCH | uint64_t{1} << CAP_FOWNER |
                               uint64_t{1} << CAP_FSETID | uint64_t{1} << CAP_LINUX_IMMUTABLE |
                               uint64_t{1} << CAP_MAC_OVERRIDE;
  if ((c.securebits & issecure_mask(SECURE_NO_SETUID_FIXUP)) != 0) return;
  Uid root = c.user_ns->UidToKernel(0);
  if (old.fsuid == root && c.fsuid != root) c.effective.bits &= ~kFsCaps;
  if (old.fsuid != root && c.fsuid == root) c.effective.bits |= c.permitted.bits & kFsCaps;
}

ErrnoOr<uint32_t> PutIds(Task& t, const UserAddr (&to)[3], const uint32_t (&ids)[3]) {
  for (int i = 0; i < 3; ++i) TRY(t.mem().Put(to[i], ids[i]));
  return 0u;
}

}  // namespace

ErrnoOr<uint32_t> Getuid(Task& t) { return t.creds().user_ns->MungedUid(t.creds().ruid); }
ErrnoOr<uint32_t> Geteuid(Task& t) { return t.creds().user_ns->MungedUid(t.creds().euid); }
ErrnoOr<uint32_t> Getgid(Task& t) { return t.creds().user_ns->MungedGid(t.creds().rgid); }
ErrnoOr<uint32_t> Getegid(Task& t) { return t.creds().user_ns->MungedGid(t.creds().egid); }

ErrnoOr<void> Getresuid(Task& t, UserAddr ruid, UserAddr euid, UserAddr suid) {
  const Credentials& c = t.creds();
  const UserNamespace& ns = *c.user_ns;
  TRY(PutIds(t, {ruid, euid, suid},
             {ns.MungedUid(c.ruid), ns.MungedUid(c.euid), ns.MungedUid(c.suid)}));
  return Ok();
}

ErrnoOr<void> Getresgid(Task& t, UserAddr rgid, UserAddr egid, UserAddr sgid) {
  const Credentials& c = t.creds();
  const UserNamespace& ns = *c.user_ns;
  TRY(PutIds(t, {rgid, egid, sgid},
             {ns.MungedGid(c.rgid), ns.MungedGid(c.egid), ns.MungedGid(c.sgid)}));
  return Ok();
}

ErrnoOr<int32_t> Getgroups(Task& t, int32_t size, UserAddr list) {
  if (size < 0) return Errno::kInval;
  const Credentials& c = t.creds();
  int32_t n = static_cast<int32_t>(c.groups.size());
  if (size == 0) return n;
  if (size < n) return Errno::kInval;
  std::vector<uint32_t> ids;
  for (Gid g : c.groups) ids.push_back(c.user_ns->MungedGid(g));
  TRY(t.mem().CopyOut(list, ids.data(), ids.size() * sizeof(uint32_t)));
  return n;
}

ErrnoOr<void> Setgroups(Task& t, int32_t size, UserAddr list) {
  if (!t.creds().HasCap(CAP_SETGID) || !t.creds().user_ns->MaySetgroups()) return Errno::kPerm;
  if (size < 0 || size > kMaxGroups) return Errno::kInval;
  std::vector<uint32_t> ids = TRY(t.mem().GetArray<uint32_t>(list, size));
  Ref<Credentials> c = t.creds().Fork();
  c->groups.clear();
  for (uint32_t id : ids) c->groups.push_back(TRY(MapGid(*c, id, false)));
  std::sort(c->groups.begin(), c->groups.end());
  t.SetCreds(std::move(c));
  return Ok();
}

ErrnoOr<void> Setuid(Task& t, uint32_t id) {
  const Credentials& old = t.creds();
  Uid uid = TRY(MapUid(old, id, false));
  Ref<Credentials> c = old.Fork();
  if (old.HasCap(CAP_SETUID)) {
    c->ruid = c->suid = uid;
  } else if (uid != old.ruid && uid != old.suid) {
    return Errno::kPerm;
  }
  c->euid = c->fsuid = uid;
  FixCapabilities(old, *c);
  t.SetCreds(std::move(c));
  return Ok();
}

ErrnoOr<void> Setgid(Task& t, uint32_t id) {
  const Credentials& old = t.creds();
  Gid gid = TRY(MapGid(old, id, false));
  Ref<Credentials> c = old.Fork();
  if (old.HasCap(CAP_SETGID)) {
    c->rgid = c->sgid = gid;
  } else if (gid != old.rgid && gid != old.sgid) {
    return Errno::kPerm;
  }
  c->egid = c->fsgid = gid;
  t.SetCreds(std::move(c));
  return Ok();
}

ErrnoOr<void> Setreuid(Task& t, uint32_t rid, uint32_t eid) {
  const Credentials& old = t.creds();
  Uid ruid = TRY(MapUid(old, rid, true)), euid = TRY(MapUid(old, eid, true));
  bool cap = old.HasCap(CAP_SETUID);
  if (ruid != kNoId && ruid != old.ruid && ruid != old.euid && !cap) return Errno::kPerm;
  if (euid != kNoId && euid != old.ruid && euid != old.euid && euid != old.suid && !cap) {
    return Errno::kPerm;
  }
  Ref<Credentials> c = old.Fork();
  if (ruid != kNoId) c->ruid = ruid;
  if (euid != kNoId) c->euid = euid;
  if (ruid != kNoId || (euid != kNoId && euid != old.ruid)) c->suid = c->euid;
  c->fsuid = c->euid;
  FixCapabilities(old, *c);
  t.SetCreds(std::move(c));
  return Ok();
}

ErrnoOr<void> Setregid(Task& t, uint32_t rid, uint32_t eid) {
  const Credentials& old = t.creds();
  Gid rgid = TRY(MapGid(old, rid, true)), egid = TRY(MapGid(old, eid, true));
  bool cap = old.HasCap(CAP_SETGID);
  if (rgid != kNoId && rgid != old.rgid && rgid != old.egid && !cap) return Errno::kPerm;
  if (egid != kNoId && egid != old.rgid && egid != old.egid && egid != old.sgid && !cap) {
    return Errno::kPerm;
  }
  Ref<Credentials> c = old.Fork();
  if (rgid != kNoId) c->rgid = rgid;
  if (egid != kNoId) c->egid = egid;
  if (rgid != kNoId || (egid != kNoId && egid != old.rgid)) c->sgid = c->egid;
  c->fsgid = c->egid;
  t.SetCreds(std::move(c));
  return Ok();
}

ErrnoOr<void> Setresuid(Task& t, uint32_t rid, uint32_t eid, uint32_t sid) {
  const Credentials& old = t.creds();
  const Uid ids[3] = {TRY(MapUid(old, rid, true)), TRY(MapUid(old, eid, true)),
                      TRY(MapUid(old, sid, true))};
  for (Uid id : ids) {
    bool own = id == kNoId || id == old.ruid || id == old.euid || id == old.suid;
    if (!own && !old.HasCap(CAP_SETUID)) return Errno::kPerm;
  }
  Ref<Credentials> c = old.Fork();
  if (ids[0] != kNoId) c->ruid = ids[0];
  if (ids[1] != kNoId) c->euid = ids[1];
  if (ids[2] != kNoId) c->suid = ids[2];
  c->fsuid = c->euid;
  FixCapabilities(old, *c);
  t.SetCreds(std::move(c));
  return Ok();
}

ErrnoOr<void> Setresgid(Task& t, uint32_t rid, uint32_t eid, uint32_t sid) {
  const Credentials& old = t.creds();
  const Gid ids[3] = {TRY(MapGid(old, rid, true)), TRY(MapGid(old, eid, true)),
                      TRY(MapGid(old, sid, true))};
  for (Gid id : ids) {
    bool own = id == kNoId || id == old.rgid || id == old.egid || id == old.sgid;
    if (!own && !old.HasCap(CAP_SETGID)) return Errno::kPerm;
  }
  Ref<Credentials> c = old.Fork();
  if (ids[0] != kNoId) c->rgid = ids[0];
  if (ids[1] != kNoId) c->egid = ids[1];
  if (ids[2] != kNoId) c->sgid = ids[2];
  c->fsgid = c->egid;
  t.SetCreds(std::move(c));
  return Ok();
}

// These two answer the old id whether or not they changed anything.
ErrnoOr<uint32_t> Setfsuid(Task& t, uint32_t id) {
  const Credentials& old = t.creds();
  uint32_t before = old.user_ns->MungedUid(old.fsuid);
  Uid uid = old.user_ns->UidToKernel(id);
  bool own = uid == old.ruid || uid == old.euid || uid == old.suid || uid == old.fsuid;
  if (uid == kNoId || (!own && !old.HasCap(CAP_SETUID)) || uid == old.fsuid) return before;
  Ref<Credentials> c = old.Fork();
  c->fsuid = uid;
  FixFsCapabilities(old, *c);
  t.SetCreds(std::move(c));
  return before;
}

ErrnoOr<uint32_t> Setfsgid(Task& t, uint32_t id) {
  const Credentials& old = t.creds();
  uint32_t before = old.user_ns->MungedGid(old.fsgid);
  Gid gid = old.user_ns->GidToKernel(id);
  bool own = gid == old.rgid || gid == old.egid || gid == old.sgid || gid == old.fsgid;
  if (gid == kNoId || (!own && !old.HasCap(CAP_SETGID)) || gid == old.fsgid) return before;
  Ref<Credentials> c = old.Fork();
  c->fsgid = gid;
  t.SetCreds(std::move(c));
  return before;
}

}  // namespace runsc
