// Register work of the stub. Linked at STUB_BLOB; see ../README.md for the protocol.
#include "platform/systrap/blob/layout.h"

#define NR_write 1
#define NR_mmap 9
#define NR_rt_sigprocmask 14
#define NR_getppid 110
#define NR_sigaltstack 131
#define NR_prctl 157
#define NR_exit_group 231
#define NR_futex 202
#define NR_clock_gettime 228
#define NR_seccomp 317
#define NR_clone 56

  .section .text.entry, "ax"
  .globl blob_entry
// Where the template process starts, on any stack, with its pages mapped.
blob_entry:
  movabsq $(STUB_TEMPLATE_STACK + STUB_TEMPLATE_STACK_SIZE), %rsp
  xorl %ebp, %ebp
  call template_main
  ud2

// Gates: the only instructions from which a filtered thread may enter the kernel, at fixed offsets
// so that the filters can name them (GATE_IP).
  .macro gate name, slot, back
  .org GATE_OFFSET + GATE_STRIDE * \slot
  .globl gate_\name
gate_\name:
  syscall
  \back
  .endm
  gate control_wait, GATE_CONTROL_WAIT, "jmp control_loop"
  gate control_op, GATE_CONTROL_OP, "jmp control_result"
  gate control_clone, GATE_CONTROL_CLONE, "jmp control_cloned"
  gate control_done, GATE_CONTROL_DONE, "jmp control_loop"
  gate start_altstack, GATE_START_ALTSTACK, "jmp start_altstack_done"
  gate start_mask, GATE_START_MASK, "jmp start_mask_done"
  gate start_seccomp, GATE_START_SECCOMP, "jmp start_seccomp_done"
  gate guest_futex, GATE_GUEST_FUTEX, "ret"
  gate guest_clock, GATE_GUEST_CLOCK, "ret"
  .org NO_SIGNALS_OFFSET
no_signals:
  .quad 0
  .org BATCH_OK_OFFSET
batch_ok:
  .quad BATCH_OK
  .org BATCH_FAILED_OFFSET
batch_failed:
  .quad BATCH_FAILED

  .text

// long raw_syscall(nr, a, b, c, d, e, f): the template's; its filterless calls only.
  .globl raw_syscall
raw_syscall:
  movq %rdi, %rax
  movq %rsi, %rdi
  movq %rdx, %rsi
  movq %rcx, %rdx
  movq %r8, %r10
  movq %r9, %r8
  movq 8(%rsp), %r9
  syscall
  ret

// long spawn_stub(index, control_fd, sentry_pid): forks a stub. The child never returns: it has no
// stack and wants none.
  .globl spawn_stub
spawn_stub:
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  movl %edi, %r12d
  movl %esi, %r13d
  movl %edx, %r14d
  movl $NR_clone, %eax
  movl $0x8400, %edi            // CLONE_PARENT | CLONE_FILES, no exit signal
  xorl %esi, %esi
  xorl %edx, %edx
  xorl %r10d, %r10d
  xorl %r8d, %r8d
  syscall
  testq %rax, %rax
  jz stub_start
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  ret

// The main thread of a new stub, which becomes its control thread.
stub_start:
  movl $NR_prctl, %eax
  movl $1, %edi                 // PR_SET_PDEATHSIG
  movl $9, %esi
  syscall
  movl $NR_getppid, %eax        // the sentry died before that?
  syscall
  cmpl %r14d, %eax
  jne stub_die
  shll $13, %r12d               // two pages a stub
  movl $NR_mmap, %eax
  movabsq $STUB_CONTROL, %rdi
  movl $4096, %esi
  movl $1, %edx                 // PROT_READ
  movl $0x11, %r10d             // MAP_SHARED | MAP_FIXED
  movl %r13d, %r8d
  movl %r12d, %r9d
  syscall
  cmpq %rdi, %rax
  jne stub_die
  movl $NR_mmap, %eax
  movabsq $STUB_HINT, %rdi
  movl $3, %edx                 // PROT_READ | PROT_WRITE
  leal 4096(%r12), %r9d
  syscall
  cmpq %rdi, %rax
  jne stub_die
  movl $NR_seccomp, %eax
  movl $1, %edi                 // SECCOMP_SET_MODE_FILTER
  movl $4, %esi                 // SECCOMP_FILTER_FLAG_SPEC_ALLOW
  leaq control_filter_prog(%rip), %rdx
  syscall
  testq %rax, %rax
  jnz stub_die
  jmp control_start
