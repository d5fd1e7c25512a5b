#include <linux/wait.h>
#include <poll.h>
#include <signal.h>

#include <optional>

#include "sentry/kernel/child_wait.h"
#include "sentry/kernel/pidfd.h"
#include "syscalls/dispatch/blocking.h"
#include "syscalls/task/rusage.h"
#include "syscalls/task/task.h"

namespace runsc {
namespace {

// The next report; nothing if WNOHANG and none is there.
ErrnoOr<std::optional<WaitReport>> WaitForChild(Task& t, const WaitRequest& request, bool hang) {
  auto op = [&] { return TryWaitForChild(t, request); };
  ErrnoOr<WaitReport> report =
      hang ? BlockOn<QueueScope>(t, t.group().child_events(), POLLIN, Blocker::kForever, op) : op();
  if (report.ok()) return std::optional<WaitReport>(*report);
  if (!hang && report.error() == Errno::kWouldBlock) return std::optional<WaitReport>();
  return report.error();
}

ErrnoOr<WaitRequest> WaitidRequest(Task& t, int32_t type, int32_t id, bool* hang) {
  WaitRequest r;
  switch (type) {
    case P_ALL:
      return r;
    case P_PID:
      if (id <= 0) return Errno::kInval;
      r.which = WaitRequest::Which::kPid;
      r.id = id;
      return r;
    case P_PGID:
      if (id < 0) return Errno::kInval;
      r.which = WaitRequest::Which::kGroup;
      r.id = id;
      return r;
    case P_PIDFD: {
      if (id < 0) return Errno::kInval;
      Ref<File> file = TRY(t.fds().Get(FdNum(id)));
      r.which = WaitRequest::Which::kProcess;
      r.process = ProcessOfPidFd(*file);
      if (!r.process) return Errno::kBadf;
      if (file->nonblock()) *hang = false;
      return r;
    }
    default:
      return Errno::kInval;
  }
}

abi::SigInfo WaitidInfo(Task& t, const WaitReport& r) {
  uint32_t uid = t.creds().user_ns->MungedUid(r.uid);
  return abi::ChildInfo(r.code, r.pid, uid, r.status, 0, 0);
}

}  // namespace

ErrnoOr<void> ExitCall(Task& t, int32_t status) {
  t.Exit(ExitStatus{.code = status & 0xff});
  return Ok();
}

ErrnoOr<void> ExitGroup(Task& t, int32_t status) {
  t.group().Exit(ExitStatus{.code = status & 0xff});
  return Ok();
}

ErrnoOr<Tid> Wait4(Task& t, Tid pid, UserAddr status, int32_t options, UserAddr rusage) {
  constexpr int32_t kKnown = WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL;
  if ((options & ~kKnown) != 0) return Errno::kInval;
  if (pid == INT32_MIN) return Errno::kSrch;
  WaitRequest r{.options = options | WEXITED};
  if (pid > 0) {
    r.which = WaitRequest::Which::kPid;
    r.id = pid;
  } else if (pid != -1) {
    r.which = WaitRequest::Which::kGroup;
    r.id = -pid;
  }
  std::optional<WaitReport> report = TRY(WaitForChild(t, r, (options & WNOHANG) == 0));
  if (!report) return 0;
  if (!rusage.IsNull()) TRY(t.mem().Put(rusage, ToRusage(report->use)));
  if (!status.IsNull()) TRY(t.mem().Put(status, report->wait_status));
  return report->pid;
}

namespace {

// The report of waitid(2); nothing if there is none.
ErrnoOr<std::optional<WaitReport>> DoWaitid(Task& t, int32_t type, int32_t id, int32_t options) {
  constexpr int32_t kWhat = WEXITED | WSTOPPED | WCONTINUED;
  constexpr int32_t kKnown = kWhat | WNOHANG | WNOWAIT | __WNOTHREAD | __WCLONE | __WALL;
  if ((options & ~kKnown) != 0 || (options & kWhat) == 0) return Errno::kInval;
  bool hang = (options & WNOHANG) == 0;
  bool wanted_to_hang = hang;
  WaitRequest r = TRY(WaitidRequest(t, type, id, &hang));
  r.options = options;
  std::optional<WaitReport> report = TRY(WaitForChild(t, r, hang));
  // A non-blocking pidfd says so.
  if (!report && wanted_to_hang) return Errno::kAgain;
  return report;
}

}  // namespace

ErrnoOr<void> Waitid(Task& t, int32_t type, int32_t id, UserAddr info, int32_t options,
                     UserAddr rusage) {
  ErrnoOr<std::optional<WaitReport>> report = DoWaitid(t, type, id, options);
  bool any = report.ok() && report->has_value();
  if (any && !rusage.IsNull()) TRY(t.mem().Put(rusage, ToRusage((*report)->use)));
  if (!info.IsNull()) {
    // Linux writes these fields one by one, after an error too, and leaves the rest of the caller's
    // structure alone.
    abi::SigInfo out{};
    if (any) out = WaitidInfo(t, **report);
    TRY(t.mem().CopyOut(info, &out, offsetof(abi::SigInfo, child.status) + sizeof(int32_t)));
  }
  return report.ok() ? Ok() : Status(report.error());
}

}  // namespace runsc
