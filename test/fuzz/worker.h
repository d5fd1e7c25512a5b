#pragma once

#include "test/fuzz/arguments.h"

namespace fuzz {

// Makes random calls in one thread.
class Worker {
 public:
  Worker(uint64_t seed, const SharedArea& shared, bool verbose)
      : random_(seed), arguments_(random_, shared), verbose_(verbose) {}

  // `depth`: how many forks above this one.
  void Run(int calls, int depth);
  // As one of several threads: no forks, descriptors shared with the others.
  void RunThread(int calls);

 private:
  void Shaped();
  void Anything();
  void ForkSome(int depth);
  [[noreturn]] void ChildMain(int depth);
  bool WouldEndUs(const Shape& shape, const uint64_t* a);
  void Take(const Shape& shape, int64_t result);
  int64_t Call(long number, const uint64_t* a);
  void CloseAll();
  void ReapAll();

  Random random_;
  Arguments arguments_;
  bool verbose_;
};

// Calls made by all workers, in memory that they share with the parent; may be null.
extern uint64_t* g_calls;

// Reads or writes a byte that may not be there: the fault handler comes back here.
void Touch(uint64_t address, bool write);
// Handlers for all signals that can have one, so that a worker outlives them.
void SurviveSignals();

}  // namespace fuzz
