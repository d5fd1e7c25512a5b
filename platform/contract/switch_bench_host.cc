// What a platform costs: prints each figure, and its ratio to the like of it measured natively in
// the same run. Not a test; run it on a quiet machine. Arguments: substrings of names to run.
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <thread>

#include "platform/contract/fixture.h"

namespace runsc::platform::contract {
namespace {

struct Machine {
  int fd;
  char* memory;
  std::unique_ptr<Platform> platform;
};

Machine* g_machine;
double g_native_call;

std::unique_ptr<AddressSpace> NewSpace() {
  auto as = g_machine->platform->NewAddressSpace().value();
  const int fd = g_machine->fd;
  as->BeginBatch();
  (void)as->MapFile({kCode, kCode + kDataOffset}, {fd, 0}, kReadExec, false);
  (void)as->MapFile({kData, kData + kDataSize}, {fd, kDataOffset}, kReadWrite, false);
  (void)as->MapFile({kStack, kStackTop}, {fd, kStackOffset}, kReadWrite, false);
  (void)as->EndBatch();
  return as;
}

arch::Registers At(const char* snippet) {
  return arch::InitialRegisters(kCode + static_cast<uint64_t>(snippet - guest_code_start),
                                kStackTop - 4096);
}

uint64_t CpuNanos() {
  rusage own{};
  getrusage(RUSAGE_SELF, &own);
  return (static_cast<uint64_t>(own.ru_utime.tv_sec + own.ru_stime.tv_sec)) * 1000000000 +
         static_cast<uint64_t>(own.ru_utime.tv_usec + own.ru_stime.tv_usec) * 1000;
}

void Report(const char* name, double nanos, double native) {
  printf("%-34s %10.2f us", name, nanos / 1000);
  if (native > 0) printf("   native %8.2f us   x%.2f", native / 1000, nanos / native);
  printf("\n");
  fflush(stdout);
}

// Least of some rounds: what it costs when nobody disturbs.
template <typename F>
double Best(int rounds, int count, F&& f) {
  double best = 1e18;
  for (int r = 0; r < rounds; ++r) {
    const uint64_t start = NowNanos();
    for (int i = 0; i < count; ++i) f();
    best = std::min(best, static_cast<double>(NowNanos() - start) / count);
  }
  return best;
}

void Check(bool ok) {
  if (!ok) {
    fprintf(stderr, "switch_bench: unexpected stop\n");
    _exit(1);
  }
}

// Mean over the threads of each one's least batch.
double CallNanos(int threads, const char* snippet, uint64_t work) {
  auto as = NewSpace();
  std::atomic<int> ready{0};
  std::atomic<int> finished{0};
  std::vector<double> times(static_cast<size_t>(threads));
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      auto context = g_machine->platform->NewContext().value();
      arch::Registers regs = At(snippet);
      auto call = [&] {
        regs.r15 = work;
        Check(context->Switch(*as, regs).event == Event::kSyscall);
      };
      for (int i = 0; i < 200; ++i) call();
      ++ready;
      while (ready < threads) sched_yield();
      times[static_cast<size_t>(t)] = Best(50, 400, call);
      ++finished;
      while (finished < threads) call();
    });
  }
  for (auto& thread : all) thread.join();
  double sum = 0;
  for (double time : times) sum += time;
  return sum / threads;
}

void BenchCalls(int threads) {
  char name[64];
  snprintf(name, sizeof(name), "call, %d thread%s", threads, threads > 1 ? "s" : "");
  Report(name, CallNanos(threads, guest_syscalls, 0), g_native_call);
}

// The guest computes between its calls.
void BenchComputing() {
  for (uint64_t work : {1000, 10000, 30000, 100000, 300000}) {
    char name[64];
    snprintf(name, sizeof(name), "call every %llu loops", static_cast<unsigned long long>(work));
    const double native = Best(20, 20, [&] {
      for (volatile uint64_t i = 0; i < work; i = i + 1) {
      }
    });
    Report(name, CallNanos(1, guest_work, work), native);
  }
}

