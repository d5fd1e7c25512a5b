// How the micro benchmarks measure: batches long enough to time, the median batch counts.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bench {

inline int64_t NowNs() {
  timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

[[noreturn]] inline void Fail(const char* what) {
  perror(what);
  exit(1);
}

inline void Check(bool ok, const char* what) {
  if (!ok) Fail(what);
}

// Nanoseconds for one `op`: the median of seven batches of at least two milliseconds each.
template <typename F>
double Measure(F op) {
  auto batch = [&](int64_t n) {
    int64_t start = NowNs();
    for (int64_t i = 0; i < n; i++) op();
    return NowNs() - start;
  };
  int64_t n = 1;
  batch(1);
  while (batch(n) < 2000000 && n < (1 << 24)) n *= 2;
  double runs[7];
  for (double& run : runs) run = static_cast<double>(batch(n)) / n;
  std::sort(runs, runs + 7);
  return runs[3];
}

inline void Report(const char* name, double ns) {
  printf("%s %.1f\n", name, ns);
  fflush(stdout);
}

}  // namespace bench
