#ifndef PLATFORM_PTRACE_STUB_LAYOUT_H_
#define PLATFORM_PTRACE_STUB_LAYOUT_H_

// What lies in a stub process above the guest's addresses. Also read by stub_asm.S.
#define PTRACE_STUB_BASE 0x7fffe0000000
#define PTRACE_STUB_END 0x7ffffffff000
#define PTRACE_STUB_CODE_SIZE 0x1000
// Requests from the sentry: read-only in the stub, one slot of the control file per stub.
#define PTRACE_STUB_REQUEST (PTRACE_STUB_BASE + PTRACE_STUB_CODE_SIZE)
#define PTRACE_STUB_REQUEST_SIZE 0x4000
// Where the host kernel pushes signal frames of faults, one slot a guest thread.
#define PTRACE_STUB_SLOTS (PTRACE_STUB_BASE + 0x100000)
#define PTRACE_STUB_SLOT_SIZE 0x8000
#define PTRACE_STUB_SLOT_COUNT 12288
// In the code page after the code: struct sock_fprog and the stub's seccomp filter.
#define PTRACE_STUB_FPROG 0x800

#define PTRACE_STUB_OP_PLAIN 0
#define PTRACE_STUB_OP_FORK 1
#define PTRACE_STUB_OP_THREAD 2

#ifndef __ASSEMBLER__

#include <cstddef>
#include <cstdint>

namespace runsc::ptrace_platform {

// One host system call for the stub's leader to make. args[4] and args[5] of a fork op are read by
// the child: the control file and its request slot's offset in it.
struct StubOp {
  uint64_t number;
  uint64_t args[6];
  uint64_t kind;
};

// A request slot. The stub sees it read-only, so that nothing a guest writes steers a call.
struct StubRequest {
  uint32_t seq;        // futex word; a new value is a new request
  uint32_t count;      // of ops
  uint32_t done_fd;    // eventfd that the leader adds 1 to
  uint32_t result_fd;  // memfd whose offset carries the result: ops done << 32 | last result
  uint64_t one;        // what is written to done_fd
  uint32_t parent;     // pid that getppid must answer, else the sentry is gone
  uint32_t pad[9];
  StubOp ops[(PTRACE_STUB_REQUEST_SIZE - 64) / sizeof(StubOp)];
};
static_assert(offsetof(StubRequest, ops) == 64 && sizeof(StubOp) == 64);
static_assert(sizeof(StubRequest) == PTRACE_STUB_REQUEST_SIZE);

inline constexpr size_t kMaxOps = sizeof(StubRequest::ops) / sizeof(StubOp);

}  // namespace runsc::ptrace_platform

extern "C" {
// Turns the calling process into a stub: drops its whole address space for the stub's. Never
// returns; exits with an errno on failure.
[[noreturn]] void runsc_ptrace_stub_init(int code_fd, int control_fd, uint64_t request_offset);
// The code page's contents and the places in it.
extern const uint8_t runsc_ptrace_stub_begin[];
extern const uint8_t runsc_ptrace_stub_park[];   // a guest thread that no one traces waits here
extern const uint8_t runsc_ptrace_stub_fault[];  // handler of SIGSEGV: traps to the tracer
extern const uint8_t runsc_ptrace_stub_end[];
}

#endif  // __ASSEMBLER__
#endif  // PLATFORM_PTRACE_STUB_LAYOUT_H_