void BenchFault() {
  auto as = NewSpace();
  auto context = g_machine->platform->NewContext().value();
  const double nanos = Best(5, 5000, [&] {
    arch::Registers regs = At(guest_read);
    regs.rbx = 0x60000000;
    Check(context->Switch(*as, regs).event == Event::kFault);
  });
  Report("page fault to the sentry", nanos, g_native_call);
}

void BenchMap() {
  auto as = NewSpace();
  auto context = g_machine->platform->NewContext().value();
  arch::Registers regs = At(guest_syscalls);
  Check(context->Switch(*as, regs).event == Event::kSyscall);
  const int fd = g_machine->fd;
  const double native = Best(5, 2000, [&] {
    void* p = mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, kFreeOffset);
    munmap(p, 65536);
  });
  const double nanos = Best(5, 2000, [&] {
    (void)as->MapFile({0x60000000, 0x60010000}, {fd, kFreeOffset}, kReadWrite, false);
    as->Unmap({0x60000000, 0x60010000});
  });
  Report("map 64 KiB + unmap", nanos, native);
  const double calls = Best(5, 1000, [&] {
    Check(context->Switch(*as, regs).event == Event::kSyscall);
    (void)as->MapFile({0x60000000, 0x60010000}, {fd, kFreeOffset}, kReadWrite, false);
    Check(context->Switch(*as, regs).event == Event::kSyscall);
    as->Unmap({0x60000000, 0x60010000});
  });
  Report("two calls that map and unmap", calls, native);
}

void BenchSpaces() {
  const double native = Best(3, 100, [] {
    const pid_t pid = vfork();
    if (pid == 0) _exit(0);
    waitpid(pid, nullptr, 0);
  });
  const double fork_native = Best(3, 100, [] {
    const pid_t pid = fork();
    if (pid == 0) _exit(0);
    waitpid(pid, nullptr, 0);
  });
  Report("native vfork+exit+wait", native, 0);
  const double empty = Best(3, 200, [] { g_machine->platform->NewAddressSpace().value(); });
  Report("new space + destroy", empty, fork_native);
  const double nanos = Best(3, 200, [] {
    auto as = NewSpace();
    auto context = g_machine->platform->NewContext().value();
    arch::Registers regs = At(guest_syscalls);
    Check(context->Switch(*as, regs).event == Event::kSyscall);
    context->Release();
  });
  Report("space, 3 maps, context, call, end", nanos, fork_native);
}

void BenchContexts() {
  auto as = NewSpace();
  const double native = Best(3, 200, [] { std::thread([] {}).join(); });
  const double nanos = Best(3, 200, [&] {
    auto context = g_machine->platform->NewContext().value();
    arch::Registers regs = At(guest_syscalls);
    Check(context->Switch(*as, regs).event == Event::kSyscall);
  });
  Report("context create, bind, call, end", nanos, native);
  std::vector<std::unique_ptr<Context>> contexts;
  const double fresh = Best(1, 200, [&] {
    contexts.push_back(g_machine->platform->NewContext().value());
    arch::Registers regs = At(guest_syscalls);
    Check(contexts.back()->Switch(*as, regs).event == Event::kSyscall);
  });
  Report("the same, new stub threads", fresh, native);
}

void BenchInterrupt() {
  auto as = NewSpace();
  auto context = g_machine->platform->NewContext().value();
  std::atomic<uint64_t> sent{0};
  std::atomic<int> answered{0};
  constexpr int kRounds = 300;
  std::thread sender([&] {
    UseAllCpus();
    for (int i = 0; i < kRounds; ++i) {
      usleep(1000);
      sent = NowNanos();
      context->Interrupt();
      while (answered == i) usleep(100);
    }
  });
  std::vector<uint64_t> times;
  arch::Registers regs = At(guest_busy);
  for (int i = 0; i < kRounds; ++i) {
    Check(context->Switch(*as, regs).event == Event::kInterrupted);
    times.push_back(NowNanos() - sent);
    answered = i + 1;
  }
  sender.join();
  std::ranges::sort(times);
  Report("interrupt latency, median", static_cast<double>(times[kRounds / 2]), 0);
  Report("interrupt latency, 99 %", static_cast<double>(times[kRounds * 99 / 100]), 0);
}

