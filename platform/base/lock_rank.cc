#include "platform/base/lock_rank.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "platform/base/mutex.h"
#include "platform/base/rank_layer.h"

namespace runsc {

const char* LockRankName(LockRank rank) {
  switch (rank) {
#define LOCK_RANK(name) \
  case LockRank::name:  \
    return #name;
#include "platform/base/lock_rank.def"
#undef LOCK_RANK
  }
  return "?";
}

#ifdef RUNSC_CHECK_RANKS
namespace internal {
namespace {

constexpr int kMaxHeld = 32;
thread_local LockRank t_held[kMaxHeld];
thread_local int t_count = 0;
thread_local int t_layer = 0;  // what was held when the current RankLayer began

}  // namespace

void RankAcquire(LockRank rank, bool nested) {
  for (int i = t_layer; i < t_count; ++i) {
    if (t_held[i] < rank || (nested && t_held[i] == rank)) continue;
    std::fprintf(stderr, "lock order: taking %s while holding %s\n", LockRankName(rank),
                 LockRankName(t_held[i]));
    std::abort();
  }
  if (t_count == kMaxHeld) std::abort();
  t_held[t_count++] = rank;
}

void RankRelease(LockRank rank) {
  for (int i = t_count - 1; i >= 0; --i) {
    if (t_held[i] != rank) continue;
    for (int j = i; j + 1 < t_count; ++j) t_held[j] = t_held[j + 1];
    --t_count;
    return;
  }
}

int RankEnterLayer() { return std::exchange(t_layer, t_count); }

void RankLeaveLayer(int outer) { t_layer = outer; }

}  // namespace internal
#endif

}  // namespace runsc
