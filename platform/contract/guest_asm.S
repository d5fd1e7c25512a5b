// Guest code for the tests: position-independent snippets, copied into guest memory as one block.
  .section .rodata
  .balign 64
  .globl guest_code_start, guest_code_end
guest_code_start:

  .macro snippet name
  .balign 16
  .globl guest_\name
guest_\name:
  .endm

// System calls for ever; every register as given.
  snippet syscalls
1: syscall
  jmp 1b

// rbx, r12..r15 = results of five system calls 100..104.
  snippet five_calls
  mov $100, %eax
  syscall
  mov %rax, %rbx
  mov $101, %eax
  syscall
  mov %rax, %r12
  mov $102, %eax
  syscall
  mov %rax, %r13
  mov $103, %eax
  syscall
  mov %rax, %r14
  mov $104, %eax
  syscall
  mov %rax, %r15
  mov $105, %eax
  syscall
  ud2

// Adds one to rax a thousand times, then a call with number rax; again.
  snippet count
  mov $1000, %rcx
1: inc %rax
  dec %rcx
  jnz 1b
  mov %rax, %rbx
  mov $7, %eax
  syscall
  mov %rbx, %rax
  jmp guest_count

// r15 loops through memory, then a system call, for ever.
  snippet work
1: movq $0, -128(%rsp)
2: mov -128(%rsp), %rcx
  inc %rcx
  mov %rcx, -128(%rsp)
  cmp %r15, %rcx
  jb 2b
  syscall
  jmp 1b

// Runs until stopped; all registers stay as they are.
  snippet busy
1: jmp 1b

// Runs until stopped, counting in memory at rbx.
  snippet busy_count
1: lock incq (%rbx)
  jmp 1b

  snippet read
  mov (%rbx), %rax
  syscall
  snippet write
  mov %rax, (%rbx)
  syscall
// The word at rbx into rbx, and a call whose number does not depend on it.
  snippet peek
  mov (%rbx), %rbx
  syscall
  snippet one_call
  syscall
  ud2
  snippet jump
  jmp *%rbx
// Reads and writes the word at rbx for ever.
  snippet touch
1: mov (%rbx), %rax
  inc %rax
  mov %rax, (%rbx)
  jmp 1b

  snippet int3
  int3
  syscall
  snippet ud2
  ud2
  snippet div0
  xor %ecx, %ecx
  div %ecx
  snippet int80
  int $0x80
  nop
  snippet hlt
  hlt
// A push with a non-canonical rsp from rbx.
  snippet bad_stack
  mov %rbx, %rsp
  push %rax
  snippet misaligned_sse
  movaps 1(%rsp), %xmm0
  snippet sse_div0
  movl $0x1d80, -16(%rsp)   // all SSE exceptions but division by zero masked
  ldmxcsr -16(%rsp)
  mov $1, %eax
  cvtsi2ss %eax, %xmm0
  xorps %xmm1, %xmm1
  divss %xmm1, %xmm0
  snippet align_check
  pushfq
  orl $0x40000, (%rsp)
  popfq
  mov 1(%rsp), %eax
  snippet nops
  nop
  nop
  nop
  syscall
// Sets the nested-task flag, which makes iretq fault, and goes on.
  snippet nested_task
  pushfq
  orl $0x4000, (%rsp)
  popfq
  syscall
  jmp guest_busy

// Vector registers from memory at rbx; a system call, or a wait until memory at r13 is not 0;
// back to memory at r12; a system call.
  .macro load_vectors ins, reg, size, numbers:vararg
  .irp n, \numbers
  \ins (\n*\size)(%rbx), %\reg\n
  .endr
  .endm
  .macro store_vectors ins, reg, size, numbers:vararg
  .irp n, \numbers
  \ins %\reg\n, (\n*\size)(%r12)
  .endr
  mov $2, %eax
  syscall
  ud2
  .endm
  .macro vectors name, ins, reg, size, numbers:vararg
  snippet \name\()_call
  load_vectors \ins, \reg, \size, \numbers
  mov $1, %eax
  syscall
  store_vectors \ins, \reg, \size, \numbers
  snippet \name\()_wait
  load_vectors \ins, \reg, \size, \numbers
1: pause
  cmpq $0, (%r13)
  je 1b
  store_vectors \ins, \reg, \size, \numbers
  .endm
#define LOW_16 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define HIGH_16 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  vectors avx512, vmovdqu64, zmm, 64, LOW_16, HIGH_16
  vectors avx, vmovdqu, ymm, 32, LOW_16
  vectors sse, movdqu, xmm, 16, LOW_16

// x87 and SSE control: rax = control words after a system call that follows setting them.
  snippet control_words
  movw $0x27f, -16(%rsp)
  fldcw -16(%rsp)
  movl $0x5f80, -16(%rsp)
  ldmxcsr -16(%rsp)
  mov $1, %eax
  syscall
  movl $0, -16(%rsp)
  fnstcw -16(%rsp)
  movl -16(%rsp), %ebx
  stmxcsr -16(%rsp)
  movl -16(%rsp), %r12d
  mov $2, %eax
  syscall
  ud2

// rbx = word at fs:0, r12 = word at gs:8.
  snippet tls
  mov %fs:0, %rbx
  mov %gs:8, %r12
  mov $1, %eax
  syscall
  jmp guest_tls
// Sets its own bases from rbx and r12, if the CPU lets it.
  snippet set_bases
  wrfsbase %rbx
  wrgsbase %r12
  mov $1, %eax
  syscall
  rdfsbase %r13
  rdgsbase %r14
  mov $2, %eax
  syscall
  ud2

// For ever: sleeps on the word at rbx through the futex call at r12.
  snippet hide
1: mov %rbx, %rdi
  xor %esi, %esi
  mov (%rdi), %edx
  xor %r10d, %r10d
  mov $202, %eax
  call *%r12
  jmp 1b
// Ways into the kernel that are not the 64-bit syscall instruction.
  snippet sysenter
  sysenter
  ud2
  snippet compat_int80
  pushq $0x23
  lea 1f(%rip), %rcx
  push %rcx
  lretq
1: .byte 0xb8, 1, 0, 0, 0   // 32-bit code: mov $1, %eax
  int $0x80
  ud2
  snippet compat_syscall
  pushq $0x23
  lea 1f(%rip), %rcx
  push %rcx
  lretq
1: .byte 0xb8, 1, 0, 0, 0
  syscall
  ud2
  snippet compat_sysenter
  pushq $0x23
  lea 1f(%rip), %rcx
  push %rcx
  lretq
1: .byte 0xb8, 1, 0, 0, 0
  sysenter
  ud2

// Writes r12 to rbx, rbx + r13, ... r14 times; then a system call.
  snippet scribble
1: mov %r12, (%rbx)
  add %r13, %rbx
  dec %r14
  jnz 1b
  syscall
  ud2

guest_code_end:
  .byte 0
  .section .note.GNU-stack, "", @progbits