// Two guest tasks that take turns, as over a pipe: each waits in its sentry thread.
void BenchPingPong() {
  int ab[2], ba[2];
  Check(pipe(ab) == 0 && pipe(ba) == 0);
  constexpr int kRounds = 3000;
  auto side = [&](bool guest, int in, int out, bool first) {
    std::unique_ptr<AddressSpace> as;
    std::unique_ptr<Context> context;
    arch::Registers regs = At(guest_syscalls);
    if (guest) {
      as = NewSpace();
      context = g_machine->platform->NewContext().value();
    }
    auto call = [&] {
      if (guest) Check(context->Switch(*as, regs).event == Event::kSyscall);
    };
    char c = 0;
    for (int i = 0; i < kRounds; ++i) {
      if (first || i > 0) {
        call();
        Check(write(out, &c, 1) == 1);
      }
      call();
      if (guest) context->BeforeBlock();
      Check(read(in, &c, 1) == 1);
      if (guest) context->AfterBlock();
    }
    if (!first) Check(write(out, &c, 1) == 1);
  };
  double nanos[2];
  for (bool guest : {false, true}) {
    const uint64_t start = NowNanos();
    std::thread a([&] { side(guest, ba[0], ab[1], true); });
    std::thread b([&] { side(guest, ab[0], ba[1], false); });
    a.join();
    b.join();
    nanos[guest ? 1 : 0] = static_cast<double>(NowNanos() - start) / kRounds;
  }
  Report("pipe ping-pong, round trip", nanos[1], nanos[0]);
  for (int fd : {ab[0], ab[1], ba[0], ba[1]}) close(fd);
}

void BenchCpuBound() {
  auto as = NewSpace();
  auto context = g_machine->platform->NewContext().value();
  std::thread stopper([&] {
    UseAllCpus();
    sleep(2);
    context->Interrupt();
  });
  arch::Registers regs = At(guest_busy);
  const uint64_t cpu = CpuNanos();
  Check(context->Switch(*as, regs).event == Event::kInterrupted);
  printf("%-34s %10.2f %% of a CPU in the sentry\n", "guest computes for 2 s",
         static_cast<double>(CpuNanos() - cpu) / 2e7);
  stopper.join();
}

bool Wanted(int argc, char** argv, const char* name) {
  if (argc < 2) return true;
  for (int i = 1; i < argc; ++i) {
    if (strstr(name, argv[i]) != nullptr) return true;
  }
  return false;
}

int Main(int argc, char** argv) {
  Machine machine;
  machine.fd = memfd_create("bench", MFD_CLOEXEC);
  Check(ftruncate(machine.fd, kMemorySize) == 0);
  machine.memory = static_cast<char*>(
      mmap(nullptr, kMemorySize, PROT_READ | PROT_WRITE, MAP_SHARED, machine.fd, 0));
  memcpy(machine.memory, guest_code_start,
         static_cast<size_t>(guest_code_end - guest_code_start));
  PlatformOptions options;
  options.memory_fd = machine.fd;
  options.cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  auto platform = FactoryUnderTest().create(options);
  Check(platform.ok());
  machine.platform = std::move(*platform);
  g_machine = &machine;
  g_native_call = Best(5, 100000, [] { syscall(SYS_getppid); });
  Report("native getppid", g_native_call, 0);
  const struct {
    const char* name;
    void (*run)();
  } benches[] = {
      {"calls1", [] { BenchCalls(1); }}, {"calls2", [] { BenchCalls(2); }},
      {"calls4", [] { BenchCalls(4); }}, {"computing", BenchComputing},
      {"fault", BenchFault},             {"map", BenchMap},
      {"spaces", BenchSpaces},           {"contexts", BenchContexts},
      {"interrupt", BenchInterrupt},     {"pingpong", BenchPingPong},
      {"cpubound", BenchCpuBound},
  };
  for (const auto& bench : benches) {
    // On a thread of its own, which the platform may bind to a CPU.
    if (Wanted(argc, argv, bench.name)) std::thread(bench.run).join();
  }
  return 0;
}

}  // namespace
}  // namespace runsc::platform::contract

int main(int argc, char** argv) { return runsc::platform::contract::Main(argc, argv); }
