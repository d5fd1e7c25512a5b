// SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP: codes and addresses; stack growth.
#include <fcntl.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

#include <thread>

#include "test/util/test_util.h"

namespace {
using namespace guest;

constexpr size_t kPage = 4096;
sigjmp_buf g_jump;
siginfo_t g_info;
greg_t g_error, g_trap;

void OnFault(int, siginfo_t* info, void* context) {
  g_info = *info;
  auto* uc = static_cast<ucontext_t*>(context);
  g_error = uc->uc_mcontext.gregs[REG_ERR];
  g_trap = uc->uc_mcontext.gregs[REG_TRAPNO];
  siglongjmp(g_jump, 1);
}

class FaultTest : public testing::Test {
 protected:
  // Runs `body`, which must fault with `signal`; g_info then holds the details.
  template <typename F>
  void Fault(int signal, F body) {
    memset(&g_info, 0, sizeof g_info);
    ScopedSigaction handler(signal, OnFault, 0);
    if (sigsetjmp(g_jump, 1) == 0) {
      body();
      FAIL() << "no fault";
    }
    EXPECT_EQ(g_info.si_signo, signal);
  }
  char* Map(size_t length, int prot) {
    return static_cast<char*>(mmap(nullptr, length, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
};

TEST_F(FaultTest, UnmappedIsMaperr) {
  volatile char* p = Map(kPage, PROT_READ);
  munmap(const_cast<char*>(p), kPage);
  Fault(SIGSEGV, [&] { (void)p[5]; });
  EXPECT_EQ(g_info.si_code, SEGV_MAPERR);
  EXPECT_EQ(g_info.si_addr, const_cast<char*>(p) + 5);
  EXPECT_EQ(g_trap, 14);
  EXPECT_EQ(g_error & 2, 0);
}

TEST_F(FaultTest, NullPointer) {
  volatile char* p = nullptr;
  Fault(SIGSEGV, [&] { p[3] = 1; });
  EXPECT_EQ(g_info.si_code, SEGV_MAPERR);
  EXPECT_EQ(g_info.si_addr, reinterpret_cast<void*>(3));
  EXPECT_EQ(g_error & 2, 2);
}

TEST_F(FaultTest, ReadOnlyIsAccerr) {
  volatile char* p = Map(kPage, PROT_READ);
  (void)p[0];
  Fault(SIGSEGV, [&] { p[7] = 1; });
  EXPECT_EQ(g_info.si_code, SEGV_ACCERR);
  EXPECT_EQ(g_info.si_addr, const_cast<char*>(p) + 7);
  munmap(const_cast<char*>(p), kPage);
}

TEST_F(FaultTest, NoAccessIsAccerr) {
  volatile char* p = Map(kPage, PROT_NONE);
  Fault(SIGSEGV, [&] { (void)p[0]; });
  EXPECT_EQ(g_info.si_code, SEGV_ACCERR);
  munmap(const_cast<char*>(p), kPage);
}

TEST_F(FaultTest, ExecuteOfData) {
  char* p = Map(kPage, PROT_READ | PROT_WRITE);
  p[0] = static_cast<char>(0xc3);
  Fault(SIGSEGV, [&] { reinterpret_cast<void (*)()>(p)(); });
  EXPECT_EQ(g_info.si_code, SEGV_ACCERR);
  EXPECT_EQ(g_info.si_addr, p);
  munmap(p, kPage);
}

TEST_F(FaultTest, NonCanonicalAddressIsKernelSigsegv) {
  volatile char* p = reinterpret_cast<char*>(0x8000000000000000UL);
  Fault(SIGSEGV, [&] { (void)p[0]; });
  EXPECT_EQ(g_info.si_code, SI_KERNEL);
  EXPECT_EQ(g_info.si_addr, nullptr);
}

TEST_F(FaultTest, BeyondFileIsSigbusAdrerr) {
  Fd fd(memfd_create("m", 0));
  volatile char* p =
      static_cast<char*>(mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  Fault(SIGBUS, [&] { p[9] = 1; });
  EXPECT_EQ(g_info.si_code, BUS_ADRERR);
  EXPECT_EQ(g_info.si_addr, const_cast<char*>(p) + 9);
  munmap(const_cast<char*>(p), kPage);
}

TEST_F(FaultTest, DivideByZero) {
  Fault(SIGFPE, [] {
    int a = 1, b = 0;
    asm volatile("cltd; idivl %1" : "+a"(a) : "r"(b) : "edx");
  });
  EXPECT_EQ(g_info.si_code, FPE_INTDIV);
  EXPECT_EQ(g_trap, 0);
}

TEST_F(FaultTest, IllegalInstruction) {
  Fault(SIGILL, [] { asm volatile("ud2"); });
  EXPECT_EQ(g_info.si_code, ILL_ILLOPN);
}

TEST_F(FaultTest, PrivilegedInstruction) {
  Fault(SIGSEGV, [] { asm volatile("hlt"); });
  EXPECT_EQ(g_info.si_code, SI_KERNEL);
}

TEST_F(FaultTest, Breakpoint) {
  Fault(SIGTRAP, [] { asm volatile("int3"); });
  EXPECT_EQ(g_info.si_code, SI_KERNEL);
}

TEST_F(FaultTest, SingleStep) {
  Fault(SIGTRAP, [] {
    asm volatile("pushf; orl $0x100, (%%rsp); popf; nop; nop" ::: "memory", "cc");
  });
  EXPECT_EQ(g_info.si_code, TRAP_TRACE);
}

TEST_F(FaultTest, BlockedFaultKills) {
  int status = InChild([] {
    rlimit core = {0, 0};
    setrlimit(RLIMIT_CORE, &core);
    struct sigaction action = {};
    action.sa_handler = [](int) { _exit(7); };
    sigaction(SIGSEGV, &action, nullptr);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    *reinterpret_cast<volatile int*>(8) = 1;
    return 0;
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
}

TEST_F(FaultTest, IgnoredFaultKills) {
  int status = InChild([] {
    rlimit core = {0, 0};
    setrlimit(RLIMIT_CORE, &core);
    signal(SIGSEGV, SIG_IGN);
    *reinterpret_cast<volatile int*>(8) = 1;
    return 0;
  });
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
}

TEST_F(FaultTest, HandlerMayMendAndResume) {
  static char* page;
  page = Map(kPage, PROT_READ);
  static int count;
  count = 0;
  ScopedSigaction handler(SIGSEGV, [](int) {
    count++;
    mprotect(page, kPage, PROT_READ | PROT_WRITE);
  });
  *reinterpret_cast<volatile char*>(page) = 9;
  EXPECT_EQ(page[0], 9);
  EXPECT_EQ(count, 1);
  munmap(page, kPage);
}

TEST_F(FaultTest, FaultInThread) {
  std::thread([this] {
    Fault(SIGSEGV, [] { *reinterpret_cast<volatile int*>(16) = 1; });
    EXPECT_EQ(g_info.si_addr, reinterpret_cast<void*>(16));
  }).join();
}

// Touches `depth` bytes of stack, a page at a time.
__attribute__((noinline)) int Deep(size_t depth) {
  char frame[kPage];
  frame[0] = static_cast<char>(depth);
  asm volatile("" : : "r"(frame) : "memory");
  int below = depth < kPage ? 0 : Deep(depth - kPage);
  asm volatile("" : : "r"(frame) : "memory");  // No tail call: the frame is still needed.
  return below + frame[0];
}

TEST_F(FaultTest, StackGrows) {
  EXPECT_CHILD_OK([] {
    Deep(4 << 20);
    return 0;
  });
}

TEST_F(FaultTest, StackStopsAtItsLimit) {
  int status = InChild([] {
    rlimit core = {0, 0}, stack = {1 << 20, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &core);
    CHECK_OR_DIE(setrlimit(RLIMIT_STACK, &stack) == 0);
    Deep(8 << 20);
    return 0;
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
}

TEST_F(FaultTest, StackOverflowHandledOnAlternateStack) {
  int status = InChild([] {
    rlimit stack = {1 << 20, RLIM_INFINITY};
    CHECK_OR_DIE(setrlimit(RLIMIT_STACK, &stack) == 0);
    static char alternate[65536];
    stack_t ss = {};
    ss.ss_sp = alternate;
    ss.ss_size = sizeof alternate;
    CHECK_OR_DIE(sigaltstack(&ss, nullptr) == 0);
    struct sigaction action = {};
    action.sa_handler = [](int) { _exit(55); };
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGSEGV, &action, nullptr);
    Deep(8 << 20);
    return 0;
  });
  EXPECT_EQ(WEXITSTATUS(status), 55);
}

TEST_F(FaultTest, GrowsdownMapping) {
  char* area = Map(64 * kPage, PROT_NONE);
  munmap(area, 64 * kPage);
  char* p =
      static_cast<char*>(mmap(area + 60 * kPage, kPage, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0));
  ASSERT_NE(p, MAP_FAILED);
  EXPECT_CHILD_OK([&] {
    *reinterpret_cast<volatile char*>(p - 1) = 1;
    *reinterpret_cast<volatile char*>(p - 3 * kPage) = 1;
    return 0;
  });
  munmap(p, kPage);
}

TEST_F(FaultTest, SyscallWithBadPointerIsEfaultNotSignal) {
  EXPECT_THAT(Raw(SYS_uname, 8), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_clock_gettime, CLOCK_MONOTONIC, 8), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_getcwd, ~0UL - 4096, 4096), SyscallFailsWithErrno(EFAULT));
  EXPECT_THAT(Raw(SYS_uname, 0xffff800000000000UL), SyscallFailsWithErrno(EFAULT));
}

TEST_F(FaultTest, KernelWriteCopiesSharedPage) {
  char* p = Map(kPage, PROT_READ | PROT_WRITE);
  p[0] = 'a';
  int fds[2];
  ASSERT_THAT(pipe(fds), SyscallSucceeds());
  write(fds[1], "z", 1);
  EXPECT_CHILD_OK([&] { return read(fds[0], p, 1) == 1 && p[0] == 'z' ? 0 : 1; });
  EXPECT_EQ(p[0], 'a');
  close(fds[0]);
  close(fds[1]);
  munmap(p, kPage);
}

}  // namespace
