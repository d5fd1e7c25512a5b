/*
 * The vDSO of the guests (vdso(7)): clocks from the time-stamp counter and lines that the sentry
 * keeps up to date in the page before this image. It asks the sentry by a system call only when
 * the lines have run out, about once a second while clocks are read.
 */
#include <stddef.h>
#include <stdint.h>

#include "sentry/time/vdso/vdso_data.h"

#define SYS_gettimeofday 96
#define SYS_time 201
#define SYS_clock_gettime 228
#define SYS_clock_getres 229
#define SYS_getcpu 309

#define NANOS 1000000000L

struct timespec64 {
  int64_t sec, nsec;
};

struct timeval64 {
  int64_t sec, usec;
};

struct timezone32 {
  int32_t minutes_west, dst_time;
};

/* Defined by the linker script: the page before the image. */
extern const volatile struct VdsoData vdso_data __attribute__((visibility("hidden")));

static long Trap3(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return result;
}

static uint64_t Cycles(void) {
  uint32_t lo, hi;
  __asm__ volatile("lfence\n\trdtsc" : "=a"(lo), "=d"(hi)::"memory");
  return (uint64_t)hi << 32 | lo;
}

/* Reads a line and adds one of the offsets. 0 if the sentry must be asked. */
static int ReadLine(int which, const volatile int64_t* offset, int64_t* nanos) {
  uint32_t seq;
  do {
    seq = vdso_data.seq;
    __asm__ volatile("" ::: "memory");
    /* The writer may not be running: the sentry can wait for it, we could only spin. */
    if (!vdso_data.valid || (seq & 1)) return 0;
    int64_t delta = (int64_t)(Cycles() - vdso_data.base_cycles);
    if (delta < 0) delta = 0; /* the counter of another CPU, a little behind */
    if ((uint64_t)delta >= vdso_data.life_cycles) return 0;
    unsigned __int128 product = (unsigned __int128)(uint64_t)delta * vdso_data.line[which].mult;
    *nanos = vdso_data.line[which].base_nanos + (int64_t)(product >> 32);
    if (offset) *nanos += *offset;
    __asm__ volatile("" ::: "memory");
  } while (seq != vdso_data.seq);
  return 1;
}

static int ReadClock(int clock, int64_t* nanos) {
  switch (clock) {
    case 0: /* CLOCK_REALTIME */
      return ReadLine(kVdsoRealtime, NULL, nanos);
    case 1: /* CLOCK_MONOTONIC */
      return ReadLine(kVdsoMonotonic, NULL, nanos);
    case 4: /* CLOCK_MONOTONIC_RAW */
      return ReadLine(kVdsoRaw, NULL, nanos);
    case 5: /* CLOCK_REALTIME_COARSE */
      if (!ReadLine(kVdsoRealtime, NULL, nanos)) return 0;
      *nanos -= *nanos % VDSO_COARSE_NANOS;
      return 1;
    case 6: /* CLOCK_MONOTONIC_COARSE */
      if (!ReadLine(kVdsoMonotonic, NULL, nanos)) return 0;
      *nanos -= *nanos % VDSO_COARSE_NANOS;
      return 1;
    case 7: /* CLOCK_BOOTTIME */
      return ReadLine(kVdsoMonotonic, &vdso_data.boot_minus_monotonic, nanos);
    case 11: /* CLOCK_TAI */
      return ReadLine(kVdsoRealtime, &vdso_data.tai_minus_realtime, nanos);
    default: /* CPU clocks and unknown ones */
      return 0;
  }
}

int __vdso_clock_gettime(int clock, struct timespec64* ts) {
  int64_t nanos;
  if (!ReadClock(clock, &nanos)) return (int)Trap3(SYS_clock_gettime, clock, (long)ts, 0);
  ts->sec = nanos / NANOS;
  ts->nsec = nanos % NANOS;
  return 0;
}

int __vdso_gettimeofday(struct timeval64* tv, struct timezone32* tz) {
  int64_t nanos;
  if (tv) {
    if (!ReadClock(0, &nanos)) return (int)Trap3(SYS_gettimeofday, (long)tv, (long)tz, 0);
    tv->sec = nanos / NANOS;
    tv->usec = nanos % NANOS / 1000;
  }
  if (tz) {
    tz->minutes_west = 0;
    tz->dst_time = 0;
  }
  return 0;
}

int64_t __vdso_time(int64_t* t) {
  int64_t nanos;
  if (!ReadClock(0, &nanos)) return Trap3(SYS_time, (long)t, 0, 0);
  if (t) *t = nanos / NANOS;
  return nanos / NANOS;
}

int __vdso_clock_getres(int clock, struct timespec64* ts) {
  int64_t resolution;
  switch (clock) {
    case 0: case 1: case 4: case 7: case 11:
      resolution = 1;
      break;
    case 5: case 6:
      resolution = VDSO_COARSE_NANOS;
      break;
    default:
      return (int)Trap3(SYS_clock_getres, clock, (long)ts, 0);
  }
  if (ts) {
    ts->sec = 0;
    ts->nsec = resolution;
  }
  return 0;
}

int __vdso_getcpu(uint32_t* cpu, uint32_t* node, void* unused) {
  uint64_t aux;
  uint32_t lo, hi, low_aux;
  (void)unused;
  switch (vdso_data.cpu_method) {
    case kVdsoCpuRdpid:
      __asm__ volatile("rdpid %0" : "=r"(aux));
      break;
    case kVdsoCpuRdtscp:
      __asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(low_aux));
      aux = low_aux;
      break;
    default:
      return (int)Trap3(SYS_getcpu, (long)cpu, (long)node, 0);
  }
  /* Linux keeps the CPU in the low 12 bits and the node above. Guests see one node. */
  if (cpu) *cpu = (uint32_t)(aux & 0xfff) % vdso_data.cpu_count;
  if (node) *node = 0;
  return 0;
}

int clock_gettime(int, struct timespec64*) __attribute__((weak, alias("__vdso_clock_gettime")));
int gettimeofday(struct timeval64*, struct timezone32*)
    __attribute__((weak, alias("__vdso_gettimeofday")));
int64_t time(int64_t*) __attribute__((weak, alias("__vdso_time")));
int clock_getres(int, struct timespec64*) __attribute__((weak, alias("__vdso_clock_getres")));
int getcpu(uint32_t*, uint32_t*, void*) __attribute__((weak, alias("__vdso_getcpu")));
