#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "platform/base/strings.h"
#include "platform/contract/fixture.h"

namespace runsc::platform::contract {
namespace {

// A test that hangs has failed; the whole program is then no use.
constexpr unsigned kTestSeconds = 120;

}  // namespace

void ContractTest::SetUp() {
  alarm(kTestSeconds);
  memory_fd_ = memfd_create("contract", MFD_CLOEXEC);
  ASSERT_GE(memory_fd_, 0);
  ASSERT_EQ(ftruncate(memory_fd_, kMemorySize), 0);
  void* p = mmap(nullptr, kMemorySize, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd_, 0);
  ASSERT_NE(p, MAP_FAILED);
  memory_ = static_cast<char*>(p);
  const auto size = static_cast<size_t>(guest_code_end - guest_code_start);
  ASSERT_LE(size, kDataOffset);
  memcpy(memory_, guest_code_start, size);
  PlatformOptions options;
  options.memory_fd = memory_fd_;
  options.cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  auto platform = FactoryUnderTest().create(options);
  ASSERT_TRUE(platform.ok()) << ErrnoName(platform.error());
  platform_ = std::move(*platform);
}

void ContractTest::TearDown() {
  platform_.reset();
  if (memory_ != nullptr) munmap(memory_, kMemorySize);
  if (memory_fd_ >= 0) close(memory_fd_);
  alarm(0);
}

std::unique_ptr<AddressSpace> ContractTest::NewEmptySpace() {
  auto as = platform_->NewAddressSpace();
  if (!as.ok()) {
    ADD_FAILURE() << "NewAddressSpace: " << ErrnoName(as.error());
    abort();
  }
  return std::move(*as);
}

std::unique_ptr<AddressSpace> ContractTest::NewSpace() {
  auto as = NewEmptySpace();
  Map(*as, kCode, kDataOffset, 0, kReadExec);
  Map(*as, kData, kDataSize, kDataOffset, kReadWrite);
  Map(*as, kStack, kStackTop - kStack, kStackOffset, kReadWrite);
  return as;
}

std::unique_ptr<Context> ContractTest::NewContext() {
  auto context = platform_->NewContext();
  if (!context.ok()) {
    ADD_FAILURE() << "NewContext: " << ErrnoName(context.error());
    abort();
  }
  return std::move(*context);
}

void ContractTest::Map(AddressSpace& as, uint64_t address, uint64_t size, uint64_t offset,
                       Access access) {
  Status status = as.MapFile({address, address + size}, {memory_fd_, offset}, access, false);
  ASSERT_TRUE(status.ok()) << ErrnoName(status.error());
}

arch::Registers ContractTest::At(const char* snippet) {
  return arch::InitialRegisters(AddressOf(snippet), kStackTop - 4096);
}

arch::Registers ContractTest::Marked(const char* snippet) {
  arch::Registers r = At(snippet);
  uint64_t* all[] = {&r.r15, &r.r14, &r.r13, &r.r12, &r.rbp, &r.rbx, &r.r11, &r.r10,
                     &r.r9,  &r.r8,  &r.rax, &r.rcx, &r.rdx, &r.rsi, &r.rdi};
  for (size_t i = 0; i < std::size(all); ++i) *all[i] = 0x1111111111111111 * (i + 1);
  return r;
}

std::vector<int> ChildPids() {
  std::vector<int> pids;
  DIR* proc = opendir("/proc");
  while (dirent* entry = proc == nullptr ? nullptr : readdir(proc)) {
    const int pid = atoi(entry->d_name);
    if (pid <= 0) continue;
    std::ifstream file(StrPrintf("/proc/%d/stat", pid));
    std::string line;
    std::getline(file, line);
    const size_t close = line.rfind(')');
    int parent = 0;
    char state = 0;
    if (close != std::string::npos &&
        sscanf(line.c_str() + close + 1, " %c %d", &state, &parent) == 2 && parent == getpid()) {
      pids.push_back(pid);
    }
  }
  if (proc != nullptr) closedir(proc);
  return pids;
}

size_t OpenDescriptors() {
  size_t n = 0;
  DIR* dir = opendir("/proc/self/fd");
  while (dir != nullptr && readdir(dir) != nullptr) ++n;
  if (dir != nullptr) closedir(dir);
  return n;
}

bool Eventually(const std::function<bool()>& check) {
  for (int i = 0; i < 500; ++i) {
    if (check()) return true;
    usleep(10000);
  }
  return false;
}

uint64_t NowNanos() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000 + static_cast<uint64_t>(t.tv_nsec);
}

void UseAllCpus() {
  cpu_set_t set;
  memset(&set, 0xff, sizeof(set));
  sched_setaffinity(0, sizeof(set), &set);
}

std::string Describe(const Stop& stop) {
  static const char* const kEvents[] = {"syscall", "fault", "signal", "interrupted", "gone"};
  return StrPrintf("%s signal=%d code=%d address=%#llx access=%d",
                   kEvents[static_cast<int>(stop.event)], stop.signal.value, stop.code,
                   static_cast<unsigned long long>(stop.address), stop.access.Prot());
}

}  // namespace runsc::platform::contract
