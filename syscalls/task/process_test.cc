#include <linux/sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <gtest/gtest.h>

#include "platform/abi/signal.h"
#include "platform/abi/time.h"
#include "syscalls/task/fake_guest.h"

namespace runsc {
namespace {

constexpr uint64_t kStatus = kGuestData, kInfo = kGuestData + 64, kScratch = kGuestData + 512;

void ExitWith(Guest& g, int code) { g.Call(SYS_exit_group, static_cast<uint64_t>(code)); }

// Ends with 0 if `ok`, else with a code that says where.
void Require(Guest& g, bool ok, int code) {
  if (!ok) ExitWith(g, code);
}

void SetHandler(Guest& g, int sig, uint64_t handler, uint64_t flags = 0) {
  g.Store(kScratch, abi::SigAction{handler, flags | abi::kSaRestorer, StepAddress(9, 0), 0});
  g.Call(SYS_rt_sigaction, static_cast<uint64_t>(sig), kScratch, 0, 8);
}

// Program 9 is the restorer of every handler. A handler returns to it by its stack.
Program Restorer() {
  return {[](Guest& g) { g.Call(SYS_rt_sigreturn); }};
}
void Return(Guest& g) {
  g.regs.rip = g.Load<uint64_t>(g.regs.rsp);
  g.regs.rsp += 8;
}

std::vector<Program> WithRestorer(std::vector<Program> p) {
  p.resize(9);
  p.push_back(Restorer());
  return p;
}

TEST(ProcessTest, InitExitsWithItsCode) {
  FakeMachine m;
  EXPECT_EQ(m.Run({{[](Guest& g) { ExitWith(g, 42); }}}).code, 42);
}

TEST(ProcessTest, ProcessThatNeverStartedGoesWithTheKernel) {
  FakeMachine m;
  GuestPrograms::All() = {{[](Guest& g) { ExitWith(g, 1); }}};
  ASSERT_TRUE(m.Create().ok());
}

TEST(ProcessTest, ParentSeesChildsExitCode) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) { g.Call(SYS_fork); },
      [](Guest& g) {
        if (g.result() == 0) return ExitWith(g, 7);
        g.Call(SYS_wait4, static_cast<uint64_t>(g.result()), kStatus, 0, 0);
      },
      [](Guest& g) { ExitWith(g, g.Load<int>(kStatus) == 7 << 8 && g.result() == 2 ? 0 : 1); },
  }});
  EXPECT_EQ(s.code, 0);
}

TEST(ProcessTest, WaitWithoutChildrenIsEchild) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) { g.Call(SYS_wait4, static_cast<uint64_t>(-1), 0, 0, 0); },
      [](Guest& g) { ExitWith(g, g.result() == -ECHILD ? 0 : 1); },
  }});
  EXPECT_EQ(s.code, 0);
}

TEST(ProcessTest, KilledChildReportsSignal) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) { g.Call(SYS_fork); },
      [](Guest& g) {
        if (g.result() == 0) return g.Call(SYS_pause);
        g.Call(SYS_kill, 2, SIGTERM);
      },
      [](Guest& g) { g.Call(SYS_wait4, 2, kStatus, 0, 0); },
      [](Guest& g) { ExitWith(g, g.Load<int>(kStatus) == SIGTERM ? 0 : 1); },
  }});
  EXPECT_EQ(s.code, 0);
}

TEST(ProcessTest, StopAndContinueAreReported) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) { g.Call(SYS_fork); },
      [](Guest& g) {
        if (g.result() == 0) return g.Goto(8);
        g.Call(SYS_kill, 2, SIGSTOP);
      },
      [](Guest& g) { g.Call(SYS_wait4, 2, kStatus, WUNTRACED, 0); },
      [](Guest& g) {
        Require(g, g.Load<int>(kStatus) == (SIGSTOP << 8 | 0x7f), 1);
        g.Call(SYS_kill, 2, SIGCONT);
      },
      [](Guest& g) { g.Call(SYS_wait4, 2, kStatus, WCONTINUED, 0); },
      [](Guest& g) {
        Require(g, g.Load<int>(kStatus) == 0xffff, 2);
        g.Call(SYS_kill, 2, SIGKILL);
      },
      [](Guest& g) { g.Call(SYS_wait4, 2, kStatus, 0, 0); },
      [](Guest& g) { ExitWith(g, g.Load<int>(kStatus) == SIGKILL ? 0 : 3); },
      [](Guest& g) {
        g.Spin();
        g.Goto(8);
      },
  }});
  EXPECT_EQ(s.code, 0);
}

