#include "syscalls/net/control.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/net/unix/in_flight.h"
#include "sentry/net/unix/unix_socket.h"
#include "sentry/time/clock.h"

namespace runsc {
namespace {

constexpr int SCM_PIDFD = 4;  // not in Debian 12's headers

constexpr size_t kMaxControl = 20480;  // net.core.optmem_max
constexpr size_t kMaxFiles = 253;      // SCM_MAX_FD
constexpr size_t kHeader = sizeof(cmsghdr);

constexpr uint64_t Align(uint64_t n) { return (n + 7) & ~uint64_t{7}; }

Status ReadRights(Task& t, const char* data, size_t size, ControlData* out) {
  size_t count = size / sizeof(int32_t);
  if (out->files.size() + count > kMaxFiles) return Errno::kInval;
  bool bounded = !t.creds().HasCap(CAP_SYS_RESOURCE) && !t.creds().HasCap(CAP_SYS_ADMIN);
  if (bounded && InFlightFiles::total() > t.Limit(RLIMIT_NOFILE)) return Errno::kToomanyrefs;
  for (size_t i = 0; i < count; ++i) {
    int32_t fd = 0;
    std::memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
    out->files.push_back(TRY(t.fds().Get(FdNum(fd))));
  }
  return Ok();
}

Status ReadCreds(Task& t, const char* data, size_t size, ControlData* out) {
  if (size != sizeof(ucred)) return Errno::kInval;
  ucred given;
  std::memcpy(&given, data, sizeof(given));
  const Credentials& c = t.creds();
  Uid uid = c.user_ns->UidToKernel(given.uid);
  Gid gid = c.user_ns->GidToKernel(given.gid);
  if (uid == kNoId || gid == kNoId) return Errno::kInval;
  Ref<ThreadGroup> process(&t.group());
  if (given.pid != t.group().PidIn(t.pid_ns())) {
    if (!c.HasCap(CAP_SYS_ADMIN)) return Errno::kPerm;
    process = t.kernel().FindProcess(t.pid_ns(), given.pid);
    if (!process) return Errno::kSrch;
  }
  bool own_uid = uid == c.ruid || uid == c.euid || uid == c.suid;
  bool own_gid = gid == c.rgid || gid == c.egid || gid == c.sgid;
  if (!own_uid && !c.HasCap(CAP_SETUID)) return Errno::kPerm;
  if (!own_gid && !c.HasCap(CAP_SETGID)) return Errno::kPerm;
  out->creds = SocketCreds{std::move(process), uid, gid};
  return Ok();
}

// Appends one header and its data to the guest's buffer. What finds no room is left out, which
// truncated() tells.
class ControlWriter {
 public:
  ControlWriter(Task& t, UserAddr base, uint64_t size) : t_(t), base_(base), size_(size) {}

  // Whether `data` bytes after a header fit; if not, they count as left out.
  bool Fits(uint64_t data) {
    bool fits = at_ + kHeader + data <= size_;
    truncated_ |= !fits;
    return fits;
  }
  // Bytes of data that fit after a header.
  uint64_t Room() const { return at_ + kHeader >= size_ ? 0 : size_ - at_ - kHeader; }
  uint64_t written() const { return at_; }
  void SetTruncated() { truncated_ = true; }
  bool truncated() const { return truncated_; }

  Status Add(int type, const void* data, uint64_t size) {
    cmsghdr header{};
    header.cmsg_len = kHeader + size;
    header.cmsg_level = SOL_SOCKET;
    header.cmsg_type = type;
    TRY(t_.mem().Put(base_ + at_, header));
    TRY(t_.mem().CopyOut(base_ + at_ + kHeader, data, size));
    at_ = std::min(size_, at_ + Align(kHeader + size));
    return Ok();
  }

