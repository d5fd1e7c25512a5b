#include "platform/memory/memory_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

namespace runsc {
namespace {

constexpr uint64_t kP = kPageSize;

bool AllBytes(const MemoryFile& m, FileRange r, char want) {
  return std::all_of(m.At(r.start), m.At(r.end), [want](char c) { return c == want; });
}

TEST(MemoryFileTest, ReferencesSplitAndMerge) {
  auto m = MemoryFile::Create(1 << 30);
  ASSERT_NE(m, nullptr);
  FileRange r = *m->Allocate(8 * kP);
  EXPECT_TRUE(m->IsUnique(r));
  FileRange middle{r.start + 2 * kP, r.start + 5 * kP};
  m->IncRef(middle);
  EXPECT_FALSE(m->IsUnique(r));
  EXPECT_FALSE(m->IsUnique(middle));
  EXPECT_TRUE(m->IsUnique({r.start, middle.start}));
  EXPECT_TRUE(m->IsUnique({middle.end, r.end}));
  m->DecRef(middle);
  EXPECT_TRUE(m->IsUnique(r));
  m->DecRef({r.start + kP, r.start + 2 * kP});
  EXPECT_FALSE(m->IsUnique(r));
  EXPECT_EQ(m->AllocatedBytes(), 7 * kP);
  m->DecRef({r.start, r.start + kP});
  m->DecRef({r.start + 2 * kP, r.end});
  EXPECT_EQ(m->AllocatedBytes(), 0u);
}

TEST(MemoryFileTest, RecycledPagesReadZero) {
  auto m = MemoryFile::Create(1 << 30);
  for (bool resident_ok : {true, false}) {
    FileRange r = *m->Allocate(4 * kP);
    std::memset(m->At(r.start), 0xee, r.size());
    m->DecRef(r);
    bool resident = false;
    FileRange again = *m->Allocate(2 * kP, resident_ok, &resident);
    EXPECT_EQ(resident, resident_ok);
    if (resident_ok) EXPECT_EQ(again.start, r.start);
    EXPECT_TRUE(AllBytes(*m, again, 0));
    m->DecRef(again);
  }
}

TEST(MemoryFileTest, LargeFreesReturnHostMemoryAtOnce) {
  auto m = MemoryFile::Create(1 << 30);
  FileRange r = *m->Allocate(1024 * kP);
  std::memset(m->At(r.start), 1, r.size());
  EXPECT_EQ(m->HostBytes(), 1024 * kP);
  m->DecRef(r);
  EXPECT_EQ(m->HostBytes(), 0u);
  EXPECT_TRUE(AllBytes(*m, *m->Allocate(1024 * kP), 0));
}

TEST(MemoryFileTest, PoolIsBoundedAndTrims) {
  auto m = MemoryFile::Create(1 << 30);
  std::vector<FileRange> all;
  for (int i = 0; i < 6000; ++i) {
    all.push_back(*m->Allocate(kP));
    *m->At(all.back().start) = 1;
  }
  for (FileRange r : all) m->DecRef(r);
  EXPECT_LE(m->HostBytes(), RecyclePool::kMaxBytes);
  EXPECT_GT(m->HostBytes(), 0u);
  m->TrimPool();
  EXPECT_EQ(m->HostBytes(), 0u);
}

TEST(MemoryFileTest, DecommitZeroesAndKeepsTheReference) {
  auto m = MemoryFile::Create(1 << 30);
  FileRange r = *m->Allocate(4 * kP);
  std::memset(m->At(r.start), 7, r.size());
  m->Decommit({r.start + kP, r.start + 2 * kP});
  EXPECT_EQ(m->HostBytes(), 3 * kP);
  EXPECT_TRUE(AllBytes(*m, {r.start + kP, r.start + 2 * kP}, 0));
  EXPECT_TRUE(AllBytes(*m, {r.start + 2 * kP, r.end}, 7));
  EXPECT_TRUE(m->IsUnique(r));
}

TEST(MemoryFileTest, OffsetSpaceRunsOut) {
  auto m = MemoryFile::Create(16 * kP);
  EXPECT_EQ(m->Allocate(17 * kP).error(), Errno::kNomem);
  EXPECT_EQ(m->Allocate(0).error(), Errno::kInval);
  EXPECT_EQ(m->Allocate(1).error(), Errno::kInval);
  FileRange a = *m->Allocate(10 * kP);
  FileRange b = *m->Allocate(6 * kP);
  EXPECT_EQ(m->Allocate(kP).error(), Errno::kNomem);
  m->DecRef(a);
  m->DecRef(b);
  // Both are in the recycling pool, which must give way.
  EXPECT_TRUE(m->Allocate(16 * kP).ok());
}

TEST(MemoryFileTest, LimitCountsHostMemory) {
  auto m = MemoryFile::Create(1 << 30);
  m->SetLimit(64 * kP);
  EXPECT_EQ(m->Allocate(65 * kP).error(), Errno::kNomem);
  FileRange sparse = *m->Allocate(64 * kP);
  FileRange used = *m->Allocate(32 * kP);
  std::memset(m->At(used.start), 1, used.size());
  EXPECT_TRUE(m->Allocate(8 * kP).ok());
  std::memset(m->At(sparse.start), 1, 32 * kP);
  EXPECT_EQ(m->Allocate(8 * kP).error(), Errno::kNomem);
  m->DecRef(used);
  EXPECT_TRUE(m->Allocate(8 * kP).ok());
}

TEST(MemoryFileTest, LimitWaitsForWhatIsLeaving) {
  auto m = MemoryFile::Create(1 << 30);
  m->SetLimit(64 * kP);
  FileRange used = *m->Allocate(60 * kP);
  std::memset(m->At(used.start), 1, used.size());
  auto leaving = std::make_unique<MemoryFile::Leaving>(*m);
  std::thread last([&] {
    usleep(10000);
    m->DecRef(used);
    leaving.reset();
  });
  EXPECT_TRUE(m->Allocate(32 * kP).ok());
  last.join();
}

TEST(MemoryFileTest, SizeIsSealed) {
  auto m = MemoryFile::Create(16 * kP);
  EXPECT_EQ(ftruncate(m->fd(), 0), -1);
  EXPECT_EQ(errno, EPERM);
  FileRange a = *m->Allocate(kP);
  FileRange b = *m->Allocate(kP);
  EXPECT_EQ(a.end, b.start) << "small neighbours stay compact";
}

// Random operations against a map of page -> references, contents checked on the way.
TEST(MemoryFileTest, RandomOperationsMatchModel) {
  std::mt19937_64 rng(7);
  constexpr uint64_t kPages = 4096;
  auto m = MemoryFile::Create(kPages * kP);
  std::map<uint64_t, std::pair<int, char>> model;  // page -> refs, fill byte
  auto pick = [&](uint64_t n) { return rng() % n; };
  auto random_run = [&]() -> FileRange {
    if (model.empty()) return {};
    auto it = model.lower_bound(pick(kPages));
    if (it == model.end()) it = model.begin();
    uint64_t first = it->first, last = first;
    for (uint64_t n = pick(100); n > 0 && model.count(last + 1) != 0; --n) ++last;
    return {first * kP, (last + 1) * kP};
  };
  for (int step = 0; step < 20000; ++step) {
    uint64_t op = pick(10);
    if (op < 4) {
      uint64_t pages = pick(8) == 0 ? 1 + pick(300) : 1 + pick(10);
      ErrnoOr<FileRange> r = m->Allocate(pages * kP, pick(2) == 0);
      if (!r.ok()) {
        // Long ranges may fail by fragmentation, single pages may not.
        EXPECT_GT(pages, 1u);
        continue;
      }
      ASSERT_TRUE(AllBytes(*m, *r, 0));
      char fill = static_cast<char>(1 + pick(100));
      std::memset(m->At(r->start), fill, r->size());
      for (uint64_t p = r->start / kP; p < r->end / kP; ++p) {
        ASSERT_TRUE(model.emplace(p, std::make_pair(1, fill)).second);
      }
      continue;
    }
    FileRange r = random_run();
    if (r.empty()) continue;
    bool unique = true;
    for (uint64_t p = r.start / kP; p < r.end / kP; ++p) {
      unique = unique && model[p].first == 1;
      ASSERT_TRUE(AllBytes(*m, {p * kP, (p + 1) * kP}, model[p].second));
    }
    ASSERT_EQ(m->IsUnique(r), unique);
    if (op < 6) m->IncRef(r);
    if (op >= 6) m->DecRef(r);
    for (uint64_t p = r.start / kP; p < r.end / kP; ++p) {
      model[p].first += op < 6 ? 1 : -1;
      if (model[p].first == 0) model.erase(p);
    }
    ASSERT_EQ(m->AllocatedBytes(), model.size() * kP);
  }
}

TEST(MemoryFileTest, ThreadsDoNotShareRanges) {
  auto m = MemoryFile::Create(1 << 30);
  std::vector<std::thread> threads;
  for (int t = 1; t <= 4; ++t) {
    threads.emplace_back([&m, t] {
      std::mt19937_64 rng(static_cast<uint64_t>(t));
      for (int i = 0; i < 3000; ++i) {
        FileRange r = *m->Allocate((1 + rng() % 8) * kP, rng() % 2 == 0);
        EXPECT_TRUE(AllBytes(*m, r, 0));
        std::memset(m->At(r.start), t, r.size());
        EXPECT_TRUE(AllBytes(*m, r, static_cast<char>(t)));
        m->DecRef(r);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(m->AllocatedBytes(), 0u);
}

}  // namespace
}  // namespace runsc
