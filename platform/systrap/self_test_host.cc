#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "platform/base/fd.h"
#include "platform/base/strings.h"
#include "platform/base/types.h"
#include "platform/systrap/self_test.h"

namespace runsc::platform::systrap {
namespace {

// A quiet host needs about 5 ms. A host so busy that this is late gets much longer: unlike a device,
// stubs do not half work, and the choice of a platform lasts for a sandbox's life.
constexpr int kTimeoutMillis = 50;
constexpr int kBusyTimeoutMillis = 20000;
constexpr uint64_t kCodeAddress = 0x100000;
constexpr uint64_t kBadAddress = 0x200000;
// mov $39, %eax; syscall; mov (%rbx), %rax
constexpr uint8_t kCode[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x48, 0x8b, 0x03};

using CreateFunction = ErrnoOr<std::unique_ptr<Platform>> (*)(const PlatformOptions&, std::string*);

std::string RunGuest(Platform& platform, int memory_fd) {
  auto as = platform.NewAddressSpace();
  auto context = platform.NewContext();
  if (!as.ok() || !context.ok()) return "no stub process";
  Status mapped = (*as)->MapFile({kCodeAddress, kCodeAddress + kPageSize}, {memory_fd, 0},
                                 {.read = true, .exec = true}, false);
  if (!mapped.ok()) return StrPrintf("mmap in the stub: %s", ErrnoName(mapped.error()));
  arch::Registers regs = arch::InitialRegisters(kCodeAddress, kCodeAddress);
  regs.rbx = kBadAddress;
  Stop stop = (*context)->Switch(**as, regs);
  if (stop.event != Event::kSyscall || regs.syscall_number() != 39) {
    return StrPrintf("the first system call gave event %d", static_cast<int>(stop.event));
  }
  stop = (*context)->Switch(**as, regs);
  if (stop.event != Event::kFault || stop.address != kBadAddress) {
    return StrPrintf("the page fault gave event %d", static_cast<int>(stop.event));
  }
  return "";
}

std::string RunAll(CreateFunction create) {
  Fd memory(memfd_create("runsc-self-test", MFD_CLOEXEC));
  if (!memory.ok() || ftruncate(memory.get(), kPageSize) != 0 ||
      pwrite(memory.get(), kCode, sizeof(kCode), 0) != sizeof(kCode)) {
    return StrPrintf("memfd: %s", strerror(errno));
  }
  PlatformOptions options;
  options.memory_fd = memory.get();
  std::string why;
  auto platform = create(options, &why);
  if (!platform.ok()) return why;
  return RunGuest(**platform, memory.get());
}

// The verdict of the child: one byte 'y', or the reason.
std::string Await(int fd) {
  char text[512];
  pollfd p{fd, POLLIN, 0};
  int ready = poll(&p, 1, kTimeoutMillis);
  if (ready == 0) ready = poll(&p, 1, kBusyTimeoutMillis);
  if (ready <= 0) return "no answer in time";
  const ssize_t n = read(fd, text, sizeof(text));
  if (n <= 0) return "the test process died";
  return std::string(text, static_cast<size_t>(n));
}

}  // namespace

std::optional<std::string> SelfTest(CreateFunction create) {
  int ends[2];
  if (pipe(ends) != 0) return StrPrintf("pipe: %s", strerror(errno));
  Fd from(ends[0]), to(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return StrPrintf("fork: %s", strerror(errno));
  if (pid == 0) {
    const std::string why = RunAll(create);
    const ssize_t n =
        why.empty() ? write(to.get(), "y", 1) : write(to.get(), why.data(), why.size());
    _exit(n > 0 ? 0 : 1);
  }
  to.Reset();
  const std::string verdict = Await(from.get());
  kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (verdict == "y") return std::nullopt;
  return verdict;
}

}  // namespace runsc::platform::systrap
