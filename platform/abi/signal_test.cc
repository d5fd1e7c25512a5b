#include "platform/abi/signal.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstring>

namespace runsc::abi {
namespace {

// glibc's siginfo_t has the kernel's layout; its accessors read what the builders wrote.
siginfo_t AsHost(const SigInfo& info) {
  siginfo_t s;
  static_assert(sizeof(s) == sizeof(info));
  std::memcpy(&s, &info, sizeof(s));
  return s;
}

TEST(SigInfoTest, SenderAndValue) {
  siginfo_t s = AsHost(QueueInfo(Signal(SIGRTMIN), kSiQueue, 12, 34, 0x1122334455667788));
  EXPECT_EQ(s.si_signo, SIGRTMIN);
  EXPECT_EQ(s.si_code, SI_QUEUE);
  EXPECT_EQ(s.si_pid, 12);
  EXPECT_EQ(s.si_uid, 34u);
  EXPECT_EQ(s.si_ptr, reinterpret_cast<void*>(0x1122334455667788));
  s = AsHost(KillInfo(Signal(SIGTERM), kSiTkill, 5, 6));
  EXPECT_EQ(s.si_code, SI_TKILL);
  EXPECT_EQ(s.si_pid, 5);
}

TEST(SigInfoTest, TimerFaultAndPoll) {
  siginfo_t s = AsHost(TimerInfo(Signal(SIGALRM), 3, 7, 99));
  EXPECT_EQ(s.si_code, SI_TIMER);
  EXPECT_EQ(s.si_timerid, 3);
  EXPECT_EQ(s.si_overrun, 7);
  EXPECT_EQ(s.si_ptr, reinterpret_cast<void*>(99));
  s = AsHost(FaultInfo(Signal(SIGSEGV), kSegvAccerr, 0xdead000));
  EXPECT_EQ(s.si_code, SEGV_ACCERR);
  EXPECT_EQ(s.si_addr, reinterpret_cast<void*>(0xdead000));
  s = AsHost(PollInfo(Signal(SIGIO), kPollIn, 65, 4));
  EXPECT_EQ(s.si_code, POLL_IN);
  EXPECT_EQ(s.si_band, 65);
  EXPECT_EQ(s.si_fd, 4);
}

TEST(SigInfoTest, ChildAndSys) {
  siginfo_t s = AsHost(ChildInfo(kCldKilled, 1, 2, 9, 100, 200));
  EXPECT_EQ(s.si_signo, SIGCHLD);
  EXPECT_EQ(s.si_code, CLD_KILLED);
  EXPECT_EQ(s.si_status, 9);
  EXPECT_EQ(s.si_utime, 100);
  EXPECT_EQ(s.si_stime, 200);
  s = AsHost(SysInfo(0x1234, 59, 0xc000003e, 7));
  EXPECT_EQ(s.si_signo, SIGSYS);
  EXPECT_EQ(s.si_errno, 7);
  EXPECT_EQ(s.si_call_addr, reinterpret_cast<void*>(0x1234));
  EXPECT_EQ(s.si_syscall, 59);
  EXPECT_EQ(s.si_arch, 0xc000003eu);
}

TEST(SigInfoTest, CodesAreTheHosts) {
  EXPECT_EQ(kSiKernel, SI_KERNEL);
  EXPECT_EQ(kSiMesgq, SI_MESGQ);
  EXPECT_EQ(kSiSigio, SI_SIGIO);
  EXPECT_EQ(kSegvMaperr, SEGV_MAPERR);
  EXPECT_EQ(kBusAdrerr, BUS_ADRERR);
  EXPECT_EQ(kFpeIntdiv, FPE_INTDIV);
  EXPECT_EQ(kTrapTrace, TRAP_TRACE);
  EXPECT_EQ(kCldContinued, CLD_CONTINUED);
  EXPECT_EQ(kPollHup, POLL_HUP);
  EXPECT_EQ(sizeof(SigEvent), sizeof(struct sigevent));
}

}  // namespace
}  // namespace runsc::abi
