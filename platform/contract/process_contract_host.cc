// Host processes: none is left, none is waited for in vain.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "platform/contract/fixture.h"

namespace runsc::platform::contract {
namespace {

using ProcessContract = ContractTest;

std::vector<int> Without(std::vector<int> all, const std::vector<int>& known) {
  std::erase_if(all, [&](int pid) { return std::ranges::count(known, pid) != 0; });
  return all;
}

TEST_F(ProcessContract, NothingIsLeftBehind) {
  DestroyPlatform();
  const auto before = ChildPids();
  const size_t descriptors = OpenDescriptors();
  for (int round = 0; round < 3; ++round) {
    PlatformOptions options;
    options.memory_fd = memory_fd();
    options.cpus = 2;
    auto platform = FactoryUnderTest().create(options);
    ASSERT_TRUE(platform.ok());
    {
      auto as = (*platform)->NewAddressSpace().value();
      auto context = (*platform)->NewContext().value();
      Map(*as, kCode, kDataOffset, 0, kReadExec);
      arch::Registers regs = At(guest_syscalls);
      EXPECT_EQ(context->Switch(*as, regs).event, Event::kSyscall);
    }
    platform->reset();
    EXPECT_TRUE(Eventually([&] { return ChildPids() == before; }));
    EXPECT_EQ(OpenDescriptors(), descriptors);
  }
}

TEST_F(ProcessContract, DestroyedSpacesGoWithoutTheirContexts) {
  auto keep = NewSpace();
  auto context = NewContext();
  arch::Registers regs = At(guest_syscalls);
  ASSERT_EQ(context->Switch(*keep, regs).event, Event::kSyscall);
  const size_t descriptors = OpenDescriptors();
  size_t most = 0;
  for (int i = 0; i < 40; ++i) {
    auto as = NewSpace();
    auto other = NewContext();
    regs = At(guest_syscalls);
    ASSERT_EQ(other->Switch(*as, regs).event, Event::kSyscall);
    as.reset();  // while `other` is still bound
    most = std::max(most, ChildPids().size());
  }
  EXPECT_TRUE(Eventually([&] { return ChildPids().size() <= 8; })) << ChildPids().size();
  // What is kept ready may have descriptors of its own.
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors() <= descriptors + 8; }));
  regs = At(guest_syscalls);
  EXPECT_EQ(context->Switch(*keep, regs).event, Event::kSyscall);
}

// Baggage goes only when guest code, which another thread still runs, can reach nothing any more.
TEST_F(ProcessContract, BaggageOutlivesMappings) {
  class Page : public Baggage {
   public:
    Page(volatile uint64_t* word, std::atomic<uint64_t>* last) : word_(word), last_(last) {}
    ~Page() override { last_->store(*word_); }

   private:
    volatile uint64_t* word_;
    std::atomic<uint64_t>* last_;
  };
  volatile uint64_t* word = Memory<volatile uint64_t>(kFreeOffset);
  for (int i = 0; i < 20; ++i) {
    std::atomic<uint64_t> last{0};
    *word = 0;
    auto as = NewSpace();
    Map(*as, 0x50000000, kPageSize, kFreeOffset, kReadWrite);
    std::thread touch([&] {
      auto context = NewContext();
      for (;;) {
        arch::Registers regs = At(guest_touch);
        regs.rbx = 0x50000000;
        Stop stop = context->Switch(*as, regs);
        if (stop.event == Event::kGone || stop.event == Event::kFault) return;
      }
    });
    ASSERT_TRUE(Eventually([&] { return *word != 0; }));
    as->Close(std::make_unique<Page>(word, &last));
    ASSERT_TRUE(Eventually([&] { return last.load() != 0; }));
    usleep(200);
    ASSERT_EQ(*word, last.load());
    touch.join();
  }
}

