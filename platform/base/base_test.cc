#include <gtest/gtest.h>

#include <string>

#include "platform/base/errno.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/strings.h"
#include "platform/base/types.h"

namespace runsc {
namespace {

ErrnoOr<std::string> Name(bool good) {
  if (!good) return Errno::kNoent;
  return std::string("x");
}

ErrnoOr<size_t> Length(bool good) {
  std::string s = TRY(Name(good));
  return s.size();
}

TEST(ErrnoTest, TryPassesValuesAndErrors) {
  EXPECT_EQ(*Length(true), 1u);
  EXPECT_EQ(Length(false).error(), Errno::kNoent);
  EXPECT_STREQ(ErrnoName(Errno::kNoent), "ENOENT");
}

struct Counted : RefCounted {
  explicit Counted(int* gone) : gone_(gone) {}
  ~Counted() override { ++*gone_; }
  int* gone_;
};

TEST(RefTest, LastReferenceDeletes) {
  int gone = 0;
  Ref<Counted> a = MakeRef<Counted>(&gone);
  Ref<Counted> b = a;
  a.reset();
  EXPECT_EQ(gone, 0);
  b.reset();
  EXPECT_EQ(gone, 1);
}

TEST(TypesTest, PagesRound) {
  EXPECT_EQ(PageUp(1), kPageSize);
  EXPECT_EQ(PageDown(kPageSize + 1), kPageSize);
  EXPECT_EQ(StrPrintf("%d-%s", 3, "a"), "3-a");
}

#ifdef RUNSC_CHECK_RANKS
TEST(MutexDeathTest, WrongOrderDies) {
  Mutex<LockRank::kLog> inner;
  Mutex<LockRank::kControl> outer;
  MutexLock l(inner);
  auto take = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { outer.Lock(); };
  EXPECT_DEATH(take(), "taking kControl while holding kLog");
}
#endif

}  // namespace
}  // namespace runsc
