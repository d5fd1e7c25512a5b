#include "platform/abi/signal.h"

namespace runsc::abi {
namespace {

constexpr int32_t kSigchld = 17;
constexpr int32_t kSigsys = 31;

SigInfo Make(Signal signal, int32_t code) {
  SigInfo info{};
  info.signo = signal.value;
  info.code = code;
  return info;
}

}  // namespace

SigInfo KillInfo(Signal signal, int32_t code, int32_t pid, uint32_t uid) {
  return QueueInfo(signal, code, pid, uid, 0);
}

SigInfo QueueInfo(Signal signal, int32_t code, int32_t pid, uint32_t uid, uint64_t value) {
  SigInfo info = Make(signal, code);
  info.rt = {pid, uid, value};
  return info;
}

SigInfo KernelInfo(Signal signal) { return Make(signal, kSiKernel); }

SigInfo TimerInfo(Signal signal, int32_t timer_id, int32_t overrun, uint64_t value) {
  SigInfo info = Make(signal, kSiTimer);
  info.timer = {timer_id, overrun, value};
  return info;
}

SigInfo FaultInfo(Signal signal, int32_t code, uint64_t address) {
  SigInfo info = Make(signal, code);
  info.fault.addr = address;
  return info;
}

SigInfo ChildInfo(int32_t code, int32_t pid, uint32_t uid, int32_t status, int64_t utime,
                  int64_t stime) {
  SigInfo info = Make(Signal(kSigchld), code);
  info.child = {pid, uid, status, 0, utime, stime};
  return info;
}

SigInfo PollInfo(Signal signal, int32_t code, int64_t band, int32_t fd) {
  SigInfo info = Make(signal, code);
  info.poll.band = band;
  info.poll.fd = fd;
  return info;
}

SigInfo SysInfo(uint64_t call_addr, int32_t number, uint32_t arch, int32_t errno_value) {
  SigInfo info = Make(Signal(kSigsys), kSysSeccomp);
  info.err = errno_value;
  info.sys = {call_addr, number, arch};
  return info;
}

}  // namespace runsc::abi
