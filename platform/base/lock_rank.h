#ifndef PLATFORM_BASE_LOCK_RANK_H_
#define PLATFORM_BASE_LOCK_RANK_H_

#include <cstdint>

namespace runsc {

// The one lock order. A thread may only take a lock whose rank is higher than every rank it
// holds (or the same rank through LockNested, in an order that the call site states). Add a row
// where the new lock belongs: between what is held when it is taken and what it takes.
enum class LockRank : uint16_t {
#define LOCK_RANK(name) name,
#include "platform/base/lock_rank.def"
#undef LOCK_RANK
};

const char* LockRankName(LockRank rank);

}  // namespace runsc

#endif  // PLATFORM_BASE_LOCK_RANK_H_