stub_die:
  movl $NR_exit_group, %eax
  movl $1, %edi
  syscall
  ud2

// The control thread: r12 control page, rbx hint page, r15d batch done, r14 first error of it.
// What it reads to make a call lies in the read-only control page or in registers; it has no stack.
control_start:
  movabsq $STUB_CONTROL, %r12
  movabsq $STUB_HINT, %rbx
  xorl %r15d, %r15d
  xorl %r14d, %r14d
  xorl %esp, %esp
control_loop:
  movl CONTROL_SEQ(%r12), %eax
  cmpl %r15d, %eax
  jne control_batch
  leaq CONTROL_SEQ(%r12), %rdi
  xorl %esi, %esi               // FUTEX_WAIT, not private
  movl %r15d, %edx
  xorl %r10d, %r10d
  movl $NR_futex, %eax
  jmp gate_control_wait
control_batch:
  movl %eax, %r15d
  xorl %r14d, %r14d
  xorl %ebp, %ebp
2:
  cmpl CONTROL_COUNT(%r12), %ebp
  jae control_done
  cmpl $CONTROL_MAX_OPS, %ebp
  jae control_done
  movl %ebp, %r13d
  shlq $6, %r13                 // CONTROL_OP_SIZE
  leaq CONTROL_OPS(%r12,%r13), %r13
  movq (%r13), %rax
  movq 8(%r13), %rdi
  movq 16(%r13), %rsi
  movq 24(%r13), %rdx
  movq 32(%r13), %r10
  movq 40(%r13), %r8
  movq 48(%r13), %r9
  cmpl $NR_clone, %eax
  je gate_control_clone
  jmp gate_control_op
control_result:
  movq %rax, HINT_RESULTS(%rbx,%rbp,8)
  incl %ebp
  cmpq $-4096, %rax
  jbe 2b
  testq %r14, %r14
  cmovzq %rax, %r14
  jmp 2b
control_cloned:
  testq %rax, %rax
  jnz control_result
  jmp thread_start
control_done:
  movq %r14, HINT_ERROR(%rbx)
  movl CONTROL_EVENT_FD(%r12), %edi
  leaq batch_ok(%rip), %rsi
  testq %r14, %r14
  jz 1f
  leaq batch_failed(%rip), %rsi
1:
  movl $8, %edx
  movl $NR_write, %eax
  jmp gate_control_done

// A new guest thread, rsp = its ThreadCtx. Until the second filter holds it still has the control
// thread's rights, so signals stay blocked (their handlers use memory that the guest can write) and
// nothing here is read from there but the address of the signal stack and of the first stack, which
// steer no call but the guest's own signals.
thread_start:
  movq %rsp, %rbx
  movl $NR_sigaltstack, %eax
  leaq CTX_ALTSTACK(%rbx), %rdi
  xorl %esi, %esi
  jmp gate_start_altstack
start_altstack_done:
  testq %rax, %rax
  jnz 9f
  movl $NR_seccomp, %eax
  movl $1, %edi
  movl $4, %esi
  leaq guest_filter_prog(%rip), %rdx
  jmp gate_start_seccomp
start_seccomp_done:
  testq %rax, %rax
  jnz 9f
  // On its stack before the first signal, whose frame must not fall on the initial FPU state.
  movq CTX_START_SP(%rbx), %rsp
  movl $NR_rt_sigprocmask, %eax
  movl $2, %edi                 // SIG_SETMASK
  leaq no_signals(%rip), %rsi
  xorl %edx, %edx
  movl $8, %r10d
  jmp gate_start_mask
start_mask_done:
  testq %rax, %rax
  jnz 9f
  movq %rbx, %rdi
  xorl %ebp, %ebp
  jmp wait_for_sentry
9:
  ud2

