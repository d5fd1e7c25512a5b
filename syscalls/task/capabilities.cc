#include <linux/capability.h>

#include "platform/abi/task.h"
#include "sentry/kernel/kernel.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

// How many CapData the version has; 0 if it is unknown, and the one we prefer is written back.
ErrnoOr<int> CheckVersion(Task& t, UserAddr header, const abi::CapHeader& h) {
  switch (h.version) {
    case _LINUX_CAPABILITY_VERSION_1:
      return _LINUX_CAPABILITY_U32S_1;
    case _LINUX_CAPABILITY_VERSION_2:
    case _LINUX_CAPABILITY_VERSION_3:
      return _LINUX_CAPABILITY_U32S_3;
    default:
      TRY(t.mem().Put<uint32_t>(header, _LINUX_CAPABILITY_VERSION_3));
      return 0;
  }
}

uint32_t Half(CapSet set, int i) { return static_cast<uint32_t>(set.bits >> (32 * i)); }

}  // namespace

ErrnoOr<void> Capget(Task& t, UserAddr header, UserAddr data) {
  auto h = TRY(t.mem().Get<abi::CapHeader>(header));
  int n = TRY(CheckVersion(t, header, h));
  if (data.IsNull()) return Ok();  // only the version was asked for
  if (n == 0) return Errno::kInval;
  if (h.pid < 0) return Errno::kInval;
  Ref<const Credentials> c = t.creds_ref();
  if (h.pid != 0) {
    Ref<Task> target = t.kernel().FindTask(t.pid_ns(), h.pid);
    if (!target) return Errno::kSrch;
    c = target->SharedCreds();
  }
  abi::CapData out[2];
  for (int i = 0; i < 2; ++i) {
    out[i] = {Half(c->effective, i), Half(c->permitted, i), Half(c->inheritable, i)};
  }
  return t.mem().CopyOut(data, out, n * sizeof(abi::CapData));
}

ErrnoOr<void> Capset(Task& t, UserAddr header, UserAddr data) {
  auto h = TRY(t.mem().Get<abi::CapHeader>(header));
  int n = TRY(CheckVersion(t, header, h));
  if (n == 0) return Errno::kInval;
  if (h.pid != 0 && h.pid != t.own_tid()) return Errno::kPerm;
  abi::CapData in[2] = {};
  TRY(t.mem().CopyIn(in, data, n * sizeof(abi::CapData)));
  auto join = [](uint32_t low, uint32_t high) {
    return CapSet{(uint64_t{high} << 32 | low) & kAllCaps.bits};
  };
  const Credentials& old = t.creds();
  Ref<Credentials> c = old.Fork();
  c->effective = join(in[0].effective, in[1].effective);
  c->permitted = join(in[0].permitted, in[1].permitted);
  c->inheritable = join(in[0].inheritable, in[1].inheritable);
  auto within = [](CapSet a, uint64_t b) { return (a.bits & ~b) == 0; };
  bool may_inherit_any = old.HasCap(CAP_SETPCAP);
  if (!may_inherit_any && !within(c->inheritable, old.inheritable.bits | old.permitted.bits)) {
    return Errno::kPerm;
  }
  if (!within(c->inheritable, old.inheritable.bits | old.bounding.bits)) return Errno::kPerm;
  if (!within(c->permitted, old.permitted.bits)) return Errno::kPerm;
  if (!within(c->effective, c->permitted.bits)) return Errno::kPerm;
  c->ambient.bits &= c->permitted.bits & c->inheritable.bits;
  t.SetCreds(std::move(c));
  return Ok();
}

}  // namespace runsc
