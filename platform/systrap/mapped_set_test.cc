#include "platform/systrap/mapped_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace runsc::platform::systrap {
namespace {

TEST(MappedSetTest, MergesNeighboursAndSplits) {
  MappedSet set;
  set.Add({10, 20});
  set.Add({20, 30});
  set.Add({40, 50});
  EXPECT_EQ(set.runs(), 2u);
  set.Remove({15, 45});
  EXPECT_EQ(set.In({0, 100}), (std::vector<AddrRange>{{10, 15}, {45, 50}}));
  EXPECT_FALSE(set.Overlaps({15, 45}));
  EXPECT_TRUE(set.Overlaps({14, 45}));
}

TEST(MappedSetTest, AgreesWithASetOfPages) {
  std::mt19937 rng(1);
  MappedSet set;
  std::set<uint64_t> pages;
  for (int i = 0; i < 5000; ++i) {
    uint64_t start = rng() % 200;
    uint64_t end = start + rng() % 20;
    if (rng() % 2 == 0) {
      set.Add({start, end});
      for (uint64_t p = start; p < end; ++p) pages.insert(p);
    } else {
      set.Remove({start, end});
      for (uint64_t p = start; p < end; ++p) pages.erase(p);
    }
    std::set<uint64_t> got;
    for (AddrRange r : set.In({0, 1000})) {
      for (uint64_t p = r.start; p < r.end; ++p) got.insert(p);
    }
    ASSERT_EQ(got, pages);
  }
}

}  // namespace
}  // namespace runsc::platform::systrap