TEST(ProcessTest, WaitidFillsSiginfoAndLeavesZombieWithNowait) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) { g.Call(SYS_fork); },
      [](Guest& g) {
        if (g.result() == 0) return ExitWith(g, 3);
        g.Call(SYS_waitid, P_PID, 2, kInfo, WEXITED | WNOWAIT, 0);
      },
      [](Guest& g) {
        auto info = g.Load<abi::SigInfo>(kInfo);
        Require(g, info.signo == SIGCHLD && info.code == CLD_EXITED && info.child.pid == 2 &&
                       info.child.status == 3, 1);
        g.Call(SYS_wait4, 2, kStatus, 0, 0);
      },
      [](Guest& g) { ExitWith(g, g.result() == 2 ? 0 : 2); },
  }});
  EXPECT_EQ(s.code, 0);
}

TEST(ProcessTest, OrphanGoesToInit) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) { g.Call(SYS_fork); },
      [](Guest& g) {
        if (g.result() == 0) return g.Goto(5);
        g.Call(SYS_wait4, 2, kStatus, 0, 0);
      },
      [](Guest& g) { g.Call(SYS_wait4, static_cast<uint64_t>(-1), kStatus, 0, 0); },
      [](Guest& g) { ExitWith(g, g.result() == 3 && g.Load<int>(kStatus) == 9 << 8 ? 0 : 1); },
      [](Guest& g) { ExitWith(g, 99); },
      [](Guest& g) { g.Call(SYS_fork); },  // 5: the child
      [](Guest& g) { ExitWith(g, g.result() == 0 ? 9 : 0); },
  }});
  EXPECT_EQ(s.code, 0);
}

TEST(ProcessTest, SigchldIgnoredLeavesNoZombie) {
  FakeMachine m;
  ExitStatus s = m.Run(WithRestorer({{
      [](Guest& g) { SetHandler(g, SIGCHLD, 1); },
      [](Guest& g) { g.Call(SYS_fork); },
      [](Guest& g) {
        if (g.result() == 0) return ExitWith(g, 3);
        g.Call(SYS_wait4, static_cast<uint64_t>(-1), kStatus, 0, 0);
      },
      [](Guest& g) { ExitWith(g, g.result() == -ECHILD ? 0 : 1); },
  }}));
  EXPECT_EQ(s.code, 0);
}

TEST(SignalTest, HandlerRunsAndReturns) {
  FakeMachine m;
  ExitStatus s = m.Run(WithRestorer({
      {
          [](Guest& g) { SetHandler(g, SIGUSR1, StepAddress(1, 0)); },
          [](Guest& g) {
            g.regs.rbx = 77;
            g.Call(SYS_kill, 1, SIGUSR1);
          },
          [](Guest& g) {
            ExitWith(g, g.result() == 0 && g.regs.rbx == 77 && g.Load<int>(kStatus) == 1 ? 0 : 1);
          },
      },
      {
          [](Guest& g) {
            g.Store(kStatus, static_cast<int>(g.regs.rdi == SIGUSR1));
            g.regs.rbx = 5;
            Return(g);
          },
      },
  }));
  EXPECT_EQ(s.code, 0);
}