// long guest_futex(uint32_t* word, op, value)
  .globl guest_futex
guest_futex:
  xorl %r10d, %r10d
  movl $NR_futex, %eax
  jmp gate_guest_futex

// long guest_clock(struct timespec*): CLOCK_THREAD_CPUTIME_ID
  .globl guest_clock
guest_clock:
  movq %rdi, %rsi
  movl $3, %edi
  movl $NR_clock_gettime, %eax
  jmp gate_guest_clock

// void restore_guest(struct ThreadCtx*): into the guest. From restore_start to restore_end its
// ctx->regs hold the guest's registers unchanged, so an interrupt in here reports them and starts over; from
// restore_fpu_done on the guest's FPU state is in the CPU.
  .globl restore_guest
restore_guest:
  .globl restore_start
restore_start:
  cmpl $0, CTX_IRQ(%rdi)
  jne post_interrupted
  movq CTX_FPU(%rdi), %rsi
  movl CTX_XMASK(%rdi), %eax
  movl CTX_XMASK + 4(%rdi), %edx
  xrstor64 (%rsi)
  .globl restore_fpu_done
restore_fpu_done:
  movq REGS_FS_BASE(%rdi), %rax
  wrfsbase %rax
  movq REGS_GS_BASE(%rdi), %rax
  wrgsbase %rax
  movq REGS_R15(%rdi), %r15
  movq REGS_R14(%rdi), %r14
  movq REGS_R13(%rdi), %r13
  movq REGS_R12(%rdi), %r12
  movq REGS_RBP(%rdi), %rbp
  movq REGS_RBX(%rdi), %rbx
  movq REGS_R11(%rdi), %r11
  movq REGS_R10(%rdi), %r10
  movq REGS_R9(%rdi), %r9
  movq REGS_R8(%rdi), %r8
  movq REGS_RAX(%rdi), %rax
  movq REGS_RCX(%rdi), %rcx
  movq REGS_RDX(%rdi), %rdx
  movq REGS_RSI(%rdi), %rsi
  cmpl $0, CTX_FAST(%rdi)
  je 1f
  // As SYSRET leaves it: rcx is the pc, r11 the flags. An iretq costs ten times as much.
  leaq REGS_EFLAGS(%rdi), %rsp
  movq REGS_RDI(%rdi), %rdi
  popfq
  popq %rsp
  jmpq *%rcx
1:
  leaq REGS_RIP(%rdi), %rsp
  movq REGS_RDI(%rdi), %rdi
  iretq
  .globl restore_end
restore_end:
  ud2

// void post_interrupted(struct ThreadCtx*), void post_from_start(struct ThreadCtx*): give the turn to
// the sentry, with nothing on the stack.
  .globl post_interrupted, post_from_start
post_interrupted:
  movl $STUB_INTERRUPT_SIGNAL, CTX_SIG(%rdi)
post_from_start:
  movq CTX_START_SP(%rdi), %rsp
  xorl %ebp, %ebp
  call post
  ud2

// void resume_stub(const uint64_t* gregs, uint64_t cs, uint64_t ss): back to where a signal
// interrupted the stub's own code. gregs is mcontext_t's array.
  .globl resume_stub
resume_stub:
  pushq %rdx
  pushq 120(%rdi)               // rsp
  pushq 136(%rdi)               // eflags
  pushq %rsi
  pushq 128(%rdi)               // rip
  movq 0(%rdi), %r8
  movq 8(%rdi), %r9
  movq 16(%rdi), %r10
  movq 24(%rdi), %r11
  movq 32(%rdi), %r12
  movq 40(%rdi), %r13
  movq 48(%rdi), %r14
  movq 56(%rdi), %r15
  movq 72(%rdi), %rsi
  movq 80(%rdi), %rbp
  movq 88(%rdi), %rbx
  movq 96(%rdi), %rdx
  movq 104(%rdi), %rax
  movq 112(%rdi), %rcx
  movq 64(%rdi), %rdi
  iretq

// The kernel wants a restorer; the stub never returns from a handler.
  .globl no_restorer
no_restorer:
  ud2

  .section .note.GNU-stack, "", @progbits
