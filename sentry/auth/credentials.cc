#include "sentry/auth/credentials.h"

#include <algorithm>

namespace runsc {

Ref<Credentials> Credentials::NewRoot(Ref<UserNamespace> ns) {
  Ref<Credentials> c = MakeRef<Credentials>();
  c->permitted = c->effective = c->bounding = kAllCaps;
  c->user_ns = std::move(ns);
  return c;
}

Ref<Credentials> Credentials::Fork() const {
  Ref<Credentials> c = MakeRef<Credentials>();
  c->ruid = ruid, c->euid = euid, c->suid = suid, c->fsuid = fsuid;
  c->rgid = rgid, c->egid = egid, c->sgid = sgid, c->fsgid = fsgid;
  c->groups = groups;
  c->permitted = permitted, c->inheritable = inheritable, c->effective = effective;
  c->bounding = bounding, c->ambient = ambient;
  c->securebits = securebits;
  c->no_new_privs = no_new_privs;
  c->user_ns = user_ns;
  return c;
}

bool Credentials::HasCapIn(int cap, const UserNamespace* ns) const {
  // cap_capable() of Linux: own namespace by the effective set; a descendant's owner, acting in
  // the parent, has every capability in it.
  for (const UserNamespace* n = ns; n != nullptr; n = n->parent().get()) {
    if (n == user_ns.get()) return effective.Has(cap);
    if (n->parent().get() == user_ns.get() && n->owner() == euid) return true;
  }
  return false;
}

bool Credentials::InGroup(Gid gid) const {
  if (gid == fsgid) return true;
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

}  // namespace runsc
