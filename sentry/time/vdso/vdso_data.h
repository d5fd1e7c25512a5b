#ifndef SENTRY_TIME_VDSO_VDSO_DATA_H_
#define SENTRY_TIME_VDSO_VDSO_DATA_H_

/* The page that the sentry writes and the guests' vDSO reads. Also read by C. */

#include <stdint.h>

/* Clocks that run by themselves; the others are offsets or roundings of these. */
enum {
  kVdsoMonotonic = 0,
  kVdsoRealtime = 1,
  kVdsoRaw = 2,
  kVdsoClocks = 3,
};

enum {
  kVdsoCpuNone = 0,  /* getcpu(2) asks the sentry */
  kVdsoCpuRdpid = 1,
  kVdsoCpuRdtscp = 2,
};

/* CLOCK_*_COARSE stand still for this long; a divisor of a second. */
#define VDSO_COARSE_NANOS 4000000

struct VdsoClockLine {
  int64_t base_nanos; /* at base_cycles */
  uint64_t mult;      /* nanoseconds per cycle, times 2^32 */
};

struct VdsoData {
  uint32_t seq;        /* odd while the sentry writes */
  uint32_t valid;      /* 0: every call asks the sentry */
  uint64_t base_cycles;
  uint64_t life_cycles; /* the lines hold so long after base_cycles */
  struct VdsoClockLine line[kVdsoClocks];
  int64_t boot_minus_monotonic;
  int64_t tai_minus_realtime;
  /* Set once, before any guest runs. */
  uint32_t cpu_method;
  uint32_t cpu_count;  /* guest CPU = host CPU modulo this */
};

#endif
