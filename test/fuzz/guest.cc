// Random but well-shaped system calls: `guest --seed N [--seconds S] [--only K] [--scenario NAME]`.
//
// A parent starts one worker at a time. Even workers make single random calls: worker k of seed N
// always makes the same ones as long as the kernel answers the same. Odd workers play a scenario of
// scenarios.cc with many threads. The parent prints what it starts, so the last line names what to
// repeat after a crash (`--seed N --only K`). Nothing outside an own scratch directory and /dev/shm
// is written and no process but an own child is signalled.
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "test/fuzz/scenarios.h"
#include "test/fuzz/worker.h"

namespace fuzz {
namespace {

struct Options {
  uint64_t seed = 1;
  uint64_t only = ~0ULL;
  uint64_t scenario = ~0ULL;
  int seconds = 10;
  bool verbose = false;
};

void Populate() {
  mkdir("d", 0755);
  mkdir("d/e", 0755);
  for (const char* name : {"a", "b", "c", "d/e/f"}) {
    int fd = open(name, O_CREAT | O_WRONLY, 0644);
    if (fd >= 0) {
      if (write(fd, "some content", 12) != 12) perror("write");
      close(fd);
    }
  }
  if (symlink("a", "link") != 0 || symlink("loop", "loop") != 0) return;
  mkfifo("fifo", 0600);
}

void Limit(int resource, rlim_t value) {
  rlimit limit = {value, value};
  setrlimit(resource, &limit);
}

// Workers become whoever, so what they left cannot always be removed by them: the parent sees to
// it.
[[noreturn]] void RunWorker(const Options& options, uint64_t k) {
  Limit(RLIMIT_AS, 1ULL << 30);
  Limit(RLIMIT_FSIZE, 16 << 20);
  Limit(RLIMIT_NPROC, 200);
  Limit(RLIMIT_CORE, 0);
  // Blocking calls end by themselves: a timer interrupts them again and again.
  SurviveSignals();
  itimerval often = {{0, 5000}, {0, 5000}};
  setitimer(ITIMER_REAL, &often, nullptr);
  int null = open("/dev/null", O_RDWR);
  dup2(null, 0);
  dup2(null, 1);
  if (!options.verbose) dup2(null, 2);
  SharedArea shared;
  shared.base = static_cast<char*>(mmap(nullptr, SharedArea::kPages * kPage, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  uint64_t seed = options.seed * 1000003 + k;
  Random random(seed);
  if (options.scenario != ~0ULL) {
    RunScenario(options.scenario, random, shared);
  } else if (k % 2 == 1) {
    RunScenario(k / 2 + options.seed, random, shared);
  } else {
    Worker worker(seed, shared, options.verbose);
    worker.Run(400, 0);
  }
  _exit(0);
}

// Waits at most `ms`, then kills; everything it left over goes with its process group. Its own
// timer may be gone by then: signals of ours end calls that block.
void Await(pid_t pid, int ms) {
  for (int waited = 0; waited < ms; waited += 5) {
    if (waitpid(pid, nullptr, WNOHANG) == pid) {
      kill(-pid, SIGKILL);
      return;
    }
    usleep(5000);
    if (waited % 20 == 0) kill(pid, SIGALRM);
    if (waited % 100 == 0) kill(-pid, SIGCONT);
  }
  kill(-pid, SIGKILL);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

void StartWorker(const Options& options, uint64_t k) {
  bool scene = options.scenario != ~0ULL || k % 2 == 1;
  uint64_t which = options.scenario != ~0ULL ? options.scenario : k / 2 + options.seed;
  printf("seed %lu only %lu %s\n", options.seed, k, scene ? ScenarioName(which) : "");
  fflush(stdout);
  std::string dir = "w" + std::to_string(k % 8);
  mkdir(dir.c_str(), 0755);
  pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    if (chdir(dir.c_str()) != 0) _exit(2);
    Populate();
    RunWorker(options, k);
  }
  if (pid < 0) return;
  setpgid(pid, pid);
  Await(pid, 1000);
}

void RemoveScratch(const char* scratch) {
  if (fork() == 0)
    execl("/bin/sh", "sh", "-c", "cd /dev/shm && rm -rf \"$0\" x mapped loops* deep* 2>/dev/null",
          scratch, nullptr);
  wait(nullptr);
}

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    std::string_view flag = argv[i];
    if (flag == "--verbose") options.verbose = true;
    if (i + 1 >= argc) break;
    if (flag == "--seed") options.seed = strtoull(argv[++i], nullptr, 0);
    if (flag == "--seconds") options.seconds = atoi(argv[++i]);
    if (flag == "--only") options.only = strtoull(argv[++i], nullptr, 0);
    if (flag == "--scenario") {
      std::string_view name = argv[++i];
      for (uint64_t s = 0; s < kScenarioCount; s++) {
        if (name == ScenarioName(s)) options.scenario = s;
      }
    }
  }
  return options;
}

int Main(int argc, char** argv) {
  // Workers execute /proc/self/exe too, with any arguments.
  if (argc < 3) return 0;
  Options options = Parse(argc, argv);
  // Workers may have the kernel signal whoever they name (F_SETOWN).
  for (int s = 1; s <= 64; s++) {
    if (s != SIGCHLD) signal(s, SIG_IGN);
  }
  g_calls = static_cast<uint64_t*>(
      mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  char scratch[] = "/tmp/fuzz.XXXXXX";
  if (mkdtemp(scratch) == nullptr || chdir(scratch) != 0) return 2;
  setvbuf(stdout, nullptr, _IOLBF, 0);
  time_t end = time(nullptr) + options.seconds;
  bool single = options.only != ~0ULL;
  uint64_t k = single ? options.only : 0, count = 0, calls = 0;
  do {
    *g_calls = 0;
    StartWorker(options, k++);
    count++;
    // Workers can write everywhere, here too.
    calls += std::min<uint64_t>(*g_calls, 100000);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  } while (!single && time(nullptr) < end);
  printf("finished %lu workers of seed %lu, %lu calls\n", count, options.seed, calls);
  RemoveScratch(scratch);
  return 0;
}

}  // namespace
}  // namespace fuzz

int main(int argc, char** argv) { return fuzz::Main(argc, argv); }
