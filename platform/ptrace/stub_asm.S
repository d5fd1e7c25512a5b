// Code of the stub processes. It keeps no data in memory that a guest could write: all state is in
// registers, arguments come from a page that is read-only here, results leave through descriptors.
#include "platform/ptrace/stub_layout.h"

#define SYS_lseek 8
#define SYS_mmap 9
#define SYS_munmap 11
#define SYS_pause 34
#define SYS_write 1
#define SYS_getppid 110
#define SYS_prctl 157
#define SYS_futex 202
#define SYS_exit_group 231

#define PROT_R 1
#define PROT_RW 3
#define PROT_RX 5
#define MAP_SHARED_FIXED 0x11
#define MAP_SLOTS 0x4032 /* private, anonymous, fixed, no reserve */
#define PR_SET_PDEATHSIG 1
#define PR_SET_SECCOMP 22
#define SECCOMP_MODE_FILTER 2
#define SIGKILL 9

  .intel_syntax noprefix

  .text
  .globl runsc_ptrace_stub_init
  .type runsc_ptrace_stub_init, @function
runsc_ptrace_stub_init:
  mov ebx, edi
  mov ebp, esi
  mov r14, rdx
  movabs rdi, PTRACE_STUB_BASE
  mov rsi, PTRACE_STUB_END - PTRACE_STUB_BASE
  mov eax, SYS_munmap
  syscall
  test rax, rax
  jnz 1f
  movabs rdi, PTRACE_STUB_BASE
  mov esi, PTRACE_STUB_CODE_SIZE
  mov edx, PROT_RX
  mov r10d, MAP_SHARED_FIXED
  mov r8d, ebx
  xor r9d, r9d
  mov eax, SYS_mmap
  syscall
  cmp rax, -4096
  ja 1f
  movabs rax, PTRACE_STUB_BASE
  jmp rax
1:
  neg eax
  mov edi, eax
  mov eax, SYS_exit_group
  syscall
  hlt
  .size runsc_ptrace_stub_init, . - runsc_ptrace_stub_init

  .section .text.runsc_ptrace_stub_blob, "ax", @progbits
  .globl runsc_ptrace_stub_begin
  .globl runsc_ptrace_stub_park
  .globl runsc_ptrace_stub_fault
  .globl runsc_ptrace_stub_end
  .balign 64
runsc_ptrace_stub_begin:

// Runs at PTRACE_STUB_BASE from here on; init jumps to its first byte.
stub_settle:
  xor edi, edi
  movabs rsi, PTRACE_STUB_BASE
  mov eax, SYS_munmap
  syscall
  test rax, rax
  jnz stub_die
  movabs r12, PTRACE_STUB_REQUEST
  mov r8d, ebp
  mov r9, r14
  mov rdi, r12
  mov esi, PTRACE_STUB_REQUEST_SIZE
  mov edx, PROT_R
  mov r10d, MAP_SHARED_FIXED
  mov eax, SYS_mmap
  syscall
  cmp rax, -4096
  ja stub_die
  movabs rdi, PTRACE_STUB_SLOTS
  mov rsi, PTRACE_STUB_SLOT_SIZE * PTRACE_STUB_SLOT_COUNT
  mov edx, PROT_RW
  mov r10d, MAP_SLOTS
  mov r8, -1
  xor r9d, r9d
  mov eax, SYS_mmap
  syscall
  cmp rax, -4096
  ja stub_die
  mov edi, PR_SET_SECCOMP
  mov esi, SECCOMP_MODE_FILTER
  movabs rdx, PTRACE_STUB_BASE + PTRACE_STUB_FPROG
  mov eax, SYS_prctl
  syscall
  test rax, rax
  jnz stub_die
  xor r13d, r13d

// r12: request slot, r13d: sequence number of the last request served.
leader_wait:
  mov eax, [r12]
  cmp eax, r13d
  jne leader_run
  mov rdi, r12
  xor esi, esi
  mov edx, r13d
  xor r10d, r10d
  mov eax, SYS_futex
  syscall
  jmp leader_wait

// ebx: ops done, r14d: ops in all, r15: the next one, rbp: last result.
leader_run:
  mov r13d, eax
  mov r14d, [r12 + 4]
  lea r15, [r12 + 64]
  xor ebx, ebx
  xor ebp, ebp
leader_next:
  cmp ebx, r14d
  jae leader_reply
  mov rax, [r15]
  mov rdi, [r15 + 8]
  mov rsi, [r15 + 16]
  mov rdx, [r15 + 24]
  mov r10, [r15 + 32]
  mov r8, [r15 + 40]
  mov r9, [r15 + 48]
// The kind in a register: a child looks at it when the next request may be in the page already.
  mov rbp, [r15 + 56]
  syscall
  cmp rbp, PTRACE_STUB_OP_PLAIN
  jne leader_cloned
leader_check:
  mov rbp, rax
  cmp rax, -4096
  ja leader_reply
  inc ebx
  add r15, 64
  jmp leader_next
leader_reply:
  mov esi, ebp
  mov eax, ebx
  shl rax, 32
  or rsi, rax
  mov edi, [r12 + 12]
  xor edx, edx
  mov eax, SYS_lseek
  syscall
  mov edi, [r12 + 8]
  lea rsi, [r12 + 16]
  mov edx, 8
  mov eax, SYS_write
  syscall
  jmp leader_wait

leader_cloned:
  test rax, rax
  jnz leader_check
  cmp rbp, PTRACE_STUB_OP_THREAD
  je runsc_ptrace_stub_park
// A new process: r8 and r9 are still the op's last arguments.
  mov rdi, r12
  mov esi, PTRACE_STUB_REQUEST_SIZE
  mov edx, PROT_R
  mov r10d, MAP_SHARED_FIXED
  mov eax, SYS_mmap
  syscall
  cmp rax, -4096
  ja stub_die
  mov edi, PR_SET_PDEATHSIG
  mov esi, SIGKILL
  mov eax, SYS_prctl
  syscall
  mov eax, SYS_getppid
  syscall
  cmp eax, [r12 + 24]
  jne stub_die
  xor r13d, r13d
  jmp leader_wait

// A guest thread's place between tracers. It dies with the sentry's thread that made the platform.
runsc_ptrace_stub_park:
  movabs r12, PTRACE_STUB_REQUEST
  mov edi, PR_SET_PDEATHSIG
  mov esi, SIGKILL
  mov eax, SYS_prctl
  syscall
  mov eax, SYS_getppid
  syscall
  cmp eax, [r12 + 24]
  jne stub_die
1:
  mov eax, SYS_pause
  syscall
  jmp 1b

runsc_ptrace_stub_fault:
  syscall
  hlt

stub_die:
  mov edi, eax
  neg edi
  mov eax, SYS_exit_group
  syscall
  hlt
runsc_ptrace_stub_end:

  .section .note.GNU-stack, "", @progbits
