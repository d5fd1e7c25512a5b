#include "sentry/kernel/signal.h"

#include <signal.h>

#include <gtest/gtest.h>

namespace runsc {
namespace {

constexpr SignalSet kAll{~uint64_t{0}};

SignalInfo Info(int sig, int32_t value) {
  return FromAbi(abi::QueueInfo(Signal(sig), abi::kSiQueue, 1, 0, static_cast<uint64_t>(value)));
}

TEST(PendingSignalsTest, StandardSignalsCoalesce) {
  PendingSignals p;
  EXPECT_TRUE(p.Add(Info(SIGUSR1, 1)));
  EXPECT_FALSE(p.Add(Info(SIGUSR1, 2)));
  SignalInfo out;
  ASSERT_TRUE(p.Take(kAll, &out));
  EXPECT_EQ(ToAbi(out).rt.value, 1u);
  EXPECT_FALSE(p.Take(kAll, &out));
}

TEST(PendingSignalsTest, RealtimeSignalsQueueInOrder) {
  PendingSignals p;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(p.Add(Info(40, i)));
  EXPECT_TRUE(p.Add(Info(35, 9)));
  SignalInfo out;
  ASSERT_TRUE(p.Take(kAll, &out));
  EXPECT_EQ(out.signo, 35);
  for (uint64_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(p.Take(kAll, &out));
    EXPECT_EQ(out.signo, 40);
    EXPECT_EQ(ToAbi(out).rt.value, i);
  }
  EXPECT_TRUE(p.set().Empty());
}

TEST(PendingSignalsTest, FaultsComeBeforeLowerNumbers) {
  PendingSignals p;
  p.Add(Info(SIGHUP, 0));
  p.Add(Info(SIGSEGV, 0));
  SignalInfo out;
  ASSERT_TRUE(p.Take(kAll, &out));
  EXPECT_EQ(out.signo, SIGSEGV);
  ASSERT_TRUE(p.Take(kAll, &out));
  EXPECT_EQ(out.signo, SIGHUP);
}

TEST(PendingSignalsTest, TakeRespectsTheSet) {
  PendingSignals p;
  p.Add(Info(SIGUSR1, 0));
  SignalSet only;
  only.Add(Signal(SIGUSR2));
  SignalInfo out;
  EXPECT_FALSE(p.Take(only, &out));
  EXPECT_TRUE(p.set().Has(Signal(SIGUSR1)));
}

TEST(PendingSignalsTest, BareSignalReadsAsUserSignal) {
  PendingSignals p;
  p.AddBare(Signal(40));
  SignalInfo out;
  ASSERT_TRUE(p.Take(kAll, &out));
  EXPECT_EQ(out.signo, 40);
  EXPECT_EQ(out.code, abi::kSiUser);
}

TEST(PendingSignalsTest, AccountIsChargedWhileQueued) {
  auto account = MakeRef<UserAccount>(0);
  PendingSignals p;
  p.Add(Info(40, 0), account, nullptr);
  p.Add(Info(41, 0), account, nullptr);
  EXPECT_EQ(account->pending_signals.load(), 2u);
  SignalInfo out;
  ASSERT_TRUE(p.Take(kAll, &out));
  EXPECT_EQ(account->pending_signals.load(), 1u);
  p.Discard(kAll);
  EXPECT_EQ(account->pending_signals.load(), 0u);
}

TEST(SignalHandlersTest, ExecKeepsOnlyIgnored) {
  auto h = MakeRef<SignalHandlers>();
  h->Set(Signal(SIGUSR1), SignalAction{.handler = 0x1000});
  h->Set(Signal(SIGUSR2), SignalAction{.handler = abi::kSigIgn});
  h->ResetForExec();
  EXPECT_EQ(h->Get(Signal(SIGUSR1)).handler, abi::kSigDfl);
  EXPECT_EQ(h->Get(Signal(SIGUSR2)).handler, abi::kSigIgn);
}

}  // namespace
}  // namespace runsc
