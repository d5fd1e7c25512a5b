#include "syscalls/system/system.h"

#include <linux/reboot.h>

#include <algorithm>
#include <cstring>

#include "platform/abi/task.h"
#include "sentry/kernel/cpu.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/version.h"
#include "sentry/time/clock.h"

namespace runsc {
namespace {

constexpr int kCapSysAdmin = 21, kCapSysBoot = 22, kCapSyslog = 34;
constexpr int32_t kMaxName = 64;

template <size_t N>
void Fill(char (&field)[N], std::string_view value) {
  std::memcpy(field, value.data(), std::min(value.size(), N - 1));
}

ErrnoOr<std::string> ReadName(Task& t, UserAddr name, int32_t length) {
  if (!t.creds().HasCapIn(kCapSysAdmin, t.uts().user_ns().get())) return Errno::kPerm;
  if (length < 0 || length > kMaxName) return Errno::kInval;
  std::string value(static_cast<size_t>(length), '\0');
  TRY(t.mem().CopyIn(value.data(), name, value.size()));
  return std::string(value.c_str());
}

}  // namespace

ErrnoOr<void> Uname(Task& t, UserAddr buf) {
  abi::Utsname u{};
  Fill(u.sysname, "Linux");
  Fill(u.nodename, t.uts().hostname());
  Fill(u.release, kKernelRelease);
  Fill(u.version, kKernelVersion);
  Fill(u.machine, kMachine);
  Fill(u.domainname, t.uts().domainname());
  return t.mem().Put(buf, u);
}

ErrnoOr<void> SysinfoCall(Task& t, UserAddr info) {
  Kernel& kernel = t.kernel();
  abi::Sysinfo s{};
  s.uptime = kernel.UptimeNanos() / 1000000000;
  kernel.LoadAverages(s.loads);
  uint64_t total = kernel.options().total_memory;
  uint64_t used = kernel.memory().HostBytes();
  s.totalram = total;
  s.freeram = used < total ? total - used : 0;
  s.procs = static_cast<uint16_t>(std::min<size_t>(kernel.task_count(), UINT16_MAX));
  s.mem_unit = 1;
  return t.mem().Put(info, s);
}

ErrnoOr<void> Getcpu(Task& t, UserAddr cpu, UserAddr node, UserAddr cache) {
  if (!cpu.IsNull()) TRY(t.mem().Put<uint32_t>(cpu, CurrentCpu(t)));
  if (!node.IsNull()) TRY(t.mem().Put<uint32_t>(node, 0));
  return Ok();
}

ErrnoOr<void> Sethostname(Task& t, UserAddr name, int32_t length) {
  t.uts().SetHostname(TRY(ReadName(t, name, length)));
  return Ok();
}

ErrnoOr<void> Setdomainname(Task& t, UserAddr name, int32_t length) {
  t.uts().SetDomainname(TRY(ReadName(t, name, length)));
  return Ok();
}

// The boot log is short; reading never empties or waits for it.
ErrnoOr<int32_t> Syslog(Task& t, int32_t type, UserAddr buf, int32_t length) {
  constexpr int32_t kReadAll = 3, kReadClear = 4, kUnread = 9, kBufferSize = 10;
  if (type != kReadAll && type != kBufferSize && !t.creds().HasCap(kCapSyslog)) return Errno::kPerm;
  if (type < 0 || type > kBufferSize) return Errno::kInval;
  std::string text = t.kernel().BootMessages();
  switch (type) {
    case kReadAll:
    case kReadClear: {
      if (buf.IsNull() || length < 0) return Errno::kInval;
      size_t n = std::min(text.size(), static_cast<size_t>(length));
      // The end of the log is what counts.
      TRY(t.mem().CopyOut(buf, text.data() + (text.size() - n), n));
      return static_cast<int32_t>(n);
    }
    case kUnread:
      return 0;
    case kBufferSize:
      return 1 << 17;
    default:
      return t.Unimplemented("syslog action", Errno::kPerm);
  }
}

ErrnoOr<void> Reboot(Task& t, uint32_t magic1, uint32_t magic2, uint32_t command, UserAddr arg) {
  if (!t.creds().HasCap(kCapSysBoot)) return Errno::kPerm;
  bool magic = magic1 == LINUX_REBOOT_MAGIC1 &&
               (magic2 == LINUX_REBOOT_MAGIC2 || magic2 == LINUX_REBOOT_MAGIC2A ||
                magic2 == LINUX_REBOOT_MAGIC2B || magic2 == LINUX_REBOOT_MAGIC2C);
  if (!magic) return Errno::kInval;
  return t.Unimplemented("reboot", Errno::kPerm);
}

}  // namespace runsc
