#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "platform/ptrace/stub_process.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace runsc::ptrace_platform {
namespace {

// Only the code page may enter the kernel, and only for what stub_asm.S and its ops need. Guest
// calls never come here, they are taken by SYSEMU before; what does come is a call through the
// vsyscall page, and SIGSYS hands that to the tracer.
constexpr uint32_t kAllowed[] = {
    SYS_mmap,  SYS_munmap, SYS_mprotect, SYS_madvise, SYS_futex,      SYS_write,   SYS_lseek,
    SYS_clone, SYS_prctl,  SYS_getppid,  SYS_pause,   SYS_exit_group, SYS_restart_syscall,
};

std::vector<sock_filter> StubFilter() {
  constexpr uint32_t kNumber = offsetof(seccomp_data, nr);
  constexpr uint32_t kArch = offsetof(seccomp_data, arch);
  constexpr uint32_t kPc = offsetof(seccomp_data, instruction_pointer);
  const uint64_t base = PTRACE_STUB_BASE;
  std::vector<sock_filter> f = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kArch),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kPc + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(base >> 32), 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kPc),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~uint32_t{PTRACE_STUB_CODE_SIZE - 1}),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(base), 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNumber),
  };
  for (uint32_t number : kAllowed) {
    f.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    f.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  f.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  return f;
}

bool WriteAt(int fd, const void* data, size_t size, off_t at) {
  return pwrite(fd, data, size, at) == static_cast<ssize_t>(size);
}

// The code page: code, then at PTRACE_STUB_FPROG the filter, which points at its final address.
bool FillCodePage(int fd) {
  const std::vector<sock_filter> filter = StubFilter();
  const uint64_t at = PTRACE_STUB_FPROG + 16;
  const struct {
    uint16_t length;
    uint16_t pad[3];
    uint64_t address;
  } prog = {static_cast<uint16_t>(filter.size()), {}, PTRACE_STUB_BASE + at};
  const size_t code_size =
      static_cast<size_t>(runsc_ptrace_stub_end - runsc_ptrace_stub_begin);
  const size_t filter_size = filter.size() * sizeof(sock_filter);
  if (code_size > PTRACE_STUB_FPROG || at + filter_size > PTRACE_STUB_CODE_SIZE) return false;
  return ftruncate(fd, PTRACE_STUB_CODE_SIZE) == 0 &&
         WriteAt(fd, runsc_ptrace_stub_begin, code_size, 0) &&
         WriteAt(fd, &prog, sizeof(prog), PTRACE_STUB_FPROG) &&
         WriteAt(fd, filter.data(), filter_size, static_cast<off_t>(at));
}

int CreateCodeFd() {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int fd = memfd_create("runsc-ptrace-code", kFlags | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("runsc-ptrace-code", kFlags);
  return fd;
}

}  // namespace

ErrnoOr<std::unique_ptr<StubFiles>> StubFiles::Create() {
  std::unique_ptr<StubFiles> files(new StubFiles());
  files->code_.Reset(CreateCodeFd());
  if (!files->code_.ok() || !FillCodePage(files->code_fd()) ||
      fcntl(files->code_fd(), F_ADD_SEALS,
            F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return Errno::kNomem;
  }
  const size_t size = kMaxStubs * sizeof(StubRequest);
  files->control_.Reset(memfd_create("runsc-ptrace-control", MFD_CLOEXEC));
  if (!files->control_.ok() || ftruncate(files->control_fd(), static_cast<off_t>(size)) != 0) {
    return Errno::kNomem;
  }
  void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                 files->control_fd(), 0);
  if (p == MAP_FAILED) return Errno::kNomem;
  files->requests_ = static_cast<StubRequest*>(p);
  return files;
}

StubFiles::~StubFiles() {
  if (requests_ != nullptr) munmap(requests_, kMaxStubs * sizeof(StubRequest));
}

ErrnoOr<uint32_t> StubFiles::TakeSlot() {
  uint32_t slot = 0;
  {
    MutexLock l(mu_);
    if (!free_.empty()) {
      slot = free_.back();
      free_.pop_back();
    } else if (next_ < kMaxStubs) {
      slot = next_++;
    } else {
      return Errno::kAgain;
    }
  }
  // Only the header matters; the ops are written before each use.
  std::memset(static_cast<void*>(At(slot)), 0, offsetof(StubRequest, ops));
  return slot;
}

void StubFiles::ReturnSlot(uint32_t slot) {
  MutexLock l(mu_);
  free_.push_back(slot);
}

}  // namespace runsc::ptrace_platform
