#include "sentry/mm/memory_manager.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "sentry/mm/fake_platform.h"
#include "sentry/mm/mapping_set.h"
#include "sentry/mm/vma.h"

namespace runsc {
namespace {

constexpr uint64_t kPage = kPageSize;
constexpr Access kReadWrite{.read = true, .write = true};

// A host file that can be mapped, and shrunk with or without telling.
class TestFile : public Mappable {
 public:
  explicit TestFile(uint64_t pages) : fd_(memfd_create("t", 0)), pages_(pages) {
    EXPECT_EQ(ftruncate(fd_, static_cast<off_t>(pages * kPage)), 0);
    base_ = static_cast<char*>(
        mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0));
  }
  ErrnoOr<Backing> Translate(uint64_t offset, uint64_t, Access) override {
    if (offset >= pages_ * kPage) return Errno::kNxio;
    return Backing{fd_, offset, pages_ * kPage - offset, base_ + offset, true, reusable};
  }
  Status AddMapping(MappingSpace* s, AddrRange r, uint64_t, bool w) override {
    set.Add(s, r, w);
    return Ok();
  }
  void RemoveMapping(MappingSpace* s, AddrRange r, uint64_t, bool w) override {
    set.Remove(s, r, w);
    if (watched != nullptr) shown_at_removal = watched->pages.count(r.start) != 0;
  }
  Status SyncMapped(uint64_t, uint64_t) override {
    ++syncs;
    return Ok();
  }
  Identity MappedIdentity() override { return {{8, 1}, 42, "/file"}; }

  // As ftruncate(2) by the host behind our back.
  void ShrinkSilently(uint64_t pages) {
    EXPECT_EQ(ftruncate(fd_, static_cast<off_t>(pages * kPage)), 0);
  }
  void Truncate(uint64_t pages) {
    pages_ = pages;
    set.Invalidate(this, pages * kPage, UINT64_MAX, true);
    ShrinkSilently(pages);
  }
  char* base() { return base_; }

  MappingSet set;
  int syncs = 0;
  bool reusable = false;
  FakeAddressSpace* watched = nullptr;
  bool shown_at_removal = false;

 private:
  ~TestFile() override { close(fd_); }
  const int fd_;
  uint64_t pages_;
  char* base_;
};

class MemoryManagerTest : public testing::Test {
 protected:
  void SetUp() override {
    InstallFaultHandler();
    memory_ = MemoryFile::Create(uint64_t{1} << 40);
    mm_ = *MemoryManager::Create(platform_, *memory_);
    mm_->SetLayout(false, 8 << 20);
  }
  void TearDown() override {
    mm_->CheckConsistency();
    mm_.reset();
    EXPECT_EQ(memory_->AllocatedBytes(), 0u);
  }

  MMapRequest Anonymous(uint64_t length, Access access = kReadWrite) {
    MMapRequest r;
    r.length = length;
    r.access = access;
    return r;
  }
  MMapRequest At(uint64_t addr, uint64_t length, Access access = kReadWrite) {
    MMapRequest r = Anonymous(length, access);
    r.addr = UserAddr(addr);
    r.fixed = true;
    return r;
  }
  UserAddr Map(const MMapRequest& r) {
    auto a = mm_->MMap(r, limits_);
    EXPECT_TRUE(a.ok()) << ErrnoName(a.error());
    return a.ok() ? *a : UserAddr(0);
  }
  FakeAddressSpace& Shown(MemoryManager& mm) {
    return static_cast<FakeAddressSpace&>(mm.address_space());
  }
  // The guest writes; faults are resolved once.
  bool Poke(MemoryManager& mm, UserAddr at, uint64_t value) {
    if (Shown(mm).Write(at.value, value)) return true;
    return mm.HandleFault(at, {.write = true}, limits_).handled &&
           Shown(mm).Write(at.value, value);
  }