TEST_F(ProcessContract, OthersChildrenAreLeftAlone) {
  auto as = NewSpace();
  auto context = NewContext();
  arch::Registers regs = At(guest_syscalls);
  ASSERT_EQ(context->Switch(*as, regs).event, Event::kSyscall);
  const pid_t pid = fork();
  if (pid == 0) _exit(7);
  usleep(20000);
  as.reset();
  usleep(20000);
  int status = 0;
  ASSERT_EQ(waitpid(-1, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

// Every call on a space whose process was killed before its first use ends, the first and the next.
TEST_F(ProcessContract, KilledBeforeFirstUse) {
  DestroyPlatform();
  const auto known = ChildPids();
  PlatformOptions options;
  options.memory_fd = memory_fd();
  auto platform = FactoryUnderTest().create(options);
  ASSERT_TRUE(platform.ok());
  auto as = (*platform)->NewAddressSpace().value();
  auto context = (*platform)->NewContext().value();
  for (int pid : Without(ChildPids(), known)) kill(pid, SIGKILL);
  for (int i = 0; i < 3; ++i) {
    (void)as->MapFile({kCode, kCode + kPageSize}, {memory_fd(), kDataOffset}, {.read = true},
                      false);
    as->Unmap({kCode, kCode + kPageSize});
    arch::Registers regs = At(guest_syscalls);
    EXPECT_EQ(context->Switch(*as, regs).event, Event::kGone);
  }
}

// The stub is killed from outside while its guest runs, and while it waits.
TEST_F(ProcessContract, KilledStubIsGone) {
  for (bool running : {true, false}) {
    DestroyPlatform();
    const auto known = ChildPids();
    PlatformOptions options;
    options.memory_fd = memory_fd();
    options.cpus = 2;
    auto platform = FactoryUnderTest().create(options);
    ASSERT_TRUE(platform.ok());
    auto as = (*platform)->NewAddressSpace().value();
    auto context = (*platform)->NewContext().value();
    Map(*as, kCode, kDataOffset, 0, kReadExec);
    arch::Registers regs = At(guest_syscalls);
    ASSERT_EQ(context->Switch(*as, regs).event, Event::kSyscall);
    std::thread killer;
    auto kill_all = [&] {
      for (int pid : Without(ChildPids(), known)) kill(pid, SIGKILL);
    };
    if (running) {
      regs = At(guest_busy);
      killer = std::thread([&] {
        usleep(50000);
        kill_all();
      });
    } else {
      kill_all();
    }
    Stop stop = context->Switch(*as, regs);
    EXPECT_EQ(stop.event, Event::kGone) << Describe(stop);
    if (killer.joinable()) killer.join();
    EXPECT_EQ(context->Switch(*as, regs).event, Event::kGone);
    context->Interrupt();
    // Map calls on it are no errors and do not hang.
    as->Unmap({kCode, kCode + kPageSize});
    (void)as->MapFile({kData, kData + kPageSize}, {memory_fd(), 0}, kRead, false);
    (void)context->SaveFpu();
    (void)context->GuestCpuNanos();
    context->Release();
    context.reset();
    as.reset();
    platform->reset();
    EXPECT_TRUE(Eventually([&] { return ChildPids() == known; }));
  }
}

// kill -9 of the sentry: its stubs die with it.
TEST_F(ProcessContract, StubsDieWithTheSentry) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t sentry = fork();
  if (sentry == 0) {
    close(ends[0]);
    PlatformOptions options;
    options.memory_fd = memory_fd();
    options.cpus = 2;
    auto platform = FactoryUnderTest().create(options);
    if (!platform.ok()) _exit(1);
    auto as = (*platform)->NewAddressSpace();
    auto context = (*platform)->NewContext();
    Map(**as, kCode, kDataOffset, 0, kReadExec);
    const std::vector<int> stubs = ChildPids();
    if (write(ends[1], stubs.data(), stubs.size() * sizeof(int)) < 0) _exit(1);
    close(ends[1]);
    arch::Registers regs = At(guest_busy);
    (*context)->Switch(**as, regs);
    _exit(1);
  }
  close(ends[1]);
  int stubs[64] = {};
  const ssize_t n = read(ends[0], stubs, sizeof(stubs));
  close(ends[0]);
  ASSERT_GT(n, 0);
  usleep(50000);
  kill(sentry, SIGKILL);
  waitpid(sentry, nullptr, 0);
  for (size_t i = 0; i < static_cast<size_t>(n) / sizeof(int); ++i) {
    EXPECT_TRUE(Eventually([&] { return kill(stubs[i], 0) != 0; })) << stubs[i];
  }
}

TEST_F(ProcessContract, ManySpacesAtOnce) {
  std::vector<std::unique_ptr<AddressSpace>> spaces;
  std::vector<std::unique_ptr<Context>> contexts;
  for (int i = 0; i < 40; ++i) {
    spaces.push_back(NewSpace());
    contexts.push_back(NewContext());
    arch::Registers regs = At(guest_syscalls);
    ASSERT_EQ(contexts.back()->Switch(*spaces.back(), regs).event, Event::kSyscall);
  }
}

TEST_F(ProcessContract, SpacesComeAndGoInManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        auto as = NewSpace();
        auto context = NewContext();
        arch::Registers regs = At(guest_syscalls);
        for (int k = 0; k < 5; ++k) ASSERT_EQ(context->Switch(*as, regs).event, Event::kSyscall);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace runsc::platform::contract
