#include "sentry/kernel/futex.h"

#include <gtest/gtest.h>
#include <linux/futex.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <thread>
#include <vector>

#include "sentry/mm/fake_platform.h"

namespace runsc {
namespace {

struct Owner : RefCounted {
  Blocker blocker;
};

class FutexTest : public testing::Test {
 protected:
  void SetUp() override {
    InstallFaultHandler();
    memory_ = MemoryFile::Create(uint64_t{1} << 30);
    mm_ = *MemoryManager::Create(platform_, *memory_);
    MMapRequest r;
    r.length = kPageSize;
    r.access = {.read = true, .write = true};
    base_ = *mm_->MMap(r, {});
  }
  FutexWord Word(uint64_t index) { return {*mm_, base_ + index * 4, true}; }
  uint32_t Value(uint64_t index) { return *mm_->Load32(base_ + index * 4); }

  FutexTable& table_ = FutexTable::Get();
  FakePlatform platform_;
  std::unique_ptr<MemoryFile> memory_;
  Ref<MemoryManager> mm_;
  UserAddr base_;
};

TEST_F(FutexTest, EnqueueChecksTheWord) {
  Ref<Owner> o = MakeRef<Owner>();
  FutexWaiter w(&o->blocker, o.get());
  EXPECT_EQ(table_.Enqueue(Word(0), 1, 1, &w).error(), Errno::kAgain);
  EXPECT_EQ(table_.Enqueue({*mm_, base_ + 1, true}, 0, 1, &w).error(), Errno::kInval);
  EXPECT_EQ(table_.Enqueue({*mm_, UserAddr(0x20000), true}, 0, 1, &w).error(), Errno::kFault);
  ASSERT_TRUE(table_.Enqueue(Word(0), 0, 1, &w).ok());
  EXPECT_FALSE(table_.Dequeue(&w));
  EXPECT_EQ(*table_.Wake(Word(0), 1, 1), 0);
}

TEST_F(FutexTest, WakesInOrderByBitset) {
  Ref<Owner> o = MakeRef<Owner>();
  std::deque<FutexWaiter> w;
  for (int i = 0; i < 4; ++i) {
    w.emplace_back(&o->blocker, o.get());
    ASSERT_TRUE(table_.Enqueue(Word(0), 0, i % 2 == 0 ? 1u : 2u, &w.back()).ok());
  }
  EXPECT_EQ(*table_.Wake(Word(0), 1, 2), 1);
  EXPECT_TRUE(w[1].woken());
  EXPECT_EQ(*table_.Wake(Word(0), 0, FUTEX_BITSET_MATCH_ANY), 1);  // at least one, as Linux
  EXPECT_TRUE(w[0].woken());
  EXPECT_EQ(*table_.Wake(Word(0), 100, FUTEX_BITSET_MATCH_ANY), 2);
  for (FutexWaiter& x : w) EXPECT_TRUE(table_.Dequeue(&x));
}

TEST_F(FutexTest, RequeueMovesAndCounts) {
  Ref<Owner> o = MakeRef<Owner>();
  std::deque<FutexWaiter> w;
  for (int i = 0; i < 5; ++i) {
    w.emplace_back(&o->blocker, o.get());
    ASSERT_TRUE(table_.Enqueue(Word(0), 0, 1, &w.back()).ok());
  }
  uint32_t wrong = 1;
  uint32_t right = 0;
  EXPECT_EQ(table_.Requeue(Word(0), Word(1), 1, 2, &wrong).error(), Errno::kAgain);
  EXPECT_EQ(*table_.Requeue(Word(0), Word(1), 1, 2, &right), 3);
  EXPECT_EQ(*table_.Wake(Word(1), 100, 1), 2);
  EXPECT_EQ(*table_.Wake(Word(0), 100, 1), 2);
  for (FutexWaiter& x : w) EXPECT_TRUE(table_.Dequeue(&x));
}

TEST_F(FutexTest, WakeOpChangesAndCompares) {
  Ref<Owner> o = MakeRef<Owner>();
  FutexWaiter a(&o->blocker, o.get());
  FutexWaiter b(&o->blocker, o.get());
  ASSERT_TRUE(table_.Enqueue(Word(0), 0, 1, &a).ok());
  ASSERT_TRUE(table_.Enqueue(Word(1), 0, 1, &b).ok());
  uint32_t op = FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_GT, 0);
  EXPECT_EQ(*table_.WakeOp(Word(0), Word(1), 1, 1, op), 1);  // the old value was 0
  EXPECT_EQ(Value(1), 5u);
  op = FUTEX_OP(FUTEX_OP_SET, 0xfff, FUTEX_OP_CMP_EQ, 5);  // the operand is signed
  EXPECT_EQ(*table_.WakeOp(Word(0), Word(1), 1, 1, op), 1);
  EXPECT_EQ(Value(1), UINT32_MAX);
  EXPECT_TRUE(table_.Dequeue(&a) && table_.Dequeue(&b));
  EXPECT_EQ(table_.WakeOp(Word(0), Word(1), 1, 1, 0x70000000).error(), Errno::kNosys);
}

// Waiters come, are requeued, woken and give up, all at once; nobody is lost.
TEST_F(FutexTest, NobodyIsLost) {
  std::atomic<int> woken{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      while (!stop) {
        Ref<Owner> o = MakeRef<Owner>();
        FutexWaiter w(&o->blocker, o.get());
        if (!table_.Enqueue(Word(0), 0, 1, &w).ok()) continue;
        if (i != 0) {
          while (!w.woken() && !stop) (void)o->blocker.Wait(Blocker::kForever);
        }
        if (table_.Dequeue(&w)) ++woken;
      }
    });
  }
  int sent = 0;
  auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  while (std::chrono::steady_clock::now() < end) {
    sent += *table_.Wake(Word(0), 1, 1);
    (void)table_.Requeue(Word(0), Word(1), 0, 2, nullptr);
    sent += *table_.Wake(Word(1), 8, 1);
  }
  stop = true;
  for (std::thread& t : threads) {
    for (int i = 0; i < 20; ++i) {
      sent += *table_.Wake(Word(0), 8, 1) + *table_.Wake(Word(1), 8, 1);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    t.join();
  }
  EXPECT_EQ(sent, woken);
}

}  // namespace
}  // namespace runsc
