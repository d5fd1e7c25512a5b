#pragma once

#include "test/fuzz/arguments.h"

namespace fuzz {

// What single random calls rarely reach: threads and processes that get into each other's way on
// purpose. Runs scenario `which` modulo their number to its end, or until killed.
void RunScenario(uint64_t which, Random& random, const SharedArea& shared);
extern const size_t kScenarioCount;
const char* ScenarioName(uint64_t which);

}  // namespace fuzz
