// Everything at once, at random, for as many seconds as the first argument says: calls, faults,
// interrupts, maps, spaces that come and go, contexts that move. Checks registers, FPU state and
// memory all the time. Prints what it did; exits with 1 at the first wrong thing.
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <thread>

#include "platform/contract/fixture.h"

namespace runsc::platform::contract {
namespace {

constexpr int kLanes = 6;
constexpr int kThreadsPerLane = 2;
constexpr uint64_t kArea = 0x50000000;

std::atomic<bool> g_done{false};
std::atomic<uint64_t> g_calls{0}, g_faults{0}, g_interrupts{0}, g_maps{0}, g_spaces{0};
int g_fd;
char* g_memory;
Platform* g_platform;

void Check(bool ok, const char* what, const Stop& stop) {
  if (ok) return;
  fprintf(stderr, "stress: %s: %s\n", what, Describe(stop).c_str());
  _exit(1);
}

arch::Registers At(const char* snippet) {
  return arch::InitialRegisters(kCode + static_cast<uint64_t>(snippet - guest_code_start),
                                kStackTop - 4096);
}

std::unique_ptr<AddressSpace> NewSpace() {
  auto as = g_platform->NewAddressSpace();
  Check(as.ok(), "no space", {});
  (*as)->BeginBatch();
  (void)(*as)->MapFile({kCode, kCode + kDataOffset}, {g_fd, 0}, kReadExec, false);
  (void)(*as)->MapFile({kData, kData + kDataSize}, {g_fd, kDataOffset}, kReadWrite, false);
  (void)(*as)->MapFile({kStack, kStackTop}, {g_fd, kStackOffset}, kReadWrite, false);
  Check((*as)->EndBatch().ok(), "maps", {});
  ++g_spaces;
  return std::move(as).value();
}

// One guest thread's life: counts, now and then faults, moves to another space.
class Worker {
 public:
  Worker(int id, std::shared_ptr<AddressSpace> as)
      : id_(id), as_(std::move(as)), context_(g_platform->NewContext().value()) {}

  void Run(uint64_t steps) {
    std::mt19937_64 rng(static_cast<uint64_t>(id_) * 77 + steps);
    arch::Registers regs = At(guest_count);
    regs.r15 = static_cast<uint64_t>(id_);
    uint64_t expect = 0;
    regs.rax = 0;
    arch::FpuState fpu = arch::InitialFpuState();
    for (size_t i = 160; i < 416; ++i) fpu[i] = static_cast<uint8_t>(i * 3 + static_cast<size_t>(id_));
    fpu[512] = 3;
    context_->LoadFpu(fpu);
    for (uint64_t i = 0; i < steps && !g_done; ++i) {
      Stop stop = context_->Switch(*as_, regs);
      if (stop.event == Event::kInterrupted) {
        ++g_interrupts;
        continue;
      }
      Check(stop.event == Event::kSyscall, "call", stop);
      Check(regs.rbx == (expect += 1000), "count", stop);
      Check(regs.r15 == static_cast<uint64_t>(id_), "r15", stop);
      ++g_calls;
      if (rng() % 64 == 0) {
        arch::FpuState now = context_->SaveFpu();
        Check(memcmp(now.data() + 160, fpu.data() + 160, 256) == 0, "fpu", stop);
      }
      if (rng() % 128 == 0) Fault(rng());
      if (rng() % 512 == 0) {
        context_->BeforeBlock();
        usleep(static_cast<useconds_t>(rng() % 500));
        context_->AfterBlock();
      }
    }
  }
  Context& context() { return *context_; }
  void MoveTo(std::shared_ptr<AddressSpace> as) { as_ = std::move(as); }

