// Mapping, unmapping and protecting.
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "platform/contract/fixture.h"

namespace runsc::platform::contract {
namespace {

constexpr uint64_t kArea = 0x50000000;

class MemoryContract : public ContractTest {
 protected:
  void SetUp() override {
    ContractTest::SetUp();
    as_ = NewSpace();
    context_ = NewContext();
  }
  void TearDown() override {
    context_.reset();
    as_.reset();
    ContractTest::TearDown();
  }
  // Whether the guest can read (write) the word at `address`.
  bool Can(const char* snippet, uint64_t address) {
    arch::Registers regs = At(snippet);
    regs.rbx = address;
    regs.rax = 42;
    Stop stop = context_->Switch(*as_, regs);
    EXPECT_TRUE(stop.event == Event::kSyscall || stop.event == Event::kFault) << Describe(stop);
    return stop.event == Event::kSyscall;
  }

  std::unique_ptr<AddressSpace> as_;
  std::unique_ptr<Context> context_;
};

TEST_F(MemoryContract, SharedMappingsGoToTheFile) {
  Map(*as_, kArea, 4 * kPageSize, kFreeOffset, kReadWrite);
  Map(*as_, kArea + 0x10000, kPageSize, kFreeOffset + kPageSize, kReadWrite);
  ASSERT_TRUE(Can(guest_write, kArea + kPageSize + 8));
  EXPECT_EQ(*Memory<uint64_t>(kFreeOffset + kPageSize + 8), 42u);
  EXPECT_TRUE(Can(guest_read, kArea + 0x10000));
}

TEST_F(MemoryContract, UnmapProtectAndReplace) {
  Map(*as_, kArea, 8 * kPageSize, kFreeOffset, kReadWrite);
  as_->Unmap({kArea + kPageSize, kArea + 2 * kPageSize});
  EXPECT_TRUE(Can(guest_write, kArea));
  EXPECT_FALSE(Can(guest_read, kArea + kPageSize));
  EXPECT_TRUE(Can(guest_write, kArea + 2 * kPageSize));
  ASSERT_TRUE(as_->Protect({kArea, kArea + 16 * kPageSize}, kRead).ok()) << "holes are skipped";
  for (uint64_t page : {0, 2, 7}) {
    EXPECT_TRUE(Can(guest_read, kArea + page * kPageSize)) << page;
    EXPECT_FALSE(Can(guest_write, kArea + page * kPageSize)) << page;
  }
  Map(*as_, kArea, kPageSize, kFreeOffset + 0x100000, kReadWrite);
  *Memory<uint64_t>(kFreeOffset + 0x100000) = 99;
  arch::Registers regs = At(guest_read);
  regs.rbx = kArea;
  ASSERT_EQ(context_->Switch(*as_, regs).event, Event::kSyscall);
  EXPECT_EQ(regs.orig_rax, 99u);
  as_->Unmap({kArea, kArea + 8 * kPageSize});
  as_->Unmap({kArea, kArea + 8 * kPageSize});
  for (uint64_t page = 0; page < 8; ++page) {
    EXPECT_FALSE(Can(guest_read, kArea + page * kPageSize)) << page;
  }
}

TEST_F(MemoryContract, WholeUserRangeCanBeMapped) {
  const AddrRange range = platform().user_range();
  EXPECT_LE(range.start, 0x10000u);
  EXPECT_GE(range.end, 0x7ff000000000u);
  for (uint64_t address : {range.start, range.end - kPageSize, uint64_t{0x400000},
                           uint64_t{0x555555554000}, uint64_t{0x7f1234567000}}) {
    Map(*as_, address, kPageSize, kFreeOffset, kReadWrite);
    EXPECT_TRUE(Can(guest_write, address)) << std::hex << address;
  }
}

TEST_F(MemoryContract, WholeUserRangeCanBeUnmapped) {
  Map(*as_, kArea, kPageSize, kFreeOffset, kReadWrite);
  ASSERT_TRUE(Can(guest_read, kArea));
  as_->Unmap(platform().user_range());
  arch::Registers regs = At(guest_read);
  regs.rbx = kArea;
  Stop stop = context_->Switch(*as_, regs);
  ASSERT_EQ(stop.event, Event::kFault) << Describe(stop);
  EXPECT_TRUE(stop.access.exec);
  Map(*as_, kCode, kDataOffset, 0, kReadExec);
  EXPECT_FALSE(Can(guest_read, kArea));
}

TEST_F(MemoryContract, BadRequestsAreRefused) {
  const AddrRange range = platform().user_range();
  EXPECT_FALSE(
      as_->MapFile({range.end, range.end + kPageSize}, {memory_fd(), 0}, kRead, false).ok());
  EXPECT_FALSE(as_->MapFile({kArea, kArea + kPageSize}, {-1, 0}, kRead, false).ok());
  EXPECT_FALSE(as_->MapFile({kArea, kArea + kPageSize}, {9999, 0}, kRead, false).ok());
  EXPECT_FALSE(Can(guest_read, kArea));
  // A failure leaves the range unmapped, and what comes next works.
  Map(*as_, kArea, kPageSize, kFreeOffset, kReadWrite);
  EXPECT_TRUE(Can(guest_read, kArea));
  EXPECT_FALSE(as_->MapFile({kArea, kArea + kPageSize}, {9999, 0}, kRead, false).ok());
  EXPECT_FALSE(Can(guest_read, kArea));
  EXPECT_TRUE(Can(guest_read, kData));
}

TEST_F(MemoryContract, BatchesWork) {
  as_->BeginBatch();
  for (uint64_t i = 0; i < 200; ++i) {
    Map(*as_, kArea + 2 * i * kPageSize, kPageSize, kFreeOffset + i * kPageSize, kReadWrite);
  }
  as_->Unmap({kArea, kArea + kPageSize});
  ASSERT_TRUE(as_->Protect({kArea + 2 * kPageSize, kArea + 3 * kPageSize}, kRead).ok());
  ASSERT_TRUE(as_->EndBatch().ok());
  EXPECT_FALSE(Can(guest_read, kArea));
  EXPECT_TRUE(Can(guest_read, kArea + 2 * kPageSize));
  EXPECT_FALSE(Can(guest_write, kArea + 2 * kPageSize));
  for (uint64_t i = 2; i < 200; i += 17) EXPECT_TRUE(Can(guest_write, kArea + 2 * i * kPageSize));

  as_->BeginBatch();
  (void)as_->MapFile({kArea, kArea + kPageSize}, {memory_fd(), kFreeOffset}, kReadWrite, true);
  (void)as_->MapFile({kArea + kPageSize, kArea + 2 * kPageSize}, {9999, 0}, kRead, false);
  (void)as_->MapFile({kArea + 3 * kPageSize, kArea + 4 * kPageSize}, {memory_fd(), kFreeOffset},
                     kReadWrite, false);
  EXPECT_EQ(as_->EndBatch().error(), Errno::kBadf);
  EXPECT_TRUE(Can(guest_write, kArea));
  EXPECT_FALSE(Can(guest_read, kArea + kPageSize));
  EXPECT_TRUE(Can(guest_write, kArea + 3 * kPageSize));
  ASSERT_TRUE(as_->EndBatch().ok()) << "the error is reported once";
}

// Once Unmap or Protect has returned, no thread gets at the page any more.
TEST_F(MemoryContract, UnderRunningThreads) {
  constexpr int kThreads = 3;
  std::atomic<bool> done{false};
  std::atomic<uint64_t> faults{0};
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) contexts.push_back(NewContext());
  for (uint64_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      while (!done.load()) {
        arch::Registers regs = At(guest_touch);
        regs.rbx = kArea + i * 8;
        Stop stop = contexts[i]->Switch(*as_, regs);
        ASSERT_TRUE(stop.event == Event::kFault || stop.event == Event::kInterrupted)
            << Describe(stop);
        if (stop.event != Event::kFault) continue;
        ++faults;
        contexts[i]->BeforeBlock();
        usleep(100);
        contexts[i]->AfterBlock();
      }
    });
  }
  std::mt19937 rng(5);
  for (int i = 0; i < 150; ++i) {
    Map(*as_, kArea, kPageSize, kFreeOffset, kReadWrite);
    usleep(rng() % 1000);
    if (i % 2 == 0) {
      as_->Unmap({kArea, kArea + kPageSize});
    } else {
      ASSERT_TRUE(as_->Protect({kArea, kArea + kPageSize}, kRead).ok());
    }
    const uint64_t before = *Memory<uint64_t>(kFreeOffset);
    usleep(500);
    ASSERT_EQ(*Memory<uint64_t>(kFreeOffset), before) << "written after it was taken away";
  }
  done = true;
  for (auto& context : contexts) context->Interrupt();
  for (auto& thread : threads) thread.join();
  EXPECT_GT(faults.load(), 50u);
}

TEST_F(MemoryContract, ManyThreadsMapAtOnce) {
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      auto context = NewContext();
      for (uint64_t i = 0; i < 50; ++i) {
        const uint64_t at = kArea + t * 0x1000000 + i * kPageSize;
        Map(*as_, at, kPageSize, kFreeOffset + (t * 50 + i) * kPageSize, kReadWrite);
        arch::Registers regs = At(guest_write);
        regs.rbx = at;
        regs.rax = t * 1000 + i;
        ASSERT_EQ(context->Switch(*as_, regs).event, Event::kSyscall);
        ASSERT_EQ(*Memory<uint64_t>(kFreeOffset + (t * 50 + i) * kPageSize), t * 1000 + i);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace runsc::platform::contract