// A child signals its parent, which sleeps in `call`; answers what the parent saw.
ExitStatus InterruptSleeper(FakeMachine& m, uint64_t flags, Step call, Step check) {
  return m.Run(WithRestorer({
      {
          [flags](Guest& g) { SetHandler(g, SIGUSR1, StepAddress(1, 0), flags); },
          [](Guest& g) { g.Call(SYS_fork); },
          [call](Guest& g) {
            if (g.result() == 0) return g.Goto(4);
            call(g);
          },
          check,
          [](Guest& g) {
            g.Store(kScratch, abi::Timespec{0, 50000000});
            g.Call(SYS_nanosleep, kScratch, 0);
          },
          [](Guest& g) { g.Call(SYS_kill, 1, SIGUSR1); },
          [](Guest& g) {
            g.Store(kScratch, abi::Timespec{0, 50000000});
            g.Call(SYS_nanosleep, kScratch, 0);
          },
          [](Guest& g) { ExitWith(g, 5); },
      },
      {[](Guest& g) { Return(g); }},
  }));
}

TEST(SignalTest, WaitIsInterruptedWithoutSaRestart) {
  FakeMachine m;
  ExitStatus s = InterruptSleeper(
      m, 0, [](Guest& g) { g.Call(SYS_wait4, 2, kStatus, 0, 0); },
      [](Guest& g) { ExitWith(g, g.result() == -EINTR ? 0 : 1); });
  EXPECT_EQ(s.code, 0);
}

TEST(SignalTest, WaitRestartsWithSaRestart) {
  FakeMachine m;
  ExitStatus s = InterruptSleeper(
      m, SA_RESTART, [](Guest& g) { g.Call(SYS_wait4, 2, kStatus, 0, 0); },
      [](Guest& g) { ExitWith(g, g.result() == 2 && g.Load<int>(kStatus) == 5 << 8 ? 0 : 1); });
  EXPECT_EQ(s.code, 0);
}

TEST(SignalTest, NanosleepTellsWhatIsLeft) {
  FakeMachine m;
  ExitStatus s = InterruptSleeper(
      m, SA_RESTART,
      [](Guest& g) {
        g.Store(kInfo, abi::Timespec{10, 0});
        g.Call(SYS_nanosleep, kInfo, kInfo + 32);
      },
      [](Guest& g) {
        auto left = g.Load<abi::Timespec>(kInfo + 32);
        ExitWith(g, g.result() == -EINTR && left.sec == 9 ? 0 : 1);
      });
  EXPECT_EQ(s.code, 0);
}

TEST(SignalTest, SigsuspendRestoresMaskAfterHandler) {
  FakeMachine m;
  ExitStatus s = m.Run(WithRestorer({
      {
          [](Guest& g) { SetHandler(g, SIGUSR1, StepAddress(1, 0)); },
          [](Guest& g) {
            g.Store(kScratch, uint64_t{1} << (SIGUSR1 - 1));
            g.Call(SYS_rt_sigprocmask, SIG_BLOCK, kScratch, 0, 8);
          },
          [](Guest& g) { g.Call(SYS_kill, 1, SIGUSR1); },
          [](Guest& g) {
            Require(g, g.Load<int>(kStatus) == 0, 1);
            g.Store(kScratch, uint64_t{0});
            g.Call(SYS_rt_sigsuspend, kScratch, 8);
          },
          [](Guest& g) {
            Require(g, g.result() == -EINTR && g.Load<int>(kStatus) == 1, 2);
            g.Call(SYS_rt_sigprocmask, SIG_BLOCK, 0, kScratch, 8);
          },
          [](Guest& g) {
            ExitWith(g, g.Load<uint64_t>(kScratch) == uint64_t{1} << (SIGUSR1 - 1) ? 0 : 3);
          },
      },
      {[](Guest& g) {
        g.Store(kStatus, 1);
        Return(g);
      }},
  }));
  EXPECT_EQ(s.code, 0);
}

