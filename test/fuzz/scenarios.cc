#include "test/fuzz/scenarios.h"

#include "test/fuzz/scenarios_list.h"

namespace fuzz {
namespace {

struct Scenario {
  const char* name;
  void (*run)(Random&, const SharedArea&);
};

#define SCENARIO(name) {#name, &name}
const Scenario kScenarios[] = {
    SCENARIO(CrowdOfWorkers),   SCENARIO(MapsUnderThreads),    SCENARIO(ExecRaces),
    SCENARIO(ClosedUnderACall), SCENARIO(EpollCycles),         SCENARIO(RenameLoops),
    SCENARIO(SignalStorm),      SCENARIO(ChangingMappedFiles), SCENARIO(ProcReaders),
    SCENARIO(OddClones),        SCENARIO(HostileFutexLists),   SCENARIO(ForkBomb),
    SCENARIO(DeepDirectories),  SCENARIO(SocketsInSockets),    SCENARIO(FileLocks),
    SCENARIO(InotifyStorm),     SCENARIO(MountsUnderWalkers),  SCENARIO(Terminals),
    SCENARIO(TimersAndEnds),
};

}  // namespace

const size_t kScenarioCount = sizeof kScenarios / sizeof *kScenarios;

const char* ScenarioName(uint64_t which) { return kScenarios[which % kScenarioCount].name; }

void RunScenario(uint64_t which, Random& random, const SharedArea& shared) {
  kScenarios[which % kScenarioCount].run(random, shared);
}

}  // namespace fuzz