 private:
  // Touches a page of its own that is not there, maps it, touches it again, takes it away.
  void Fault(uint64_t value) {
    const uint64_t at = kArea + static_cast<uint64_t>(id_) * 0x100000;
    const uint64_t offset = kFreeOffset + static_cast<uint64_t>(id_) * kPageSize;
    arch::FpuState fpu = context_->SaveFpu();
    arch::Registers regs = At(guest_write);
    regs.rbx = at;
    regs.rax = value;
    Stop stop = Go(regs);
    Check(stop.event == Event::kFault && stop.address == at && stop.access.write, "fault", stop);
    ++g_faults;
    Check(as_->MapFile({at, at + kPageSize}, {g_fd, offset}, kReadWrite, value % 2 == 0).ok(), "map",
          stop);
    stop = Go(regs);
    Check(stop.event == Event::kSyscall, "after the fault", stop);
    uint64_t stored = 0;
    memcpy(&stored, g_memory + offset, sizeof(stored));
    Check(stored == value, "memory", stop);
    Check(as_->Protect({at, at + kPageSize}, kRead).ok(), "protect", stop);
    regs = At(guest_write);
    regs.rbx = at;
    stop = Go(regs);
    Check(stop.event == Event::kFault, "read-only", stop);
    as_->Unmap({at, at + kPageSize});
    regs = At(guest_read);
    regs.rbx = at;
    stop = Go(regs);
    Check(stop.event == Event::kFault, "unmapped", stop);
    g_maps += 3;
    context_->LoadFpu(fpu);
  }
  Stop Go(arch::Registers& regs) {
    Stop stop = context_->Switch(*as_, regs);
    while (stop.event == Event::kInterrupted) {
      ++g_interrupts;
      stop = context_->Switch(*as_, regs);
    }
    return stop;
  }

  const int id_;
  std::shared_ptr<AddressSpace> as_;
  std::unique_ptr<Context> context_;
};

// A space after another, each with some threads and somebody who interrupts them.
void Lane(int lane) {
  std::mt19937_64 rng(static_cast<uint64_t>(lane));
  while (!g_done) {
    std::shared_ptr<AddressSpace> as = NewSpace();
    std::vector<std::unique_ptr<Worker>> workers;
    for (int i = 0; i < kThreadsPerLane; ++i) {
      workers.push_back(std::make_unique<Worker>(lane * kThreadsPerLane + i, as));
    }
    std::atomic<bool> over{false};
    std::thread interrupter([&] {
      std::mt19937_64 own(rng());
      while (!over) {
        workers[own() % workers.size()]->context().Interrupt();
        usleep(static_cast<useconds_t>(own() % 2000));
      }
    });
    std::vector<std::thread> threads;
    const uint64_t steps = 1 + rng() % 4000;
    for (auto& worker : workers) {
      threads.emplace_back([&] {
        worker->Run(steps);
        worker->MoveTo(NewSpace());
        worker->Run(steps / 8);
      });
    }
    for (auto& thread : threads) thread.join();
    over = true;
    interrupter.join();
  }
}

int Main(int argc, char** argv) {
  const int seconds = argc > 1 ? atoi(argv[1]) : 10;
  g_fd = memfd_create("stress", MFD_CLOEXEC);
  Check(ftruncate(g_fd, kMemorySize) == 0, "memfd", {});
  g_memory = static_cast<char*>(
      mmap(nullptr, kMemorySize, PROT_READ | PROT_WRITE, MAP_SHARED, g_fd, 0));
  memcpy(g_memory, guest_code_start, static_cast<size_t>(guest_code_end - guest_code_start));
  PlatformOptions options;
  options.memory_fd = g_fd;
  options.cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  auto platform = FactoryUnderTest().create(options);
  Check(platform.ok(), "platform", {});
  g_platform = platform->get();
  std::vector<std::thread> lanes;
  for (int i = 0; i < kLanes; ++i) lanes.emplace_back(Lane, i);
  uint64_t last = 0;
  for (int i = 0; i < seconds; ++i) {
    sleep(1);
    const uint64_t calls = g_calls;
    if (i > 5 && calls == last) fprintf(stderr, "stress: no call in the last second\n");
    last = calls;
  }
  g_done = true;
  for (auto& lane : lanes) lane.join();
  platform->reset();
  printf("%llu calls, %llu faults, %llu interrupts, %llu map operations, %llu spaces\n",
         static_cast<unsigned long long>(g_calls), static_cast<unsigned long long>(g_faults),
         static_cast<unsigned long long>(g_interrupts), static_cast<unsigned long long>(g_maps),
         static_cast<unsigned long long>(g_spaces));
  return Eventually([] { return ChildPids().empty(); }) ? 0 : 1;
}

}  // namespace
}  // namespace runsc::platform::contract

int main(int argc, char** argv) { return runsc::platform::contract::Main(argc, argv); }