TEST(SignalTest, SigtimedwaitTakesBlockedSignalAndTimesOut) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) {
        g.Store(kScratch, uint64_t{1} << (SIGUSR1 - 1));
        g.Call(SYS_rt_sigprocmask, SIG_BLOCK, kScratch, 0, 8);
      },
      [](Guest& g) { g.Call(SYS_fork); },
      [](Guest& g) {
        if (g.result() == 0) return g.Goto(6);
        g.Call(SYS_rt_sigtimedwait, kScratch, kInfo, 0, 8);
      },
      [](Guest& g) {
        auto info = g.Load<abi::SigInfo>(kInfo);
        Require(g, g.result() == SIGUSR1 && info.rt.pid == 2 && info.code == SI_USER, 1);
        g.Store(kInfo, abi::Timespec{0, 1000000});
        g.Call(SYS_rt_sigtimedwait, kScratch, 0, kInfo, 8);
      },
      [](Guest& g) { ExitWith(g, g.result() == -EAGAIN ? 0 : 2); },
      [](Guest& g) { ExitWith(g, 9); },
      [](Guest& g) { g.Call(SYS_kill, 1, SIGUSR1); },
      [](Guest& g) { ExitWith(g, 0); },
  }});
  EXPECT_EQ(s.code, 0);
}

TEST(SignalTest, UnhandledSignalsDoNotEndInit) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) { g.Call(SYS_kill, 1, SIGTERM); },
      [](Guest& g) { g.Call(SYS_kill, 1, SIGKILL); },
      [](Guest& g) { ExitWith(g, 4); },
  }});
  EXPECT_EQ(s.code, 4);
}

TEST(SignalTest, FaultWithoutHandlerKills) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) { g.Call(SYS_fork); },
      [](Guest& g) {
        if (g.result() == 0) return g.Goto(100);
        g.Call(SYS_wait4, 2, kStatus, 0, 0);
      },
      [](Guest& g) { ExitWith(g, (g.Load<int>(kStatus) & 0x7f) == SIGSEGV ? 0 : 1); },
  }});
  EXPECT_EQ(s.code, 0);
}

constexpr uint64_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;

TEST(ThreadTest, ExitGroupFromThreadEndsLeader) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) { g.Call(SYS_clone, kThreadFlags, kGuestData + 0x8000); },
      [](Guest& g) {
        if (g.result() == 0) return ExitWith(g, 6);
        g.Call(SYS_pause);
      },
      [](Guest& g) { ExitWith(g, 1); },
  }});
  EXPECT_EQ(s.code, 6);
}

TEST(ThreadTest, ExecByThreadTakesOverLeadersId) {
  FakeMachine m;
  ExitStatus s = m.Run({
      {
          [](Guest& g) { g.Call(SYS_fork); },
          [](Guest& g) {
            if (g.result() == 0) return g.Goto(4);
            g.Call(SYS_wait4, 2, kStatus, 0, 0);
          },
          [](Guest& g) { ExitWith(g, g.Load<int>(kStatus) == 2 << 8 ? 0 : 1); },
          [](Guest& g) { ExitWith(g, 98); },
          [](Guest& g) { g.Call(SYS_clone, kThreadFlags, kGuestData + 0x8000); },  // 4
          [](Guest& g) {
            if (g.result() != 0) return g.Call(SYS_pause);
            const char path[] = "/program1";
            for (size_t i = 0; i < sizeof(path); ++i) g.Store(kScratch + i, path[i]);
            g.Call(SYS_execve, kScratch, 0, 0);
          },
          [](Guest& g) { ExitWith(g, 97); },
      },
      {
          [](Guest& g) { g.Call(SYS_gettid); },
          [](Guest& g) { ExitWith(g, static_cast<int>(g.result())); },
      },
  });
  EXPECT_EQ(s.code, 0);
}

TEST(ThreadTest, VforkParentWaitsForChild) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) { g.Call(SYS_vfork); },
      [](Guest& g) {
        if (g.result() != 0) return g.Goto(4);
        g.Store(kInfo, abi::Timespec{0, 30000000});
        g.Call(SYS_nanosleep, kInfo, 0);
      },
      [](Guest& g) {
        g.Store(kStatus, 11);
        g.Call(SYS_exit, 0);
      },
      [](Guest& g) { ExitWith(g, 99); },
      [](Guest& g) { ExitWith(g, g.Load<int>(kStatus) == 11 ? 0 : 1); },
  }});
  EXPECT_EQ(s.code, 0);
}

