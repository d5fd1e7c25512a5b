#pragma once

#include "test/fuzz/arguments.h"

namespace fuzz {

void ClosedUnderACall(Random&, const SharedArea&);
void EpollCycles(Random&, const SharedArea&);
void RenameLoops(Random&, const SharedArea&);
void DeepDirectories(Random&, const SharedArea&);
void SocketsInSockets(Random&, const SharedArea&);
void ChangingMappedFiles(Random&, const SharedArea&);
void FileLocks(Random&, const SharedArea&);
void InotifyStorm(Random&, const SharedArea&);
void MountsUnderWalkers(Random&, const SharedArea&);
void Terminals(Random&, const SharedArea&);

void CrowdOfWorkers(Random&, const SharedArea&);
void MapsUnderThreads(Random&, const SharedArea&);
void ExecRaces(Random&, const SharedArea&);
void ForkBomb(Random&, const SharedArea&);
void SignalStorm(Random&, const SharedArea&);
void OddClones(Random&, const SharedArea&);
void HostileFutexLists(Random&, const SharedArea&);
void ProcReaders(Random&, const SharedArea&);
void TimersAndEnds(Random&, const SharedArea&);

}  // namespace fuzz
