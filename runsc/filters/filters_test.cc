#include "runsc/filters/filters.h"

#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/host/process.h"

namespace runsc::filters {
namespace {

// Runs a program as the kernel would.
uint32_t Interpret(const std::vector<sock_filter>& code, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t pc = 0; pc < code.size(); ++pc) {
    const sock_filter& i = code[pc];
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        memcpy(&a, reinterpret_cast<const char*>(&data) + i.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K: a &= i.k; break;
      case BPF_JMP | BPF_JA: pc += i.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: pc += a == i.k ? i.jt : i.jf; break;
      case BPF_JMP | BPF_JGE | BPF_K: pc += a >= i.k ? i.jt : i.jf; break;
      case BPF_RET | BPF_K: return i.k;
      default: ADD_FAILURE() << "unexpected instruction"; return 0;
    }
  }
  ADD_FAILURE() << "fell off the end";
  return 0;
}

bool Allows(const std::vector<sock_filter>& code, int nr, std::vector<uint64_t> args = {}) {
  seccomp_data data{};
  data.nr = nr;
  data.arch = 0xc000003e;
  for (size_t i = 0; i < args.size(); ++i) data.args[i] = args[i];
  return Interpret(code, data) == SECCOMP_RET_ALLOW;
}

TEST(BpfTest, EveryNumberIsDecidedAsTheRulesSay) {
  std::vector<Rule> rules;
  for (uint32_t n = 1; n < 400; n += 3) rules.push_back({n, "x", {}});
  auto code = Compile(rules, SECCOMP_RET_KILL_PROCESS);
  for (int n = 0; n < 450; ++n) EXPECT_EQ(Allows(code, n), n < 400 && n % 3 == 1) << n;
}

TEST(BpfTest, ArgumentsAndAlternatives) {
  std::vector<Rule> rules = {{5, "a", {Is(0, 3), Within(1, 0x30)}},
                             {5, "b", {Wide(0, 1ull << 40)}},
                             {9, "c", {}}};
  auto code = Compile(rules, SECCOMP_RET_KILL_PROCESS);
  EXPECT_TRUE(Allows(code, 5, {3, 0x10}));
  EXPECT_TRUE(Allows(code, 5, {0xffffffff00000003, 0x30}));  // an int: the upper half is ignored
  EXPECT_FALSE(Allows(code, 5, {3, 0x40}));
  EXPECT_FALSE(Allows(code, 5, {4, 0x10}));
  EXPECT_TRUE(Allows(code, 5, {1ull << 40, 0xff}));
  EXPECT_FALSE(Allows(code, 5, {(1ull << 40) + 1, 0xff}));
  EXPECT_TRUE(Allows(code, 9, {77}));
}

TEST(BpfTest, ForeignArchitecturesAreKilled) {
  seccomp_data data{};
  data.arch = 0x40000003;  // i386
  EXPECT_EQ(Interpret(Compile(std::vector<Rule>{{0, "x", {}}}, SECCOMP_RET_TRAP), data),
            SECCOMP_RET_KILL_PROCESS);
}

TEST(RulesTest, EveryRuleHasAReasonAndNothingDangerousIsIn) {
  for (const char* platform : {"ptrace", "systrap"}) {
    std::vector<Rule> rules = SentryRules(platform, getpid());
    auto code = Compile(rules, SECCOMP_RET_KILL_PROCESS);
    EXPECT_LT(code.size(), 4096u);
    for (const Rule& rule : rules) EXPECT_GE(strlen(rule.reason), 7u) << rule.number;
    for (int nr : {SYS_open, SYS_openat, SYS_execve, SYS_execveat, SYS_socket, SYS_connect,
                   SYS_mount, SYS_bpf, SYS_setuid, SYS_io_uring_setup, SYS_unshare, SYS_setns}) {
      EXPECT_FALSE(Allows(code, nr)) << platform << " " << nr;
    }
    uint64_t wx = PROT_WRITE | PROT_EXEC;
    EXPECT_FALSE(Allows(code, SYS_mmap, {0, 4096, wx, MAP_PRIVATE | MAP_ANONYMOUS}));
    EXPECT_FALSE(Allows(code, SYS_mprotect, {0, 4096, PROT_READ | PROT_EXEC}));
    EXPECT_TRUE(Allows(code, SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS}));
  }
}

TEST(RulesTest, SignalsReachNobodyButStubsAndItself) {
  const auto own = static_cast<uint64_t>(getpid());
  for (const char* platform : {"ptrace", "systrap"}) {
    auto code = Compile(SentryRules(platform, getpid()), SECCOMP_RET_KILL_PROCESS);
    EXPECT_TRUE(Allows(code, SYS_tgkill, {own, own, SIGABRT})) << platform;
    EXPECT_FALSE(Allows(code, SYS_tgkill, {own + 1, own + 1, SIGABRT})) << platform;
    EXPECT_FALSE(Allows(code, SYS_tgkill, {own + 1, own + 1, SIGKILL})) << platform;
    EXPECT_TRUE(Allows(code, SYS_kill, {own + 1, SIGKILL})) << platform;
    EXPECT_FALSE(Allows(code, SYS_kill, {own + 1, SIGSTOP})) << platform;
  }
}

TEST(RulesTest, PtraceMakesOnlyTheRequestsOfThePlatform) {
  auto code = Compile(SentryRules("ptrace", getpid()), SECCOMP_RET_KILL_PROCESS);
  const uint64_t options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
  EXPECT_TRUE(Allows(code, SYS_ptrace, {PTRACE_SEIZE, 5, 0, options}));
  // Without EXITKILL a stub would outlive the sentry.
  EXPECT_FALSE(Allows(code, SYS_ptrace, {PTRACE_SEIZE, 5, 0, PTRACE_O_TRACESYSGOOD}));
  EXPECT_FALSE(Allows(code, SYS_ptrace, {PTRACE_ATTACH, 5}));
  EXPECT_FALSE(Allows(code, SYS_ptrace, {PTRACE_POKETEXT, 5, 4096, 0}));
  EXPECT_FALSE(Allows(code, SYS_ptrace, {PTRACE_POKEUSER, 5, 0, 0}));
  EXPECT_FALSE(Allows(Compile(SentryRules("systrap", getpid()), SECCOMP_RET_KILL_PROCESS),
                      SYS_ptrace, {PTRACE_SYSEMU, 5}));
}

TEST(InstallTest, ARefusedCallKillsTheProcess) {
  auto child = host::CloneProcess(0, [] {
    if (!Install(SentryRules("ptrace", getpid()), {}).ok()) return 1;
    syscall(SYS_socket, 1, 1, 0);
    return 0;
  });
  EXPECT_EQ(*host::WaitChild(child->pid), 128 + SIGSYS);
}

TEST(InstallTest, ReportingFilterExitsWithTheSameStatus) {
  auto child = host::CloneProcess(0, [] {
    close(2);
    if (!Install(SentryRules("ptrace", getpid()), {.report = true}).ok()) return 1;
    syscall(SYS_socket, 1, 1, 0);
    return 0;
  });
  EXPECT_EQ(*host::WaitChild(child->pid), 128 + SIGSYS);
}

}  // namespace
}  // namespace runsc::filters