  FakePlatform platform_;
  std::unique_ptr<MemoryFile> memory_;
  Ref<MemoryManager> mm_;
  MemoryLimits limits_;
};

TEST_F(MemoryManagerTest, PlacesTopDownAndJoins) {
  UserAddr a = Map(Anonymous(3 * kPage));
  UserAddr b = Map(Anonymous(kPage));
  EXPECT_EQ(b + kPage, a);
  EXPECT_EQ(mm_->ListVmas(false).size(), 1u);
  ASSERT_TRUE(mm_->MUnmap(a + kPage, kPage).ok());
  EXPECT_EQ(mm_->ListVmas(false).size(), 2u);
  EXPECT_EQ(Map(Anonymous(kPage)), a + kPage);
  EXPECT_EQ(mm_->ListVmas(false).size(), 1u);
}

TEST_F(MemoryManagerTest, LowestHoleWithUnlimitedStack) {
  Ref<MemoryManager> mm = *MemoryManager::Create(platform_, *memory_);
  mm->SetLayout(false, UINT64_MAX);
  UserAddr a = *mm->MMap(Anonymous(kPage), limits_);
  UserAddr b = *mm->MMap(Anonymous(kPage, {.read = true}), limits_);
  EXPECT_EQ(a + kPage, b);
}

TEST_F(MemoryManagerTest, BadArguments) {
  EXPECT_EQ(mm_->MMap(Anonymous(0), limits_).error(), Errno::kInval);
  EXPECT_EQ(mm_->MMap(Anonymous(UINT64_MAX), limits_).error(), Errno::kNomem);
  EXPECT_EQ(mm_->MMap(Anonymous(uint64_t{1} << 48), limits_).error(), Errno::kNomem);
  EXPECT_EQ(mm_->MMap(At(0x200001, kPage), limits_).error(), Errno::kInval);
  EXPECT_EQ(mm_->MMap(At(0, kPage), limits_).error(), Errno::kPerm);
  UserAddr a = Map(Anonymous(kPage));
  MMapRequest r = At(a.value, kPage);
  r.fixed_noreplace = true;
  EXPECT_EQ(mm_->MMap(r, limits_).error(), Errno::kExist);
  EXPECT_EQ(mm_->MUnmap(a + 1, kPage).error(), Errno::kInval);
  EXPECT_EQ(mm_->MUnmap(a, 0).error(), Errno::kInval);
  EXPECT_EQ(mm_->MProtect(a, 2 * kPage, kReadWrite, false, limits_).ok(), false);
}

TEST_F(MemoryManagerTest, Limits) {
  limits_.as = 4 * kPage;
  Map(Anonymous(4 * kPage, {}));
  EXPECT_EQ(mm_->MMap(Anonymous(kPage), limits_).error(), Errno::kNomem);
  limits_.as = UINT64_MAX;
  limits_.data = 2 * kPage;
  Map(Anonymous(2 * kPage));
  EXPECT_EQ(mm_->MMap(Anonymous(kPage), limits_).error(), Errno::kNomem);
  Map(Anonymous(kPage, {.read = true}));
  limits_.memlock = kPage;
  MMapRequest r = Anonymous(2 * kPage, {.read = true});
  r.locked = true;
  EXPECT_EQ(mm_->MMap(r, limits_).error(), Errno::kAgain);
  limits_.memlock = 0;
  EXPECT_EQ(mm_->MMap(r, limits_).error(), Errno::kPerm);
}

TEST_F(MemoryManagerTest, MapCountLimit) {
  size_t made = 0;
  for (uint64_t at = 0x10000000;; at += 2 * kPage) {
    auto r = mm_->MMap(At(at, kPage, {}), limits_);
    if (!r.ok()) {
      EXPECT_EQ(r.error(), Errno::kNomem);
      break;
    }
    ++made;
  }
  EXPECT_EQ(made, kMaxMapCount);
}

TEST_F(MemoryManagerTest, ReservationsTakeNoPlaceInTheMemoryFile) {
  UserAddr a = Map(Anonymous(uint64_t{4} << 40, {}));
  MMapRequest r = Anonymous(uint64_t{4} << 40);
  r.noreserve = true;
  UserAddr b = Map(r);
  EXPECT_EQ(memory_->AllocatedBytes(), 0u);
  EXPECT_TRUE(Poke(*mm_, b + (uint64_t{1} << 40), 5));
  EXPECT_EQ(*mm_->Get<uint64_t>(b + (uint64_t{1} << 40)), 5u);
  EXPECT_EQ(mm_->Get<uint64_t>(a).error(), Errno::kFault);
  ASSERT_TRUE(mm_->MProtect(a, 8 * kPage, kReadWrite, false, limits_).ok());
  EXPECT_TRUE(Shown(*mm_).Write(a.value, 7));
}

TEST_F(MemoryManagerTest, StackGrowsToItsLimitAndKeepsAGuard) {
  constexpr uint64_t kTop = 0x700000000000;
  MMapRequest r = At(kTop - 4 * kPage, 4 * kPage);
  r.stack = true;
  Map(r);
  limits_.stack = 1 << 20;
  EXPECT_TRUE(Poke(*mm_, UserAddr(kTop - 100 * kPage), 1));
  FaultOutcome out =
      mm_->HandleFault(UserAddr(kTop - (1 << 20) - kPage), {.write = true}, limits_);
  EXPECT_FALSE(out.handled);
  EXPECT_EQ(out.signal, Signal(SIGSEGV));
  EXPECT_EQ(out.code, SEGV_MAPERR);
  limits_.stack = UINT64_MAX;
  Map(At(kTop - 1000 * kPage, kPage));
  EXPECT_FALSE(mm_->HandleFault(UserAddr(kTop - 900 * kPage), {.write = true}, limits_).handled);
  EXPECT_TRUE(mm_->HandleFault(UserAddr(kTop - 743 * kPage), {.write = true}, limits_).handled);
}

TEST_F(MemoryManagerTest, Brk) {
  mm_->SetBrkStart(UserAddr(0x5000000));
  EXPECT_EQ(mm_->Brk(UserAddr(0), limits_), UserAddr(0x5000000));
  EXPECT_EQ(mm_->Brk(UserAddr(0x5000010), limits_), UserAddr(0x5000010));
  EXPECT_TRUE(mm_->Put<uint64_t>(UserAddr(0x5000ff8), 9).ok());
  EXPECT_EQ(mm_->Brk(UserAddr(0x5009000), limits_), UserAddr(0x5009000));
  EXPECT_EQ(mm_->ListVmas(false).size(), 1u);
  EXPECT_EQ(mm_->Brk(UserAddr(0x5000000), limits_), UserAddr(0x5000000));
  EXPECT_EQ(mm_->ListVmas(false).size(), 0u);
  limits_.data = kPage;
  EXPECT_EQ(mm_->Brk(UserAddr(0x5002000), limits_), UserAddr(0x5000000));
}

TEST_F(MemoryManagerTest, ForkCopiesOnWriteAndGivesBack) {
  UserAddr a = Map(Anonymous(64 * kPage));
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(Poke(*mm_, a + i * kPage, 100 + i));
  Ref<MemoryManager> child = *mm_->Fork();
  EXPECT_TRUE(Poke(*child, a, 1));
  EXPECT_EQ(*mm_->Get<uint64_t>(a), 100u);
  EXPECT_EQ(*child->Get<uint64_t>(a + kPage), 101u);
  child.reset();
  // Alone again: one fault makes all of it writable, nothing is copied.
  uint64_t before = memory_->AllocatedBytes();
  EXPECT_TRUE(Poke(*mm_, a + 5 * kPage, 2));
  EXPECT_TRUE(Shown(*mm_).Write(a.value + 63 * kPage, 3));
  EXPECT_EQ(memory_->AllocatedBytes(), before);
}

TEST_F(MemoryManagerTest, TruncateTakesPagesAway) {
  Ref<TestFile> file = MakeRef<TestFile>(8);
  std::memset(file->base(), 'x', 8 * kPage);
  MMapRequest r = Anonymous(8 * kPage);
  r.file = file;
  UserAddr priv = Map(r);
  r.shared = true;
  UserAddr shared = Map(r);
  EXPECT_TRUE(Poke(*mm_, priv + 6 * kPage, 1));
  EXPECT_TRUE(file->set.HasWritable());
  file->Truncate(4);
  for (UserAddr base : {priv, shared}) {
    EXPECT_TRUE(mm_->Get<char>(base).ok());
    EXPECT_EQ(mm_->Get<char>(base + 6 * kPage).error(), Errno::kFault);
    FaultOutcome out = mm_->HandleFault(base + 6 * kPage, {.read = true}, limits_);
    EXPECT_EQ(out.signal, Signal(SIGBUS));
    EXPECT_EQ(out.code, BUS_ADRERR);
  }
  EXPECT_TRUE(mm_->MSync(shared, kPage, MS_SYNC).ok());
  EXPECT_EQ(file->syncs, 1);
  mm_->Clear();
  EXPECT_TRUE(file->set.empty());
}

TEST_F(MemoryManagerTest, MappingOverOthersLeavesNothingOfThem) {
  Ref<TestFile> file = MakeRef<TestFile>(1);
  UserAddr at = Map(Anonymous(4 * kPage));
  for (uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(Poke(*mm_, at + i * kPage, 7));
  MMapRequest over = At(at.value, 3 * kPage, {.read = true});
  over.file = file;
  Map(over);  // a page of the file, two beyond its end
  EXPECT_EQ(Shown(*mm_).Read(at.value), 0u);
  EXPECT_FALSE(Shown(*mm_).Read(at.value + kPage).has_value());
  EXPECT_FALSE(Shown(*mm_).Read(at.value + 2 * kPage).has_value());
  EXPECT_EQ(Shown(*mm_).Read(at.value + 3 * kPage), 7u);
}

TEST_F(MemoryManagerTest, PagesThatServeOthersGoBeforeTheirFileDoes) {
  for (bool reusable : {false, true}) {
    auto mm = *MemoryManager::Create(platform_, *memory_);
    Ref<TestFile> file = MakeRef<TestFile>(1);
    file->reusable = reusable;
    file->watched = &Shown(*mm);
    MMapRequest r = Anonymous(kPage);
    r.shared = true;
    r.file = file;
    ASSERT_TRUE(mm->MMap(r, limits_).ok());
    mm.reset();
    EXPECT_EQ(file->shown_at_removal, !reusable);
  }
}

TEST_F(MemoryManagerTest, HostFileShrunkBehindOurBackIsSigbus) {
  Ref<TestFile> file = MakeRef<TestFile>(4);
  MMapRequest r = Anonymous(4 * kPage, {.read = true});
  r.file = file;
  UserAddr a = Map(r);
  file->ShrinkSilently(1);
  EXPECT_EQ(mm_->Get<char>(a + 2 * kPage).error(), Errno::kFault);
  FaultOutcome out = mm_->HandleFault(a + 2 * kPage, {.read = true}, limits_);
  EXPECT_FALSE(out.handled);
  EXPECT_EQ(out.signal, Signal(SIGBUS));
}

TEST_F(MemoryManagerTest, AFaultThatDoesNotGoAwayEndsInASignal) {
  UserAddr a = Map(Anonymous(kPage));
  for (int i = 0; i < 10000; ++i) {
    FaultOutcome out = mm_->HandleFault(a, {.write = true}, limits_);
    if (out.handled) continue;
    EXPECT_EQ(out.signal, Signal(SIGBUS));
    return;
  }
  FAIL() << "it would spin for ever";
}

TEST_F(MemoryManagerTest, PeekAndPokeGoPastProtection) {
  UserAddr a = Map(Anonymous(kPage, {}));
  uint64_t v = 7;
  EXPECT_TRUE(mm_->PokePartial(a + 8, &v, sizeof(v)).ok());
  v = 0;
  EXPECT_TRUE(mm_->PeekPartial(&v, a + 8, sizeof(v)).ok());
  EXPECT_EQ(v, 7u);
  EXPECT_EQ(mm_->Get<uint64_t>(a + 8).error(), Errno::kFault);
  Ref<TestFile> file = MakeRef<TestFile>(1);
  MMapRequest r = Anonymous(kPage, {.read = true});
  r.file = file;
  r.shared = true;
  UserAddr b = Map(r);
  EXPECT_EQ(mm_->PokePartial(b, &v, sizeof(v)).error(), Errno::kFault);
}

TEST_F(MemoryManagerTest, PlatformRefusal) {
  Shown(*mm_).refuse_maps = true;
  EXPECT_EQ(mm_->MMap(Anonymous(kPage), limits_).error(), Errno::kNomem);
  EXPECT_TRUE(mm_->ListVmas(false).empty());
  Shown(*mm_).refuse_maps = false;
}

TEST_F(MemoryManagerTest, MemoryLimitReached) {
  memory_->SetLimit(16 * kPage);
  EXPECT_EQ(mm_->MMap(Anonymous(1024 * kPage), limits_).error(), Errno::kNomem);
  memory_->SetLimit(0);
}

TEST_F(MemoryManagerTest, MinCoreTellsTheTruth) {
  MMapRequest r = Anonymous(128 * kPage);
  UserAddr a = Map(r);
  EXPECT_TRUE(Poke(*mm_, a + 5 * kPage, 1));
  auto map = *mm_->MinCore(a, 128 * kPage);
  EXPECT_EQ(map[4], 0);
  EXPECT_EQ(map[5], 1);
  EXPECT_EQ(mm_->Usage().resident, kPage);
  EXPECT_TRUE(mm_->MAdvise(a, 128 * kPage, MADV_DONTNEED).ok());
  EXPECT_EQ(mm_->Usage().resident, 0u);
  EXPECT_EQ(mm_->MinCore(a, 200 * kPage).error(), Errno::kNomem);
}

TEST_F(MemoryManagerTest, MLockCountsAndFills) {
  UserAddr a = Map(Anonymous(32 * kPage));
  limits_.memlock = 32 * kPage;
  EXPECT_TRUE(mm_->MLock(a, 32 * kPage, false, limits_).ok());
  EXPECT_TRUE(mm_->MLock(a, 32 * kPage, false, limits_).ok());
  EXPECT_EQ(mm_->Usage().locked, 32 * kPage);
  EXPECT_EQ(mm_->MAdvise(a, kPage, MADV_DONTNEED).error(), Errno::kInval);
  EXPECT_EQ(mm_->MSync(a, kPage, MS_INVALIDATE).error(), Errno::kBusy);
  EXPECT_TRUE(mm_->MUnlock(a, kPage).ok());
  EXPECT_EQ(mm_->Usage().locked, 31 * kPage);
  EXPECT_EQ(mm_->MLockAll(MCL_ONFAULT, limits_).error(), Errno::kInval);
}

TEST_F(MemoryManagerTest, SealedMappingsStay) {
  UserAddr a = Map(Anonymous(4 * kPage));
  ASSERT_TRUE(mm_->MSeal(a + kPage, kPage).ok());
  EXPECT_EQ(mm_->MUnmap(a, 4 * kPage).error(), Errno::kPerm);
  EXPECT_EQ(mm_->MProtect(a, 4 * kPage, {}, false, limits_).error(), Errno::kPerm);
  EXPECT_EQ(mm_->MMap(At(a.value, 4 * kPage), limits_).error(), Errno::kPerm);
  EXPECT_TRUE(mm_->MUnmap(a, kPage).ok());
}

TEST_F(MemoryManagerTest, FutexKeys) {
  MMapRequest r = Anonymous(kPage);
  r.shared = true;
  UserAddr shared = Map(r);
  UserAddr priv = Map(Anonymous(kPage));
  Ref<MemoryManager> child = *mm_->Fork();
  EXPECT_EQ(*mm_->GetFutexKey(shared, false), *child->GetFutexKey(shared, false));
  EXPECT_NE(*mm_->GetFutexKey(shared, true), *child->GetFutexKey(shared, true));
  EXPECT_EQ(*mm_->GetFutexKey(priv, false), *mm_->GetFutexKey(priv, true));
  EXPECT_EQ(mm_->GetFutexKey(priv + 2, true).error(), Errno::kInval);
  EXPECT_EQ(mm_->GetFutexKey(UserAddr(0x20000), false).error(), Errno::kFault);
}

// Copies race with unmapping and mapping again; what they read is one or the other.
TEST_F(MemoryManagerTest, CopiesRaceWithChanges) {
  UserAddr a = Map(Anonymous(64 * kPage));
  std::atomic<bool> stop{false};
  std::thread copier([&] {
    std::vector<char> buffer(64 * kPage);
    while (!stop) {
      auto n = mm_->CopyInPartial(buffer.data(), a, buffer.size());
      if (!n.ok()) continue;
      for (size_t i = 0; i < *n; i += kPage) EXPECT_TRUE(buffer[i] == 0 || buffer[i] == 'v');
    }
  });
  for (int i = 0; i < 1000; ++i) {
    Map(At(a.value, 64 * kPage));
    ASSERT_TRUE(mm_->Put(a + (i % 64) * kPage, 'v').ok());
    ASSERT_TRUE(mm_->MUnmap(a + (i % 32) * kPage, 16 * kPage).ok());
    // What goes back to the pool and is used by others must not show.
    Ref<MemoryManager> other = *MemoryManager::Create(platform_, *memory_);
    UserAddr b = *other->MMap(Anonymous(16 * kPage), limits_);
    std::vector<char> junk(16 * kPage, 'j');
    ASSERT_TRUE(other->CopyOut(b, junk.data(), junk.size()).ok());
  }
  stop = true;
  copier.join();
}

TEST_F(MemoryManagerTest, CopySpeed) {
  UserAddr a = Map(Anonymous(64 * kPage));
  for (int i = 0; i < 200; ++i) Map(At(0x10000000 + i * 2 * kPage, kPage));
  ASSERT_TRUE(mm_->Put(a, 1).ok());
  constexpr int kRounds = 200000;
  auto start = std::chrono::steady_clock::now();
  uint64_t v = 0;
  for (int i = 0; i < kRounds; ++i) (void)mm_->CopyOut(a + (i & 63) * kPage, &v, sizeof(v));
  auto ns = std::chrono::steady_clock::now() - start;
  std::printf("copy of 8 bytes: %ld ns\n", static_cast<long>(ns.count() / kRounds));
}

}  // namespace
}  // namespace runsc
