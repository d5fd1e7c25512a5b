#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "platform/systrap/calls.h"

namespace runsc::platform::systrap {
namespace {

long Result(long rc) { return rc < 0 ? -errno : rc; }

uint64_t Nanos(clockid_t clock) {
  timespec t{};
  if (clock_gettime(clock, &t) != 0) return 0;
  return static_cast<uint64_t>(t.tv_sec) * 1000000000 + static_cast<uint64_t>(t.tv_nsec);
}

uint64_t MeasureTsc() {
  const uint64_t start = MonotonicNanos();
  const uint64_t ticks = Tsc();
  uint64_t now = start;
  while (now - start < 100000) now = MonotonicNanos();
  const uint64_t rate = (Tsc() - ticks) * 1000 / (now - start);
  return rate == 0 ? 1 : rate;
}

}  // namespace

long FutexWait(uint32_t* word, uint32_t expected, int64_t timeout_ns) {
  timespec t{timeout_ns / 1000000000, timeout_ns % 1000000000};
  return Result(
      syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout_ns < 0 ? nullptr : &t, nullptr, 0));
}

long FutexWake(uint32_t* word, int count) {
  return Result(syscall(SYS_futex, word, FUTEX_WAKE, count, nullptr, nullptr, 0));
}

int NewEvent() { return static_cast<int>(Result(eventfd(0, EFD_CLOEXEC))); }

uint64_t AwaitEvent(int fd) {
  uint64_t value = 0;
  while (read(fd, &value, sizeof(value)) < 0 && errno == EINTR) {
  }
  return value;
}

void AddToEvent(int fd, uint64_t value) {
  [[maybe_unused]] ssize_t n = write(fd, &value, sizeof(value));
}

long SignalThread(int pid, int tid, int signal) {
  return Result(syscall(SYS_tgkill, pid, tid, signal));
}

long KillProcess(int pid) { return Result(kill(pid, SIGKILL)); }

int CurrentCpu() { return sched_getcpu(); }

uint64_t MonotonicNanos() { return Nanos(CLOCK_MONOTONIC); }

uint64_t ThreadCpuNanos() { return Nanos(CLOCK_THREAD_CPUTIME_ID); }

uint64_t ProcessCpuNanos(int pid) {
  // CPUCLOCK_SCHED of a process, as clock_getcpuclockid(3) makes it.
  return Nanos(static_cast<clockid_t>(~static_cast<unsigned>(pid) << 3 | 2));
}

uint64_t TicksPerMicro() {
  static const uint64_t rate = MeasureTsc();
  return rate;
}

}  // namespace runsc::platform::systrap