TEST(TimerTest, IntervalTimerSignalsRepeatedly) {
  FakeMachine m;
  ExitStatus s = m.Run(WithRestorer({
      {
          [](Guest& g) { SetHandler(g, SIGALRM, StepAddress(1, 0)); },
          [](Guest& g) {
            g.Store(kInfo, abi::Itimerval{{0, 2000}, {0, 2000}});
            g.Call(SYS_setitimer, 0, kInfo, 0);
          },
          [](Guest& g) { g.Call(SYS_pause); },
          [](Guest& g) {
            Require(g, g.result() == -EINTR, 1);
            if (g.Load<int>(kStatus) < 3) return g.Goto(2);
            ExitWith(g, 0);
          },
      },
      {[](Guest& g) {
        g.Store(kStatus, g.Load<int>(kStatus) + 1);
        Return(g);
      }},
  }));
  EXPECT_EQ(s.code, 0);
}

TEST(TimerTest, PosixTimerCountsOverruns) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) {
        g.Store(kScratch, uint64_t{1} << (SIGUSR2 - 1));
        g.Call(SYS_rt_sigprocmask, SIG_BLOCK, kScratch, 0, 8);
      },
      [](Guest& g) {
        g.Store(kInfo, abi::SigEvent{.value = 55, .signo = SIGUSR2, .notify = 0});
        g.Call(SYS_timer_create, 1, kInfo, kStatus);
      },
      [](Guest& g) {
        Require(g, g.result() == 0, 1);
        g.Store(kInfo, abi::Itimerspec{{0, 1000000}, {0, 1000000}});
        g.Call(SYS_timer_settime, static_cast<uint64_t>(g.Load<int>(kStatus)), 0, kInfo, 0);
      },
      [](Guest& g) {
        g.Store(kInfo, abi::Timespec{0, 20000000});
        g.Call(SYS_nanosleep, kInfo, 0);
      },
      [](Guest& g) { g.Call(SYS_rt_sigtimedwait, kScratch, kInfo, 0, 8); },
      [](Guest& g) {
        auto info = g.Load<abi::SigInfo>(kInfo);
        Require(g, info.code == SI_TIMER && info.timer.value == 55, 2);
        ExitWith(g, info.timer.overrun >= 10 && info.timer.overrun < 1000 ? 0 : 3);
      },
  }});
  EXPECT_EQ(s.code, 0);
}

TEST(JobTest, KillZeroReachesOnlyTheGroup) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) { g.Call(SYS_fork); },
      [](Guest& g) {
        if (g.result() == 0) return g.Goto(5);
        g.Call(SYS_fork);
      },
      [](Guest& g) {
        if (g.result() == 0) return g.Goto(7);
        g.Call(SYS_wait4, 2, kStatus, 0, 0);
      },
      [](Guest& g) {
        Require(g, g.Load<int>(kStatus) == SIGTERM, 1);
        g.Call(SYS_kill, 3, 0);  // still there
      },
      [](Guest& g) { ExitWith(g, g.result() == 0 ? 0 : 2); },
      [](Guest& g) { g.Call(SYS_setsid); },  // 5: child 2
      [](Guest& g) {
        Require(g, g.result() == 2, 3);
        g.Call(SYS_kill, 0, SIGTERM);
      },
      [](Guest& g) { g.Call(SYS_pause); },  // 7: child 3
  }});
  EXPECT_EQ(s.code, 0);
}

TEST(JobTest, UnimplementedCallsAreCounted) {
  FakeMachine m;
  ExitStatus s = m.Run({{
      [](Guest& g) { g.Call(SYS_prctl, 12345); },
      [](Guest& g) { ExitWith(g, g.result() == -EINVAL ? 0 : 1); },
  }});
  EXPECT_EQ(s.code, 0);
  auto counts = m.kernel().UnimplementedCounts();
  ASSERT_EQ(counts.size(), 1u);
  EXPECT_EQ(counts[0].second, 1u);
}

}  // namespace
}  // namespace runsc