 private:
  Task& t_;
  const UserAddr base_;
  const uint64_t size_;
  uint64_t at_ = 0;
  bool truncated_ = false;
};

Status WriteRights(Task& t, const std::vector<Ref<File>>& files, bool cloexec,
                   ControlWriter& writer) {
  size_t fit = std::min<size_t>(files.size(), writer.Room() / sizeof(int32_t));
  std::vector<int32_t> numbers;
  for (size_t i = 0; i < fit; ++i) {
    ErrnoOr<FdNum> fd = t.fds().Install(files[i], cloexec, t.Limit(RLIMIT_NOFILE));
    if (!fd.ok()) break;
    numbers.push_back(fd->value);
  }
  if (numbers.size() < files.size()) writer.SetTruncated();
  if (numbers.empty()) return Ok();
  return writer.Add(SCM_RIGHTS, numbers.data(), numbers.size() * sizeof(int32_t));
}

Status WriteCreds(Task& t, const SocketCreds& creds, ControlWriter& writer) {
  const UserNamespace& ns = *t.creds().user_ns;
  ucred out{SeenPid(t, creds.process), ns.MungedUid(creds.uid), ns.MungedGid(creds.gid)};
  return writer.Fits(sizeof(out)) ? writer.Add(SCM_CREDENTIALS, &out, sizeof(out)) : Ok();
}

// Writes a descriptor of the sender; the error in its place if there can be none.
Status WritePidFd(Task& t, const SocketCreds& creds, ControlWriter& writer) {
  if (!writer.Fits(sizeof(int32_t)) || !creds.process) return Ok();
  ErrnoOr<FdNum> fd =
      t.fds().Install(NewPidFd(*creds.process, 0, t.creds_ref()), true, t.Limit(RLIMIT_NOFILE));
  int32_t number = fd.ok() ? fd->value : -static_cast<int32_t>(fd.error());
  Status added = writer.Add(SCM_PIDFD, &number, sizeof(number));
  if (!added.ok() && fd.ok()) (void)t.fds().Remove(*fd);
  return added;
}

// The time of the receive, which is when Linux stamps what has none yet.
Status WriteTime(int type, ControlWriter& writer) {
  int64_t now = ClockNanos(ClockId::kRealtime);
  bool nanos = type == SO_TIMESTAMPNS_OLD || type == SO_TIMESTAMPNS_NEW;
  int64_t time[2] = {now / 1000000000, now % 1000000000 / (nanos ? 1 : 1000)};
  return writer.Fits(sizeof(time)) ? writer.Add(type, time, sizeof(time)) : Ok();
}

}  // namespace

ErrnoOr<ControlData> ReadControl(Task& t, UserAddr control, uint64_t size) {
  ControlData out;
  if (size == 0) return out;
  if (size > kMaxControl) return Errno::kNobufs;
  std::vector<char> bytes = TRY(t.mem().GetArray<char>(control, size));
  uint64_t at = 0;
  while (at + kHeader <= size) {
    cmsghdr header;
    std::memcpy(&header, bytes.data() + at, kHeader);
    if (header.cmsg_len < kHeader || header.cmsg_len > size - at) return Errno::kInval;
    const char* data = bytes.data() + at + kHeader;
    size_t length = header.cmsg_len - kHeader;
    if (header.cmsg_level == SOL_SOCKET) {
      if (header.cmsg_type == SCM_RIGHTS) {
        TRY(ReadRights(t, data, length, &out));
      } else if (header.cmsg_type == SCM_CREDENTIALS) {
        TRY(ReadCreds(t, data, length, &out));
      } else {
        return Errno::kInval;
      }
    }
    at += Align(header.cmsg_len);
  }
  return out;
}

ErrnoOr<ControlOut> WriteControl(Task& t, const ControlData& data, UserAddr control, uint64_t size,
                                 const ControlWants& wants) {
  ControlWriter writer(t, control, control.IsNull() ? 0 : size);
  const SocketCreds sender = data.creds.value_or(SocketCreds());
  if (wants.timestamp != 0) TRY(WriteTime(wants.timestamp, writer));
  if (wants.creds) TRY(WriteCreds(t, sender, writer));
  if (!data.files.empty()) TRY(WriteRights(t, data.files, wants.cloexec, writer));
  if (wants.pidfd) TRY(WritePidFd(t, sender, writer));
  return ControlOut{.written = writer.written(), .truncated = writer.truncated()};
}

}  // namespace runsc
