#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "platform/base/fd.h"
#include "platform/host/thread.h"
#include "platform/ptrace/address_space.h"
#include "platform/ptrace/context.h"
#include "platform/ptrace/platform.h"
#include "platform/ptrace/ptrace.h"

namespace runsc::ptrace_platform {
namespace {

// Guests start above what vm.mmap_min_addr commonly reserves.
constexpr uint64_t kUserStart = 0x10000;

std::optional<std::string> RunGuest(platform::Platform& p, int fd) {
  ErrnoOr<std::unique_ptr<platform::AddressSpace>> as = p.NewAddressSpace();
  ErrnoOr<std::unique_ptr<platform::Context>> context = p.NewContext();
  if (!as.ok() || !context.ok()) return "the host refuses to create processes";
  constexpr uint64_t kCode = 0x400000;
  Access rx{.read = true, .exec = true};
  if (!(*as)->MapFile({kCode, kCode + kPageSize}, {fd, 0}, rx, false).ok()) {
    return "the host refuses executable mappings of memory files";
  }
  arch::Registers regs = arch::InitialRegisters(kCode, 0);
  platform::Stop stop = (*context)->Switch(**as, regs);
  if (stop.event == platform::Event::kGone)
    return "the host forbids ptrace(2) (see yama.ptrace_scope)";
  if (stop.event != platform::Event::kSyscall || regs.syscall_number() != 0x5ca1) {
    return "PTRACE_SYSEMU did not stop at a system call";
  }
  stop = (*context)->Switch(**as, regs);
  if (stop.event != platform::Event::kFault || stop.address != 0x123000 || !stop.access.write) {
    return "a page fault was not reported rightly";
  }
  return std::nullopt;
}

std::optional<std::string> SelfTest() {
  // mov eax, 0x5ca1; syscall; mov [0x123000], eax
  static const unsigned char kGuest[] = {0xb8, 0xa1, 0x5c, 0,    0,    0x0f, 0x05,
                                         0x89, 0x04, 0x25, 0x00, 0x30, 0x12, 0x00};
  Fd fd(memfd_create("runsc-self-test", MFD_CLOEXEC));
  if (!fd.ok() || ftruncate(fd.get(), kPageSize) != 0 ||
      pwrite(fd.get(), kGuest, sizeof(kGuest), 0) != sizeof(kGuest)) {
    return "the host refuses memory files";
  }
  platform::PlatformOptions options;
  options.memory_fd = fd.get();
  auto created = PtracePlatform::Create(options);
  if (!created.ok()) return "the host refuses the first stub process or a thread (seccomp, memfd, clone or a limit)";
  // On a thread of its own: who runs a guest ends up bound to one CPU.
  std::optional<std::string> why;
  host::Thread runner;
  if (!runner.Start([&] { why = RunGuest(**created, fd.get()); }).ok()) {
    return "the host refuses a thread";
  }
  runner.Join();
  return why;
}

const platform::PlatformFactory kFactory = {
    .name = "ptrace",
    .self_test = SelfTest,
    .create = PtracePlatform::Create,
};

}  // namespace

ErrnoOr<std::unique_ptr<platform::Platform>> PtracePlatform::Create(
    const platform::PlatformOptions&) {
  std::unique_ptr<PtracePlatform> p(new PtracePlatform());
  p->files_ = TRY(StubFiles::Create());
  {
    MutexLock l(p->mu_);
    p->template_ = TRY(StubProcess::SpawnTemplate(*p->files_));
  }
  TRY(p->placement_.Start());
  return std::unique_ptr<platform::Platform>(std::move(p));
}

PtracePlatform::~PtracePlatform() {
  MutexLock l(mu_);
  idle_.clear();
  template_ = nullptr;
}

AddrRange PtracePlatform::user_range() const { return {kUserStart, PTRACE_STUB_BASE}; }

ErrnoOr<std::unique_ptr<platform::AddressSpace>> PtracePlatform::NewAddressSpace() {
  std::unique_ptr<StubProcess> stub;
  {
    MutexLock l(mu_);
    if (!idle_.empty()) {
      stub = std::move(idle_.back());
      idle_.pop_back();
    } else {
      auto forked = template_->Fork();
      // Also where descriptors run out: the guest only learns that there is no process to be had.
      if (!forked.ok()) return forked.error() == Errno::kNomem ? Errno::kNomem : Errno::kAgain;
      stub = std::move(*forked);
    }
  }
  // A place now, since execve(2) cannot fail any more when its thread goes there.
  stub->ReturnParked(TRY(stub->TakePlace()));
  auto space = std::make_shared<Space>(*this, std::move(stub));
  return std::unique_ptr<platform::AddressSpace>(new PtraceAddressSpace(std::move(space)));
}

ErrnoOr<std::unique_ptr<platform::Context>> PtracePlatform::NewContext() {
  return std::unique_ptr<platform::Context>(new PtraceContext(*this));
}

void PtracePlatform::Recycle(std::unique_ptr<StubProcess> stub) {
  MutexLock l(mu_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(stub));
}

}  // namespace runsc::ptrace_platform

namespace runsc::platform {

const PlatformFactory& PtraceFactory() { return ptrace_platform::kFactory; }

}  // namespace runsc::platform
